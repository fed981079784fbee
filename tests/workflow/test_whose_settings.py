"""Snakemake runs this checkout's code on what the config says, whatever a person's own settings."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, ok, snakemake, tool

pytestmark = pytest.mark.workflow
SPLITS = "results/tiny/data/splits.safetensors"
CONFIG = """
dataset: {kind: shapes, n_train: 100, n_test: 100, n_conflict: 0, size_px: 16}
splits: {validation: 20, reference_batches: 2, reference_batch_size: 16}
models:
  vit: {family: vit, patch_px: 8, width: 24, depth: 2, heads: 3}
runs: [{models: [vit], fractions: [f100], seeds: [s0]}]
train: {steps: 4}
figures: [fig01_cka_within]
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder in which the images and the splits of a small experiment are made."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yml").write_text(CONFIG)
    ok(snakemake(folder, SPLITS, "--configfile", folder / "tiny.yml"))
    assert (folder / SPLITS).is_file()
    return folder


def plan(folder, *options, **environment):
    return snakemake(
        folder, SPLITS, "-n", "--configfile", folder / "tiny.yml", *options, **environment
    )


def test_a_profile_of_ones_own_does_not_hide_a_nested_change(tiny, tmp_path):
    """`mtime` alone would: no file is newer, and 20 images are now 30."""
    (tmp_path / "config.yaml").write_text("rerun-triggers: [mtime]\nkeep-incomplete: true\n")
    own = {"SNAKEMAKE_PROFILE": str(tmp_path)}
    said = ok(plan(tiny, "--config", 'splits={"validation": 30}', **own))
    assert "splits.validation 20 → 30" in said
    named = said.partition("not taken here:\n")[2].splitlines()[:2]
    assert [line.split(":")[0].strip() for line in named] == ["rerun-triggers", "keep-incomplete"]
    said = ok(plan(tiny, "--config", "splits={validation: 20}", **own))
    assert "Nothing to be done" in said


def test_a_setting_that_is_typed_is_refused(tiny):
    done = plan(tiny, "--rerun-triggers", "mtime")
    assert done.returncode == 1 and "--rerun-triggers: " in done.stderr
    assert "Traceback" not in done.stderr and "What must run" not in done.stderr


def test_a_target_behind_the_config_file_is_explained(tiny):
    """Where the file is there already and is JSON, Snakemake takes it for a second config."""
    facts = next((tiny / "data").rglob("dataset.json"))
    beside = tiny / "results/tiny/tables/dataset.json"
    beside.parent.mkdir(exist_ok=True)
    shutil.copy(facts, beside)
    command = ["snakemake", "-n", "--snakefile", ROOT / "Snakefile", "--directory", tiny]
    command += ["--configfile", "tiny.yml", "results/tiny/tables/dataset.json"]
    program = Path(sys.executable).with_name("snakemake")
    done = subprocess.run([program, *command[1:]], cwd=tiny, capture_output=True, text=True)
    beside.unlink()
    assert done.returncode == 1 and "exactly one config file" in done.stderr
    assert re.search(r"snakemake --configfile \S+ -- results/\S+", done.stderr)


def test_the_code_of_another_checkout_is_refused_and_ones_own_is_run(tiny, tmp_path):
    """As in a git worktree, with the environment of the first checkout."""
    other = tmp_path / "work tree"
    for name in ("src", "workflow", "profiles"):
        shutil.copytree(ROOT / name, other / name)
    shutil.copy(ROOT / "Snakefile", other)
    with open(other / "src/sightlines/datasets/split.py", "a") as module:
        module.write("\nassert __name__\n")
    words = [SPLITS, "-n", "--directory", tiny, "--configfile", tiny / "tiny.yml"]
    plain = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = tool(other, "snakemake", *words, **plain)
    assert done.returncode == 1 and "CheckoutError" in done.stderr
    for word in (str(ROOT / "src/sightlines"), str(other / "src/sightlines"), "make setup"):
        assert word in done.stderr
    said = ok(tool(other, "snakemake", *words))
    assert "split_training" in said and "code changed: src/sightlines/datasets/split.py" in said
