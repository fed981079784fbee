"""What the share of images with their class's own surface does to shape bias and robustness.

Source: Naseer et al. 2021, section 3.2, where training on stylised images is one dose of many: here
networks are trained further on images that differ in `texture_match` alone. All are shown the
experiment's own cue conflicts, test images, and corruptions of these.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.conflicts_reading import ConflictsDump
from sightlines.dumps.responses_reading import ResponsesDump
from sightlines.measures.corruption import excess
from sightlines.measures.responding import CLEAN, groups_of, response_table
from sightlines.measures.shape_bias import EVERY, outputs_of, table_of

READS = ("tuned_conflicts", "tuned_corruptions")
USES = ("seed", "transfer")
NEEDS = ("doses", "conflicts")
TABLES = {
    "texture_match.csv": {
        "about": "Shape bias and robustness by how often surfaces were of their class",
        "row": "network × task × left_out",
        "columns": (
            "network",
            ("task", "text", "", "the task on which the network was trained further"),
            (
                "texture_match",
                "float",
                "share",
                "images of the task, on which the network was trained further, whose surface is "
                "their class's own",
            ),
            ("bias", "float", "", "shape / (shape + texture) on the experiment's cue conflicts"),
            ("cue_accuracy", "float", "share", "answers that name either cue"),
            ("chance", "float", "share", "cue accuracy of guessing"),
            ("clean_error", "float", "share", "wrong answers to the experiment's test images"),
            ("error", "float", "share", "the same, corrupted: mean over corruptions, severities"),
            "left_out",
        ),
    },
}


def measure(
    tuned_conflicts: dict[str, list[ConflictsDump]],
    tuned_corruptions: dict[str, list[ResponsesDump]],
    seed: int,
    transfer: dict[str, Any],
) -> dict[str, Any]:
    """One row a network and task, whole and jackknifed over images.

    Args:
        tuned_conflicts: Of each task, answers of the networks that were trained further on it.
        tuned_corruptions: The same networks', to corrupted images.
        seed: The experiment's root seed.
        transfer: The config's tasks.
    """
    frames = []
    for task, dumps in tuned_conflicts.items():
        corrupted = {dump.network: dump for dump in tuned_corruptions.get(task, [])}
        match = float(transfer[task]["dataset"]["texture_match"])
        frames += [
            _rows(dump, corrupted[dump.network], seed).assign(task=task, texture_match=match)
            for dump in dumps
            if dump.network in corrupted
        ]
    return {"texture_match.csv": frames}


def _rows(conflicts: ConflictsDump, corruptions: ResponsesDump, seed: int) -> pd.DataFrame:
    """Groups of cue conflicts and of test images are left out together, the n-th of both."""
    biases = table_of(conflicts, outputs_of(conflicts, {}), seed)
    biases = biases[biases["category"] == EVERY].sort_values("left_out")
    answers = response_table(corruptions, groups_of(corruptions.images, seed))
    clean = answers[answers["condition"] == CLEAN].sort_values("left_out")
    wrong = 1 - clean["accuracy"].to_numpy(np.float64)
    count = min(len(biases), len(wrong))
    own = biases[["bias", "cue_accuracy", "chance", "left_out"]].iloc[:count]
    errors = {"clean_error": wrong[:count], "error": (excess(answers) + wrong)[:count]}
    return own.reset_index(drop=True).assign(**errors, **conflicts.network._asdict())
