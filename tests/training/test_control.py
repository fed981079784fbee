"""A control is made of an untrained network, the same bytes every time."""

import re

import numpy as np
import pytest

from sightlines.core.files import TensorReader, read_json
from sightlines.jobs.command import Job
from sightlines.plan.networks import Network, as_initialised
from sightlines.training import control
from tests.training.jobs import (
    COMPUTE,
    PUBLIC,
    RESNET,
    RESULTS,
    job_config,
    make_job,
    result_bytes,
    train,
    write_dataset,
    write_splits,
)

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    (folder / "data").mkdir()
    dataset = write_dataset(folder / "data", size_px=16)
    write_splits(folder / "splits.safetensors", dataset)
    for name, model in (("resnet", RESNET), ("mobilenet", PUBLIC)):
        train(folder, name, job_config(model, (name, "f000", "s0")))
    return folder


def switch_on(folder, name, out, seed="s0_on"):
    """Run the command on an untrained network, and return the folder of its results."""
    config = {"network": [name, "f000", seed], "seed": 3, "compute": COMPUTE}
    job = make_job(folder, out, config)
    inputs = {"start": "weights.safetensors", "start_card": "card.json"}
    started = {key: [folder / name / file] for key, file in inputs.items()}
    control.main(Job(**{**vars(job), "inputs": job.inputs | started}))
    return folder / out


def read(folder):
    reader = TensorReader(folder / RESULTS["weights"])
    return {name: np.array(reader[name]) for name in reader.names()}


def changed(folder, name, out):
    before, after = read(folder / name), read(folder / out)
    assert before.keys() == after.keys()
    return {key for key in before if not np.array_equal(before[key], after[key])}


def test_a_resnets_last_norms_are_switched_on_and_nothing_else(here):
    card = read_json(switch_on(here, "resnet", "on") / "card.json")
    scales = {f"stages.{s}.blocks.0.norm3.weight" for s in (0, 1)}
    assert changed(here, "resnet", "on") == scales == {*card["control"]["scales"]}
    assert card["control"]["scale"] == 1
    assert all((read(here / "on")[name] == 1).all() for name in scales)
    assert card["control"]["statistics_images"] == 0
    assert card["control"]["least_branch"] > control.LEAST
    assert (card["network"], card["seed"], card["fraction"]) == (
        *("resnet/f000/s0_on", "s0_on"),
        "f000",
    )
    assert len((here / "on" / "history.csv").read_text().splitlines()) == 1


def test_batch_norms_statistics_are_of_training_images(here):
    card = read_json(switch_on(here, "mobilenet", "norms") / "card.json")
    found = changed(here, "mobilenet", "norms")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert found and {name.rpartition(".")[2] for name in found} == {*statistics}
    assert card["control"]["scales"] == [] and card["control"]["statistics_images"] == 82
    assert card["control"]["least_branch"] > control.LEAST


def test_a_control_has_the_same_bytes_every_time(here):
    for name in ("resnet", "mobilenet"):
        one, other = (result_bytes(switch_on(here, name, f"{name}{i}")) for i in range(2))
        assert one == other


def test_minibatches_are_drawn_by_the_initialisation():
    images = np.arange(5000)
    on, other = Network("m", "f000", "s0_on"), Network("m", "f000", "s1_on")
    drawn = control.minibatches(3, on, images)
    assert [len(part) for part in drawn] == [control.IMAGES] * control.MINIBATCHES
    assert len({*np.concatenate(drawn)}) == control.IMAGES * control.MINIBATCHES
    again = control.minibatches(3, as_initialised(on), images)
    assert all(np.array_equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert not np.array_equal(drawn[0], control.minibatches(3, other, images)[0])
    assert [len(part) for part in control.minibatches(3, on, images[:150])] == [75, 75]
    assert [len(part) for part in control.minibatches(3, on, images[:9])] == [9]


def test_branches_that_stay_idle_are_said(here, monkeypatch, caplog):
    monkeypatch.setattr(control.idle, "SCALE", re.compile("nothing"))
    monkeypatch.setattr(control.idle, "SMALL", -1)
    switch_on(here, "resnet", "idle")
    assert "has 0 of its skip connection's norm" in caplog.text
