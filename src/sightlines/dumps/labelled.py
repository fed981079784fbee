"""Streams labelled images through a network once and keeps something of every chosen layer.

Layers compute one after the other, minibatch after minibatch, while a file holds one tensor after
the other: rows go to a scratch file on the same disk first, so that memory does not grow with the
number of images.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import (
    TensorShapes,
    TensorWriter,
    require_free_space,
    safetensors_bytes,
    scratch_file,
)
from sightlines.core.progress import Progress
from sightlines.dumps.network import Shown
from sightlines.jobs.command import Job
from sightlines.models.layers import Layer, capture

SUBSETS = (("probe_train", "train"), ("probe_held_out", "train"), ("probe_test", "test"))
"""Tensor of the probes file, and the dataset's split that it indexes."""
COPY_BYTES = 2**24

Chosen = Sequence[tuple[str, np.ndarray]]
"""The dataset's split and indices into it, for each of SUBSETS."""
Reduce = Callable[[torch.Tensor], dict[str, torch.Tensor]]
"""What is kept of a layer's value for n images: name -> tensor [n, ...]."""


def probed_layers(layers: list[Layer]) -> list[Layer]:
    """Block outputs, and the norm after the last block where there is one."""
    last = layers[-1:] if layers[-1].kind == "norm" else []
    return [layer for layer in layers if layer.kind == "residual"] + last


def probe_depths(layers: list[Layer]) -> list[float]:
    """Normalised depth of every layer of `probed_layers`, alike in all families.

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
    probed = probed_layers(shown.layers)
    depths = dict(zip(probed, probe_depths(probed), strict=True))
    return {
        "layers": [layer.name for layer in layers],
        "depths": [depths[layer] for layer in layers],
        "network": list(shown.network),
        "classes": len(shown.splits.meta["classes"]),
        "images": sum(len(indices) for _, indices in chosen),
        "splits_sha256": {name: shown.splits.meta["hashes"][name] for name, _ in SUBSETS},
    }


def write_labelled(
    job: Job,
    shown: Shown,
    layers: list[Layer],
    chosen: Chosen,
    kept: TensorShapes,
    meta: dict[str, Any],
    reduce: Reduce,
) -> None:
    """Write the tensors of `kept`, then `labels` and `subset` [images], to the job's `dump`.

    Args:
        job: The dump.
        shown: The network.
        layers: Those that are watched.
        chosen: The images.
        kept: ``<name>.<layer>`` -> float32 shape, for every name that `reduce` gives.
        meta: Description of the file.
        reduce: What is kept of a layer's value.

    Raises:
        DiskError: the disk cannot hold the file and the scratch file.
        ResultError: a layer's activations are not finite.
    """
    path, images = job.output("dump"), sum(len(indices) for _, indices in chosen)
    facts = {"labels": ("I64", (images,)), "subset": ("I64", (images,))}
    shapes = {**kept, **facts}
    size = safetensors_bytes(shapes, meta)
    require_free_space(path.parent, 2 * size, f"the dump {path} and its scratch file")
    job.log.info(f"{len(layers)} layers, {images} images, {size / 1e6:.1f} MB")
    with scratch_file(path.parent) as scratch:
        _fill(job, shown, layers, chosen, kept, reduce, scratch)
        with TensorWriter(path, shapes, meta) as writer:
            for name, rows in _rows(kept, scratch):
                writer.write(name, rows)
            writer.write("labels", np.concatenate([shown.images.labels(s)[i] for s, i in chosen]))
            writer.write("subset", np.repeat(np.arange(len(chosen)), [len(i) for _, i in chosen]))


def _fill(
    job: Job,
    shown: Shown,
    layers: list[Layer],
    chosen: Chosen,
    kept: TensorShapes,
    reduce: Reduce,
    scratch: IO[bytes],
) -> None:
    """Write every layer's rows to their place in the scratch file, minibatch after minibatch."""
    sizes = [4 * int(np.prod(shape)) for _, shape in kept.values()]
    places = dict(zip(kept, itertools.accumulate(sizes, initial=0), strict=False))
    done = 0

    def keep(index: int, activations: torch.Tensor) -> None:
        for kind, values in reduce(activations).items():
            name = f"{kind}.{layers[index].name}"
            rows = np.ascontiguousarray(values.float().cpu().numpy())
            if not np.isfinite(rows).all():
                raise ResultError(
                    f"layer {layers[index].name} of {shown.network.slug} has activations that "
                    "are not finite: its training has diverged; lower train.learning_rate"
                )
            scratch.seek(places[name] + done * (rows.nbytes // len(rows)))
            scratch.write(rows.data.cast("B"))

    step = job.config["compute"]["batch_size"]
    progress = Progress(sum(len(i) for _, i in chosen), "images")
    with torch.inference_mode(), capture(shown.model, layers, keep):
        for split, indices in chosen:
            minibatches = [indices[i : i + step] for i in range(0, len(indices), step)]
            for images in shown.pixels(split, minibatches):
                shown.model(images)
                done += len(images)
                progress.update(done)


def _rows(kept: TensorShapes, scratch: IO[bytes]) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor out of the scratch file, some rows at a time."""
    scratch.seek(0, os.SEEK_SET)
    for name, (_, (images, *each)) in kept.items():
        row = 4 * int(np.prod(each))
        step = max(COPY_BYTES // row, 1)
        for start in range(0, images, step):
            rows = min(step, images - start)
            values = np.frombuffer(scratch.read(row * rows), np.float32)
            yield name, values.reshape(rows, *each)
