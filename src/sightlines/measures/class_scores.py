"""Which classes a network tells apart, and which it takes for which.

On test images. A network of which it is not known which outputs stand for the classes has no rows.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.predictions_reading import PredictionsDump
from sightlines.measures.scoring import NO_CLASS, score

READS = ("predictions",)
TABLES = {
    "class_scores.csv": {
        "about": "How good every network is at each class of the test images",
        "row": "network × class",
        "columns": (
            "network",
            ("class", "int", "", "the class, by its label"),
            ("class_name", "text", "", "its name"),
            ("images", "int", "images", "test images of the class"),
            ("taken", "int", "images", "test images that are taken for the class"),
            ("recall", "float", "share", "images of the class that are taken for it"),
            ("precision", "float", "share", "images taken for the class that are of it"),
            ("loss", "float", "nats", "mean negative log-likelihood of images of the class"),
        ),
    },
    "confusion.parquet": {
        "about": "Which classes of the test images every network takes for which",
        "row": "network × class × class taken for, where there is an image",
        "columns": (
            "network",
            ("class", "int", "", "the class, by its label"),
            (
                "taken_for",
                "int",
                "",
                "the class of the most probable output; −1: the output stands for none of them",
            ),
            ("images", "int", "images", "test images"),
        ),
    },
}


def measure(predictions: list[PredictionsDump]) -> dict[str, Any]:
    """Count and score class by class.

    Args:
        predictions: Of each network.
    """
    known = [dump for dump in predictions if len(dump.answers)]
    pairs = [tables(dump) for dump in known]
    return {
        "class_scores.csv": [scores for scores, _ in pairs],
        "confusion.parquet": [confusion for _, confusion in pairs],
    }


def tables(dump: PredictionsDump) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One network's scores of each class, and its confusion."""
    scored, classes = score(dump, "test"), len(dump.classes)
    counts = np.zeros((classes, classes + 1), np.int64)  # NO_CLASS is the last column
    np.add.at(counts, (scored.labels, scored.taken), 1)
    images, taken = counts.sum(axis=1), counts.sum(axis=0)[:classes]
    losses = np.bincount(scored.labels, scored.answers.loss, classes)
    right = counts.diagonal()
    with np.errstate(invalid="ignore"):
        own = pd.DataFrame(
            {
                **dump.network._asdict(),
                "class": np.arange(classes),
                "class_name": dump.classes,
                "images": images,
                "taken": taken,
                "recall": right / images,
                "precision": right / taken,
                "loss": losses / images,
            }
        )
    return own, pd.DataFrame([dump.network._asdict() | cell for cell in _cells(counts)])


def _cells(counts: np.ndarray) -> Iterator[dict[str, int]]:
    classes = len(counts)
    for label, place in zip(*np.nonzero(counts), strict=True):
        taken_for = NO_CLASS if place == classes else int(place)
        yield {"class": int(label), "taken_for": taken_for, "images": int(counts[label, place])}
