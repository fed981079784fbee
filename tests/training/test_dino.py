"""Training by self-distillation: steps, checkpoints, and what is kept."""

import csv
import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from timm.layers import resample_abs_pos_embed

from sightlines.core import seeds
from sightlines.core.errors import TrainingError
from sightlines.core.files import TensorReader
from sightlines.models.building import build, load_network, with_new_head
from sightlines.plan import objectives
from sightlines.plan.networks import Network
from sightlines.plan.schedule import init_seed
from sightlines.training import state
from sightlines.training.dino import schedules
from sightlines.training.dino.distillation import Distillation
from sightlines.training.dino.head import Head, Learner, width_of
from sightlines.training.team import Team
from tests.rounding import bound, rounded
from tests.training.dino import (
    VIT8,
    dino_config,
    distil,
    distillation,
    pixels,
)
from tests.training.jobs import (
    PUBLIC,
    RECIPE,
    RESNET,
    RESULTS,
    SIZE_PX,
    predicted,
    result_bytes,
    scores,
)

MIXER = {
    "family": "mixer",
    "patch_px": 4,
    "width": 12,
    "depth": 2,
    "token_ratio": 0.5,
    "mlp_ratio": 2,
    "drop_path": 0,
}
FNET = {
    "family": "fnet",
    "patch_px": 2,
    "width": 12,
    "depth": 2,
    "mixing": "fourier",
    "axes": "raster",
    "norm": "pre",
    "pool": "gap",
    "attention_blocks": [],
    "heads": 1,
    "mlp_ratio": 2,
    "drop_path": 0,
    "position_init": "random",
    "position_scale": 1,
}
STILL = VIT8 | {"dropout": 0, "drop_path": 0}


def states(folder):
    return [path for path in (folder / state.ROOT).glob("*") if path.is_dir()]


def saved_step(folder):
    found = list((folder / state.ROOT).glob("*/state.json"))
    return json.loads(found[0].read_text())["facts"]["step"] if found else -1


def rows_of(out):
    return list(csv.DictReader((out / "history.csv").read_text().splitlines()))


def take_step(training, step=0, count=13):
    images, batch = pixels(training, count, step)
    loss, _ = training.loss(images, batch)
    training.backward(loss)
    training.update()
    return loss.item()


@pytest.mark.whole
@pytest.mark.parametrize("model", [VIT8, RESNET])
def test_killed_and_resumed_equals_uninterrupted(workplace, model):
    steps = 90
    config = dino_config(model, steps=steps)
    expected = result_bytes(distil(workplace, "whole", config))
    often = config | {"compute": config["compute"] | {"checkpoint_every_s": 0.07}}
    pick, killed_at = random.Random(7), []
    for _ in range(2):
        fork = multiprocessing.get_context("fork")
        child = fork.Process(target=distil, args=(workplace, "killed", often))
        child.start()
        reached = saved_step(workplace)
        while child.is_alive() and saved_step(workplace) <= reached:
            time.sleep(0.002)
        time.sleep(pick.uniform(0, 0.15))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        killed_at.append(saved_step(workplace))
    assert 0 <= killed_at[0] < killed_at[-1] < steps, killed_at
    assert result_bytes(distil(workplace, "killed", often)) == expected
    assert states(workplace) == []


@pytest.mark.parametrize("what", ["loss", "gradient's norm"])
@pytest.mark.whole
def test_what_is_not_finite_stops_and_is_taken_up_again(workplace, monkeypatch, what):
    """In the 9th step, when the teacher, the centre and both moments of AdamW are under way."""
    honest = {name: getattr(Distillation, name) for name in ("loss", "backward")}

    def poisoned_loss(self, images, batch):
        loss, right = honest["loss"](self, images, batch)
        return (loss * float("nan") if self.step == 9 else loss), right

    def poisoned_gradient(self, loss):
        norm = honest["backward"](self, loss)
        return norm * float("inf") if self.step == 9 else norm

    if what == "loss":
        monkeypatch.setattr(Distillation, "loss", poisoned_loss)
    else:
        monkeypatch.setattr(Distillation, "backward", poisoned_gradient)
    config = dino_config(steps=16)
    with pytest.raises(
        TrainingError, match=rf"{what} is (nan|inf) at step 9 of 16 .*after 9 steps"
    ):
        distil(workplace, "out", config)
    (kept,) = states(workplace)
    tensors, facts = state.StateFolder(kept, logging.getLogger()).load()
    assert facts["step"] == 9 and np.isfinite(tensors["centre"]).all()
    monkeypatch.undo()
    monkeypatch.chdir(workplace)
    resumed = result_bytes(distil(workplace, "out", config))
    assert states(workplace) == []
    assert resumed == result_bytes(distil(workplace, "fresh", config))


def test_what_is_kept_is_the_teachers_network_without_a_last_layer(workplace):
    out = distil(workplace, "out", dino_config(steps=8))
    assert sorted(p.name for p in out.iterdir()) == sorted(RESULTS.values())
    model, card = load_network(out / "weights.safetensors", out / "card.json")
    assert card["classes"] == card["answers"] == [] and card["grid"] == [4, 4]
    assert card["recipe"]["objective"] == "dino" and card["recipe"]["dino"]["out_dim"] == 24
    assert "mixup_alpha" not in card["recipe"], "what it does not follow is no part of it"
    images = torch.zeros(3, 3, SIZE_PX, SIZE_PX)
    assert model(images).shape == (3, VIT8["width"])
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    assert not any(name.startswith("head") for name in model.state_dict())
    tuned = with_new_head(model, 4)
    assert tuned(images).shape == (3, 4)


def test_predictions_are_left_out_and_say_so(workplace):
    out = distil(workplace, "out", dino_config(steps=4))
    dump = predicted(workplace, out)
    assert len(dump.answers) == 0 and dump.outputs == 0 and dump.train_images == 82
    row = scores(workplace, out)
    assert row["accuracy_test"] is None and row["steps"] == 4 and row["train_images"] == 82
    assert "without labels" in row["class_order_note"]


def test_history_has_losses_and_no_accuracy(workplace):
    rows = rows_of(distil(workplace, "out", dino_config(steps=10)))
    assert [(row["step"], row["split"]) for row in rows] == [
        ("0", "validation"),
        *[(str(s), split) for s in (7, 10) for split in ("train", "validation")],
    ]
    assert {row["accuracy"] for row in rows} == {""}
    assert all(float(row["loss"]) > 0 for row in rows)


def test_an_untrained_network_is_its_initial_weights(workplace):
    out = distil(workplace, "out", dino_config(network=("vit_small", "f000", "s0")))
    assert [(row["step"], row["learning_rate"]) for row in rows_of(out)] == [("0", "0")]
    reader = TensorReader(out / "weights.safetensors")
    seed = init_seed(3, Network("vit_small", "f000", "s0"), is_shared=False)
    for name, value in build(VIT8, SIZE_PX, 0, seed).state_dict().items():
        assert np.array_equal(reader[name], value.numpy()), name


@pytest.mark.parametrize("model", [RESNET, MIXER, FNET])
def test_other_families(workplace, model):
    """Small crops of the own size where a network mixes a fixed number of tokens."""
    config = dino_config(model, ("other", "f100", "s0"), steps=3)
    training = distillation(workplace, config)
    images, _ = pixels(training)
    drawn = training.augmentation.draw(len(images), np.random.default_rng(0))
    _, small = training.augmentation.make(images, drawn)
    assert small.shape[-1] == (3 if model is RESNET else SIZE_PX)
    assert np.isfinite(take_step(training))
    out = distil(workplace, "out", config)
    model, _ = load_network(out / "weights.safetensors", out / "card.json")
    assert torch.isfinite(model(torch.zeros(2, 3, SIZE_PX, SIZE_PX))).all()


def test_the_teacher_is_the_moving_average_of_the_student(workplace):
    """A twin in double precision, over some steps; and it never learns by itself."""
    training = distillation(workplace, dino_config(STILL, steps=12, dino={"teacher_momentum": 0.7}))
    twin = [p.detach().double().clone() for p in training.teacher.parameters()]
    start = [p.clone() for p in twin]
    settings = training.plan.recipe["dino"]
    for step in range(5):
        take_step(training, step)
        share = schedules.teacher_momentum(step, 12, settings)
        twin = [
            share * old + (1 - share) * own.detach().double()
            for old, own in zip(twin, training.model.parameters(), strict=True)
        ]
    moved = max(float((a - b).abs().max()) for a, b in zip(twin, start, strict=True))
    for found, expected in zip(training.teacher.parameters(), twin, strict=True):
        assert found.grad is None and not found.requires_grad
        limit = bound(float(expected.abs().max()), terms=5, dtype=np.float32)
        assert float((found.double() - expected).abs().max()) <= limit < moved / 100


def test_the_centre_moves_to_the_mean_of_the_teachers_outputs(workplace):
    training = distillation(workplace, dino_config(STILL))
    images, _ = pixels(training)
    names = (*training.plan.network, "views", 0)
    drawn = training.augmentation.draw(13, seeds.generator(training.plan.root, *names))
    with torch.no_grad():
        _, teacher = training._outputs(images, drawn)
    assert not training.centre.any()
    take_step(training)
    expected = 0.1 * teacher.double().mean((0, 1))
    assert training.centre.numpy() == rounded(expected.numpy(), terms=26, dtype=np.float32)


def test_gradients_reach_all_of_the_student_and_nothing_of_the_teacher(workplace):
    training = distillation(workplace, dino_config(STILL, dino={"freeze_last_layer": 0}))
    images, batch = pixels(training)
    loss, right = training.loss(images, batch)
    loss.backward()
    assert int(right) == 0
    without = {
        n for n, p in training.model.named_parameters() if p.grad is None or not p.grad.any()
    }
    # A bias of keys changes no softmax, so the gradient of qkv's bias is partly none, not wholly.
    assert without == set()
    assert all(p.grad is None for p in training.teacher.parameters())


def test_the_last_layer_waits_for_its_epoch(workplace):
    """82 images of 13 a step: 7 steps, in which decay leaves it alone, too."""
    training = distillation(workplace, dino_config(STILL, steps=12))
    start = training.model.head.directions.detach().clone()
    hidden = training.model.head.mlp[0].weight.detach().clone()
    for step in range(7):
        take_step(training, step % 6)
        assert torch.equal(training.model.head.directions, start), step
    assert not torch.equal(training.model.head.mlp[0].weight, hidden)
    take_step(training, 1)
    assert not torch.equal(training.model.head.directions, start)


def test_weight_decay_follows_its_schedule(workplace):
    training = distillation(workplace, dino_config(STILL, steps=8))
    seen = []
    for step in range(3):
        take_step(training, step)
        decayed, other = training.optimizer.param_groups
        seen.append(decayed["weight_decay"])
        assert other["weight_decay"] == 0
    settings = training.plan.recipe["dino"]
    assert seen == [
        schedules.weight_decay(step, 8, RECIPE["weight_decay"], settings) for step in range(3)
    ]


def test_weight_decay_of_muon_follows_the_same_schedule(workplace):
    training = distillation(workplace, dino_config(STILL, steps=8, optimizer="muon"))
    take_step(training)
    decay = schedules.weight_decay(0, 8, RECIPE["weight_decay"], training.plan.recipe["dino"])
    groups = training.optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [decay, decay, 0]
    directions = training.model.head.directions
    assert all(directions is not each for each in groups[0]["params"])
    assert any(directions is each for each in groups[1]["params"])


def test_outputs_are_cosines_and_directions_turn_alone():
    torch.manual_seed(0)
    head = Head(12, 20, 8, 24)
    features = torch.randn(50, 12)
    with torch.no_grad():
        outputs = head(features)
        head.directions *= torch.linspace(0.1, 9, 24)[:, None]
        again = head(features)
    assert outputs.shape == (50, 24) and float(outputs.abs().max()) <= 1 + 1e-6
    assert torch.allclose(again, outputs, atol=1e-6)


def test_positions_of_small_crops_are_those_of_a_network_that_resamples_them(workplace):
    """timm's own resampling, which has no repeatable gradient on a GPU."""
    backbone = build(STILL, SIZE_PX, 0, seed=2).eval()
    learner = Learner(backbone, Head(12, 20, 8, 24), SIZE_PX, 4)
    images = torch.randn(5, 3, 4, 4)
    found = learner.embed(images)
    resampled = resample_abs_pos_embed(backbone.pos_embed, (2, 2), (4, 4), num_prefix_tokens=1)
    other = build(STILL, 4, 0, seed=2).eval()
    weights = backbone.state_dict() | {"pos_embed": resampled}
    other.load_state_dict(weights)
    assert torch.allclose(found, other(images), atol=1e-5)
    found.sum().backward()
    assert backbone.pos_embed.grad[0, 1:].abs().min() > 0
    whole = torch.randn(5, 3, SIZE_PX, SIZE_PX)
    assert torch.equal(learner.embed(whole), backbone(whole))


def test_a_network_without_position_embeddings_is_shown_small_crops_as_they_are():
    backbone = build(PUBLIC, SIZE_PX, 0, seed=1).eval()
    backbone.patch_embed = backbone.conv_stem  # as some convolutional networks of timm call it
    learner = Learner(backbone, Head(width_of(backbone), 20, 8, 24), SIZE_PX, 4)
    images = torch.randn(5, 3, 4, 4)
    assert torch.equal(learner.embed(images), backbone(images))


def test_a_step_depends_on_nothing_but_its_number(workplace):
    """The same minibatch after other steps and other draws has the same loss."""
    config = dino_config(STILL)
    first, second = distillation(workplace, config), distillation(workplace, config)
    images, batch = pixels(first)
    torch.manual_seed(5)
    np.random.default_rng(1).random(3)
    second.score(batch, 4)
    assert torch.equal(first.loss(images, batch)[0], second.loss(images, batch)[0])
    second.step = 1
    assert not torch.equal(first.loss(images, batch)[0], second.loss(images, batch)[0])


def test_validation_is_the_same_whenever_it_is_asked_for(workplace):
    training = distillation(workplace, dino_config())
    images = np.arange(20)
    one = training.score(images, 7)
    assert training.model.training, "left as it was"
    assert training.score(images, 7) == one
    take_step(training)
    assert training.score(images, 7) != one
    with torch.no_grad():
        training.teacher.head.directions.fill_(float("nan"))
    with pytest.raises(TrainingError, match="20 validation images is nan"):
        training.score(images, 7)


def test_a_collapse_is_told(workplace, caplog):
    training = distillation(workplace)
    log = logging.getLogger("sightlines.tests")
    with caplog.at_level(logging.INFO):
        training.score(np.arange(20), 7)
        training.tell(log)
    assert "collapsed" not in caplog.text and "nats of the image" in caplog.text
    with torch.no_grad():
        training.teacher.head.mlp[4].weight.zero_()
        training.teacher.head.mlp[4].bias.fill_(1.0)
    with caplog.at_level(logging.INFO):
        training.score(np.arange(20), 7)
        training.tell(log)
    assert "collapsed" in caplog.text and "teacher_temperature" in caplog.text


CHANGES = [
    {},
    {"learning_rate": 0.002},
    {"weight_decay": 0.2},
    {"clip_norm": 0.001},
    {"flip": False},
    {"shared_init": True},
    {"batch_size": 11},
    *[{"dino": own} for own in (
        {"out_dim": 25},
        {"hidden_dim": 21},
        {"bottleneck_dim": 9},
        {"local_crops": 3},
        {"local_px": 6},
        {"global_min_area": 0.5},
        {"local_min_area": 0.1},
        {"local_max_area": 0.5},
        {"jitter": 0.1},
        {"grey": 0.9},
        {"blur": 0.1},
        {"solarise": 0.9},
        {"student_temperature": 0.2},
        {"teacher_temperature": 0.05},
        {"teacher_temperature_start": 0.05},
        {"teacher_warmup": 0.9},
        {"teacher_momentum": 0.9},
        {"centre_momentum": 0.5},
        {"weight_decay_end": 0.1},
        {"freeze_last_layer": 0.1},
    )],
]  # fmt: skip


@pytest.mark.whole
def test_every_option_changes_the_result(workplace):
    seen = {}
    for options in CHANGES:
        changes = dict(options)
        dino = changes.pop("dino", {})
        out = distil(workplace, "out", dino_config(steps=9, dino=dino, **changes))
        seen.setdefault((out / "weights.safetensors").read_bytes(), []).append(options)
    assert [same for same in seen.values() if len(same) > 1] == []
    told = {key for options in CHANGES for key in options.get("dino", ())}
    assert told == objectives.settings("dino", {}).keys()


LEARNING = {
    "batch_size": 41,
    "learning_rate": 0.001,
    "warmup_steps": 20,
    "weight_decay": 0.04,
    "clip_norm": 3.0,
}
SLOW = {
    "teacher_momentum": 0.99,
    "teacher_temperature": 0.04,
    "freeze_last_layer": 0,
    "out_dim": 32,
}
"""A teacher that is slow: one as fast as the centre would be led to one answer."""
PLAIN = {"jitter": 0.0, "grey": 0.0, "blur": 0.0, "solarise": 0.0}
"""Colour is all that these images have."""


@pytest.mark.whole
def test_the_loss_falls(workplace, caplog):
    config = dino_config(STILL, dino=SLOW | PLAIN, steps=160, evaluate_every_steps=40, **LEARNING)
    rows = rows_of(distil(workplace, "out", config))
    losses = [float(row["loss"]) for row in rows if row["split"] == "validation"]
    assert losses[-1] < 0.6 * losses[0] and losses[-1] < 0.5 * np.log(32), losses
    assert "collapsed" not in caplog.text


def command(folder, name, config):
    words = [sys.executable, "-m", "sightlines.training.objectives.dino"]
    words += ["--config", json.dumps(config)]
    words += ["--input", "dataset", str(folder / "data/dataset.json")]
    words += ["--input", "splits", str(folder / "splits.safetensors")]
    for key, file in RESULTS.items():
        words += ["--output", key, f"results/x/{name}/{file}"]
    return [*words, "--log", f"results/x/logs/{name}.log"]


@pytest.mark.whole
@pytest.mark.thorough
def test_two_processes_end_where_one_ends(workplace):
    """15 images: the two have shares of different size; with SGD, as for supervised training."""
    found = {}
    for name, processes in (("one", 1), ("two", 2)):
        changes = {"optimizer": "sgd", "processes": processes, "batch_size": 15, "steps": 10}
        config = dino_config(STILL, dino={"freeze_last_layer": 0.5}, **changes)
        done = subprocess.run(
            command(workplace, name, config), cwd=workplace, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        reader = TensorReader(workplace / f"results/x/{name}/weights.safetensors")
        found[name] = {key: np.array(reader[key]) for key in reader.names()}
    for key, own in found["one"].items():
        # Sums over 15 images, 6 views and 48 inputs, in 10 steps.
        limit = bound(np.abs(own).max(), terms=15 * 6 * 48 * 10, dtype=np.float32)
        assert np.abs(own - found["two"][key]).max() <= limit, key


def test_a_job_of_a_part_has_the_loss_of_its_part(workplace):
    """What several processes have is the loss of one, taken apart; so are their gradients."""
    alone = distillation(workplace, dino_config(STILL))
    images, batch = pixels(alone)
    whole, _ = alone.loss(images, batch)
    parts = []
    for rank in range(2):
        team = Team(torch.device("cpu"))
        team.rank, team.size, team.add = rank, 2, lambda value: value
        member = distillation(workplace, dino_config(STILL), team)
        parts.append(member.loss(images, batch)[0].item())
    assert sum(parts) == rounded(whole.item(), terms=13 * 24 * 6, dtype=np.float32)
    assert parts[0] != parts[1]
