"""Streams labelled images through a network once and keeps something of every chosen layer.

Layers compute one after the other, minibatch after minibatch: rows of all layers come in turn, so
that memory does not grow with the number of images.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorFile, TensorShapes
from sightlines.core.progress import Progress
from sightlines.dumps.network import Shown
from sightlines.models.layers import Layer, block_outputs, capture

SUBSETS = (("probe_train", "train"), ("probe_held_out", "train"), ("probe_test", "test"))
"""Tensor of the probes file, and the dataset's split that it indexes."""

Chosen = Sequence[tuple[str, np.ndarray]]
"""The dataset's split and indices into it, for each of SUBSETS."""
Reduce = Callable[[torch.Tensor], dict[str, torch.Tensor]]
"""What is kept of a layer's value for n images: name -> tensor [n, ...]."""


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


def describe_labelled(shown: Shown, chosen: Chosen, layers: list[Layer]) -> dict[str, Any]:
    """What every dump of labelled images says about its origin, and about the layers it keeps."""
    probed = block_outputs(shown.layers)
    depths = dict(zip(probed, probe_depths(probed), strict=True))
    return {
        "layers": [layer.name for layer in layers],
        "depths": [depths[layer] for layer in layers],
        "network": list(shown.network),
        "classes": len(shown.splits.meta["classes"]),
        "images": sum(len(indices) for _, indices in chosen),
        "splits_sha256": {name: shown.splits.meta["hashes"][name] for name, _ in SUBSETS},
    }


def labelled(
    shown: Shown,
    layers: list[Layer],
    chosen: Chosen,
    kept: TensorShapes,
    meta: dict[str, Any],
    reduce: Reduce,
) -> TensorFile:
    """A file with the tensors of `kept`, then `labels` and `subset` [images].

    Args:
        shown: The network.
        layers: Those that are watched.
        chosen: The images.
        kept: ``<name>.<layer>`` -> float32 shape, for every name that `reduce` gives.
        meta: Description of the file.
        reduce: What is kept of a layer's value.
    """
    counts = [len(indices) for _, indices in chosen]
    facts = {"labels": ("I64", (sum(counts),)), "subset": ("I64", (sum(counts),))}

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        yield from _rows(shown, layers, chosen, reduce)
        yield "labels", np.concatenate([shown.images.labels(s)[i] for s, i in chosen])
        yield "subset", np.repeat(np.arange(len(chosen)), counts)

    return TensorFile({**kept, **facts}, meta, tensors())


def _rows(
    shown: Shown, layers: list[Layer], chosen: Chosen, reduce: Reduce
) -> Iterator[tuple[str, np.ndarray]]:
    """What is kept of every layer for a minibatch of images, minibatch after minibatch.

    Raises:
        ResultError: a layer's activations are not finite.
    """
    found: list[tuple[str, np.ndarray]] = []

    def keep(index: int, activations: torch.Tensor) -> None:
        for kind, values in reduce(activations).items():
            rows = values.float().cpu().numpy()
            if not np.isfinite(rows).all():
                raise ResultError(
                    f"layer {layers[index].name} of {shown.network.slug} has activations that "
                    "are not finite: its training has diverged; lower train.learning_rate"
                )
            found.append((f"{kind}.{layers[index].name}", rows.copy()))

    done, step = 0, shown.batch_size
    progress = Progress(sum(len(indices) for _, indices in chosen), "images")
    for split, indices in chosen:
        minibatches = [indices[i : i + step] for i in range(0, len(indices), step)]
        for images in shown.pixels(split, minibatches):
            found.clear()
            with torch.inference_mode(), capture(shown.model, layers, keep):
                shown.model(images)
            yield from found
            done += len(images)
            progress.update(done)
