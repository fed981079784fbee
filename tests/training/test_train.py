import csv
import json
import logging
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pytest
import torch

from sightlines.core.errors import ConfigError, ResultError, TrainingError
from sightlines.core.files import TensorReader, sha256, write_tensors
from sightlines.measures import accuracy, class_scores
from sightlines.models.building import load_network
from sightlines.plan.networks import Network
from sightlines.plan.schedule import Order
from sightlines.training import state
from sightlines.training.train import main
from sightlines.training.training import Training
from tests.rounding import rounded
from tests.training.jobs import (
    COMPUTE,
    LOSS,
    PUBLIC,
    RECIPE,
    RESNET,
    RESULTS,
    STILL_RATE,
    VIT,
    assert_still,
    job_config,
    make_job,
    predicted,
    result_bytes,
    scores,
    train,
)

PLAIN = {"randaugment_ops": 0, "mixup_alpha": 0, "cutmix_alpha": 0, "label_smoothing": 0}

HAS_BF16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""Whether torch computes in bfloat16 here, if only by emulation; without, `bf16` is refused."""
HAS_NATIVE_BF16 = (
    HAS_BF16
    and torch.cpu.get_capabilities().get("avx512_bf16", False)
    and not os.environ.get("ONEDNN_MAX_CPU_ISA")
)
NEEDS_NATIVE = pytest.mark.skipif(
    not HAS_NATIVE_BF16, reason="needs a processor with AVX512-BF16, and oneDNN without a limit"
)
LIMIT = ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
"""With this in the environment no processor has bfloat16 of its own."""


def states(folder):
    return [path for path in (folder / state.ROOT).glob("*") if path.is_dir()]


def run_in_child(folder, config):
    fork = multiprocessing.get_context("fork")
    child = fork.Process(target=train, args=(folder, "killed", config))
    child.start()
    return child


def saved_step(folder):
    found = list((folder / state.ROOT).glob("*/state.json"))
    return json.loads(found[0].read_text())["facts"]["step"] if found else -1


@pytest.mark.whole
@pytest.mark.parametrize(
    ("model", "steps", "recipe"),
    [
        (VIT, 150, {}),
        (
            *(RESNET, 150),
            {"optimizer": "sgd", "ema_decay": 0.0, "precision": "auto", "crop": "resized"},
        ),
        (VIT, 100, {"optimizer": "muon", "learning_rate": 0.01}),
        # Of which a step takes ten times as long.
        pytest.param(PUBLIC, 60, {}, marks=pytest.mark.thorough),
    ],
)
def test_killed_and_resumed_equals_uninterrupted(workplace, model, steps, recipe):
    config = job_config(model, steps=steps, **recipe)
    expected = result_bytes(train(workplace, "whole", config))
    often = config | {"compute": config["compute"] | {"checkpoint_every_s": 0.07}}
    pick, killed_at = random.Random(7), []
    for _ in range(3):
        child = run_in_child(workplace, often)
        reached = saved_step(workplace)
        while child.is_alive() and saved_step(workplace) <= reached:
            time.sleep(0.002)
        time.sleep(pick.uniform(0, 0.15))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        killed_at.append(saved_step(workplace))
    assert 0 <= killed_at[0] < killed_at[-1] and min(killed_at) < steps, killed_at
    assert not (workplace / "killed").exists() or not list((workplace / "killed").glob("*.json"))
    assert result_bytes(train(workplace, "killed", often)) == expected
    assert states(workplace) == []


def test_results_are_complete_and_consistent(workplace):
    out = train(workplace, "out", job_config(steps=40, **PLAIN))
    assert sorted(p.name for p in out.iterdir()) == sorted(RESULTS.values())
    dump = predicted(workplace, out)
    card = json.loads((out / "card.json").read_text())
    found = accuracy.row(dump, card)
    model, _ = load_network(out / "weights.safetensors", out / "card.json")
    assert found["steps"] == 40 and found["train_images"] == 82 and found["chance"] == 0.2
    assert found["parameters"] == sum(p.numel() for p in model.parameters())
    tables = class_scores.measure([dump])
    confusion = np.zeros((5, 5), np.int64)
    cells = tables["confusion.parquet"][0]
    confusion[cells["class"], cells["taken_for"]] = cells["images"]
    labels = np.load(workplace / "data" / "test_labels.npy")
    assert confusion.sum(1).tolist() == np.bincount(labels, minlength=5).tolist()
    assert found["accuracy_test"] == confusion.trace() / len(labels)
    pixels = np.load(workplace / "data" / "test_images.npy").transpose(0, 3, 1, 2) / 255
    mean, std = (np.array(card[k])[:, None, None] for k in ("mean", "std"))
    with torch.no_grad():
        logits = model(torch.from_numpy(((pixels - mean) / std).astype(np.float32)))
    taken = logits.argmax(1).numpy()
    assert confusion[1].tolist() == np.bincount(taken[labels == 1], minlength=5).tolist()
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
    assert found["loss_test"] == rounded(float(loss), **LOSS)
    assert card["grid"] == [2, 2] and card["network"] == "vit_small/f100/s0"
    assert card["architecture"]["heads"] == 3 and card["recipe"]["steps"] == 40


def test_history(workplace):
    out = train(workplace, "out", job_config())
    rows = list(csv.DictReader((out / "history.csv").read_text().splitlines()))
    assert list(rows[0]) == ["step", "split", "loss", "accuracy", "learning_rate"]
    steps = [(int(row["step"]), row["split"]) for row in rows]
    both = [(s, split) for s in (7, 14, 21, 23) for split in ("train", "validation")]
    assert steps == [(0, "validation"), *both]
    assert 0 <= float(rows[-1]["accuracy"]) <= 1
    last = scores(workplace, out)
    assert float(rows[-1]["accuracy"]) == rounded(
        last["accuracy_validation"], terms=1, dtype=np.float32
    )


@pytest.mark.whole
def test_learns(workplace):
    recipe = PLAIN | {"steps": 300, "batch_size": 41, "learning_rate": 0.01, "flip": False}
    plain = VIT | {"dropout": 0, "drop_path": 0}
    out = train(workplace, "out", job_config(plain, **recipe, crop="none"))
    assert scores(workplace, out)["accuracy_test"] > 0.6


def test_untrained_network_has_all_files_and_its_initial_weights(workplace):
    config = job_config(network=("vit_small", "f000", "s0"), shared_init=True)
    out = train(workplace, "out", config)
    assert sorted(p.name for p in out.iterdir()) == sorted(RESULTS.values())
    found = scores(workplace, out)
    assert found["steps"] == 0 and found["train_images"] == 0
    rows = list(csv.DictReader((out / "history.csv").read_text().splitlines()))
    assert [(row["step"], row["learning_rate"]) for row in rows] == [("0", "0")]
    # One step at a vanishing rate leaves a network at its own initial weights.
    still = job_config(steps=1, learning_rate=STILL_RATE, shared_init=True, ema_decay=0.0)
    other = train(workplace, "other", still)
    a, b = (TensorReader(f / "weights.safetensors") for f in (out, other))
    for name in a.names():
        assert_still(np.asarray(b[name]), np.asarray(a[name]))


def test_a_minibatch_larger_than_the_fraction(workplace):
    config = job_config(network=("vit_small", "f010", "s0"), steps=5)
    out = train(workplace, "out", config)
    found = scores(workplace, out)
    assert found["train_images"] == 8 < RECIPE["batch_size"] and found["steps"] == 5


def test_equal_epochs(workplace):
    config = job_config(network=("vit_small", "f010", "s0"), steps=30, budget="equal_epochs")
    out = train(workplace, "out", config)
    assert json.loads((out / "card.json").read_text())["steps"] == 3


OPTIONS = [
    {"batch_size": 11},
    {"optimizer": "sgd"},
    {"optimizer": "muon"},
    {"learning_rate": 0.002},
    {"momentum": 0.5},
    {"second_moment": 0.9},
    {"warmup_steps": 0},
    {"schedule": "linear"},
    {"weight_decay": 0.9},
    {"clip_norm": 0.01},
    {"label_smoothing": 0.3},
    {"ema_decay": 0.0},
    *([{"precision": "bf16"}] if HAS_BF16 else []),
    {"crop": "none"},
    {"crop": "resized"},
    {"crop": "resized", "crop_min_area": 0.9},
    {"crop_padding_px": 1},
    {"flip": False},
    {"randaugment_ops": 0},
    {"randaugment_ops": 3},
    {"randaugment_ops": 3, "randaugment_magnitude": 25},
    {"randaugment_groups": 1},
    {"mixup_alpha": 0},
    {"cutmix_alpha": 0},
    {"mix_probability": 0.0},
    {"shared_init": True},
]


@pytest.mark.whole
def test_every_option_changes_the_result(workplace):
    seen = {}
    for options in [{}, *OPTIONS]:
        out = train(workplace, "out", job_config(steps=6, **options))
        seen.setdefault((out / "weights.safetensors").read_bytes(), []).append(options)
    assert [same for same in seen.values() if len(same) > 1] == []


def test_networks_differ_and_compute_settings_without_effect_do_not_count(workplace):
    base = result_bytes(train(workplace, "a", job_config(steps=4)))
    other = train(workplace, "b", job_config(network=("vit_small", "f100", "s1"), steps=4))
    assert result_bytes(other)["weights.safetensors"] != base["weights.safetensors"]
    same = job_config(steps=4, compute={"checkpoint_every_s": 1e-9, "workers": 1})
    assert result_bytes(train(workplace, "c", same)) == base


def stop_at(monkeypatch, step):
    """Let the loss of that step not be finite; returns what undoes it."""
    honest = Training.loss

    def poisoned(self, images, batch):
        loss, right = honest(self, images, batch)
        return (loss * float("nan") if self.step == step else loss), right

    monkeypatch.setattr(Training, "loss", poisoned)
    return lambda: monkeypatch.setattr(Training, "loss", honest)


@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_loss_that_is_not_finite(workplace, monkeypatch, clip_norm):
    mend = stop_at(monkeypatch, 9)
    config = job_config(clip_norm=clip_norm)
    with pytest.raises(TrainingError) as error:
        train(workplace, "out", config)
    message = str(error.value)
    order = Order(3, Network("vit_small", "f100", "s0"), _fraction(workplace), 13)
    assert "loss is nan at step 9 of 23" in message
    assert ", ".join(map(str, order.batch(9)[:8])) in message
    (kept,) = states(workplace)
    assert kept.name in message and "after 9 steps" in message
    assert not (workplace / "out").exists()
    tensors, facts = state.StateFolder(kept, logging.getLogger()).load()
    assert facts["step"] == 9
    assert all(np.isfinite(value).all() for value in tensors.values())
    # The cause gone, the same command ends as if nothing had happened.
    mend()
    resumed = result_bytes(train(workplace, "out", config))
    assert states(workplace) == []
    assert resumed == result_bytes(train(workplace, "fresh", config))


def weights_of(folder):
    return (folder / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("is_native", [False, pytest.param(True, marks=NEEDS_NATIVE)])
@pytest.mark.whole
def test_auto_takes_bfloat16_only_where_it_is_native(workplace, monkeypatch, caplog, is_native):
    if not is_native:
        monkeypatch.setenv(*LIMIT)
    job = make_job(workplace, "auto", job_config(precision="auto"))
    with caplog.at_level(logging.INFO):
        main(job)
    taken, config = ("bfloat16", "bf16") if is_native else ("float32", "fp32")
    assert weights_of(workplace / "auto") == weights_of(
        train(workplace, "set", job_config(precision=config))
    )
    rule = f"auto: bfloat16 is {'' if is_native else 'not '}native"
    card = json.loads((workplace / "auto" / "card.json").read_text())
    assert card["recipe"]["precision"] == "auto"
    set_job = make_job(workplace, "again", job_config(precision=config))
    main(set_job)
    assert set_job.notes["precision"] == taken and config in set_job.notes["precision_why"]
    assert (job.notes["precision"], job.notes["precision_why"]) == (taken, rule)
    evidence = "avx512_bf16" if is_native else "=".join(LIMIT)
    assert evidence in job.notes["precision_evidence"]
    (told,) = [line for line in caplog.messages if line.startswith(f"trains in {taken} ")]
    assert rule in told and evidence in told


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_an_untrained_network_has_no_number_format(workplace, precision):
    """Nothing of it was computed in another format than float32, whatever the device has."""
    network = ("vit_small", "f000", "s0")
    job = make_job(workplace, "out", job_config(network=network, precision=precision))
    main(job)
    assert job.notes == {"device": "cpu", "precision": "float32"}
    assert "precision_why" not in job.notes
    plain = train(workplace, "plain", job_config(network=network, precision="fp32"))
    for name in set(RESULTS.values()) - {"card.json"}:
        assert (workplace / "out" / name).read_bytes() == (plain / name).read_bytes()


@pytest.mark.parametrize("other", [{"precision": "bfloat16"}, {"device": "Some GPU"}])
def test_a_state_of_another_format_or_device_is_not_taken_up(workplace, monkeypatch, caplog, other):
    config = job_config()
    expected = result_bytes(train(workplace, "fresh", config))
    mend = stop_at(monkeypatch, 9)
    with pytest.raises(TrainingError):
        train(workplace, "out", config)
    (kept,) = states(workplace)
    pointer = json.loads((kept / "state.json").read_text())
    assert pointer["facts"]["compute"] == {"device": "cpu", "precision": "float32"}
    pointer["facts"]["compute"] |= other
    (kept / "state.json").write_text(json.dumps(pointer))
    elsewhere = kept.rename(kept.with_name(kept.name[: state.TRAINING] + "0" * state.PLACE))
    mend()
    caplog.clear()
    assert result_bytes(train(workplace, "out", config)) == expected
    (told,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    (value,) = other.values()
    assert elsewhere.name in told and "step 9" in told and value in told
    assert "train.precision" in told
    assert states(workplace) == [elsewhere]


@NEEDS_NATIVE
def test_formats_do_not_mix_in_one_training(workplace, monkeypatch):
    """Begun where auto takes bfloat16, killed, and gone on where it takes float32."""
    config = job_config(precision="auto")
    mend = stop_at(monkeypatch, 9)
    with pytest.raises(TrainingError):
        train(workplace, "out", config)
    mend()
    monkeypatch.setenv(*LIMIT)
    mixed = weights_of(train(workplace, "out", config))
    assert mixed == weights_of(train(workplace, "all", job_config(precision="fp32")))


def _fraction(workplace):
    return np.array(TensorReader(workplace / "splits.safetensors")["train"])


def test_gradient_that_is_not_finite(workplace, monkeypatch):
    honest = Training.backward

    def poisoned(self, loss):
        norm = honest(self, loss)
        if self.step == 4:
            self.parameters[0].grad.fill_(float("inf"))
            return norm * float("inf")
        return norm

    monkeypatch.setattr(Training, "backward", poisoned)
    with pytest.raises(TrainingError, match=r"gradient's norm is inf at step 4 .* after 4 steps"):
        train(workplace, "out", job_config())


def test_divergence_for_real(workplace):
    wild = job_config(optimizer="sgd", learning_rate=1e30, warmup_steps=0, clip_norm=0.0)
    with pytest.raises(TrainingError, match=r"is (nan|inf) at step"):
        train(workplace, "out", wild)


def test_splits_of_another_dataset(workplace):
    write_tensors(workplace / "splits.safetensors", {}, {"dataset_sha256": "0"})
    with pytest.raises(ResultError, match="divides another dataset"):
        train(workplace, "out", job_config())


def test_impossible_crop_stops_before_training(workplace):
    with pytest.raises(ConfigError, match="crop_padding_px 8"):
        train(workplace, "out", job_config(crop_padding_px=8))
    assert states(workplace) == []


def test_state_of_another_recipe_is_left_alone(workplace, monkeypatch):
    folders = set()
    owned = state.StateFolder.owned

    def note(self, *arguments):
        folders.add(self.path)
        return owned(self, *arguments)

    monkeypatch.setattr(state.StateFolder, "owned", note)
    train(workplace, "out", job_config(steps=1))
    train(workplace, "out", job_config(steps=1, learning_rate=0.5))
    assert len(folders) == 2 and COMPUTE["threads"] == 1
    dataset = workplace / "data" / "dataset.json"
    dataset.write_text(dataset.read_text() + "\n")
    tensors = TensorReader(workplace / "splits.safetensors")
    arrays = {name: np.array(tensors[name]) for name in tensors.names()}
    write_tensors(workplace / "splits.safetensors", arrays, {"dataset_sha256": sha256(dataset)})
    train(workplace, "out", job_config(steps=1))
    assert len(folders) == 3
