"""What networks answer where outline and surface are of different classes (Geirhos et al. 2019).

One file a network: `logits.<subset>` [images, outputs] float32, and `shape.<subset>`,
`texture.<subset>` [images] int64, places among the categories of the images. Subsets are
`conflict`, and of generated images with silhouettes `silhouette`. They are seen as the network sees
all other images. A network that has no last layer answers nothing: no logits.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import DataError, ResultError, UnreadableError
from sightlines.core.files import TensorFile, read_npy
from sightlines.core.progress import Progress
from sightlines.datasets.photographs import decode, quiet_pillow
from sightlines.datasets.reading import normalise
from sightlines.datasets.store import checked_file
from sightlines.datasets.views import View
from sightlines.dumps.arrays import seen
from sightlines.dumps.network import Shown

KIND = "conflicts"
READER = "sightlines.dumps.conflicts_reading:ConflictsDump"
NETWORKS = "compared"
TRANSFER = ("tuned",)
SPLITS = "conflicts"
"""File of `data/` that says which images are shown."""


def record(shown: Shown) -> TensorFile:
    """Outputs of a network for the images that `data/conflicts.safetensors` lists.

    Raises:
        DataError: a photograph is missing, was edited or cannot be read.
        ResultError: the outputs are not finite.
    """
    listed = shown.splits.meta
    outputs = len(shown.card["classes"])
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for subset in listed["subsets"]:
        count = shown.splits.shape(f"shape.{subset}")
        if outputs:
            shapes[f"logits.{subset}"] = ("F32", (*count, outputs))
        shapes |= {name: ("I64", count) for name in _cues(shown, subset)}
    meta = {
        "network": list(shown.network),
        "outputs": [str(name) for name in shown.card["classes"]],
        "answers": answers(shown.card, len(shown.images.classes)),
        "classes": list(shown.images.classes),
        "categories": listed["categories"],
        "subsets": listed["subsets"],
        "cue_match": listed.get("cue_match"),
        "is_generated": not listed["folder"],
    }
    return TensorFile(shapes, meta, _tensors(shown, listed, bool(outputs)))


def answers(card: Mapping[str, Any], classes: int) -> list[int]:
    """The output that stands for each class of the experiment's images; empty: not known."""
    return [int(place) for place in card.get("answers", range(classes))]


def _cues(shown: Shown, subset: str) -> list[str]:
    names = (f"{cue}.{subset}" for cue in ("shape", "texture"))
    return [name for name in names if name in shown.splits]


def _tensors(
    shown: Shown, listed: Mapping[str, Any], has_outputs: bool
) -> Iterator[tuple[str, np.ndarray]]:
    for subset in listed["subsets"]:
        if has_outputs:
            yield f"logits.{subset}", np.concatenate([*_answers(shown, listed, subset)])
        for name in _cues(shown, subset):
            yield name, np.asarray(shown.splits[name])


def _answers(shown: Shown, listed: Mapping[str, Any], subset: str) -> Iterator[np.ndarray]:
    """Outputs for the images of a subset, minibatch after minibatch, in their order."""
    count = shown.splits.shape(f"shape.{subset}")[0]
    minibatches = range(0, count, shown.batch_size)
    progress = Progress(len(minibatches), "minibatches")
    for done, start in enumerate(minibatches, 1):
        rows = range(start, min(start + shown.batch_size, count))
        if listed["folder"]:
            images = photographs(shown, listed, rows)
        else:
            images = seen(shown, _array(shown, subset, rows))
        images = normalise(images, shown.card["mean"], shown.card["std"])
        with torch.inference_mode():
            logits = shown.model(images).float().cpu().numpy()
        if not np.isfinite(logits).all():
            raise ResultError(
                f"outputs of {shown.network.slug} are not finite: its training has diverged; "
                "lower train.learning_rate, or lengthen train.warmup_steps"
            )
        yield logits
        progress.update(done)


def _array(shown: Shown, subset: str, rows: range) -> np.ndarray:
    """Pixels [n, rows, columns, 3] of generated images."""
    images = shown.images
    pixels = read_npy(checked_file(images.path, images.facts, f"{subset}_images.npy"))
    return np.asarray(pixels[rows.start : rows.stop])


def photographs(shown: Shown, listed: Mapping[str, Any], rows: Iterable[int]) -> torch.Tensor:
    """Some of the photographs that are listed, as the network sees them, uint8 [n, 3, size, size].

    Args:
        shown: The network.
        listed: The description of `data/conflicts.safetensors`: folder, paths and hashes.
        rows: Which ones.

    Raises:
        DataError: one is missing, was edited since it was listed, or cannot be decoded.
    """
    root, view = shown.images.source / listed["folder"], View.of(shown.card)
    found = []
    for row in rows:
        path = root / listed["paths"][row]
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != listed["sha256"][row]:
                raise DataError(f"{path} was edited since it was listed: run snakemake again")
            with quiet_pillow():
                found.append(decode(content, view))
        except (OSError, UnreadableError) as error:
            raise DataError(
                f"cannot read the photograph {path}: {error}. Fix it, then run snakemake again."
            ) from error
    pixels = np.ascontiguousarray(np.stack(found).transpose(0, 3, 1, 2))
    return torch.from_numpy(pixels).to(shown.device)
