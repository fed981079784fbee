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
    EVERY_IMAGE,
    groups_of,
    halved,
    halves_of,
    halves_table,
    probe,
    replicate_table,
    supports,
)
from sightlines.plan.networks import Network
from sightlines.results.tables import NORM

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
    "token_probe_halves.parquet": {
        "about": "Mean over patch tokens of probes on halves of the training images, last block",
        "row": "network × pair × half",
        "columns": (
            "network",
            "name",
            "depth",
            ("accuracy", "float", "share", "mean accuracy on all test images"),
            ("pair", "int", "", "which division of the training images in two halves, from 0"),
            ("half", "int", "", "which half of it the accuracy rests on: 0, or 1 (all others)"),
        ),
    },
    "few_shot_token_replicates.parquet": {
        "about": "Mean over patch tokens of probes on few images of each class, jackknifed",
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
        seed: Root seed, for draws of few shots, groups of test images, halves of training images.

    Raises:
        ResultError: a dump is damaged.
    """
    rows: list[dict[str, Any]] = []
    progress = Progress(len(token_features), "networks")
    for done, dump in enumerate(token_features, 1):
        rows += probe_tokens(dump, probes, seed)
        progress.update(done)
    unused = ["replicates", "halves", "penalty", "held_out_accuracy"]
    means, columns = mean_tokens(rows), ("name", "depth", "accuracy", "chance")
    return {
        "token_probes.parquet": pd.DataFrame(rows).drop(columns=unused, errors="ignore"),
        "token_probe_replicates.parquet": replicate_table(means, columns),
        "token_probe_halves.parquet": halves_table(means, columns[:-1]),
        "few_shot_token_replicates.parquet": replicate_table(
            means, (*columns, "shots", "draw"), few_shots=True
        ),
    }


def probe_tokens(dump: LabelledDump, settings: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """Rows of one network: every token at every depth of its dump.

    How accuracies move with the images that probes are fitted to is told of patch tokens after the
    last block, which claims are about: all depths would take four times as long as all else.
    """
    columns = int(dump.meta["grid"][1])
    first = CLASS_TOKEN if dump.meta["class_token"] else 0
    chosen = supports(dump.train_labels, settings, seed, "")
    groups = groups_of(len(dump.test_labels), seed, "")
    halves = halves_of(dump.train_labels, seed, "")
    blocks = [(depth, name) for name, depth in zip(dump.layers, dump.depths, strict=True)]
    _, last = max(((d, name) for d, name in blocks if name != NORM), default=(0.0, ""))
    rows: list[dict[str, Any]] = []
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
            for own in chosen:
                rows.append(place | probe(data, own, dump.classes, groups))
                if name == last and token >= 0 and own.shots == EVERY_IMAGE:
                    rows[-1]["halves"] = halved(data, halves, dump.classes)
    return rows


def mean_tokens(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a network, depth and draw of training images: the mean over its patch tokens."""
    chosen: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["token"] >= 0:
            place = tuple(row[key] for key in (*Network._fields, "name", "shots", "draw"))
            chosen.setdefault(place, []).append(row)
    return [own[0] | _mean(own) for own in chosen.values()]


def _mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean replicates of some probes, and mean accuracies by halves where they have those."""
    names = [name for name in ("replicates", "halves") if name in rows[0]]
    return {name: np.mean([row[name] for row in rows], axis=0) for name in names}
