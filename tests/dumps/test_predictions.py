"""What networks answer is what they answer when asked directly, for each kind of network."""

import numpy as np
import pytest
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader, read_json, write_json, write_tensors
from sightlines.datasets.split import order_labelled
from sightlines.dumps import predictions
from sightlines.dumps.passes import alone
from sightlines.dumps.predictions_reading import PredictionsDump
from tests.dumps.making_experiments import (
    RESNET,
    VIT,
    make_dataset,
    make_network,
    make_splits,
    open_shown,
)
from tests.dumps.making_experiments import record as write_record
from tests.rounding import assert_rounded

PUBLIC = {"family": "timm", "name": "test_vit", "weights": "random", "revision": "main"}
PUBLIC |= {"arguments": {}, "layers": [], "acts_as": "auto"}
SUMS = {"terms": 32 * 9 * 6 * 4, "dtype": np.float32}
"""How outputs round: sums of up to 32 · 9 terms in each of some layers."""
TEST, TRAIN, VALIDATION, TENTH = 60, 60, 11, 5
SEED = 4


@pytest.fixture
def dataset(tmp_path):
    return made(tmp_path)


def made(folder, classes=3, size_px=8):
    """A dataset and its splits."""
    dataset = make_dataset(folder / "data", size_px=size_px, classes=classes)
    make_splits(dataset, folder / "splits.safetensors", VALIDATION, TENTH)
    return dataset


def with_head(state):
    """A last layer that starts at 0 gets random weights: else all outputs are alike."""
    draw = np.random.default_rng(2)
    for name, values in state.items():
        if name.startswith(("head", "fc")) and not values.any():
            values[...] = draw.normal(0, 0.5, values.shape)


def recorded(folder, dataset, config, network=("vit", "f100", "s0"), **card):
    """Dump of a network of random weights; the entries of `card` are added to its own.

    Returns:
        The network and the dump's reader.
    """
    model = make_network(folder / "network", config, dataset, change=with_head)
    weights = TensorReader(folder / "network" / "weights.safetensors")
    model.load_state_dict({n: torch.from_numpy(np.array(weights[n])) for n in weights.names()})
    path = folder / "network" / "card.json"
    write_json(path, read_json(path) | card)
    shown = open_shown(folder / "network", dataset, folder / "splits.safetensors", network)
    content = alone(shown, predictions.record(shown, SEED))
    out = folder / "predictions.safetensors"
    write_tensors(out, gathered(content), content.meta)
    return model.eval(), PredictionsDump(out)


def gathered(content):
    """All tensors of a file that is to be written, each checked to be as declared."""
    parts = {name: [] for name in content.shapes}
    for name, array in content.tensors:
        parts[name].append(array)
    found = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    kinds = {"F32": np.float32, "I64": np.int64}
    for name, (code, shape) in content.shapes.items():
        assert (found[name].dtype, found[name].shape) == (kinds[code], shape)
    return found


def ordered(dataset, subset, images):
    """Images in the order of which probes use the first."""
    name = {"test": "probe_test", "validation": "probe_held_out", "train": "probe_train"}[subset]
    labels = np.load(dataset.parent / f"{'test' if subset == 'test' else 'train'}_labels.npy")
    return order_labelled(labels, np.array(images), SEED, name)


def asked(model, dataset, split, indices):
    """Outputs of a network for some images, all at once."""
    pixels = np.load(dataset.parent / f"{split}_images.npy")[indices].transpose(0, 3, 1, 2) / 255
    with torch.no_grad():
        return model(torch.from_numpy(((pixels - 0.5) / 0.25).astype(np.float32))).numpy()


def together(dump, subset):
    return np.concatenate(list(dump.logits(subset)))


@pytest.mark.whole
@pytest.mark.parametrize(
    ("config", "size_px"), [(VIT, 8), (RESNET, 8), (PUBLIC, 160)], ids=["vit", "resnet", "timm"]
)
def test_a_networks_own_outputs_for_its_images(tmp_path, config, size_px, timm_asked_here):
    dataset = made(tmp_path, size_px=size_px)
    model, dump = recorded(tmp_path, dataset, config, steps=7)
    splits = TensorReader(tmp_path / "splits.safetensors")
    assert dump.images == {"test": TEST, "validation": VALIDATION, "train": TRAIN - VALIDATION}
    assert dump.answers.tolist() == [0, 1, 2] and dump.outputs == 3 and not dump.is_imported
    assert dump.train_images == TRAIN - VALIDATION
    for subset, split in (("test", "test"), ("validation", "train"), ("train", "train")):
        indices = np.array(splits[subset])
        indices = indices if subset == "train" else ordered(dataset, subset, indices)
        assert_rounded(together(dump, subset), asked(model, dataset, split, indices), **SUMS)
        labels = np.load(dataset.parent / f"{split}_labels.npy")
        assert dump.labels(subset).tolist() == labels[indices].tolist()


def test_training_images_are_those_of_the_fraction_and_not_too_many(tmp_path, dataset, monkeypatch):
    splits = TensorReader(tmp_path / "splits.safetensors")
    labels = np.load(dataset.parent / "train_labels.npy")
    train, per_cent = np.array(splits["train"]), np.array(splits["train_from_per_cent"])
    _, dump = recorded(tmp_path, dataset, VIT, ("vit", "f010", "s0"), steps=7)
    assert dump.train_images == dump.images["train"] == TENTH
    assert dump.labels("train").tolist() == labels[train[per_cent == 10]].tolist()
    monkeypatch.setattr(predictions, "TRAIN_SHOWN", 7)
    _, dump = recorded(tmp_path, dataset, VIT, steps=7)
    assert dump.labels("train").tolist() == labels[train[::8]].tolist()


def test_an_imported_network_is_shown_all_images(tmp_path, dataset):
    model, dump = recorded(tmp_path, dataset, VIT, answers=[2, 0, 1])
    assert dump.is_imported and dump.train_images == 0 and sum(dump.images.values()) == 120
    others = np.setdiff1d(
        np.arange(TRAIN), TensorReader(tmp_path / "splits.safetensors")["validation"]
    )
    others = ordered(dataset, "train", others)
    assert_rounded(together(dump, "train"), asked(model, dataset, "train", others), **SUMS)
    assert dump.answers.tolist() == [2, 0, 1]


def test_an_untrained_network_is_shown_the_test_images_alone(tmp_path, dataset, monkeypatch):
    monkeypatch.setattr(predictions, "TWIN_SHOWN", 3)
    _, dump = recorded(tmp_path, dataset, VIT, ("vit", "f000", "s0"))
    assert dump.images == {"test": TEST} and dump.train_images == 0


def test_nothing_is_shown_to_a_twin_where_no_score_could_be_made(tmp_path, dataset, monkeypatch):
    monkeypatch.setattr(predictions, "TWIN_SHOWN", 3)
    _, dump = recorded(tmp_path, dataset, VIT, ("vit", "f000", "s0"), answers=[])
    assert dump.images == {"test": TEST}


def test_its_untrained_twin_is_shown_some_test_images(tmp_path, dataset, monkeypatch):
    monkeypatch.setattr(predictions, "TWIN_SHOWN", 3)
    model, dump = recorded(tmp_path, dataset, VIT, ("vit", "f000", "s0"), answers=[2, 0, 1])
    assert dump.images == {"test": 3}
    tests = TensorReader(tmp_path / "splits.safetensors")["test"]
    tests = ordered(dataset, "test", tests)[:3]
    assert_rounded(together(dump, "test"), asked(model, dataset, "test", tests), **SUMS)


def test_nothing_is_shown_where_no_score_could_be_made(tmp_path, dataset):
    _, dump = recorded(tmp_path, dataset, VIT, answers=[])
    assert dump.images == {"test": TEST} and dump.outputs == 3 and len(dump.answers) == 0
    assert TensorReader(dump.path).names() == ["labels.test"]


@pytest.mark.parametrize("answers", [[0, 1], [0, 1, 1], [0, 1, 3], [0, 1, -1], [0, 1, True], "012"])
def test_a_card_that_names_other_outputs_is_refused(tmp_path, dataset, answers):
    with pytest.raises(ResultError, match="card of vit/f100/s0 does not name one of its 3 outputs"):
        recorded(tmp_path, dataset, VIT, answers=answers)


def test_outputs_that_are_not_finite_are_refused(tmp_path, dataset):
    def spoil(state):
        state["head.weight"][...] = 3e38

    make_network(tmp_path / "network", VIT, dataset, change=spoil)
    where = (tmp_path / "network", dataset, tmp_path / "splits.safetensors")
    with pytest.raises(ResultError, match="outputs of vit/f000/s0 are not finite"):
        write_record("predictions", *where, tmp_path / "dump.safetensors", seed=SEED)
    assert not (tmp_path / "dump.safetensors").exists()


def test_a_single_class(tmp_path):
    dataset = made(tmp_path, classes=1)
    _, dump = recorded(tmp_path, dataset, VIT)
    assert dump.outputs == 1 and dump.chance == 1 and together(dump, "test").shape == (TEST, 1)
