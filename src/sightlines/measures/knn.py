"""Nearest neighbours of frozen features at every depth: what is known without any training.

Source: Caron et al. 2021 (DINO), section 3.2: weighted k-NN of the class token, or of the mean of
patches or places, among the images that linear probes are fitted to; scored on the probes' test
images, in the same groups, so that the two can be compared image by image.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.core.progress import Progress
from sightlines.dumps.features_reading import LabelledDump
from sightlines.measures.probing import groups_of
from sightlines.stats.jackknife import ALL, leave_one_out
from sightlines.stats.knn import predict
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
}
NEIGHBOURS = (10, 20, 100, 200)
"""Those that the code of DINO tries."""
USUAL = 20
POOLS = ("cls", "mean")


def measure(features: list[LabelledDump], seed: int) -> dict[str, Any]:
    """Classify every network's test images by their neighbours.

    Args:
        features: Of each network, on the experiment's own images.
        seed: Root seed, for groups of test images.

    Raises:
        ResultError: a dump is damaged.
    """
    rows: list[dict[str, Any]] = []
    replicates: list[pd.DataFrame] = []
    progress = Progress(len(features), "networks")
    for done, dump in enumerate(features, 1):
        for own, again in of_network(dump, seed):
            rows += own
            replicates.append(again)
        progress.update(done)
    return {"knn.parquet": pd.DataFrame(rows), "knn_replicates.parquet": replicates}


def of_network(dump: LabelledDump, seed: int) -> list[tuple[list[dict[str, Any]], pd.DataFrame]]:
    """Of every layer and pool: rows by number of neighbours, and replicates of the usual one."""
    groups = groups_of(len(dump.test_labels), seed, "")
    count = len(dump.train_labels)
    tried = [k for k in NEIGHBOURS if k <= count] or [count]
    usual = min(USUAL, count)
    tried = sorted({*tried, usual})
    found = []
    for layer, (name, depth) in enumerate(zip(dump.layers, dump.depths, strict=True)):
        for pool in (pool for pool in POOLS if f"{pool}.{name}" in dump):
            data = dump.divide(dump.features(f"{pool}.{name}"))
            known = (data.train, data.train_labels)
            taken = predict(*known, data.test, dump.classes, tried)
            is_right = taken == data.test_labels
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
            found.append((rows, again.assign(**place)))
    return found
