"""The smoke experiment on a real SLURM of one node."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import MADE, ROOT, SMOKE, copy_project, results

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
SCRIPT = Path(__file__).with_name("slurm.sh")


@pytest.fixture
def cluster(tmp_path):
    if os.geteuid() or not shutil.which("slurmctld"):
        pytest.skip("needs root and Debian's slurm-wlm and munge")
    state = tmp_path / "slurm"
    subprocess.run([SCRIPT, "up", state], check=True)
    yield state
    subprocess.run([SCRIPT, "down", state], check=True)


@pytest.fixture
def with_plugin(tmp_path):
    """This environment with the extra `slurm` on top of it, in a folder of its own."""
    extra = tmp_path / "extra"
    project = (ROOT / "pyproject.toml").read_text()
    plugin = re.search(r"^slurm = \[\"(.*)\"\]", project, re.MULTILINE).group(1)
    uv = Path(sys.executable).with_name("uv")
    words = [uv, "pip", "install", "--quiet", "--no-deps", "--target", extra, "--python"]
    jobstep = "snakemake-executor-plugin-slurm-jobstep"
    subprocess.run([*words, sys.executable, plugin, jobstep, "throttler"], check=True)
    return extra


def test_the_smoke_experiment_on_slurm(smoke, cluster, with_plugin, tmp_path):
    folder = tmp_path / "project"
    copy_project(smoke, folder, left_out=MADE)
    program = Path(sys.executable).with_name("snakemake")
    options = ["--workflow-profile", "profiles/slurm", "--configfile", SMOKE]
    options += ["--resources", "gpu=2"]
    done = subprocess.run(
        [program, *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "src"), str(with_plugin)])},
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "slurm" in said.lower() and (folder / "results/smoke/report.html").exists()
    jobs = (cluster / "log/jobs.txt").read_text().splitlines()
    assert len(jobs) >= 80 and all("JobState=COMPLETED" in line for line in jobs)
    shown = subprocess.run(["scontrol", "show", "jobs"], capture_output=True, text=True).stdout
    networks = 43  # trained or dumped, each with a GPU and more memory of its own
    assert shown.count("TresPerJob=gres:gpu:1") == networks
    assert sum("mem=8000M" in line for line in jobs) == networks
    assert len(list((folder / ".snakemake/slurm_logs").rglob("*.log"))) >= 80
    assert (folder / "results/smoke/records/train/vit_small/f100/s0.json").exists()
    found, expected = results(folder), results(smoke)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
