"""Training curves of all networks in one table."""

import pandas as pd

from sightlines.errors import ResultError
from sightlines.files import read_table, write_table
from sightlines.networks import Network
from sightlines.stage import Job, run

READS = ("history.csv",)
WRITES = ("curves.csv",)
COLUMNS = ["step", "split", "loss", "accuracy", "learning_rate"]


def main(job: Job) -> None:
    """Join the networks' histories.

    Raises:
        ResultError: a file lacks a column.
    """
    parts = []
    for slug, path in zip(job.config["networks"], job.inputs["history.csv"], strict=True):
        history = read_table(path)
        missing = [name for name in COLUMNS if name not in history]
        if missing:
            raise ResultError(f"{path} lacks {', '.join(missing)}: delete it and run snakemake")
        part = history[COLUMNS]
        for place, (key, value) in enumerate(Network.parse(slug)._asdict().items()):
            part.insert(place, key, value)
        parts.append(part)
    write_table(job.output("curves"), pd.concat(parts, ignore_index=True))


if __name__ == "__main__":
    run(main)
