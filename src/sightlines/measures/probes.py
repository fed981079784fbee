"""Linear probes on pooled features of every block: what each depth knows of the class.

Source: Raghu et al. 2021, section 6 and Figures 11b, 13, F.1 to F.3. On the experiment's own images
and on those of every other task; fitted to all training images, and to few shots of each class. How
far accuracies move with the draw of all is told by probes on halves of them (`stats.half_samples`),
whose penalties are chosen anew on the held-out images.
"""

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

READS = ("features", "transfer_features")
USES = ("probes", "seed")
NEEDS = ("probes",)
TABLES = {
    "probes.parquet": {
        "about": "Accuracy of linear probes on pooled features of every block",
        "row": "network × dataset × layer × pool × shots × draw",
        "columns": (
            "network",
            ("dataset", "text", "", "the other task; empty: the experiment's own images"),
            ("layer", "int", "", "the layer's place among those probed"),
            "name",
            "depth",
            ("pool", "text", "", "cls; mean (of patches); all (mean of all tokens); first (patch)"),
            "draw",
            ("penalty", "float", "", "ridge penalty, chosen on held-out images"),
            ("accuracy", "float", "share", "accuracy on test images"),
            ("held_out_accuracy", "float", "share", "accuracy on held-out images"),
            "probed_images",
            "chance",
        ),
    },
    "probe_replicates.parquet": {
        "about": "Probes on all training images, test images jackknifed",
        "row": "network × dataset × layer × pool × left_out",
        "columns": (
            "network",
            ("dataset", "text", "", "the other task; empty: the experiment's own images"),
            ("layer", "int", "", "the layer's place among those probed"),
            "name",
            "depth",
            ("pool", "text", "", "as in `probes.parquet`"),
            ("accuracy", "float", "share", "accuracy on test images"),
            "chance",
            "left_out",
        ),
    },
    "probe_halves.parquet": {
        "about": "Probes on halves of all training images: how accuracies move with these",
        "row": "network × dataset × layer × pool × pair × half",
        "columns": (
            "network",
            ("dataset", "text", "", "the other task; empty: the experiment's own images"),
            ("layer", "int", "", "the layer's place among those probed"),
            "name",
            "depth",
            ("pool", "text", "", "as in `probes.parquet`"),
            ("accuracy", "float", "share", "accuracy on all test images"),
            ("pair", "int", "", "which division of the training images in two halves, from 0"),
            ("half", "int", "", "which half of it the accuracy rests on: 0, or 1 (all others)"),
        ),
    },
    "few_shot_replicates.parquet": {
        "about": "Probes on few images of each class, test images jackknifed",
        "row": "network × dataset × layer × pool × draw × left_out",
        "columns": (
            "network",
            ("dataset", "text", "", "the other task; empty: the experiment's own images"),
            ("layer", "int", "", "the layer's place among those probed"),
            "name",
            "depth",
            ("pool", "text", "", "as in `probes.parquet`"),
            "draw",
            ("accuracy", "float", "share", "accuracy on test images"),
            "chance",
            "left_out",
        ),
    },
}
OWN = ""
"""Value of the column `dataset` for the experiment's own images."""
POOLS = ("cls", "mean", "all", "first")
"""Class token; mean of patch tokens or places; mean of all tokens, CLS too; first patch token."""
REPLICATED = ("dataset", "layer", "name", "depth", "pool", "accuracy", "chance")
"""Columns of the replicates' table, beside the network's and `left_out`."""
HALVED = ("dataset", "layer", "name", "depth", "pool", "accuracy")
"""Columns of the halves' table, beside the network's, `pair` and `half`."""


def measure(
    features: list[LabelledDump],
    transfer_features: dict[str, list[LabelledDump]],
    probes: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Probe every dump.

    Args:
        features: Of each network, on the experiment's own images.
        transfer_features: Of each other task, on its images.
        probes: The config's `probes`.
        seed: Root seed, for draws of few shots, groups of test images, halves of training images.

    Raises:
        ResultError: a dump is damaged.
    """
    datasets = {OWN: features} | transfer_features
    pairs = [(dataset, dump) for dataset, group in datasets.items() for dump in group]
    progress = Progress(len(pairs), "networks")
    rows: list[dict[str, Any]] = []
    for done, (dataset, dump) in enumerate(pairs, 1):
        rows += probe_network(dump, dataset, probes, seed)
        progress.update(done)
    return {
        "probes.parquet": pd.DataFrame(rows).drop(
            columns=["replicates", "halves"], errors="ignore"
        ),
        "probe_replicates.parquet": replicate_table(rows, REPLICATED),
        "probe_halves.parquet": halves_table(rows, HALVED),
        "few_shot_replicates.parquet": replicate_table(
            rows, (*REPLICATED, "shots", "draw"), few_shots=True
        ),
    }


def probe_network(
    dump: LabelledDump, dataset: str, settings: dict[str, Any], seed: int, has_halves: bool = True
) -> list[dict[str, Any]]:
    """Rows of one network's probes on one dataset.

    Args:
        dump: Its features.
        dataset: The other task's name, or OWN.
        settings: The config's `probes`.
        seed: Root seed.
        has_halves: Whether probes are fitted to halves of the training images as well.
    """
    chosen = supports(dump.train_labels, settings, seed, dataset)
    halves = halves_of(dump.train_labels, seed, dataset)
    rows = []
    for layer, (name, depth) in enumerate(zip(dump.layers, dump.depths, strict=True)):
        place = dump.network._asdict() | {
            "dataset": dataset,
            "layer": layer,
            "name": name,
            "depth": depth,
        }
        for pool in POOLS:
            features = pooled(dump, name, pool)
            if features is not None:
                data, place["pool"] = dump.divide(features), pool
                groups = groups_of(len(data.test_labels), seed, dataset)
                for own in chosen:
                    rows.append(place | probe(data, own, dump.classes, groups))
                    if has_halves and own.shots == EVERY_IMAGE:
                        rows[-1]["halves"] = halved(data, halves, dump.classes)
    return rows


def pooled(dump: LabelledDump, layer: str, pool: str) -> np.ndarray | None:
    """Features [images, D] pooled in one of POOLS; None where the network has no such thing.

    The mean of all tokens follows from the class token and the mean of the patches; without a class
    token it is that mean, which is then not given twice.
    """
    if pool != "all":
        name = f"{pool}.{layer}"
        return dump.features(name) if name in dump else None
    if f"cls.{layer}" not in dump:
        return None
    patches = int(dump.meta["patches"])
    cls, mean = (dump.features(f"{p}.{layer}").astype(np.float64) for p in ("cls", "mean"))
    return (cls + patches * mean) / (patches + 1)
