"""Command: holds an experiment's tables against every claim of the paper."""

from pathlib import Path

from sightlines.claims.evidence import Evidence
from sightlines.claims.judge import case_table, claim_table, judge_all
from sightlines.claims.specification import dependences, specification_table
from sightlines.claims.specified import SPECIFIED
from sightlines.core.files import write_table
from sightlines.jobs.command import Job, run
from sightlines.plan.table_schemas import written
from sightlines.results.opening import Opened
from sightlines.results.tables import joined


def main(job: Job) -> None:
    """Judge all claims and write the tables of verdicts."""
    evidence = Evidence(job.config, Opened(job.inputs.get("tables", [])))
    verdicts = judge_all(evidence)
    for verdict in verdicts:
        job.log.info(f"{verdict.claim.id}: {verdict.word}, {verdict.because}")
    ways = specification_table(evidence, SPECIFIED)
    tables = {
        "claims.csv": claim_table(verdicts, evidence, dependences(ways)),
        "claim_cases.csv": case_table(verdicts),
        "specifications.csv": ways,
    }
    for name, schema in written("claims", "judge").items():
        write_table(job.output(Path(name).stem), joined(tables[name], schema))


if __name__ == "__main__":
    run(main)
