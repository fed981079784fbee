"""What a run says where nobody watches a terminal: few lines, what failed, what was found."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from sightlines.jobs.shown import CONSOLE
from tests.workflow.conftest import ROOT, SMOKE

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
    for name in ("cat", "dog"):
        folder = tmp_path / "photos" / "mine" / name
        folder.mkdir(parents=True)
        for number in range(7):
            Image.new("RGB", (70 + number, 50), (200, 90, 40)).save(folder / f"{number}.jpg")
    (tmp_path / "photos/mine/cat/0.jpg").write_bytes(b"no image")
    template = SMOKE.with_name("imagefolder.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(re.sub(r"folder: \w+", "folder: mine", template))
    program = Path(sys.executable).with_name("snakemake")
    command = [program, "--snakefile", ROOT / "Snakefile", "--directory", tmp_path]
    command += ["--configfile", tmp_path / "mine.yaml", "--until", "prepare_dataset"]
    seen = {key: os.environ[key] for key in os.environ.keys() - {CONSOLE}}
    seen |= {"SIGHTLINES_DATA": str(tmp_path / "photos")}
    done = subprocess.run(command, cwd=ROOT, env=seen, capture_output=True, text=True)
    said = done.stderr
    assert done.returncode != 0 and said.count("FAILED") == 1, said
    block = said.split("FAILED  ")[1].splitlines()
    assert block[0].startswith("prepare") and "cat/0.jpg" in block[1], said
    assert any("results/mine/logs/" in line for line in block[1:3])
    assert "the same command goes on from there" in block[2] + block[3]
    assert "0 of 1 jobs done in" in said and "rule prepare_dataset" not in said
