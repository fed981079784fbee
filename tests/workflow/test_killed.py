"""SIGKILL: the same command goes on, without a thought from the user, to the same bytes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT, SMOKE, snakemake

pytestmark = pytest.mark.workflow

IMPORT = "from sightlines.jobs import liveness"
WARM = [b"-m", b"sightlines.jobs.warm"]
NETWORK = "vit_small/f100/s0"
WEIGHTS = f"results/killed/models/{NETWORK}/weights.safetensors"


def long_training(folder, steps=700):
    config = yaml.safe_load(SMOKE.read_text())
    config["dataset"] |= {"n_train": 1000, "n_test": 400, "n_conflict": 0}
    config["train"] |= {"steps": steps, "evaluate_every_steps": steps}
    config["compute"] = {"checkpoint_every_s": 0.2}
    (folder / "killed.yaml").write_text(yaml.safe_dump(config))
    return folder / "killed.yaml"


def wait_for(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.1)


def states(folder):
    return list((folder / ".cache/sightlines/training").glob("*/step*.safetensors"))


def command_of(process):
    try:
        return (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def parent_of(process):
    try:
        status = (process / "status").read_text()
    except OSError:
        return process
    return process.with_name(re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE)[1])


def processes_in(folder):
    """Every process that works in a folder, with the words of its command."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            place = (process / "cwd").readlink()
        except OSError:
            continue
        if place == folder:
            yield process, command_of(process)


def trainers(folder):
    """Processes that train in this folder: the forks of the warm process, and who called them.

    Nothing else runs there once a training has left a state.
    """
    found = []
    for process, command in processes_in(folder):
        calls = command[1:4] == [b"-m", b"sightlines.jobs.start", b"sightlines.training.train"]
        if calls or (command[1:3] == WARM and command_of(parent_of(process))[1:3] == WARM):
            found.append(int(process.name))
    return found


def test_a_killed_snakemake_leaves_no_orphan_and_is_gone_on_with(tmp_path):
    config = long_training(tmp_path)
    program = Path(sys.executable).with_name("snakemake")
    command = [program, WEIGHTS, "--snakefile", ROOT / "Snakefile", "--configfile", config]
    quiet = subprocess.DEVNULL
    main = subprocess.Popen(command, cwd=tmp_path, stdout=quiet, stderr=quiet)
    wait_for(lambda: len(states(tmp_path)) and trainers(tmp_path), "a checkpoint")
    time.sleep(0.5)
    os.kill(main.pid, signal.SIGKILL)
    main.wait()
    wait_for(lambda: not trainers(tmp_path), "the orphan to stop", 30)
    assert list((tmp_path / ".snakemake/locks").glob("*.lock")), "Snakemake's lock is left"
    assert not (tmp_path / WEIGHTS).exists()

    done = snakemake(tmp_path, WEIGHTS, "--configfile", config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "taken up at step" in (tmp_path / f"results/killed/logs/train/{NETWORK}.log").read_text()
    assert not list((tmp_path / "results").rglob("*.part"))

    calm = tmp_path / "calm"
    calm.mkdir()
    done = snakemake(calm, WEIGHTS, "--configfile", config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / WEIGHTS).read_bytes() == (calm / WEIGHTS).read_bytes()


def test_a_living_snakemake_keeps_its_lock(tmp_path):
    """Only the lock of the dead is freed."""
    from sightlines.jobs import liveness

    program = f"{IMPORT}; liveness.enter(); input()"
    locks = tmp_path / liveness.LOCKS
    locks.mkdir(parents=True)
    (locks / "0.input.lock").touch()
    pipe = subprocess.PIPE
    first = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdin=pipe)
    wait_for(lambda: (tmp_path / liveness.ALIVE).exists(), "the first to enter")
    wait_for(lambda: not list(locks.iterdir()), "the stale lock to be freed")
    (locks / "0.input.lock").touch()
    enter = [
        sys.executable,
        "-c",
        f"{IMPORT}; print(repr(liveness.enter()))",
    ]
    second = subprocess.run(enter, cwd=tmp_path, capture_output=True, text=True)
    assert second.stdout == "''\n" and (locks / "0.input.lock").exists()
    first.communicate(b"\n")
    third = subprocess.run(enter, cwd=tmp_path, capture_output=True, text=True)
    assert third.stdout == "'.snakemake/locks'\n" and not list(locks.iterdir())
