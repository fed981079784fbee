"""Command: holds an experiment's tables against every claim of the paper."""

from sightlines.claims.evidence import Evidence
from sightlines.claims.judge import case_table, claim_table, judge_all
from sightlines.core.files import write_table
from sightlines.jobs.command import Job, run
from sightlines.results.opening import Opened


def main(job: Job) -> None:
    """Judge all claims and write both tables of verdicts."""
    evidence = Evidence(job.config, Opened(job.inputs.get("tables", [])))
    verdicts = judge_all(evidence)
    for verdict in verdicts:
        job.log.info(f"{verdict.claim.id}: {verdict.word}, {verdict.because}")
    write_table(job.output("claims"), claim_table(verdicts, evidence))
    write_table(job.output("claim_cases"), case_table(verdicts))


if __name__ == "__main__":
    run(main)
