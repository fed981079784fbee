"""A linear probe of its own for every token: where in the grid the class can be read.

Source: Raghu et al. 2021, section 6 and Figures 11a and D.4. A ResNet's tokens are the places of
its last map's grid.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core.progress import Progress
from sightlines.dumps.features_reading import LabelledDump
from sightlines.measures.probing import (
    groups_of,
    probe,
    replicate_table,
    supports,
)
from sightlines.plan.networks import Network

READS = ("token_features",)
USES = ("probes", "seed")
NEEDS = ("probes",)
TABLES = {
    "token_probes.parquet": {
        "about": "Accuracy of a linear probe of its own for every token",
        "row": "network × layer × token × shots × draw",
        "columns": (
            "network",
            "name",
            "depth",
            ("token", "int", "", "token, row after row; −1: class token"),
            ("row", "int", "", "its row of the grid; −1: class token"),
            ("column", "int", "", "its column of the grid; −1: class token"),
            "draw",
            ("accuracy", "float", "share", "accuracy on test images"),
            "probed_images",
            "chance",
        ),
    },
    "token_probe_replicates.parquet": {
        "about": "Mean over patch tokens of probes on all training images, test images jackknifed",
        "row": "network × layer × left_out",
        "columns": (
            "network",
            "name",
            "depth",
            ("accuracy", "float", "share", "mean accuracy on test images"),
            "chance",
            "left_out",
        ),
    },
    "few_shot_token_replicates.parquet": {
        "about": "The same of probes on few images of each class",
        "row": "network × layer × draw × left_out",
        "columns": (
            "network",
            "name",
            "depth",
            "draw",
            ("accuracy", "float", "share", "mean accuracy on test images"),
            "chance",
            "left_out",
        ),
    },
}
CLASS_TOKEN = -1
"""Value of the columns `token`, `row` and `column` for the class token."""


def measure(
    token_features: list[LabelledDump], probes: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Probe every token of every dump.

    Args:
        token_features: Of each network.
        probes: The config's `probes`.
        seed: Root seed, for draws of few shots and groups of test images.

    Raises:
        ResultError: a dump is damaged.
    """
    rows: list[dict[str, Any]] = []
    progress = Progress(len(token_features), "networks")
    for done, dump in enumerate(token_features, 1):
        rows += probe_tokens(dump, probes, seed)
        progress.update(done)
    unused = ["replicates", "penalty", "held_out_accuracy"]
    means, columns = mean_tokens(rows), ("name", "depth", "accuracy", "chance")
    return {
        "token_probes.parquet": pd.DataFrame(rows).drop(columns=unused, errors="ignore"),
        "token_probe_replicates.parquet": replicate_table(means, columns),
        "few_shot_token_replicates.parquet": replicate_table(
            means, (*columns, "shots", "draw"), few_shots=True
        ),
    }


def probe_tokens(dump: LabelledDump, settings: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """Rows of one network: every token at every depth of its dump."""
    columns = int(dump.meta["grid"][1])
    first = CLASS_TOKEN if dump.meta["class_token"] else 0
    chosen = supports(dump.train_labels, settings, seed, "")
    groups = groups_of(len(dump.test_labels), seed, "")
    rows = []
    for name, depth in zip(dump.layers, dump.depths, strict=True):
        features = dump.features(f"tokens.{name}")
        for index in range(features.shape[1]):
            token = first + index
            place = dump.network._asdict() | {
                "name": name,
                "depth": depth,
                "token": token,
                "row": token // columns if token >= 0 else CLASS_TOKEN,
                "column": token % columns if token >= 0 else CLASS_TOKEN,
            }
            data = dump.divide(features[:, index])
            rows += [place | probe(data, own, dump.classes, groups) for own in chosen]
    return rows


def mean_tokens(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a network, depth and draw of training images: the mean over its patch tokens."""
    chosen: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["token"] >= 0:
            place = tuple(row[key] for key in (*Network._fields, "name", "shots", "draw"))
            chosen.setdefault(place, []).append(row)
    return [
        own[0] | {"replicates": np.mean([row["replicates"] for row in own], axis=0)}
        for own in chosen.values()
    ]
