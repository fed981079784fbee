"""Training curves of all networks in one table."""

import pandas as pd

from sightlines.core.files import write_table
from sightlines.jobs.command import Job, run
from sightlines.plan.networks import Network
from sightlines.results.tables import COLUMNS as TABLES
from sightlines.results.tables import read_checked

READS = ("history.csv",)
WRITES = ("curves.csv",)
COLUMNS = list(TABLES["history.csv"])


def main(job: Job) -> None:
    """Join the networks' histories.

    Raises:
        ResultError: a file lacks a column.
    """
    parts = []
    for slug, path in zip(job.config["networks"], job.inputs["history.csv"], strict=True):
        part = read_checked(path, "history.csv")[COLUMNS]
        for place, (key, value) in enumerate(Network.parse(slug)._asdict().items()):
            part.insert(place, key, value)
        parts.append(part)
    parts = [part for part in parts if len(part)] or parts[:1]  # imported networks have no rows
    write_table(job.output("curves"), pd.concat(parts, ignore_index=True))


if __name__ == "__main__":
    run(main)
