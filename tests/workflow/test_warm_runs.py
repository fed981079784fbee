"""What Snakemake does in a fork of the warm process is what the program does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sightlines.plan.experiment import Experiment
from tests.workflow.conftest import ROOT, SMOKE, call_warm, dry_run, ok, results, tool
from tests.workflow.planning import everything, planned, reasons

pytestmark = pytest.mark.workflow


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_it_runs_what_the_program_runs(tmp_path):
    target = "results/smoke/dumps/gram/vit_small/f000/s0.safetensors"
    words = (target, "--configfile", SMOKE)
    for name in ("warm", "cold"):
        (tmp_path / name).mkdir()
    warm = call_warm(ROOT, "--directory", tmp_path / "warm", *words)
    program = [Path(sys.executable).with_name("snakemake"), "--directory", tmp_path / "cold"]
    cold = subprocess.run([*program, *words], cwd=ROOT, capture_output=True, text=True)
    assert ok(warm).count("Finished jobid") == ok(cold).count("Finished jobid") > 2
    one, two = results(tmp_path / "warm"), results(tmp_path / "cold")
    assert one == two and len(one[target.removeprefix("results/")]) > 1000
    again = call_warm(ROOT, "--directory", tmp_path / "warm", *words)
    assert "Nothing to be done" in ok(again)


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
