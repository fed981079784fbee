"""Linear probes on pooled features of every block: what each depth knows of the class.

Source: Raghu et al. 2021, section 6 and Figures 11b, 13, F.1 to F.3. On the experiment's own images
and on those of every other task; fitted to all training images, and to few shots of each class.
"""

from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from sightlines.core.files import write_table
from sightlines.core.progress import Progress
from sightlines.dumps.features_reading import LabelledDump
from sightlines.jobs.command import Job, run
from sightlines.measures.probing import check_dumps, groups_of, probe, replicate_table, supports
from sightlines.plan.networks import Network
from sightlines.results import tables

READS = ("features", "transfer_features")
WRITES = ("probes.parquet", "probe_replicates.parquet")
USES = ("probes",)
NEEDS = ("probes",)
OWN = ""
"""Value of the column `dataset` for the experiment's own images."""
COLUMNS = [
    *(*Network._fields, "dataset", "layer", "name", "depth", "pool", "shots", "draw", "penalty"),
    *("accuracy", "held_out_accuracy", "train_images", "test_images", "chance"),
]
POOLS = ("cls", "mean", "all", "first")
"""Class token; mean of patch tokens or places; mean of all tokens, CLS too; first patch token."""


def main(job: Job) -> None:
    """Probe every dump.

    Raises:
        ResultError: a dump is damaged, of another network, or of other labelled images.
    """
    dumps = open_dumps(job)
    pairs = [(dataset, dump) for dataset, group in dumps.items() for dump in group]
    progress = Progress(len(pairs), "networks")
    rows: list[dict[str, Any]] = []
    with threadpool_limits(1):  # more threads would add in another order
        for done, (dataset, dump) in enumerate(pairs, 1):
            rows += probe_network(dump, dataset, job.config["probes"], job.config["seed"])
            progress.update(done)
    write_table(job.output("probes"), pd.DataFrame(rows, columns=COLUMNS))
    replicates = replicate_table(rows, tables.COLUMNS["probe_replicates.parquet"])
    write_table(job.output("probe_replicates"), replicates)


def open_dumps(job: Job) -> dict[str, list[LabelledDump]]:
    """Dumps by dataset: OWN, or the task's name, a folder of the path of its dumps.

    Raises:
        ResultError: one is damaged, or they do not go together.
    """
    found = {OWN: [LabelledDump(path) for path in job.inputs.get("features", [])]}
    for path in job.inputs.get("transfer_features", []):
        found.setdefault(path.parents[3].name, []).append(LabelledDump(path))
    for dataset, dumps in found.items():
        wanted = job.config.get("dumped", {}).get("features")
        check_dumps(dumps, wanted if dataset == OWN else None)
    return found


def probe_network(
    dump: LabelledDump, dataset: str, settings: dict[str, Any], seed: int
) -> list[dict[str, Any]]:
    """Rows of one network's probes on one dataset."""
    chosen = supports(dump.train_labels, settings, seed, dataset)
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
                rows += [place | probe(data, own, dump.classes, groups) for own in chosen]
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


if __name__ == "__main__":
    run(main)
