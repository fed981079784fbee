"""Command: what the report says of a dataset, beside the tables.

The report can then be written again where the images themselves are not.
"""

from sightlines.core.files import read_json, write_json
from sightlines.jobs.command import Job, run


def main(job: Job) -> None:
    """Copy the dataset's facts."""
    write_json(job.output("facts"), read_json(job.input("dataset")))


if __name__ == "__main__":
    run(main)
