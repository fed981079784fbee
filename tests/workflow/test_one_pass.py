"""Dumps of one network and of the same images: one pass, rules of their own, exact reruns."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT, ok, snakemake
from tests.workflow.test_killed import wait_for

pytestmark = pytest.mark.workflow

NETWORK = "vit_small/f100/s0"
CONFIG = """
dataset: {kind: shapes, n_train: 300, n_test: 200, n_conflict: 0}
splits: {validation: 60, reference_batches: 2, reference_batch_size: 16,
         probe_train: 40, probe_held_out: 20, probe_test: 40}
probes: {token_depths: 2, token_train: 20, token_held_out: 10, token_test: 20}
models:
  vit_small: {label: ViT-S, family: vit, patch_px: 8, width: 24, depth: 2, heads: 3}
runs:
  - {models: [vit_small], fractions: [f100], seeds: [s0]}
train: {steps: 2, batch_size: 16, warmup_steps: 1, evaluate_every_steps: 2, precision: fp32}
"""
REFERENCE = ["attention", "gram", "heads", "localisation", "skips"]
LABELLED = ["features", "predictions", "token_features"]
KINDS = REFERENCE + LABELLED
COMPUTES = " MB\n"
"""What a job that runs a network says of its file's size."""
TAKES = "recorded in one pass"


def target(kind, experiment="passes"):
    return f"results/{experiment}/dumps/{kind}/{NETWORK}.safetensors"


def config(folder, experiment="passes", **changes):
    path, values = folder / f"{experiment}.yaml", yaml.safe_load(CONFIG)
    for section, own in changes.items():
        values[section] |= own
    path.write_text(yaml.safe_dump(values))
    return path


def make(folder, *words, **changes):
    every = [target(kind) for kind in KINDS]
    given = ["--configfile", config(folder, **changes), "--cores", "2", *words]
    return ok(snakemake(folder, *every, *given))


def dumps(folder, experiment="passes"):
    return {kind: (folder / target(kind, experiment)).read_bytes() for kind in KINDS}


def record(folder, kind):
    return json.loads((folder / f"results/passes/records/dump/{kind}/{NETWORK}.json").read_text())


def shared(folder):
    return {kind: record(folder, kind).get("shared_pass", []) for kind in KINDS}


def staged(folder, experiment="passes"):
    return list((folder / ".cache/sightlines/passes" / experiment).glob("*.safetensors"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small experiment's dumps of one network, and what its run said."""
    folder = tmp_path_factory.mktemp("passes")
    return folder, make(folder)


@pytest.fixture
def here(made, tmp_path):
    left_out = shutil.ignore_patterns("warm-*")  # a process that is about to end
    shutil.copytree(made[0], tmp_path, symlinks=True, dirs_exist_ok=True, ignore=left_out)
    return tmp_path


def test_each_kind_has_its_job_and_each_pass_ran_once(made):
    folder, said = made
    assert shared(folder) == {k: REFERENCE for k in REFERENCE} | {k: LABELLED for k in LABELLED}
    assert said.count(COMPUTES) == 2 and said.count(TAKES) == len(KINDS) - 2
    assert not staged(folder)
    costs = [record(folder, kind)["cpu_s"] for kind in REFERENCE]
    assert all(cost > 0 for cost in costs) and max(costs) < sum(costs) / 2


def test_a_kind_alone_is_the_same_bytes(made, here):
    expected = dumps(made[0])
    said = make(here, "--forcerun", "dump_attention", "dump_features")
    assert said.count(COMPUTES) == 2 and TAKES not in said
    assert shared(here)["attention"] == shared(here)["features"] == []
    assert dumps(here) == expected
    assert "attention" in shared(here)["gram"], "what was not forced was not made again"


def test_only_stale_kinds_are_recorded(made, here):
    expected = dumps(made[0])
    for kind in ("heads", "skips", "predictions"):
        (here / target(kind)).unlink()
    said = make(here)
    assert said.count(COMPUTES) == 2 and said.count(TAKES) == 1
    assert shared(here)["heads"] == shared(here)["skips"] == ["heads", "skips"]
    assert shared(here)["predictions"] == [] and dumps(here) == expected


def test_settings_of_one_kind_change_no_other(made, here):
    before = dumps(here)
    said = make(here, probes={"token_test": 19})
    assert said.count(COMPUTES) == 1 and TAKES not in said
    after = dumps(here)
    assert [kind for kind in KINDS if after[kind] != before[kind]] == ["token_features"]
    said = make(here, splits={"probe_train": 50})
    assert "rule dump_features" in said and "rule dump_predictions" not in said


def test_killed_after_the_pass_it_goes_on_with_what_is_staged_and_whole(made, here):
    expected = dumps(made[0])
    for kind in REFERENCE:
        (here / target(kind)).unlink()
    program = Path(sys.executable).with_name("snakemake")
    command = [program, *(target(kind) for kind in KINDS), "--snakefile", ROOT / "Snakefile"]
    command += ["--configfile", config(here), "--cores", "1"]
    quiet = subprocess.DEVNULL
    main = subprocess.Popen(command, cwd=here, stdout=quiet, stderr=quiet, start_new_session=True)
    wait_for(lambda: len(staged(here)) == 4, "the pass")
    wait_for(lambda: any((here / target(kind)).exists() for kind in REFERENCE), "the first dump")
    os.killpg(main.pid, signal.SIGKILL)
    main.wait()
    damaged, *whole = staged(here)
    assert whole
    damaged.write_bytes(b"\0" * damaged.stat().st_size)  # as power that fails leaves it
    said = make(here)
    assert said.count(TAKES) >= len(whole) and 1 <= said.count(COMPUTES) <= 2
    assert dumps(here) == expected and not staged(here)


def submitted(folder, *words):
    """What `plugins/snakemake_executor_plugin_nearby` was told to run of an experiment's dumps."""
    targets = [target(kind) for kind in KINDS]
    options = ["--configfile", config(folder), "--executor", "nearby", "--jobs", "4", *words]
    notes, plugins = folder / "submitted.txt", Path(__file__).with_name("plugins")
    environment = {"NEARBY": str(notes), "PYTHONPATH": str(plugins)}
    ok(snakemake(folder, *targets, *options, **environment))
    return [json.loads(line) for line in notes.read_text().splitlines()]


@pytest.mark.thorough
def test_on_a_cluster_the_kinds_of_a_network_are_one_job(made, here):
    expected = dumps(made[0])
    shutil.rmtree(here / "results/passes/dumps")
    [job] = submitted(here)
    assert job["group"] and job["rules"] == sorted(f"dump_{kind}" for kind in KINDS)
    asked = job["resources"]
    assert (asked["_cores"], asked["mem_mb"]) == (1, 8000), "what the largest needs, not the sum"
    assert asked["runtime"] == 60 + 60 + 6 * 5, "an hour a pass, minutes for those that only take"
    assert dumps(here) == expected and not staged(here)
    assert shared(here) == {k: REFERENCE for k in REFERENCE} | {k: LABELLED for k in LABELLED}


@pytest.mark.thorough
def test_a_kind_may_be_taken_out_of_its_group(made, here):
    expected = dumps(made[0])
    for kind in ("heads", "skips", "features"):
        (here / target(kind)).unlink()
    jobs = submitted(here, "--groups", "dump_skips=alone")
    assert sorted(job["rules"] for job in jobs) == [["dump_features", "dump_heads"], ["dump_skips"]]
    assert dumps(here) == expected
    assert shared(here)["heads"] == shared(here)["skips"] == []


@pytest.mark.slow
def test_two_experiments_side_by_side(made, here):
    expected = dumps(made[0])
    shutil.rmtree(here / "results/passes/dumps")
    program = Path(sys.executable).with_name("snakemake")
    runs = []
    for name in ("passes", "other"):
        command = [program, *(target(kind, name) for kind in KINDS)]
        command += ["--snakefile", ROOT / "Snakefile", "--configfile", config(here, name)]
        runs.append(subprocess.Popen([*command, "--cores", "2"], cwd=here))
    assert [run.wait() for run in runs] == [0, 0]
    assert dumps(here) == dumps(here, "other") == expected


def test_figures_give_way_to_all_else(tmp_path):
    """Verdicts, which wait for all measures, then have figures to share the cores with."""
    done = snakemake(tmp_path, "--configfile", config(tmp_path), "-n")
    ok(done)
    blocks = re.findall(r"^rule (\w+):\n((?: {4}.*\n)+)", done.stdout + done.stderr, re.MULTILINE)
    lower = {name for name, own in blocks if "priority: -1\n" in own}
    drawn = {name for name, _ in blocks if name.startswith("draw_")}
    assert drawn and lower >= drawn
    assert not lower & {"judge_claims", "measure_cka", "train_network", "write_report"}


def test_a_cache_that_cannot_be_written_is_said_in_one_line(tmp_path):
    cache = tmp_path / ".cache/sightlines"
    cache.mkdir(parents=True)
    (cache / "code").write_text("a file in a folder's place")
    done = snakemake(tmp_path, "--configfile", config(tmp_path), "-n")
    said = done.stdout + done.stderr
    assert done.returncode and "Traceback" not in said
    assert "DiskError: cannot write .cache/sightlines/code/" in said
