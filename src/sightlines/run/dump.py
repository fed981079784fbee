"""Command: runs one recorder: opens what it is shown, writes what it records.

    python -m sightlines.jobs.start sightlines.run.dump gram --config '{…}' --code C
        --input dataset D --input splits S --input weights W --input card K --output dump F --log L

Without weights, images alone are shown: to `dumps.pixels`. What a job of the same network has
recorded in the same pass is only put in its place (`jobs/passes.py`), without torch.
"""

from sightlines.jobs import passes
from sightlines.jobs.command import Job, run


def main(job: Job) -> None:
    """Write what the recorder that the job names records of its images and its network.

    Raises:
        WeightsError: the weights do not fit their card.
        ResultError: an input is damaged or does not go with another, or what is recorded is not
            finite.
        DiskError: there is not enough room for the dump.
    """
    with passes.turn(job) as turn:
        if turn.take():
            job.log.info(f"recorded in one pass: {', '.join(job.shared_pass)}")
            return
        from sightlines.run import recording

        recording.record(job, turn)


if __name__ == "__main__":
    run(main)
