"""SIGKILL of a job, of Snakemake, and of all at once, at random moments, again and again.

Each time the same command goes on, and the end has the bytes of an undisturbed run. Together with
tests/workflow/test_killed.py this makes 21 kills, 9 of them inside a training after a checkpoint.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, SMOKE, results, snakemake
from tests.workflow.test_killed import long_training, processes_in, states, trainers, wait_for

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

KINDS = ("job", "snakemake", "group")
NETWORK = "vit_small/f100/s0"
WEIGHTS = f"results/killed/models/{NETWORK}/weights.safetensors"


def begin(folder, *arguments):
    program = Path(sys.executable).with_name("snakemake")
    with open(folder / "said.txt", "a") as said:
        return subprocess.Popen(
            [program, "--snakefile", ROOT / "Snakefile", *arguments],
            cwd=folder,
            start_new_session=True,
            stdout=said,
            stderr=said,
        )


def jobs_in(folder, main):
    """Our processes that work in a folder, but Snakemake itself."""
    ours = (p for p, command in processes_in(folder) if any(b"sightlines." in w for w in command))
    return [number for number in (int(p.name) for p in ours) if number != main.pid]


def kill(kind, main, folder, draw):
    """Kill, and wait until nothing of the run is left."""
    if kind == "job" and (jobs := jobs_in(folder, main)):
        os.kill(draw.choice(jobs), signal.SIGKILL)
        main.wait(600)
    elif kind == "group":
        os.killpg(main.pid, signal.SIGKILL)
    else:
        os.kill(main.pid, signal.SIGKILL)
    main.wait()
    wait_for(lambda: not jobs_in(folder, main), "what it left to end", 30)


@pytest.mark.parametrize("seed", range(3))
def test_the_smoke_experiment_killed_four_times(smoke, tmp_path, seed):
    draw = random.Random(seed)
    # The job last: without it Snakemake goes on with all others, and little is left to kill.
    for kind in [*(KINDS[1 + (seed + i) % 2] for i in range(3)), "job"]:
        main = begin(tmp_path, "--configfile", SMOKE)
        end = time.monotonic() + draw.uniform(4, 15)
        while time.monotonic() < end and main.poll() is None:
            time.sleep(0.05)
        assert main.poll() is None, "the run ended before it was killed"
        kill(kind, main, tmp_path, draw)
    done = snakemake(tmp_path, "--configfile", SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    found, expected = results(tmp_path), results(smoke)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    assert not list((tmp_path / "results").rglob("*.part"))
    done = snakemake(tmp_path, "--configfile", SMOKE)
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The weights of an undisturbed training."""
    folder = tmp_path_factory.mktemp("calm")
    done = snakemake(folder, WEIGHTS, "--configfile", long_training(folder, steps=2500))
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / WEIGHTS).read_bytes()


@pytest.mark.parametrize("seed", range(2))
def test_a_training_killed_four_times_after_a_checkpoint(calm, tmp_path, seed):
    draw = random.Random(seed)
    config = long_training(tmp_path, steps=2500)
    for kind in [KINDS[(seed + i) % 3] for i in range(4)]:
        before = states(tmp_path)
        main = begin(tmp_path, WEIGHTS, "--configfile", config)
        wait_for(lambda b=before: set(states(tmp_path)) - set(b) and trainers(tmp_path), "a step")
        time.sleep(draw.uniform(0.1, 0.8))
        assert main.poll() is None and trainers(tmp_path), "the training ended too soon"
        if kind == "job":
            os.kill(draw.choice(trainers(tmp_path)), signal.SIGKILL)
            main.wait(600)
        else:
            kill(kind, main, tmp_path, draw)
    done = snakemake(tmp_path, WEIGHTS, "--configfile", config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "taken up at step" in (tmp_path / f"results/killed/logs/train/{NETWORK}.log").read_text()
    assert (tmp_path / WEIGHTS).read_bytes() == calm
