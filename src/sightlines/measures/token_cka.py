"""CKA of a ViT's class token alone, and of its spatial tokens alone.

Source: Raghu et al. 2021, sections 3 and 5: why the final third of a ViT's layers resembles no
layer of a ResNet (Figure 2). Within each network that has a class token, and of it with a ResNet's
maps. The estimator is that of `cka`; the spatial tokens' Gram is the layer's own less that of the
prefix tokens (class token, registers), since Grams of features side by side add. A token that does
not vary over images, as the class token before the first attention, has no CKA. Control: the
untrained networks.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core.files import TensorFile, TensorShapes
from sightlines.core.progress import Progress
from sightlines.dumps.class_token_reading import ClassTokenDump
from sightlines.dumps.reading import GramDump
from sightlines.plan import roles
from sightlines.plan.networks import UNTRAINED, Network, as_initialised
from sightlines.stats import hsic
from sightlines.stats.hsic import cka
from sightlines.stats.jackknife import group_of, leave_one_out, standard_error, warn_of_few

READS = ("gram", "class_token")
USES = ("architectures",)
NEEDS = ("class_token",)
TABLES = {
    "token_cka.parquet": {
        "about": "CKA of the class token alone and of the spatial tokens alone",
        "row": "ViT × itself or a ResNet × tokens × pair of layers",
        "columns": (
            "network_a",
            "layer_a",
            "network_b",
            "layer_b",
            ("tokens", "text", "", "cls: class token alone; spatial: patches' tokens alone"),
            ("cka", "float", "", "unbiased linear CKA of those tokens, of a ResNet's whole maps"),
            ("cka_se", "float", "", "its jackknife standard error over minibatches"),
        ),
    },
}
FILES = {
    "token_cka_replicates.safetensors": {
        "about": "The same of all images and with each group of minibatches left out: tensor "
        "`<tokens>|<network>|<network>` [1 + groups, layers, layers] float32, NaN where a layer "
        "has no class token or does not vary",
        "row": "tokens × pair of networks",
    },
}
TOKENS = ("cls", "spatial")


@dataclass(frozen=True)
class Part:
    """Layers of one network that are compared, out of all that are read together.

    Attributes:
        network: Whose.
        places: Places of the layers among the network's.
        layers: How many layers the network has.
        within: Their places among the layers that are read together.
    """

    network: Network
    places: np.ndarray
    layers: int
    within: slice


@dataclass(frozen=True)
class Found:
    """CKA of the layers of two parts, by replicate.

    Attributes:
        tokens: One of TOKENS.
        a: The ViT's layers.
        b: The same, or a ResNet's.
        values: [1 + groups, layers of a, layers of b], row 0 from all images.
    """

    tokens: str
    a: Part
    b: Part
    values: np.ndarray

    def table(self) -> pd.DataFrame:
        """Rows of token_cka.parquet."""
        layer_a, layer_b = (g.ravel() for g in np.meshgrid(*self._places, indexing="ij"))
        columns: dict[str, Any] = {"layer_a": layer_a, "layer_b": layer_b, "tokens": self.tokens}
        for side, part in (("a", self.a), ("b", self.b)):
            columns |= {f"{k}_{side}": v for k, v in part.network._asdict().items()}
        values = self.values.reshape(len(self.values), -1)
        return pd.DataFrame(columns | {"cka": values[0], "cka_se": standard_error(values)})

    @property
    def name(self) -> str:
        """Of its tensor."""
        return "|".join((self.tokens, self.a.network.slug, self.b.network.slug))

    @property
    def whole(self) -> np.ndarray:
        """Values with a row and a column for every layer of the networks, float32."""
        every = np.full((len(self.values), self.a.layers, self.b.layers), np.nan, np.float32)
        every[:, self._places[0][:, None], self._places[1]] = self.values
        return every

    @property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        return self.a.places, self.b.places


def measure(
    gram: list[GramDump], class_token: list[ClassTokenDump], architectures: dict[str, Any]
) -> dict[str, Any]:
    """Compare each ViT's tokens with themselves and with ResNets, one ViT at a time.

    Args:
        gram: Of each network.
        class_token: Of each network with a class token.
        architectures: Model -> its settings.
    """
    known = {dump.network: dump for dump in gram}
    resnets = roles.of_kind(known, architectures, "resnet")
    progress, found = Progress(len(class_token), "networks"), []
    for done, tokens in enumerate(class_token, 1):
        warn_of_few(len(tokens.batch_sizes))
        others = [known[n] for n in partners(tokens.network, list(known), resnets)]
        found += compare(known[tokens.network], tokens, others)
        progress.update(done)
    return {
        "token_cka.parquet": (each.table() for each in found),
        "token_cka_replicates.safetensors": _replicates(found),
    }


def partners(vit: Network, networks: Sequence[Network], models: Sequence[str]) -> list[Network]:
    """Of each model the network of the ViT's fraction and seed, else its first of that fraction.

    Untrained ones are controls: those that were switched on, where the model starts idle.
    """
    found, seed = [], as_initialised(vit).seed
    for model in models:
        is_bare = vit.fraction == UNTRAINED
        own = (
            roles.controls(networks, model) if is_bare else roles.on(networks, model, vit.fraction)
        )
        found += [next((n for n in own if as_initialised(n).seed == seed), own[0])] if own else []
    return found


def compare(whole: GramDump, tokens: ClassTokenDump, others: Sequence[GramDump]) -> list[Found]:
    """CKA of one ViT's class token and of its spatial tokens, with itself and with ResNets.

    Args:
        whole: Grams of the ViT's layers, all tokens.
        tokens: Of its class token.
        others: Of the ResNets.
    """
    layers, places = len(whole.layers), tokens.places
    every = np.arange(layers)
    sizes = [len(places), layers, *(len(other.layers) for other in others)]
    bounds = [0, *itertools.accumulate(sizes)]
    within = [slice(*pair) for pair in itertools.pairwise(bounds)]
    cls = Part(whole.network, places, layers, within[0])
    spatial = Part(whole.network, every, layers, within[1])
    maps = [
        Part(other.network, np.arange(len(other.layers)), len(other.layers), place)
        for other, place in zip(others, within[2:], strict=True)
    ]
    cross, own = _sums(whole, tokens, others)
    return [
        Found(name, part, other, cka(*_cut(cross, own, part.within, other.within)))
        for name, part in zip(TOKENS, (cls, spatial), strict=True)
        for other in (part, *maps)
    ]


def _sums(
    whole: GramDump, tokens: ClassTokenDump, others: Sequence[GramDump]
) -> tuple[np.ndarray, np.ndarray]:
    """Leave-one-out HSIC sums of all layers [1 + groups, L, L], and of each with itself [.., L].

    The latter is NaN where a layer varies by no more than float32 rounding.
    """
    sizes = whole.batch_sizes
    sums: np.ndarray | None = None
    scale: Any = 0.0
    for minibatch, images in enumerate(sizes):
        packed = token_grams(whole, tokens, others, minibatch)
        means, squares = hsic.centring_means(packed, images)
        rounded = squares.copy()
        # What is left of a difference is rounded as what it was taken from.
        spatial = slice(len(tokens.layers), len(tokens.layers) + len(whole.layers))
        rounded[spatial] = hsic.centring_means(whole.packed(minibatch), images)[1]
        vectors = hsic.centred_rows(packed, means, range(images - 1))
        if sums is None:
            groups = group_of(len(sizes) - 1, len(sizes)) + 1
            sums = np.zeros((groups, len(packed), len(packed)))
        sums[group_of(minibatch, len(sizes))] += vectors @ vectors.T
        scale = scale + rounded
    assert sums is not None
    cross = leave_one_out(sums)
    own = np.einsum("gll->gl", cross).copy()
    own[:, own[0] <= hsic.CONSTANT**2 * scale] = np.nan
    return cross, own


def token_grams(
    whole: GramDump, tokens: ClassTokenDump, others: Sequence[GramDump], minibatch: int
) -> np.ndarray:
    """Packed Grams of one minibatch, float64: class token, spatial tokens, ResNets' layers."""
    spatial = whole.packed(minibatch).astype(np.float64)
    spatial[tokens.places] -= tokens.prefix(minibatch)
    rest = [other.packed(minibatch) for other in others]
    return np.concatenate([tokens.packed(minibatch), spatial, *rest])


def _cut(
    cross: np.ndarray, own: np.ndarray, rows: slice, columns: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return cross[:, rows, columns], own[:, rows], own[:, columns]


def _replicates(found: Sequence[Found]) -> TensorFile:
    shapes: TensorShapes = {
        each.name: ("F32", (len(each.values), each.a.layers, each.b.layers)) for each in found
    }
    groups = len(found[0].values) - 1 if found else 0

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        for each in found:
            yield each.name, each.whole

    return TensorFile(shapes, {"groups": groups}, tensors())
