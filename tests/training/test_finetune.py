"""A trained network is trained further on another task: its weights stay, its last layer is new."""

import json
import logging

import numpy as np
import pytest
import torch

from sightlines.core import seeds
from sightlines.core.errors import ResultError, WeightsError
from sightlines.core.files import TensorReader, write_json, write_tensors
from sightlines.jobs.command import Job
from sightlines.models import building
from sightlines.training import state
from sightlines.training.train import main
from sightlines.training.training import Training
from tests.rounding import rounded
from tests.training.jobs import (
    LOSS,
    RESNET,
    RESULTS,
    SIZE_PX,
    STILL_RATE,
    VIT,
    assert_still,
    job_config,
    result_bytes,
    scores,
    train,
    write_dataset,
    write_splits,
)

GAP = VIT | {"pool": "gap"}
BARE = VIT | {"skipless_block": 1, "skipless": "both"}
MIXER = {"family": "mixer", "patch_px": 4, "width": 12, "depth": 2, "token_ratio": 0.5}
MIXER |= {"mlp_ratio": 2, "drop_path": 0.1}
STILL = {"steps": 1, "learning_rate": STILL_RATE, "ema_decay": 0.0, "weight_decay": 0.0}
STILL |= {"warmup_steps": 0}
TASK_CLASSES = 3
TASK = ("task_splits.safetensors", "task")
"""Where the task's splits and images lie."""


@pytest.fixture
def task(workplace):
    """Another dataset, of other classes and colours, beside the first; and a trained network."""
    dataset = write_dataset(workplace / "task", classes=TASK_CLASSES, seed=23)
    facts = json.loads(dataset.read_text())
    write_json(dataset, facts | {"mean": [0.1, 0.2, 0.3], "std": [0.31, 0.32, 0.33]})
    write_splits(workplace / "task_splits.safetensors", dataset)
    return workplace


def tune_config(model=VIT, task="near", **recipe):
    return job_config(model, **recipe) | {"task": task}


def make_tuning(folder, out, config, start="start"):
    """A job that trains `folder/start` further; its results lie in `folder/out`."""
    return Job(
        name="finetune/tiny",
        config=json.loads(json.dumps(config)),
        inputs={
            "dataset": [folder / "task" / "dataset.json"],
            "splits": [folder / "task_splits.safetensors"],
            "start": [folder / start / "weights.safetensors"],
            "start_card": [folder / start / "card.json"],
        },
        outputs={name: [folder / out / file] for name, file in RESULTS.items()},
        source=folder,
        log=logging.getLogger("sightlines.tests"),
    )


def tune(folder, out, config, start="start"):
    main(make_tuning(folder, out, config, start))
    return folder / out


def weights(folder):
    reader = TensorReader(folder / "weights.safetensors")
    return {name: np.array(reader[name]) for name in reader.names()}


def heads_of(tensors):
    """Names of the last layer's tensors."""
    return {name for name in tensors if name.startswith("head.")}


@pytest.mark.parametrize("model", [VIT, GAP, RESNET, MIXER], ids=["cls", "gap", "resnet", "mixer"])
def test_training_starts_at_the_given_weights_with_a_new_last_layer(task, model):
    start = weights(train(task, "start", job_config(model, steps=3, warmup_steps=0)))
    out = tune(task, "tuned", tune_config(model, **STILL))
    tuned = weights(out)
    assert tuned.keys() == start.keys()
    assert len(heads_of(start)) == 2
    for name in start.keys() - heads_of(start):
        assert_still(tuned[name], start[name])
    for name in heads_of(start):
        assert (start[name].shape[0], tuned[name].shape[0]) == (5, TASK_CLASSES)
        assert tuned[name].shape[1:] == start[name].shape[1:]
        assert_still(tuned[name], np.zeros_like(tuned[name]))
    card = json.loads((out / "card.json").read_text())
    assert len(card["classes"]) == TASK_CLASSES
    assert scores(task, out, *TASK)["chance"] == 1 / 3


def test_all_weights_learn(task):
    plain = VIT | {"dropout": 0, "drop_path": 0}
    start = weights(train(task, "start", job_config(plain, steps=3, warmup_steps=0)))
    recipe = {"steps": 60, "batch_size": 41, "learning_rate": 0.01, "crop": "none", "flip": False}
    recipe |= {"randaugment_ops": 0, "mixup_alpha": 0, "cutmix_alpha": 0}
    out = tune(task, "tuned", tune_config(plain, **recipe))
    tuned = weights(out)
    for name in start.keys() - heads_of(start):
        assert np.abs(tuned[name] - start[name]).max() > 1e-4, name
    assert scores(task, out, *TASK)["accuracy_test"] > 0.6


def test_tasks_and_the_first_training_have_draws_of_their_own(task):
    """Order and augmentation of the minibatches are those of the task."""
    train(task, "start", job_config(steps=1, warmup_steps=0))
    roots = {
        name: json.loads((tune(task, "tuned", config) / "card.json").read_text())["root_seed"]
        for name, config in (
            ("near", tune_config(**STILL)),
            ("far", tune_config(task="far", **STILL)),
        )
    }
    assert roots["near"] == seeds.derive(3, "finetune", "near")
    assert len({*roots.values(), 3}) == 3


def test_images_are_normalised_as_those_of_the_first_training(task):
    train(task, "start", job_config(steps=2, warmup_steps=0))
    out = tune(task, "tuned", tune_config(steps=4, warmup_steps=0))
    cards = [json.loads((task / name / "card.json").read_text()) for name in ("start", "tuned")]
    for key in ("mean", "std"):
        assert cards[0][key] == cards[1][key]
    assert cards[1]["mean"] != json.loads((task / "task" / "dataset.json").read_text())["mean"]
    model, card = building.load_network(out / "weights.safetensors", out / "card.json")
    labels = np.load(task / "task" / "test_labels.npy")
    pixels = np.load(task / "task" / "test_images.npy").transpose(0, 3, 1, 2) / 255
    mean, std = (np.array(card[k])[:, None, None] for k in ("mean", "std"))
    with torch.no_grad():
        logits = model(torch.from_numpy(((pixels - mean) / std).astype(np.float32)))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
    found = scores(task, out, *TASK)["loss_test"]
    assert found == rounded(float(loss), **LOSS)


def test_a_network_for_other_images_is_refused(task):
    train(task, "start", job_config(steps=1, warmup_steps=0))
    dataset = write_dataset(task / "task", size_px=2 * SIZE_PX)
    write_splits(task / "task_splits.safetensors", dataset)
    with pytest.raises(ResultError, match=r"start/card\.json is of a network for images of 8 px"):
        tune(task, "tuned", tune_config(**STILL))
    assert not (task / "tuned").exists() and not list((task / state.ROOT).glob("*"))


@pytest.mark.parametrize("missing", ["mean", "std"])
def test_a_card_without_normalisation_is_refused(task, missing):
    card = train(task, "start", job_config(steps=1, warmup_steps=0)) / "card.json"
    facts = json.loads(card.read_text())
    del facts[missing]
    write_json(card, facts)
    with pytest.raises(ResultError, match=rf"card\.json lacks {missing}"):
        tune(task, "tuned", tune_config(**STILL))


def test_damaged_weights_are_refused(task):
    out = train(task, "start", job_config(steps=1, warmup_steps=0))
    tensors = weights(out)
    tensors["cls_token"][...] = np.nan
    del tensors["norm.weight"]
    write_tensors(out / "weights.safetensors", tensors, {})
    with pytest.raises(WeightsError, match=r"(?s)norm\.weight: missing.*cls_token: 12 not finite"):
        tune(task, "tuned", tune_config(**STILL))


@pytest.mark.whole
@pytest.mark.parametrize("model", [VIT, RESNET], ids=["vit", "resnet"])
def test_interrupted_and_resumed_equals_uninterrupted(task, monkeypatch, model):
    train(task, "start", job_config(model, steps=2, warmup_steps=0))
    config = tune_config(model, compute={"checkpoint_every_s": 1e-9})
    expected = result_bytes(tune(task, "whole", config))
    honest = Training.update

    def interrupted(self):
        if self.step == 11:
            raise KeyboardInterrupt
        honest(self)

    monkeypatch.setattr(Training, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(task, "tuned", config)
    (folder,) = (task / state.ROOT).glob("*")
    step = json.loads((folder / "state.json").read_text())["facts"]["step"]
    assert 0 < step <= 11 and not (task / "tuned").exists()
    steps = []

    def counted(self):
        steps.append(self.step)
        honest(self)

    monkeypatch.setattr(Training, "update", counted)
    assert result_bytes(tune(task, "tuned", config)) == expected
    assert steps[0] == step > 0 and steps[-1] == 22
    assert not folder.exists()


def test_state_depends_on_the_start_and_on_the_task(task, monkeypatch):
    """A half-done training is never taken up with another network under it."""
    folders = []
    owned = state.StateFolder.owned

    def note(self, *arguments):
        folders.append(self.path.name)
        return owned(self, *arguments)

    train(task, "start", job_config(steps=1, warmup_steps=0))
    train(task, "other", job_config(steps=2, warmup_steps=0))
    monkeypatch.setattr(state.StateFolder, "owned", note)
    tune(task, "tuned", tune_config(**STILL))
    tune(task, "tuned", tune_config(**STILL))
    tune(task, "tuned", tune_config(**STILL), "other")
    tune(task, "tuned", tune_config(task="far", **STILL))
    card = json.loads((task / "start" / "card.json").read_text())
    write_json(task / "start" / "card.json", card | {"mean": [0.5, 0.5, 0.5]})
    tune(task, "tuned", tune_config(**STILL))
    assert folders[0] == folders[1] and len(set(folders)) == 4


def test_two_runs_give_the_same_bytes_and_another_start_others(task):
    train(task, "start", job_config(steps=3, warmup_steps=0))
    train(task, "other", job_config(steps=4, warmup_steps=0))
    config = tune_config(steps=3, warmup_steps=0)
    first = result_bytes(tune(task, "a", config))
    assert result_bytes(tune(task, "b", config)) == first
    other = result_bytes(tune(task, "c", config, "other"))
    assert other["weights.safetensors"] != first["weights.safetensors"]


@pytest.mark.parametrize(
    "model", [VIT, GAP, RESNET, MIXER, BARE], ids=["cls", "gap", "resnet", "mixer", "skipless"]
)
def test_a_new_head_changes_nothing_else(model):
    network = building.build(model, SIZE_PX, 5, seed=1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    kinds = [type(module) for module in network.modules()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert building.with_new_head(network, 7) is network
    assert torch.equal(torch.rand(3), expected), "the global random state is as it was"
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert [type(module) for module in network.modules()] == kinds
    for name in before.keys() - heads_of(before):
        assert torch.equal(after[name], before[name])
    assert len(heads_of(before)) == 2
    assert not any(after[name].any() for name in heads_of(before))
    images = torch.rand(2, 3, SIZE_PX, SIZE_PX)
    assert torch.equal(network.eval()(images), torch.zeros(2, 7))
