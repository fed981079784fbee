"""CKA of the same images within smaller minibatches: one way of estimating it among several.

Source: Raghu et al. 2021, appendix A: minibatches from 1,024 down to 128 images had "no noticeable
effect". Conclusions are drawn from these maps once more (`claims.specification`): the reference
minibatches are cut into halves and quarters, and images are compared within those alone.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sightlines.core.files import TensorFile, TensorShapes
from sightlines.core.progress import Progress
from sightlines.dumps.reading import GramDump
from sightlines.plan import roles
from sightlines.plan.architectures import lacks_skips
from sightlines.plan.networks import FULL, Network
from sightlines.stats import hsic
from sightlines.stats.hsic import cka
from sightlines.stats.jackknife import group_of, leave_one_out

READS = ("gram",)
USES = ("architectures",)
NEEDS = ("trained",)
TABLES: dict[str, Any] = {}
FILES = {
    "smaller_minibatches.safetensors": {
        "about": "CKA of the same images within smaller minibatches: tensor "
        "`<images>|<network>|<network>` [1 + groups, layers, layers] float32 of each model's first "
        "network on all images, with itself and with those of other models that have all skips",
        "row": "images of a minibatch × pair of networks",
    },
}
PARTS = (2, 4)
"""Each reference minibatch is cut into so many."""


def measure(gram: list[GramDump], architectures: dict[str, Any]) -> dict[str, Any]:
    """Cut minibatches, and compare the pairs of networks.

    Args:
        gram: Of each network.
        architectures: Model -> its settings.
    """
    dumps = {dump.network: dump for dump in gram}
    first = [n for n in roles.first_seeds(dumps) if n.fraction == FULL]
    pairs = compared(first, architectures)
    used = [dumps[n] for n in first]
    sizes = gram[0].batch_sizes
    parts = [p for p in PARTS if min(sizes) // p >= 2 * hsic.MINIMUM_IMAGES]
    progress, found = Progress(len(parts) * len(sizes), "minibatches"), {}
    for turn, count in enumerate(parts):
        sums, own = _sums(used, pairs, count, progress, turn * len(sizes))
        for (a, b), cross in sums.items():
            name = f"{min(sizes) // count}|{a.slug}|{b.slug}"
            found[name] = cka(cross, own[a], own[b]).astype(np.float32)
    shapes: TensorShapes = {name: ("F32", values.shape) for name, values in found.items()}
    meta = {"groups": group_of(len(sizes) - 1, len(sizes)) + 1, "images": min(sizes)}
    return {"smaller_minibatches.safetensors": TensorFile(shapes, meta, found.items())}


def compared(
    networks: Sequence[Network], architectures: dict[str, Any]
) -> list[tuple[Network, Network]]:
    """Every network with itself, and every two of different models that have all their skips."""
    whole = [n for n in networks if not lacks_skips(architectures.get(n.model, {}))]
    return [*((n, n) for n in networks), *itertools.combinations(whole, 2)]


def _sums(
    dumps: Sequence[GramDump],
    pairs: Sequence[tuple[Network, Network]],
    count: int,
    progress: Progress,
    done: int,
) -> tuple[dict[tuple[Network, Network], np.ndarray], dict[Network, np.ndarray]]:
    """Leave-one-out HSIC sums of each pair [1 + groups, …], and of each layer with itself.

    The latter are NaN where a layer varies by no more than float32 rounding.
    """
    sizes = dumps[0].batch_sizes
    groups = group_of(len(sizes) - 1, len(sizes)) + 1
    layers = {dump.network: len(dump.layers) for dump in dumps}
    sums = {(a, b): np.zeros((groups, layers[a], layers[b])) for a, b in pairs}
    scales = {dump.network: np.zeros(len(dump.layers)) for dump in dumps}
    for minibatch, images in enumerate(sizes):
        group = group_of(minibatch, len(sizes))
        packed = {dump.network: dump.packed(minibatch) for dump in dumps}
        for begin, end in _bounds(images, count):
            vectors = {}
            for network, whole in packed.items():
                part = whole[:, _inside(images, begin, end)]
                means, squares = hsic.centring_means(part, end - begin)
                vectors[network] = hsic.centred_rows(part, means, range(end - begin - 1))
                scales[network] += squares
            for a, b in pairs:
                sums[a, b][group] += vectors[a] @ vectors[b].T
        progress.update(done + minibatch + 1)
    found = {pair: leave_one_out(total) for pair, total in sums.items()}
    own = {n: np.einsum("gll->gl", found[n, n]).copy() for n in layers}
    for network, values in own.items():
        values[:, values[0] <= hsic.CONSTANT**2 * scales[network]] = np.nan
    return found, own


def _bounds(images: int, count: int) -> Iterator[tuple[int, int]]:
    """Where the parts of a minibatch begin and end; a part that is too small is left out."""
    bounds = np.linspace(0, images, count + 1).astype(int).tolist()
    return ((a, b) for a, b in itertools.pairwise(bounds) if b - a >= hsic.MINIMUM_IMAGES)


def _inside(images: int, begin: int, end: int) -> np.ndarray:
    """Which entries of a packed Gram are of neighbouring images alone."""
    rows, columns = np.triu_indices(images)
    inside: np.ndarray = (rows >= begin) & (columns < end)
    return inside
