"""Pooled features of labelled images after every block: what linear probes are fitted to.

Source: Raghu et al. 2021, section 6 and Figure 13. One file a network; for every block output and
a final norm `mean.<layer>` [images, D], the mean over patches or positions, and where there is a
class token `cls.<layer>` [images, D]; float32. `labels` and `subset` (0 train, 1 held-out, 2 test)
are int64 [images].
"""

import itertools
import os
from collections.abc import Iterator
from typing import IO

import numpy as np
import torch

from sightlines.dumps.network import Shown
from sightlines.errors import ResultError
from sightlines.files import (
    TensorShapes,
    TensorWriter,
    require_free_space,
    safetensors_bytes,
    scratch_file,
)
from sightlines.models.attention import prefix_tokens
from sightlines.models.layers import Layer, capture
from sightlines.stage import Job, Progress, run

KIND = "features"
SPLITS = "probes"
"""File of `data/` that says which images are shown."""
SUBSETS = (("probe_train", "train"), ("probe_held_out", "train"), ("probe_test", "test"))
"""Tensor of the probes file, and the dataset's split that it indexes."""
COPY_BYTES = 2**24


def main(job: Job) -> None:
    """Stream the labelled images through the network and keep its layers' pooled features."""
    shown = Shown.open(job, SPLITS)
    layers = probed_layers(shown.layers)
    prefix = prefix_tokens(shown.model) if hasattr(shown.model, "num_prefix_tokens") else 0
    chosen = [(split, np.asarray(shown.splits[name])) for name, split in SUBSETS]
    count = sum(len(indices) for _, indices in chosen)
    meta = {
        "network": list(shown.network),
        "layers": [layer.name for layer in layers],
        "images": count,
        "splits_sha256": {name: shown.splits.meta["hashes"][name] for name, _ in SUBSETS},
    }
    path = job.output("dump")
    shapes = feature_shapes(shown, layers, prefix, count)
    size = safetensors_bytes(shapes, meta)
    require_free_space(path.parent, 2 * size, f"the feature dump {path} and its scratch file")
    labels = np.concatenate([shown.images.labels(split)[i] for split, i in chosen])
    subset = np.repeat(np.arange(len(chosen)), [len(i) for _, i in chosen])
    with scratch_file(path.parent) as scratch:
        _fill(job, shown, layers, prefix, chosen, shapes, scratch)
        with TensorWriter(path, shapes, meta) as writer:
            for name, rows in _rows(shapes, scratch):
                writer.write(name, rows)
            writer.write("labels", labels)
            writer.write("subset", subset)


def probed_layers(layers: list[Layer]) -> list[Layer]:
    """Block outputs, and the norm after the last block where there is one."""
    last = layers[-1:] if layers[-1].kind == "norm" else []
    return [layer for layer in layers if layer.kind == "residual"] + last


def feature_shapes(shown: Shown, layers: list[Layer], prefix: int, images: int) -> TensorShapes:
    """The file's tensors, in order."""
    pools = ("cls", "mean") if prefix else ("mean",)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for layer, shape in zip(layers, shown.layer_shapes(layers), strict=True):
        width = shape[-1] if len(shape) == 2 else shape[0]
        shapes |= {f"{pool}.{layer.name}": ("F32", (images, width)) for pool in pools}
    return shapes | {"labels": ("I64", (images,)), "subset": ("I64", (images,))}


def pool_features(activations: torch.Tensor, prefix: int) -> dict[str, torch.Tensor]:
    """One vector an image: class token, and mean over patches or positions.

    Args:
        activations: Tokens [n, tokens, D], or maps [n, D, rows, columns].
        prefix: Tokens before the patches' (CLS, registers); the first is the class token.
    """
    if activations.dim() == 4:
        return {"mean": activations.mean((2, 3))}
    pooled = {"mean": activations[:, prefix:].mean(1)}
    return {"cls": activations[:, 0]} | pooled if prefix else pooled


def _fill(
    job: Job,
    shown: Shown,
    layers: list[Layer],
    prefix: int,
    chosen: list[tuple[str, np.ndarray]],
    shapes: TensorShapes,
    scratch: IO[bytes],
) -> None:
    """Write every layer's rows to their place in the scratch file, minibatch after minibatch."""
    places = _places(shapes)
    done = 0

    def keep(index: int, activations: torch.Tensor) -> None:
        for pool, values in pool_features(activations, prefix).items():
            name = f"{pool}.{layers[index].name}"
            rows = values.float().cpu().numpy()
            if not np.isfinite(rows).all():
                raise ResultError(
                    f"layer {layers[index].name} of {shown.network.slug} has activations that "
                    "are not finite: its training has diverged; lower train.learning_rate"
                )
            place = places[name] + done * rows.shape[1] * rows.itemsize
            _write_at(scratch, np.ascontiguousarray(rows), place)

    step = job.config["compute"]["batch_size"]
    progress = Progress(job.log, sum(len(i) for _, i in chosen), "images")
    with torch.inference_mode(), capture(shown.model, layers, keep):
        for split, indices in chosen:
            minibatches = [indices[i : i + step] for i in range(0, len(indices), step)]
            for images in shown.pixels(split, minibatches):
                shown.model(images)
                done += len(images)
                progress.update(done)


def _places(shapes: TensorShapes) -> dict[str, int]:
    sizes = [4 * int(np.prod(shape)) for _, shape in shapes.values()]
    return dict(zip(shapes, itertools.accumulate(sizes, initial=0), strict=False))


def _write_at(scratch: IO[bytes], rows: np.ndarray, place: int) -> None:
    scratch.seek(place)
    scratch.write(rows.data.cast("B"))


def _rows(shapes: TensorShapes, scratch: IO[bytes]) -> Iterator[tuple[str, np.ndarray]]:
    """Every layer's features out of the scratch file, some rows at a time."""
    scratch.seek(0, os.SEEK_SET)
    for name, (code, (images, *width)) in shapes.items():
        if code != "F32":
            continue
        step = max(COPY_BYTES // (4 * width[0]), 1)
        for start in range(0, images, step):
            rows = min(step, images - start)
            values = np.frombuffer(scratch.read(4 * rows * width[0]), np.float32)
            yield name, values.reshape(rows, width[0])


if __name__ == "__main__":
    run(main)
