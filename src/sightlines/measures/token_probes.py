"""A linear probe of its own for every token: where in the grid the class can be read.

Source: Raghu et al. 2021, section 6 and Figures 11a and D.4. A ResNet's tokens are the places of
its last map's grid.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from sightlines.core.files import write_table
from sightlines.core.progress import Progress
from sightlines.dumps.features_reading import LabelledDump
from sightlines.jobs.command import Job, run
from sightlines.measures.probing import (
    EVERY_IMAGE,
    check_dumps,
    groups_of,
    probe,
    replicate_table,
    supports,
)
from sightlines.plan.networks import Network
from sightlines.results import tables

READS = ("token_features",)
WRITES = ("token_probes.parquet", "token_probe_replicates.parquet")
USES = ("probes",)
NEEDS = ("probes",)
COLUMNS = [
    *(*Network._fields, "name", "depth", "token", "row", "column", "shots", "draw"),
    *("accuracy", "train_images", "test_images", "chance"),
]
CLASS_TOKEN = -1
"""Value of the columns `token`, `row` and `column` for the class token."""


def main(job: Job) -> None:
    """Probe every token of every dump.

    Raises:
        ResultError: a dump is damaged, of another network, or of other labelled images.
    """
    dumps = [LabelledDump(path) for path in job.inputs.get("token_features", [])]
    check_dumps(dumps, job.config.get("dumped", {}).get("token_features"))
    rows: list[dict[str, Any]] = []
    progress = Progress(len(dumps), "networks")
    with threadpool_limits(1):  # more threads would add in another order
        for done, dump in enumerate(dumps, 1):
            rows += probe_tokens(dump, job.config["probes"], job.config["seed"])
            progress.update(done)
    write_table(job.output("token_probes"), pd.DataFrame(rows, columns=COLUMNS))
    columns = tables.COLUMNS["token_probe_replicates.parquet"]
    write_table(job.output("token_probe_replicates"), replicate_table(mean_tokens(rows), columns))


def probe_tokens(dump: LabelledDump, settings: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """Rows of one network: every token at every depth of its dump."""
    columns = int(dump.meta["grid"][1])
    first = CLASS_TOKEN if dump.meta["class_token"] else 0
    chosen = supports(dump.train_labels, settings, seed, "")
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
            groups = groups_of(len(data.test_labels), seed, "")
            rows += [place | probe(data, own, dump.classes, groups) for own in chosen]
    return rows


def mean_tokens(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a network and depth: the mean over its patch tokens of probes on all images."""
    chosen: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["token"] >= 0 and row["shots"] == EVERY_IMAGE:
            chosen.setdefault(tuple(row[key] for key in (*Network._fields, "name")), []).append(row)
    return [
        own[0] | {"replicates": np.mean([row["replicates"] for row in own], axis=0)}
        for own in chosen.values()
    ]


if __name__ == "__main__":
    run(main)
