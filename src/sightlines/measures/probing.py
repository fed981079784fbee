"""What pooled and tokens' probes share: draws of images, and one fit with its scores."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sightlines.core import seeds
from sightlines.dumps.features_reading import Labelled
from sightlines.plan.networks import Network
from sightlines.stats import half_samples, ridge
from sightlines.stats.jackknife import ALL, leave_one_out
from sightlines.stats.means import quotient

EVERY_IMAGE = 0
"""Value of the column `shots` for probes fitted to all training images."""
GROUPS = 20
"""Groups of test images of the jackknife."""


class Support(NamedTuple):
    """Training images of one probe.

    Attributes:
        shots: Images of each class, or EVERY_IMAGE.
        draw: Which draw of them.
        images: Places among the training images.
    """

    shots: int
    draw: int
    images: np.ndarray


def supports(
    labels: Int[np.ndarray, " images"], settings: dict[str, Any], seed: int, name: str
) -> list[Support]:
    """All images, then draws of `shots` of each class, the same for every network and layer.

    A class with fewer images gives what it has.

    Args:
        labels: Classes of the training images.
        settings: The config's `probes`.
        seed: The experiment's root seed.
        name: Of the dataset, which the draws are named after.
    """
    found = [Support(EVERY_IMAGE, 0, np.arange(len(labels)))]
    shots = settings["shots"]
    for draw in range(settings["draws"]):
        order = seeds.generator(seed, "probe shots", name, shots, draw).permutation(len(labels))
        first = [order[labels[order] == c][:shots] for c in np.unique(labels)]
        found.append(Support(shots, draw, np.sort(np.concatenate(first))))
    return found


def groups_of(images: int, seed: int, name: str) -> Int[np.ndarray, " images"]:
    """Group of each test image, drawn for a dataset, so the same for every network and layer."""
    order = seeds.generator(seed, "probe groups", name).permutation(images)
    return order % min(GROUPS, images)


def halves_of(
    labels: Int[np.ndarray, " images"], seed: int, name: str
) -> Int[np.ndarray, " images"] | None:
    """Group of each training image, of which halves are made, the same for every network and layer.

    Args:
        labels: Classes of the training images.
        seed: The experiment's root seed.
        name: Of the dataset, which the draw is named after.

    Returns:
        As `stats.half_samples` has it; None where there are too few images for halves.
    """
    if len(labels) < half_samples.GROUPS:
        return None
    return half_samples.groups_of(labels, seeds.generator(seed, "probe halves", name))


def halved(
    data: Labelled, halves: Int[np.ndarray, " train"] | None, classes: int
) -> Float[np.ndarray, " halves"]:
    """Accuracies on all test images of probes on halves of the training images.

    Args:
        data: Features and classes of all three sets of images.
        halves: Of the training images (`halves_of`).
        classes: Number of classes.

    Returns:
        One for each of `half_samples.HALVES`; NaN where there are too few images.
    """
    if halves is None:
        return np.full(len(half_samples.HALVES), np.nan)
    fits = ridge.fit_unions(data.train, data.train_labels, classes, halves, half_samples.HALVES)
    return np.array([_tested(fitted, data).is_right.mean() for fitted in fits])


class _Tested(NamedTuple):
    """One fit: the penalty, its accuracy on held-out images, which test images it has right."""

    penalty: float
    held_out: float
    is_right: np.ndarray


def _tested(fitted: ridge.Probe, data: Labelled) -> _Tested:
    """Choose the penalty on held-out images, answer for the test images."""
    held_out = fitted.accuracies(data.held_out, data.held_out_labels)
    best = ridge.best_penalty(held_out)
    penalty = float(ridge.PENALTIES[best])
    is_right = fitted.scores(data.test, penalty).argmax(axis=1) == data.test_labels
    return _Tested(penalty, float(held_out[best]), is_right)


def probe(
    data: Labelled, support: Support, classes: int, groups: Int[np.ndarray, " images"]
) -> dict[str, Any]:
    """Fit to the support, choose the penalty on held-out images, score on test images.

    Args:
        data: Features and classes of all three sets of images.
        support: Training images.
        classes: Number of classes.
        groups: Group of each test image.

    Returns:
        Columns of the tables, and `replicates`: the accuracy on all test images, then with each
        group left out [1 + groups].
    """
    whole = support.shots == EVERY_IMAGE
    train = data.train if whole else data.train[support.images]
    fitted = ridge.fit(train, data.train_labels[support.images], classes)
    penalty, held_out, is_right = _tested(fitted, data)
    right, images = (
        leave_one_out(np.bincount(groups, w)) for w in (is_right, np.ones(len(groups)))
    )
    return {
        "shots": support.shots,
        "draw": support.draw,
        "penalty": penalty,
        "accuracy": float(is_right.mean()),
        "replicates": quotient(right, images),
        "held_out_accuracy": held_out,
        "train_images": len(support.images),
        "test_images": len(data.test_labels),
        "chance": 1 / classes,
    }


def replicate_table(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], few_shots: bool = False
) -> pd.DataFrame:
    """Accuracies of probes, once a replicate (column `left_out`).

    Args:
        rows: Of probes, each with `replicates`.
        columns: Of the table, without the network's and `left_out`.
        few_shots: Of probes on few images of each class; else of those on all training images.
    """
    kept = [row for row in rows if (row["shots"] != EVERY_IMAGE) == few_shots]
    many = [len(row["replicates"]) for row in kept]
    table = pd.DataFrame(kept, columns=[*Network._fields, *columns])
    table = table.loc[table.index.repeat(many)].reset_index(drop=True)
    if kept:
        table["accuracy"] = np.concatenate([row["replicates"] for row in kept])
        table["left_out"] = np.concatenate([np.arange(count) + ALL for count in many])
    return table


def halves_table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Accuracies of probes on halves of the training images (columns `pair` and `half`).

    Args:
        rows: Of probes; those that have `halves`.
        columns: Of the table, without the network's, `pair` and `half`.
    """
    kept = [row for row in rows if "halves" in row]
    count = len(half_samples.HALVES)
    table = pd.DataFrame(kept, columns=[*Network._fields, *columns])
    table = table.loc[table.index.repeat(count)].reset_index(drop=True)
    if kept:
        table["accuracy"] = np.concatenate([row["halves"] for row in kept])
        table["pair"], table["half"] = np.divmod(np.tile(np.arange(count), len(kept)), 2)
    return table
