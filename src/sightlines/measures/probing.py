"""What pooled and tokens' probes share: draws of few shots, one fit with its scores, checks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from sightlines import seeds
from sightlines.dumps.features_reading import Labelled, LabelledDump
from sightlines.errors import ResultError
from sightlines.measures import ridge

EVERY_IMAGE = 0
"""Value of the column `shots` for probes fitted to all training images."""


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


def probe(data: Labelled, support: Support, classes: int) -> dict[str, Any]:
    """Fit to the support, choose the penalty on held-out images, score on test images."""
    whole = support.shots == EVERY_IMAGE
    train = data.train if whole else data.train[support.images]
    fitted = ridge.fit(train, data.train_labels[support.images], classes)
    held_out = fitted.accuracies(data.held_out, data.held_out_labels)
    best = ridge.best_penalty(held_out)
    penalty = float(ridge.PENALTIES[best])
    answers = fitted.scores(data.test, penalty).argmax(axis=1)
    return {
        "shots": support.shots,
        "draw": support.draw,
        "penalty": penalty,
        "accuracy": float((answers == data.test_labels).mean()),
        "held_out_accuracy": float(held_out[best]),
        "train_images": len(support.images),
        "test_images": len(data.test_labels),
        "chance": 1 / classes,
    }


def check_dumps(dumps: Sequence[LabelledDump], networks: Sequence[str] | None) -> None:
    """Check that dumps are of the networks expected, and of the same labelled images.

    Args:
        dumps: Of one dataset.
        networks: Slugs in order; None: any.

    Raises:
        ResultError: naming the file that does not belong, or two that do not go together.
    """
    if networks is not None and [dump.network.slug for dump in dumps] != list(networks):
        found = ", ".join(f"{d.path} is of {d.network.slug}" for d in dumps)
        raise ResultError(f"expected dumps of {', '.join(networks)}, but {found or 'got none'}")
    for dump in dumps[1:]:
        if dump.meta.get("splits_sha256") != dumps[0].meta.get("splits_sha256"):
            raise ResultError(
                f"{dumps[0].path} and {dump.path} are of different labelled images and cannot be "
                "compared. Delete the older one and run snakemake again."
            )
