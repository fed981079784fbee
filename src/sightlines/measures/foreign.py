"""Whether networks notice foreign images: out-of-distribution detection by confidence.

Source: Hendrycks & Gimpel 2017; Paul & Chen 2021, Table 5. Images of tasks out of the domain are to
be told from the experiment's own test images by the largest softmax probability: foreign is
positive, the score is its negative.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core import seeds
from sightlines.dumps.confidences_reading import ConfidencesDump
from sightlines.stats.detection import average_precision
from sightlines.stats.jackknife import ALL

READS = ("confidences", "foreign_confidences")
USES = ("seed",)
NEEDS = ("foreign",)
TABLES = {
    "foreign.csv": {
        "about": "How well networks tell foreign images from their own by how sure they are",
        "row": "network × task × left_out",
        "columns": (
            "network",
            ("task", "text", "", "the other task, out of the domain, whose images are foreign"),
            (
                "aupr",
                "float",
                "",
                "area under precision over recall; foreign is positive, the score is minus the "
                "largest probability",
            ),
            ("base_rate", "float", "share", "foreign images: AUPR of a score that tells nothing"),
            ("own_confidence", "float", "share", "mean largest probability, own images"),
            ("foreign_confidence", "float", "share", "mean largest probability, foreign images"),
            (
                "accuracy",
                "float",
                "share",
                "foreign images whose most probable output is that of their class; empty unless "
                "every class has the name of one output",
            ),
            ("accuracy_among", "float", "share", "the same among the classes' outputs alone"),
            ("own_images", "int", "images", "own test images"),
            ("foreign_images", "int", "images", "foreign test images"),
            "left_out",
        ),
    },
}
GROUPS = 20
"""Groups of images of the jackknife."""


def measure(
    confidences: list[ConfidencesDump],
    foreign_confidences: dict[str, list[ConfidencesDump]],
    seed: int,
) -> dict[str, Any]:
    """AUPR of every network and task.

    Args:
        confidences: Of each network, for its own images.
        foreign_confidences: For each task's images.
        seed: The experiment's root seed.
    """
    own = {dump.network: dump for dump in confidences}
    rows = [
        pd.DataFrame(_rows(own[dump.network], dump, task, seed))
        for task, dumps in foreign_confidences.items()
        for dump in dumps
        if dump.network in own
    ]
    return {"foreign.csv": rows}


def _rows(
    own: ConfidencesDump, foreign: ConfidencesDump, task: str, seed: int
) -> Iterator[dict[str, Any]]:
    sets = (own.confidence.astype(np.float64), foreign.confidence.astype(np.float64))
    groups = [_groups(len(values), seed, turn) for turn, values in enumerate(sets)]
    for left_out in range(ALL, min(GROUPS, *map(len, sets))):
        kept = [values[of != left_out] for values, of in zip(sets, groups, strict=True)]
        yield {
            **own.network._asdict(),
            "task": task,
            **detection(*kept),
            **_scores(foreign, groups[1] != left_out),
            "left_out": left_out,
        }


def detection(own: np.ndarray, foreign: np.ndarray) -> dict[str, float]:
    """AUPR and means of one network on some images."""
    scores = -np.concatenate([own, foreign])
    positive = np.repeat([False, True], [len(own), len(foreign)])
    return {
        "aupr": average_precision(scores, positive),
        "base_rate": len(foreign) / len(scores),
        "own_confidence": float(own.mean()),
        "foreign_confidence": float(foreign.mean()),
        "own_images": len(own),
        "foreign_images": len(foreign),
    }


def _scores(foreign: ConfidencesDump, kept: np.ndarray) -> dict[str, float]:
    """Accuracies on some of the foreign images."""
    if foreign.right is None or foreign.right_among is None:
        return {"accuracy": np.nan, "accuracy_among": np.nan}
    both = (foreign.right[kept].mean(), foreign.right_among[kept].mean())
    return {"accuracy": float(both[0]), "accuracy_among": float(both[1])}


def _groups(images: int, seed: int, turn: int) -> np.ndarray:
    order: np.ndarray = seeds.generator(seed, "foreign groups", turn).permutation(images)
    return order % min(GROUPS, images)
