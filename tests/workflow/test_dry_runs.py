"""A dry run in a fork of the warm process is that of the program."""

import re

import pytest

from sightlines.plan.experiment import Experiment
from tests.workflow.conftest import ROOT, SMOKE, dry_run, tool
from tests.workflow.planning import everything, planned, reasons

pytestmark = pytest.mark.workflow


def test_it_plans_what_the_program_plans(tmp_path):
    config = ("--configfile", SMOKE)
    warm = [dry_run(ROOT, "--directory", tmp_path, *config) for _ in range(2)]
    cold = tool(ROOT, "snakemake", "-n", "--directory", tmp_path, *config)
    for done in warm:
        assert planned(done) == planned(cold) == everything(Experiment.open(SMOKE))
        assert reasons(done) == reasons(cold)
        assert lines(done) == lines(cold)


def lines(done):
    """What a program printed, without times, ids, arguments, the disk and the order of sets."""
    changing = r"Date: .*|Workflow ID: .*|\[\w{3} \w{3} .*\]|The disk has .* free"
    said = [re.sub(changing, "", x) for x in printed(done)]
    return sorted("".join(sorted(re.split(r"[,;\s]+", line))) for line in said)


def printed(done):
    own = ("  Command: ", "  Run directory: ")  # Snakemake's, the folder in which it was imported
    return [x for x in (done.stdout + done.stderr).splitlines() if not x.startswith(own)]


def test_its_errors_are_the_programs(tmp_path):
    missing = ("--configfile", tmp_path / "none.yaml")
    warm, cold = dry_run(ROOT, *missing), tool(ROOT, "snakemake", "-n", *missing)
    assert warm.returncode == cold.returncode == 1
    assert f"No such file or directory: '{missing[1]}'" in warm.stdout + warm.stderr


def test_it_runs_the_code_of_the_checkout_that_it_is_asked_of(tmp_path):
    other = tmp_path / "other"
    (other / "src" / "sightlines").mkdir(parents=True)
    (other / "src" / "sightlines" / "__init__.py").write_text("SAID = 'another checkout'")
    (other / "Snakefile").write_text(
        "import sightlines\nprint(sightlines.SAID)\nrule all:\n    input: []\n"
    )
    assert "another checkout" in dry_run(other, "--workflow-profile", "none").stdout
    assert planned(dry_run(ROOT, "--directory", tmp_path, "--configfile", SMOKE))
