"""Whether networks are as sure as they are right: accuracy against confidence, in bins.

Source: Guo et al. 2017, section 2: 15 bins of equal width. On test images. A network of which it is
not known which outputs stand for the classes has no rows.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.predictions_reading import PredictionsDump
from sightlines.measures.scoring import score
from sightlines.stats.classification import BINS, reliability

READS = ("predictions",)
TABLES = {
    "calibration.csv": {
        "about": "How often every network is right where it is how sure",
        "row": "network × bin of confidence",
        "columns": (
            "network",
            ("bin", "int", "", "bin of confidence, from 0"),
            ("low", "float", "share", "the bin begins above this confidence"),
            ("high", "float", "share", "and ends with this one"),
            ("images", "int", "images", "test images in the bin"),
            (
                "confidence",
                "float",
                "share",
                "mean probability of the most probable output; none where the bin is empty",
            ),
            ("accuracy", "float", "share", "images that are got right; none where it is empty"),
        ),
    },
}


def measure(predictions: list[PredictionsDump]) -> dict[str, Any]:
    """Sort test images into bins of confidence.

    Args:
        predictions: Of each network.
    """
    return {"calibration.csv": [bins(dump) for dump in predictions if len(dump.answers)]}


def bins(dump: PredictionsDump) -> pd.DataFrame:
    """One network's bins, empty ones too."""
    scored = score(dump, "test")
    edges = np.arange(BINS + 1) / BINS
    return pd.DataFrame(
        {
            **dump.network._asdict(),
            "bin": np.arange(BINS),
            "low": edges[:-1],
            "high": edges[1:],
            **reliability(scored.answers.confidence, scored.is_right)._asdict(),
        }
    )
