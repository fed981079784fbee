"""Command: holds an experiment's tables against every claim of the paper."""

from pathlib import Path

from sightlines.claims.evidence import Evidence
from sightlines.claims.judge import calibration_table, case_table, claim_table, judge_all
from sightlines.claims.seed_spread import SeedSpread
from sightlines.claims.specification import dependences, specification_table
from sightlines.claims.specified import SPECIFIED
from sightlines.core.files import read_table, write_table
from sightlines.jobs.command import Job, run
from sightlines.plan.seed_spread import TABLE
from sightlines.plan.table_schemas import written
from sightlines.results.calibration import in_words
from sightlines.results.opening import Opened
from sightlines.results.tables import joined


def main(job: Job) -> None:
    """Judge all claims and write the tables of verdicts."""
    known = job.config.get("seed_spread")
    spread = SeedSpread(read_table(TABLE), known["facts"]) if known else None
    evidence = Evidence(job.config, Opened(job.inputs.get("tables", [])), spread)
    verdicts = judge_all(evidence)
    for verdict in verdicts:
        job.log.info(f"{verdict.claim.id}: {verdict.word}, {verdict.because}")
    ways = specification_table(evidence, SPECIFIED)
    tables = {
        "claims.csv": claim_table(verdicts, evidence, dependences(ways)),
        "claim_cases.csv": case_table(verdicts),
        "seed_calibration.csv": calibration_table(verdicts),
        "specifications.csv": ways,
    }
    job.log.info(in_words(tables["seed_calibration.csv"]) or "no network has two seeds: no A/A")
    for name, schema in written("claims", "judge").items():
        write_table(job.output(Path(name).stem), joined(tables[name], schema))


if __name__ == "__main__":
    run(main)
