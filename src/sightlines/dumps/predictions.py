"""What networks answer: their outputs for labelled images, from which every score is made.

One file a network; for each subset of the images `logits.<subset>` [images, outputs] float32 and
`labels.<subset>` [images] int64, their classes. A network that was trained here has

* `test`: the test images,
* `validation`: the validation images,
* `train`: some of its training images, evenly spaced.

An untrained one, which answers by chance, is shown the test images alone.

Images of `test`, `validation` and an imported network's `train` come in the order of which probes
use the first (`datasets.split.order_labelled`), so that both are shown the same minibatches.

A network that was trained elsewhere has seen none of these images here, so it is shown all of them:
its `train` are all others of the dataset's train split. Its untrained twin is shown some test
images alone. Where it is not known which outputs stand for the classes no score could be made:
then the network is shown nothing, and there are the labels of `test` alone.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.datasets.split import order_labelled, strata_of
from sightlines.datasets.store import fraction_images
from sightlines.dumps.labelled import Walk, cut
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.passes import Rows, Watched
from sightlines.plan.networks import UNTRAINED

KIND = "predictions"
READER = "sightlines.dumps.predictions_reading:PredictionsDump"
NETWORKS = "all"
TRANSFER = ("tuned_shown",)
SPLITS = "splits"
"""File of `data/` that says which images are shown."""
PASS = "labelled"
USES = ("seed",)
SUBSETS = {"test": "test", "validation": "train", "train": "train"}
"""Subset -> the dataset's split that it is of."""
PROBES = {"test": "probe_test", "validation": "probe_held_out", "train": "probe_train"}
"""Subset -> the probes' images that are the first of it."""
TRAIN_SHOWN = 1000
"""Training images that a network is shown, at most."""
TWIN_SHOWN = 1000
"""Test images that the untrained twin of an imported network is shown, at most."""


def record(shown: Shown, seed: int) -> Watched:
    """Outputs of a network for its images.

    Args:
        shown: The network.
        seed: The experiment's root seed.

    Raises:
        ResultError: the outputs are not finite, or the card names outputs that there are not.
    """
    outputs, answers = len(shown.card["classes"]), answers_of(shown)
    walks = choose(shown, seed)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for walk in walks:
        if answers:
            shapes[f"logits.{walk.name}"] = ("F32", (walk.count, outputs))
        shapes[f"labels.{walk.name}"] = ("I64", (walk.count,))
    hashes = shown.splits.meta["hashes"]
    meta = {
        "network": list(shown.network),
        "classes": list(shown.images.classes),
        "outputs": outputs,
        "answers": answers,
        "images": {walk.name: walk.count for walk in walks},
        "train_images": _train_images(shown),
        "is_imported": is_imported(shown.card),
        "splits_sha256": {name: hashes[name] for name in ("train", "validation", "test")},
    }

    def rest() -> Iterator[tuple[str, np.ndarray]]:
        for walk in walks:
            yield f"labels.{walk.name}", shown.images.labels(walk.split)[walk.kept]

    @contextlib.contextmanager
    def watch(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
        del images
        rows: Rows = {}

        def keep(model: torch.nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
            del model, arguments
            rows[f"logits.{minibatch.name}"] = _answer(shown, output)[: minibatch.kept]

        handle = shown.model.register_forward_hook(keep)
        try:
            yield rows
        finally:
            handle.remove()

    return Watched(
        shapes=shapes,
        meta=meta,
        # In the order of the probes' subsets, so that both are shown each minibatch once.
        minibatches=cut(walks[::-1], shown.batch_size) if answers else [],
        watch=watch,
        rest=rest,
    )


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
    return answers  # type: ignore[no-any-return]


def choose(shown: Shown, seed: int) -> list[Walk]:
    """The images that a network is shown; no subset is empty."""
    splits, fraction = shown.splits, shown.network.fraction
    tests, validation = np.array(splits["test"]), np.array(splits["validation"])
    chosen = {"test": _ordered(shown, "test", tests, seed)}
    imported, is_untrained = is_imported(shown.card), fraction == UNTRAINED
    is_known = shown.card.get("answers") != []
    if is_known and not is_untrained:
        if imported:
            others = np.setdiff1d(np.arange(len(shown.images.labels("train"))), validation)
            chosen["train"] = _ordered(shown, "train", others, seed)
        else:
            images = fraction_images(splits, fraction)
            chosen["train"] = images[spaced(images)]
        chosen["validation"] = _ordered(shown, "validation", validation, seed)
    few = imported and is_known and is_untrained
    most = TWIN_SHOWN if few else sum(map(len, chosen.values()))
    return [
        Walk(subset, split, chosen[subset], min(most, len(chosen[subset])))
        for subset, split in SUBSETS.items()
        if len(chosen.get(subset, ()))
    ]


def _ordered(shown: Shown, subset: str, images: np.ndarray, seed: int) -> np.ndarray:
    """Images of a subset in the order of which probes use the first."""
    labels = strata_of(shown.images.facts, shown.images.labels(SUBSETS[subset]))
    return order_labelled(labels, images, seed, PROBES[subset])


def spaced(images: np.ndarray) -> np.ndarray:
    """Places of at most TRAIN_SHOWN images, evenly spaced from the first to the last."""
    places = np.linspace(0, len(images) - 1, TRAIN_SHOWN).round()
    return np.unique(places.astype(np.int64))


def _train_images(shown: Shown) -> int:
    """Images that the network was trained on here."""
    if not shown.card.get("steps", 0):
        return 0
    return len(fraction_images(shown.splits, shown.network.fraction))


def _answer(shown: Shown, outputs: torch.Tensor) -> np.ndarray:
    logits = outputs.float().cpu().numpy()
    if not np.isfinite(logits).all():
        raise ResultError(
            f"outputs of {shown.network.slug} are not finite: its training has diverged; lower "
            "train.learning_rate, or lengthen train.warmup_steps"
        )
    return logits
