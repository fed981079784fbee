"""Nearest neighbours of frozen features at every depth: what is known without any training.

Source: Caron et al. 2021 (DINO), section 3.2: weighted k-NN of the class token, or of the mean of
patches or places, among the images that linear probes are fitted to; scored on the probes' test
images, in the same groups, so that the two can be compared image by image. How far accuracies move
with the images that are known is told as of probes, by the same halves of them.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.core.progress import Progress
from sightlines.dumps.features_reading import Labelled, LabelledDump
from sightlines.measures.probing import groups_of, halves_of, halves_table
from sightlines.stats import half_samples, knn
from sightlines.stats.jackknife import ALL, leave_one_out
from sightlines.stats.means import quotient

READS = ("features",)
USES = ("seed",)
NEEDS = ("probes",)
TABLES = {
    "knn.parquet": {
        "about": "Accuracy of weighted nearest neighbours among frozen features of every block",
        "row": "network × layer × pool × neighbours",
        "columns": (
            "network",
            ("layer", "int", "", "the layer's place among those probed"),
            "name",
            "depth",
            ("pool", "text", "", "cls; mean (of patches or places)"),
            ("neighbours", "int", "images", "nearest support images that vote"),
            ("accuracy", "float", "share", "accuracy on test images"),
            ("support_images", "int", "images", "images among which neighbours are sought"),
            ("test_images", "int", "images", "images that the accuracy is of"),
            "chance",
        ),
    },
    "knn_replicates.parquet": {
        "about": "The same with 20 neighbours, test images jackknifed in the groups of the probes",
        "row": "network × layer × pool × left_out",
        "columns": (
            "network",
            ("layer", "int", "", "the layer's place among those probed"),
            "name",
            "depth",
            ("pool", "text", "", "as in `knn.parquet`"),
            ("accuracy", "float", "share", "accuracy on test images"),
            "chance",
            "left_out",
        ),
    },
    "knn_halves.parquet": {
        "about": "Nearest neighbours (20) among halves of the support images, at the last layer",
        "row": "network × pool × pair × half",
        "columns": (
            "network",
            ("layer", "int", "", "the layer's place among those probed"),
            "name",
            "depth",
            ("pool", "text", "", "as in `knn.parquet`"),
            ("accuracy", "float", "share", "accuracy on all test images"),
            ("pair", "int", "", "which division of the training images in two halves, from 0"),
            ("half", "int", "", "which half of it the accuracy rests on: 0, or 1 (all others)"),
        ),
    },
}
NEIGHBOURS = (10, 20, 100, 200)
"""Those that the code of DINO tries."""
USUAL = 20
POOLS = ("cls", "mean")
HALVED = ("layer", "name", "depth", "pool", "accuracy")
"""Columns of the halves' table, beside the network's, `pair` and `half`."""


def measure(features: list[LabelledDump], seed: int) -> dict[str, Any]:
    """Classify every network's test images by their neighbours.

    Args:
        features: Of each network, on the experiment's own images.
        seed: Root seed, for groups of test images and halves of those that are known.

    Raises:
        ResultError: a dump is damaged.
    """
    rows: list[dict[str, Any]] = []
    replicates: list[pd.DataFrame] = []
    halves: list[dict[str, Any]] = []
    progress = Progress(len(features), "networks")
    for done, dump in enumerate(features, 1):
        for own, again, halved in of_network(dump, seed):
            rows += own
            replicates.append(again)
            halves += halved
        progress.update(done)
    return {
        "knn.parquet": pd.DataFrame(rows),
        "knn_replicates.parquet": replicates,
        "knn_halves.parquet": halves_table(halves, HALVED),
    }


Found = tuple[list[dict[str, Any]], pd.DataFrame, list[dict[str, Any]]]
"""Rows by number of neighbours; replicates of the usual one; its halves, at the last layer."""


def of_network(dump: LabelledDump, seed: int) -> list[Found]:
    """What is found of every layer and pool."""
    groups = groups_of(len(dump.test_labels), seed, "")
    halves = halves_of(dump.train_labels, seed, "")
    count = len(dump.train_labels)
    tried = [k for k in NEIGHBOURS if k <= count] or [count]
    usual = min(USUAL, count)
    tried = sorted({*tried, usual})
    found: list[Found] = []
    for layer, (name, depth) in enumerate(zip(dump.layers, dump.depths, strict=True)):
        for pool in (pool for pool in POOLS if f"{pool}.{name}" in dump):
            data = dump.divide(dump.features(f"{pool}.{name}"))
            ranked = knn.rank(data.train, data.test, tried[-1])
            taken = [knn.vote(ranked, data.train_labels, dump.classes, k) for k in tried]
            is_right = [own == data.test_labels for own in taken]
            place: dict[str, Any] = dump.network._asdict() | {
                "layer": layer,
                "name": name,
                "depth": depth,
                "pool": pool,
                "chance": 1 / dump.classes,
            }
            images = {"support_images": count, "test_images": len(groups)}
            rows = [
                place | images | {"neighbours": k, "accuracy": float(right.mean())}
                for k, right in zip(tried, is_right, strict=True)
            ]
            own = np.bincount(groups, is_right[tried.index(usual)])
            each = np.bincount(groups, np.ones(len(groups)))
            shares = quotient(leave_one_out(own), leave_one_out(each))
            again = pd.DataFrame({"accuracy": shares, "left_out": np.arange(len(shares)) + ALL})
            is_last = layer == len(dump.layers) - 1
            of_halves = [halved(data, ranked, halves, dump.classes)] if is_last else []
            halved_rows = [place | {"halves": own} for own in of_halves]
            found.append((rows, again.assign(**place), halved_rows))
    return found


def halved(
    data: Labelled, ranked: knn.Ranked, halves: np.ndarray | None, classes: int
) -> np.ndarray:
    """Accuracy by the usual number of neighbours among each half of the support images [halves].

    Args:
        data: Features and classes.
        ranked: The nearest of all support images.
        halves: Groups that halves are made of; None: too few images, and so NaN.
        classes: Number of classes.
    """
    if halves is None:
        return np.full(len(half_samples.HALVES), np.nan)
    found = []
    for groups in half_samples.HALVES:
        chosen = groups[halves]
        k = min(USUAL, int(chosen.sum()))
        own = knn.rank_among(chosen, ranked, data.train, data.test, k)
        taken = knn.vote(own, data.train_labels, classes, k)
        found.append(float((taken == data.test_labels).mean()))
    return np.array(found)
