"""Keeps something of every chosen layer for labelled images, in minibatches that all kinds share.

How a network's outputs round depends on the images that it is shown at once. So that dumps are
the same bytes whoever shared a forward pass, the images of each subset have one order
(`datasets.split.order_labelled`), which is cut into minibatches from its beginning, whole. A dump
of the first so many images keeps the first so many rows.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorShapes
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.passes import Rows, Watched
from sightlines.models.layers import Layer, block_outputs, capture

SUBSETS = (("probe_train", "train"), ("probe_held_out", "train"), ("probe_test", "test"))
"""Tensor of the probes file, and the dataset's split that it indexes unless the file says else."""
FEWEST = 32
"""Images of the first minibatch of a subset, at most: few images are not to cost what many do."""


@dataclass(frozen=True)
class Walk:
    """Labelled images of which some are shown.

    Attributes:
        name: Of the subset.
        split: The dataset's split that `order` indexes.
        order: All images of the subset, in the order in which they are shown.
        count: So many of the first are kept.
    """

    name: str
    split: str
    order: np.ndarray
    count: int

    @property
    def kept(self) -> np.ndarray:
        """The images that are kept."""
        return self.order[: self.count]


Reduce = Callable[[torch.Tensor], Mapping[str, torch.Tensor]]
"""What is kept of a layer's value for n images: name -> tensor [n, ...]."""


def probe_walks(shown: Shown, counts: Sequence[int] | None = None) -> list[Walk]:
    """The images of each subset of the probes file.

    Args:
        shown: The network, shown the images of that file.
        counts: At most so many of each subset.
    """
    found, of_file = [], shown.splits.meta.get("probe_splits", {})
    for place, (name, usual) in enumerate(SUBSETS):
        split = str(of_file.get(name, usual))
        there = len(shown.splits[name])
        count = there if counts is None else min(counts[place], there)
        order = np.array(shown.splits[name.replace("probe", "order")])
        found.append(Walk(name, split, order, count))
    return found


def cut(walks: Sequence[Walk], batch_size: int) -> list[Minibatch]:
    """Minibatches of all subsets: of at most FEWEST images at first, then doubled up to a size.

    The last one of a subset is as whole as if all of its images were shown.
    """
    found = []
    for walk in walks:
        begin, size = 0, min(FEWEST, batch_size)
        while begin < walk.count:
            images = walk.order[begin : begin + size]
            kept = min(len(images), walk.count - begin)
            found.append(Minibatch(walk.name, walk.split, images, kept))
            begin += size
            size = min(begin, batch_size)
    return found


def probe_depths(layers: list[Layer]) -> list[float]:
    """Normalised depth of every layer of `block_outputs`, alike in all families.

    Block k of B, counted from 1, is at (k-1)/(B-1). A norm after the last block is at 1 too: it is
    no block of its own, so that a ViT's blocks are as deep as those of a ResNet, which has none.
    """
    blocks = sum(layer.kind == "residual" for layer in layers)
    depths = [k / max(blocks - 1, 1) for k in range(blocks)]
    return depths + [1.0] * (len(layers) - blocks)


def last_shape(layers: list[Layer], sizes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Shape of the last block's representation of one image."""
    return next(s for layer, s in zip(layers[::-1], sizes[::-1], strict=True) if layer.block >= 0)


def describe_labelled(shown: Shown, walks: Sequence[Walk], layers: list[Layer]) -> dict[str, Any]:
    """What every dump of labelled images says about its origin, and about the layers it keeps."""
    probed = block_outputs(shown.layers)
    depths = dict(zip(probed, probe_depths(probed), strict=True))
    return {
        "layers": [layer.name for layer in layers],
        "depths": [depths[layer] for layer in layers],
        "network": list(shown.network),
        "classes": len(shown.splits.meta["classes"]),
        "images": sum(walk.count for walk in walks),
        "splits_sha256": {name: shown.splits.meta["hashes"][name] for name, _ in SUBSETS},
    }


def labelled(
    shown: Shown,
    layers: list[Layer],
    walks: Sequence[Walk],
    kept: TensorShapes,
    meta: dict[str, Any],
    reduce: Reduce,
) -> Watched:
    """A file with the tensors of `kept`, then `labels` and `subset` [images].

    Args:
        shown: The network.
        layers: Those that are watched.
        walks: The images.
        kept: ``<name>.<layer>`` -> float32 shape, for every name that `reduce` gives.
        meta: Description of the file.
        reduce: What is kept of a layer's value.
    """
    counts = [walk.count for walk in walks]
    facts = {"labels": ("I64", (sum(counts),)), "subset": ("I64", (sum(counts),))}

    def rest() -> Iterator[tuple[str, np.ndarray]]:
        yield "labels", np.concatenate([shown.images.labels(w.split)[w.kept] for w in walks])
        yield "subset", np.repeat(np.arange(len(walks)), counts)

    @contextlib.contextmanager
    def watch(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
        del images
        rows: Rows = {}

        def keep(index: int, activations: torch.Tensor) -> None:
            name = layers[index].name
            for kind, values in reduce(activations).items():
                rows[f"{kind}.{name}"] = _finite(shown, name, values[: minibatch.kept])

        with capture(shown.model, layers, keep):
            yield rows

    return Watched(
        shapes={**kept, **facts},
        meta=meta,
        minibatches=cut(walks, shown.batch_size),
        watch=watch,
        rest=rest,
    )


def _finite(shown: Shown, layer: str, values: torch.Tensor) -> np.ndarray:
    """What is kept of a layer, as float32 of its own.

    Raises:
        ResultError: the layer's activations are not finite.
    """
    rows = values.float().cpu().numpy()
    if not np.isfinite(rows).all():
        raise ResultError(
            f"layer {layer} of {shown.network.slug} has activations that "
            "are not finite: its training has diverged; lower train.learning_rate"
        )
    return rows.copy()
