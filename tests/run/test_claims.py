import logging

from sightlines.claims.judge import all_claims
from sightlines.core.files import read_table
from sightlines.jobs.command import Job
from sightlines.results.tables import required
from sightlines.results.verdict_words import VERDICTS
from sightlines.run.claims import main
from tests.claims.making_evidence import SLUGS, make_evidence

CLAIMS = all_claims()
OUTPUTS = ("claims", "claim_cases", "seed_calibration", "specifications")


def test_the_command_writes_a_verdict_for_every_claim_even_of_nothing(tmp_path):
    evidence = make_evidence(tmp_path, {}, SLUGS[2:])
    job = Job(
        name="claims",
        source=tmp_path,
        config=evidence.config,
        inputs={"tables": [tmp_path / "accuracy.csv"]},
        outputs={n: [tmp_path / f"out/{n}.csv"] for n in OUTPUTS},
        log=logging.getLogger("test"),
    )
    main(job)
    table = read_table(tmp_path / "out/claims.csv")
    assert table["claim"].tolist() == [own.id for own in CLAIMS]
    assert set(table["verdict"]) <= set(VERDICTS)
    assert set(table["verdict"]) == {"not run"}
    assert table["because"].str.len().min() > 10
    ways = read_table(tmp_path / "out/specifications.csv")
    assert list(ways.columns) == list(required("specifications.csv")) and ways.empty
