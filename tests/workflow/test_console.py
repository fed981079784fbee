"""What a run says where nobody watches a terminal: few lines, what failed, what was found."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sightlines.jobs.shown import CONSOLE
from tests.workflow.conftest import ROOT, SMOKE

MODEL = "results/smoke/models/vit_small/f100/s0"
pytestmark = pytest.mark.workflow


def test_a_whole_run_says_little_and_ends_with_the_answer(smoke):
    said = (smoke / "said.txt").read_text()
    lines = said.splitlines()
    assert len(lines) <= 150, said
    assert re.search(r"^smoke: \d+ jobs on \d+ cores?, about \d+ (s|min)", said, re.M)
    assert re.search(r"^  train +\d+ +\d+ (s|min) +not made yet$", said, re.M)
    assert re.search(r"^\[ +\d+:\d\d\] \d+ of \d+ jobs, about .* left; running: \w+/", said, re.M)
    assert re.search(r"^All \d+ jobs done in \d+ (s|min)\.$", said, re.M)
    assert re.search(r"^\d+ claims: (\d+ [a-z ,]+)+\.$", said, re.M)
    assert "\nThe report: results/smoke/report.html\n" in said
    log = re.search(r"^What was said besides: (\S+)$", said, re.M)[1]
    assert "rule train_network:" in (smoke / log).read_text()


def test_a_failed_job_is_one_block_that_names_its_log(tmp_path):
    program = Path(sys.executable).with_name("snakemake")
    command = [program, f"{MODEL}/weights.safetensors", "--snakefile", ROOT / "Snakefile"]
    command += ["--directory", tmp_path, "--configfile", SMOKE]
    command += ["--config", "train={learning_rate: 1.0e+30, warmup_steps: 1}"]
    seen = {key: os.environ[key] for key in os.environ.keys() - {CONSOLE}}
    done = subprocess.run(command, cwd=ROOT, env=seen, capture_output=True, text=True)
    said = done.stderr
    assert done.returncode != 0 and said.count("FAILED") == 1, said
    block = said.split("FAILED  ")[1].splitlines()
    assert block[0] == "train/vit_small/f100/s0" and "the loss is nan" in block[1], said
    assert "(log: results/smoke/logs/train/vit_small/f100/s0.log)" in block[1]
    assert "the same command goes on from there" in block[2]
    assert re.search(r"^2 of 3 jobs done in \d+ s; failed: train/vit_small/f100/s0\.$", said, re.M)
    assert "rule train_network" not in said and "Traceback" not in said
