"""Two Snakemakes in one folder: on the same results a clear message, else no matter."""

import getpass
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT, SMOKE, snakemake
from tests.workflow.test_killed import WEIGHTS, long_training, trainers, wait_for

pytestmark = pytest.mark.workflow


@pytest.mark.thorough
def test_two_on_one_checkout(tmp_path):
    config = long_training(tmp_path, steps=20_000)
    program = Path(sys.executable).with_name("snakemake")
    command = [program, WEIGHTS, "--snakefile", ROOT / "Snakefile", "--configfile", config]
    quiet = subprocess.DEVNULL
    first = subprocess.Popen(command, cwd=tmp_path, stdout=quiet, stderr=quiet)
    try:
        wait_for(lambda: trainers(tmp_path), "the first to train")
        second = snakemake(tmp_path, WEIGHTS, "--configfile", config)
        said = second.stdout + second.stderr
        assert second.returncode != 0 and "Another snakemake is at work" in said
        assert f"process {first.pid} of {getpass.getuser()}" in said and "killed.yaml" in said
        assert "--unlock" not in said and trainers(tmp_path)

        values = yaml.safe_load(SMOKE.read_text())
        values["train"]["steps"] = 3
        values["dataset"] |= {"n_train": 900, "n_test": 400, "n_conflict": 0}
        (tmp_path / "other.yaml").write_text(yaml.safe_dump(values))
        target = "results/other/models/vit_small/f100/s0/weights.safetensors"
        third = snakemake(tmp_path, target, "--configfile", tmp_path / "other.yaml")
        assert third.returncode == 0, third.stdout + third.stderr
        assert (tmp_path / target).exists() and trainers(tmp_path)
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        wait_for(lambda: not trainers(tmp_path), "the first to end")


def test_touch_is_refused(smoke, tmp_path):
    config = long_training(tmp_path)
    done = snakemake(tmp_path, WEIGHTS, "--configfile", config, "--touch")
    assert done.returncode != 0 and "--touch would declare" in done.stdout + done.stderr
