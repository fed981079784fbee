"""What networks answer: their outputs for labelled images, from which every score is made.

One file a network; for each subset of the images `logits.<subset>` [images, outputs] float32 and
`labels.<subset>` [images] int64, their classes. A network that was trained here has

* `test`: the test images,
* `validation`: the validation images,
* `train`: some of its training images, evenly spaced; of an untrained one, of all.

A network that was trained elsewhere has seen none of these images here, so it is shown all of them:
its `train` are all others of the dataset's train split. Its untrained twin is shown some test
images alone. Where it is not known which outputs stand for the classes no score could be made:
then the network is shown nothing, and there are the labels of `test` alone.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorFile
from sightlines.core.progress import Progress
from sightlines.datasets.store import fraction_images
from sightlines.dumps.network import Shown
from sightlines.plan.networks import UNTRAINED

KIND = "predictions"
READER = "sightlines.dumps.predictions_reading:PredictionsDump"
NETWORKS = "all"
TRANSFER = ("tuned_shown",)
SPLITS = "splits"
"""File of `data/` that says which images are shown."""
SUBSETS = {"test": "test", "validation": "train", "train": "train"}
"""Subset -> the dataset's split that it is of."""
TRAIN_SHOWN = 2000
"""Training images that a network is shown, at most."""
TWIN_SHOWN = 1000
"""Test images that the untrained twin of an imported network is shown, at most."""


def record(shown: Shown) -> TensorFile:
    """Outputs of a network for its images.

    Raises:
        ResultError: the outputs are not finite, or the card names outputs that there are not.
    """
    outputs, answers = len(shown.card["classes"]), answers_of(shown)
    chosen = choose(shown)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for subset, indices in chosen.items():
        if answers:
            shapes[f"logits.{subset}"] = ("F32", (len(indices), outputs))
        shapes[f"labels.{subset}"] = ("I64", (len(indices),))
    hashes = shown.splits.meta["hashes"]
    meta = {
        "network": list(shown.network),
        "classes": list(shown.images.classes),
        "outputs": outputs,
        "answers": answers,
        "images": {subset: len(indices) for subset, indices in chosen.items()},
        "train_images": _train_images(shown),
        "is_imported": is_imported(shown.card),
        "splits_sha256": {name: hashes[name] for name in ("train", "validation", "test")},
    }
    return TensorFile(shapes, meta, _tensors(shown, chosen, bool(answers)))


def is_imported(card: dict[str, Any]) -> bool:
    """Whether a network's weights come from elsewhere: its card says what its outputs stand for."""
    return "answers" in card


def answers_of(shown: Shown) -> list[int]:
    """The output that stands for each class of the images; empty where that is not known.

    Raises:
        ResultError: the card names other outputs than there are.
    """
    classes, outputs = len(shown.images.classes), len(shown.card["classes"])
    answers = shown.card.get("answers", [*range(classes)])
    is_known = isinstance(answers, list) and all(type(a) is int for a in answers)
    if is_known and not answers:
        return []
    if not is_known or len({*answers} & {*range(outputs)}) != classes or len(answers) != classes:
        raise ResultError(
            f"the card of {shown.network.slug} does not name one of its {outputs} outputs for each "
            f"of the {classes} classes. Delete the network's folder and run snakemake again."
        )
    return answers


def choose(shown: Shown) -> dict[str, np.ndarray]:
    """Subset -> indices into its split of the images that a network is shown; none is empty."""
    splits, fraction = shown.splits, shown.network.fraction
    tests, validation = np.array(splits["test"]), np.array(splits["validation"])
    if not is_imported(shown.card):
        images = fraction_images(splits, fraction)
        chosen = {"test": tests, "validation": validation, "train": images[spaced(images)]}
    elif not shown.card["answers"]:
        chosen = {"test": tests}
    elif fraction == UNTRAINED:
        few = np.linspace(0, len(tests) - 1, min(TWIN_SHOWN, len(tests)))
        chosen = {"test": tests[few.astype(np.int64)]}
    else:
        others = np.setdiff1d(np.arange(len(shown.images.labels("train"))), validation)
        chosen = {"test": tests, "validation": validation, "train": others}
    return {subset: indices for subset, indices in chosen.items() if len(indices)}


def spaced(images: np.ndarray) -> np.ndarray:
    """Places of at most TRAIN_SHOWN images, evenly spaced from the first to the last."""
    places = np.linspace(0, len(images) - 1, TRAIN_SHOWN).round()
    return np.unique(places.astype(np.int64))


def _train_images(shown: Shown) -> int:
    """Images that the network was trained on here."""
    if not shown.card.get("steps", 0):
        return 0
    return len(fraction_images(shown.splits, shown.network.fraction))


def _tensors(
    shown: Shown, chosen: dict[str, np.ndarray], is_shown: bool
) -> Iterator[tuple[str, np.ndarray]]:
    size, done = shown.batch_size, 0
    progress = Progress(sum(map(len, chosen.values())), "images")
    for subset, indices in chosen.items():
        split = SUBSETS[subset]
        minibatches = [indices[i : i + size] for i in range(0, len(indices), size)]
        for images in shown.pixels(split, minibatches) if is_shown else ():
            yield f"logits.{subset}", _answer(shown, images)
            done += len(images)
            progress.update(done)
        yield f"labels.{subset}", np.array(shown.images.labels(split))[indices]


def _answer(shown: Shown, images: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        logits = shown.model(images).float().cpu().numpy()
    if not np.isfinite(logits).all():
        raise ResultError(
            f"outputs of {shown.network.slug} are not finite: its training has diverged; lower "
            "train.learning_rate, or lengthen train.warmup_steps"
        )
    return logits
