"""Run one recorder: what its rule's command names."""

import importlib

from sightlines.jobs.command import Job, run


def main(job: Job) -> None:
    """Write one dump."""
    recorder = importlib.import_module(f"sightlines.dumps.{job.member}")
    job.inputs[getattr(recorder, "SPLITS", "reference")] = job.inputs.pop("splits")
    recorder.main(job)


if __name__ == "__main__":
    run(main)
