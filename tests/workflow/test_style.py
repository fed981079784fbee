import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT, SMOKE, snakemake

pytestmark = pytest.mark.workflow

BIN = Path(sys.executable).parent


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_snakemake_lint_is_clean(tmp_path):
    done = snakemake(tmp_path, "--configfile", SMOKE, "--lint")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["default", "smoke", "cifar10", "cifar10_small"])
def test_every_experiment_can_be_planned(tmp_path, name):
    done = snakemake(tmp_path, "--configfile", SMOKE.with_name(f"{name}.yaml"), "-n", "-q")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_says_what_it_does(tmp_path):
    done = snakemake(tmp_path, "--configfile", SMOKE, "--list-rules")
    assert "train_network" in done.stdout + done.stderr


def test_files_that_git_tracks_are_small_and_hold_no_pickle():
    listed = run("git", "ls-files", "-z").stdout.split("\0")
    tracked = [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    large = [p.name for p in tracked if p.stat().st_size > 1_000_000]
    pickles = [p.name for p in tracked if p.suffix in (".pkl", ".pickle", ".pt", ".pth", ".npz")]
    assert large == [] and pickles == []


def test_the_lock_file_has_hashes_and_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    pins = [line for line in lock.splitlines() if line and line[0].isalpha()]
    assert len(pins) > 100 and all("==" in pin for pin in pins)
    assert lock.count("--hash=sha256:") >= len(pins)
    assert "://" not in lock and "--index" not in lock.replace("--no-emit-index-url", "")


def test_the_citation_file_is_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    for key in ("cff-version", "message", "title", "authors", "version", "date-released"):
        assert citation[key]
    assert citation["preferred-citation"]["year"] == 2021
