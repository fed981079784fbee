import numpy as np
import pytest
import torch

from sightlines.core import files
from sightlines.core.errors import ResultError
from sightlines.datasets.reading import normalise
from sightlines.dumps import token_features
from sightlines.dumps.features_reading import LabelledDump
from sightlines.dumps.labelled import SUBSETS, probe_depths
from sightlines.models.building import layers_of
from sightlines.models.layers import Layer, block_outputs, capture
from tests.dumps.making_experiments import (
    RESNET,
    VIT,
    make_dataset,
    make_network,
    make_probes,
    record,
)
from tests.reference.pooling_loops import slow_grid
from tests.rounding import assert_rounded

GAP = VIT | {"pool": "gap"}
STAGES = RESNET | {"units": [1, 1, 2], "channels": [32, 64, 128]}
PROBES = {"token_depths": 2, "token_train": 9, "token_held_out": 4, "token_test": 5}
USES = {"features": {}, "token_features": {"probes": PROBES}}
SIZES = (11, 5, 3)
# Sums of up to 32 · 9 terms, three convolutions and norms in each of four units.
SUMS = {"terms": 32 * 9 * 6 * 4, "dtype": np.float32}


@pytest.fixture
def dataset(tmp_path):
    made = make_dataset(tmp_path / "data")
    make_probes(made, tmp_path / "probes.safetensors", SIZES)
    return made


def dump(tmp_path, dataset, kind, config, trained_on=None):
    """Make one dump; `trained_on` is the network's own dataset where it is another."""
    folder = tmp_path / "network"
    model = make_network(folder, config, trained_on or dataset)
    path = folder / f"{kind}.safetensors"
    record(kind, folder, dataset, tmp_path / "probes.safetensors", path, **USES[kind])
    return model.eval(), path


def values(tmp_path, dataset, model, config):
    """Every probed layer's value for all images of the probes file, in its order."""
    splits = files.TensorReader(tmp_path / "probes.safetensors")
    parts = (("train", "probe_train"), ("train", "probe_held_out"), ("test", "probe_test"))
    pixels = [np.load(dataset.parent / f"{s}_images.npy")[splits[name]] for s, name in parts]
    pixels = np.concatenate(pixels).transpose(0, 3, 1, 2)
    images = normalise(torch.from_numpy(np.ascontiguousarray(pixels)), [0.5] * 3, [0.25] * 3)
    layers, kept = block_outputs(layers_of(config["family"], model)), {}
    with (
        torch.inference_mode(),
        capture(model, layers, lambda i, x: kept.update({layers[i].name: x.double().numpy()})),
    ):
        model(images)
    return kept


@pytest.mark.parametrize("config", [VIT, GAP, STAGES], ids=["cls", "gap", "resnet"])
def test_features_are_pooled_block_outputs(tmp_path, dataset, config):
    model, path = dump(tmp_path, dataset, "features", config)
    found, kept = LabelledDump(path), values(tmp_path, dataset, model, config)
    assert found.layers == list(kept) and found.meta["patches"] == 4
    assert found.depths == ([0, 1 / 3, 2 / 3, 1] if config is STAGES else [0, 1, 1])
    last = next(reversed(kept.values())).shape[1:]
    for name, x in kept.items():
        if x.ndim == 3:
            first = 1 if config is VIT else 0
            expected = {"mean": x[:, first:].mean(1), "first": x[:, first]}
            expected |= {"cls": x[:, 0]} if config is VIT else {}
        else:
            expected = {"mean": np.array([slow_grid(m, last).mean((1, 2)) for m in x])}
        for kind in ("cls", "mean", "first"):
            assert (f"{kind}.{name}" in found) == (kind in expected)
        for kind, value in expected.items():
            size = np.abs(x).max()
            assert_rounded(found.features(f"{kind}.{name}"), value, name, size=size, **SUMS)
    if config is STAGES:
        widths = [found.features(f"mean.{name}").shape[1] for name in kept]
        assert widths == [128, 64, 128, 128]


@pytest.mark.parametrize("config", [VIT, STAGES], ids=["cls", "resnet"])
def test_token_features_are_the_tokens_of_some_of_the_images(tmp_path, dataset, config):
    model, path = dump(tmp_path, dataset, "token_features", config)
    found, kept = LabelledDump(path), values(tmp_path, dataset, model, config)
    splits = files.TensorReader(tmp_path / "probes.safetensors")
    rows = np.concatenate([np.arange(9), 11 + np.arange(4), 16 + np.arange(3)])
    indices = np.concatenate([splits[name] for name, _ in SUBSETS])
    assert found.labels.tolist() == (indices[rows] % 3).tolist()
    last = next(reversed(kept.values())).shape[1:]
    for name in found.layers:
        x = kept[name][rows]
        if x.ndim == 4:
            cells = [slow_grid(m, last).reshape(-1, last[1] * last[2]).T for m in x]
            x = np.array(cells)
        assert_rounded(found.features(f"tokens.{name}"), x, name, **SUMS)
    assert found.meta["class_token"] == (config is VIT)
    assert found.depths == ([0, 1, 1] if config is VIT else [0, 1])
    assert found.meta["grid"] == [2, 2]


def test_depths_are_spread_from_first_to_last_block_and_the_norm():
    layers = [Layer(f"b{i}", "residual", i, "m") for i in range(8)]
    norm = Layer("norm", "norm", -1, "m")
    names = [layer.name for layer in token_features.spread([*layers, norm], 5)]
    assert names == ["b0", "b2", "b4", "b5", "b7", "norm"]
    assert token_features.spread(layers, 20) == layers
    assert [x.name for x in token_features.spread(layers[:1], 5)] == ["b0"]


def test_a_block_is_as_deep_in_a_vit_as_in_a_resnet():
    blocks = [Layer(f"b{i}", "residual", i, "m") for i in range(5)]
    norm = Layer("norm", "norm", -1, "m")
    assert probe_depths(blocks) == [0, 0.25, 0.5, 0.75, 1]
    assert probe_depths([*blocks, norm]) == [0, 0.25, 0.5, 0.75, 1, 1]
    assert probe_depths([*blocks[:1], norm]) == [0, 1]


@pytest.mark.parametrize("kind", USES)
def test_images_of_another_dataset_have_classes_of_their_own(tmp_path, kind):
    own = make_dataset(tmp_path / "own", classes=3)
    other = make_dataset(tmp_path / "other", classes=7, seed=4)
    make_probes(other, tmp_path / "probes.safetensors", (11, 5, 3))
    _, path = dump(tmp_path, other, kind, VIT, trained_on=own)
    found = LabelledDump(path)
    assert found.classes == 7 and found.labels.max() > 2


@pytest.mark.parametrize("kind", USES)
def test_two_dumps_are_the_same_bytes_of_the_size_foretold(tmp_path, dataset, kind):
    _, path = dump(tmp_path, dataset, kind, STAGES)
    first = path.read_bytes()
    dump(tmp_path, dataset, kind, STAGES)
    assert path.read_bytes() == first
    reader = files.TensorReader(path)
    codes = {"labels": "I64", "subset": "I64"}
    shapes = {n: (codes.get(n, "F32"), reader.shape(n)) for n in reader.names()}
    assert files.safetensors_bytes(shapes, reader.meta) == len(first)


@pytest.mark.parametrize("kind", USES)
def test_activations_that_are_not_finite_name_their_layer(tmp_path, dataset, kind):
    folder = tmp_path / "network"

    def overflow(state):
        state["blocks.1.mlp.fc1.weight"] *= 1e20
        state["blocks.1.mlp.fc2.weight"] *= 1e30

    make_network(folder, VIT, dataset, change=overflow)
    probes = tmp_path / "probes.safetensors"
    with pytest.raises(ResultError, match=r"layer block01\.out of vit/f000/s0"):
        record(kind, folder, dataset, probes, folder / "x", **USES[kind])
    assert not (folder / "x").exists()


def rewrite(path, change_meta=None, **tensors):
    reader = files.TensorReader(path)
    kept = {name: np.array(reader[name]) for name in reader.names()} | tensors
    files.write_tensors(path, kept, reader.meta | (change_meta or {}))


def test_damaged_dumps_are_refused(tmp_path, dataset):
    _, path = dump(tmp_path, dataset, "features", VIT)
    name = "mean.block00.out"
    good = np.array(LabelledDump(path).features(name))
    bad = good.copy()
    bad[3, 2] = np.nan
    rewrite(path, **{name: bad})
    with pytest.raises(ResultError, match=r"tensor mean.block00.out holds numbers .* not finite"):
        LabelledDump(path).features(name)
    rewrite(path, **{name: good[:-1]})
    with pytest.raises(ResultError, match=r"no tensor mean\.block00\.out of 19 images"):
        LabelledDump(path).features(name)
    rewrite(path, {"classes": 2})
    with pytest.raises(ResultError, match="labels beyond its 2 classes"):
        LabelledDump(path)
    rewrite(path, {"classes": 3, "depths": [0.0]})
    with pytest.raises(ResultError, match="it has 1 depths of 3 layers"):
        LabelledDump(path)
    rewrite(path, {"depths": [0.0, 1.0, 1.0]}, subset=np.repeat([0, 1], [11, 8]))
    with pytest.raises(ResultError, match="it lacks images to train"):
        LabelledDump(path)
    rewrite(path, subset=np.zeros(3, np.int64))
    with pytest.raises(ResultError, match="do not fit each other"):
        LabelledDump(path)
    files.write_tensors(path, {"a": np.zeros(3)}, {"network": ["a", "b", "c"]})
    with pytest.raises(ResultError, match="its description lacks 'layers'"):
        LabelledDump(path)


def test_probes_are_shown_the_images_of_the_split_that_their_file_names(tmp_path, dataset):
    """Which for those that fit probes may be the test images, that no network was trained on."""
    path = tmp_path / "probes.safetensors"
    made = files.TensorReader(path)
    order = np.arange(22)[::-1].copy()
    tensors = {
        f"{kind}_{subset}": np.array(made[f"{kind}_{subset}"])
        for kind in ("probe", "order")
        for subset in ("held_out", "test")
    }
    tensors |= {"probe_train": order[:11], "order_train": order}
    files.write_tensors(path, tensors, made.meta | {"probe_splits": {"probe_train": "test"}})
    _, dumped = dump(tmp_path, dataset, "features", VIT)
    labels = np.load(dataset.parent / "test_labels.npy")
    np.testing.assert_array_equal(LabelledDump(dumped).labels[:11], labels[order[:11]])
