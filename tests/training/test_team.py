"""Several processes train one network: the same examples, and the same weights but for rounding."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

from sightlines.core.errors import ConfigError
from sightlines.core.files import TensorReader
from sightlines.training.team import Team
from tests.rounding import bound
from tests.training.jobs import LOSS, RECIPE, RESULTS, VIT, job_config

STILL = VIT | {"dropout": 0.0, "drop_path": 0.0}


def command(folder, name, config):
    words = [sys.executable, "-m", "sightlines.training.train", "--config", json.dumps(config)]
    words += ["--input", "dataset", str(folder / "data/dataset.json")]
    words += ["--input", "splits", str(folder / "splits.safetensors")]
    for key, file in RESULTS.items():
        words += ["--output", key, f"results/x/{name}/{file}"]
    return [*words, "--log", f"results/x/logs/{name}.log"]


def weights(folder, name):
    reader = TensorReader(folder / f"results/x/{name}/weights.safetensors")
    return {key: np.array(reader[key]) for key in reader.names()}


@pytest.mark.thorough
@pytest.mark.parametrize("batch_size", [16, 15])
def test_two_processes_end_where_one_ends(workplace, batch_size):
    """15 images: the two have shares of different size.

    With SGD: AdamW enlarges the rounding of gradients that are nothing else (key biases).
    """
    for name, processes in (("one", 1), ("two", 2)):
        recipe = {"optimizer": "sgd", "precision": "fp32", "processes": processes}
        config = job_config(STILL, batch_size=batch_size, **recipe)
        done = subprocess.run(
            command(workplace, name, config), cwd=workplace, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr.count("done in") == 1
    one, two = weights(workplace, "one"), weights(workplace, "two")
    assert one.keys() == two.keys()
    start = weights_at_start(workplace, batch_size)
    # Gradients are sums over images and down the network and back; weights round at each step.
    change = max(np.abs(one[key] - start[key]).max() for key in one)
    sums = bound(change, terms=batch_size * 2 * LOSS["terms"], dtype=np.float32)
    for key in one:
        size = np.abs(one[key]).max()
        limit = sums + bound(size, terms=RECIPE["steps"], dtype=np.float32)
        assert np.abs(one[key] - two[key]).max() <= limit, key
        assert limit < change / 100, "steps that are 1 % too long would be seen"
    assert change > 1e-3
    history = [(workplace / f"results/x/{n}/history.csv").read_text() for n in ("one", "two")]
    assert history[0].count("\n") == history[1].count("\n") > 2
    records = (workplace / "results/x/records").rglob("*.json")
    assert sorted(path.stem for path in records) == ["one", "two"]


def weights_at_start(folder, batch_size):
    config = job_config(STILL, ("vit_small", "f000", "s0"), batch_size=batch_size)
    subprocess.run(command(folder, "none", config), cwd=folder, check=True, capture_output=True)
    (folder / "results/x/records/none.json").unlink()
    return weights(folder, "none")


@pytest.mark.parametrize("n", [1, 7, 8, 9])
def test_parts_cover_the_minibatch_once(monkeypatch, n):
    team = Team(torch.device("cpu"))
    team.size = 4
    seen = []
    for rank in range(4):
        team.rank = rank
        seen += list(team.mine(np.arange(n)))
    assert seen == list(range(n))


def meet(rank, port, dtypes, told):
    where = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    os.environ |= {key: str(value) for key, value in where.items()}
    team = Team(torch.device("cpu"))
    try:
        team.require_same(dtypes[rank])
        told.put((rank, team.leaders(f"state{rank}")))
    except ConfigError as error:
        told.put((rank, str(error)))


@pytest.mark.parametrize("is_mixed", [False, True])
def test_one_number_format_and_one_state_for_all(is_mixed):
    """A team on cards of two kinds, of which one has no bfloat16, does not mix formats."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    told = fork.SimpleQueue()
    dtypes = [torch.bfloat16, torch.float32 if is_mixed else torch.bfloat16]
    processes = [fork.Process(target=meet, args=(rank, port, dtypes, told)) for rank in (0, 1)]
    for process in processes:
        process.start()
    said = dict(told.get() for _ in processes)
    for process in processes:
        process.join()
    if not is_mixed:
        assert said == {0: "state0", 1: "state0"}
    for error in said.values() if is_mixed else ():
        assert "bfloat16, float32" in error and "train.precision" in error


def test_alone_nothing_is_changed():
    team = Team(torch.device("cpu"))
    images = torch.zeros(3, 3, 2, 2, dtype=torch.uint8)
    assert team.gather(images, 3) is images and team.leads and os.environ.get("RANK") is None
