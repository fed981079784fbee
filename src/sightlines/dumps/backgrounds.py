"""What networks answer where an object stands on a ground of its own class, or of another one's.

Source: Xiao et al. 2020 (ImageNet-9, arXiv 2006.09994); Paul & Chen 2021, Table 4. One file a
network: `taken.<subset>` int32 [images], the class taken for each image among the classes' outputs,
and `labels.<subset>` int64; subsets `mixed_same` and `mixed_rand`, of the same objects in the same
places. The images are `n_mixed` of a generated dataset, cut out by true masks.
"""

from collections.abc import Iterator

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorFile, read_npy, read_table
from sightlines.core.progress import Progress
from sightlines.datasets.reading import normalise
from sightlines.datasets.store import checked_file
from sightlines.dumps.arrays import seen
from sightlines.dumps.network import Shown
from sightlines.dumps.predictions import answers_of

KIND = "backgrounds"
READER = "sightlines.dumps.backgrounds_reading:BackgroundsDump"
NETWORKS = "compared"
SPLITS = "splits"
SUBSETS = ("mixed_same", "mixed_rand")


def record(shown: Shown) -> TensorFile:
    """Answers to both subsets.

    Raises:
        ResultError: the dataset has no such images, or outputs are not finite.
    """
    labels = {subset: _labels(shown, subset) for subset in SUBSETS}
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for subset, own in labels.items():
        shapes[f"taken.{subset}"] = ("I32", own.shape)
        shapes[f"labels.{subset}"] = ("I64", own.shape)
    meta = {
        "network": list(shown.network),
        "images": len(labels[SUBSETS[0]]),
        "classes": list(shown.images.classes),
        "splits_sha256": {"test": shown.splits.meta["hashes"]["test"]},
    }

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        for subset, own in labels.items():
            yield f"taken.{subset}", np.concatenate([*_taken(shown, subset, len(own))])
            yield f"labels.{subset}", own

    return TensorFile(shapes, meta, tensors())


def _labels(shown: Shown, subset: str) -> np.ndarray:
    path = checked_file(shown.images.path, shown.images.facts, f"{subset}_truth.parquet")
    return read_table(path)["label"].to_numpy(np.int64)  # type: ignore[no-any-return]


def _taken(shown: Shown, subset: str, count: int) -> Iterator[np.ndarray]:
    answers = answers_of(shown)
    path = checked_file(shown.images.path, shown.images.facts, f"{subset}_images.npy")
    pixels = read_npy(path)
    progress = Progress(count, "images")
    for start in range(0, count, shown.batch_size):
        part = np.asarray(pixels[start : start + shown.batch_size])
        images = seen(shown, part)
        with torch.inference_mode():
            outputs = shown.model(normalise(images, shown.card["mean"], shown.card["std"]))
        logits = outputs.float().cpu().numpy()
        if not np.isfinite(logits).all():
            raise ResultError(
                f"outputs of {shown.network.slug} are not finite: its training has diverged; lower "
                "train.learning_rate, or lengthen train.warmup_steps"
            )
        yield logits[:, answers].argmax(axis=1).astype(np.int32)
        progress.update(start + len(part))
