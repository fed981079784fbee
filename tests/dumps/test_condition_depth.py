"""Similarity of clean and changed images, layer by layer, against HSIC of float64 features."""

import numpy as np
import pytest
import torch

from sightlines.conditions import corruption, occlusion
from sightlines.conditions.condition import Condition
from sightlines.core.errors import ConfigError
from sightlines.core.files import write_tensor_file
from sightlines.dumps import (
    condition_depth,
    corruption_depth,
    frequency_depth,
    occlusion_depth,
    responses,
)
from sightlines.dumps.condition_depth_reading import DepthDump
from sightlines.measures.condition_depth import depth_table, similarities, turn, turns
from sightlines.models.layers import block_outputs, capture
from sightlines.stats.jackknife import ALL
from tests.dumps import making_experiments as making
from tests.dumps.test_predictions import with_head
from tests.dumps.test_responses import SETTINGS

SEED, SIZES = 5, [13, 9, 9]


@pytest.fixture
def shown(tmp_path, request):
    dataset = making.make_dataset(tmp_path / "data")
    making.make_reference(dataset, tmp_path / "reference.safetensors", SIZES)
    making.make_network(tmp_path / "net", request.param, dataset, change=with_head)
    return making.open_shown(tmp_path / "net", dataset, tmp_path / "reference.safetensors")


def dumped(shown, conditions):
    path = shown.images.path.parent / "depth.safetensors"
    write_tensor_file(path, condition_depth.paired(shown, conditions, SEED))
    return DepthDump(path)


def hsic(a, b):
    """n(n-3) times the unbiased HSIC of Song et al. 2012, as the formula has it."""
    n = len(a)
    k, m = (x @ x.T for x in (a, b))
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    ones = np.ones(n)
    value = np.trace(k @ m) + ones @ k @ ones * (ones @ m @ ones) / ((n - 1) * (n - 2))
    return value - 2 / (n - 2) * ones @ k @ m @ ones


def features(shown, images):
    """Pixels and block outputs [n, D], float64."""
    found = [images.flatten(1).double().numpy()]
    layers = block_outputs(shown.layers)
    kept = [None] * len(layers)

    def keep(index, value):
        kept[index] = value.flatten(1).double().numpy()

    with torch.inference_mode(), capture(shown.model, layers, keep):
        shown.model(images)
    return found + kept


@pytest.mark.parametrize("shown", [making.VIT, making.RESNET], indirect=True)
def test_sums_are_those_of_the_formula(shown):
    every = occlusion.conditions(SETTINGS, responses.image_facts(shown))
    chosen = condition_depth.at_labels(every, ["shuffle:2", "drop_black:0.5", "shuffle:64"])
    assert [c.label for c in chosen] == ["drop_black:0.5", "shuffle:2"]
    dump = dumped(shown, chosen)
    names = [layer.name for layer in block_outputs(shown.layers)]
    assert [row["name"] for row in dump.rows] == ["pixels", *names]
    pixels = np.load(shown.images.path.parent / "test_images.npy")
    for index, order in enumerate(shown.reference_minibatches()):
        seen = [pixels[order], *(c.apply(pixels[order], order, SEED) for c in chosen)]
        own, *changed = (
            features(shown, torch.from_numpy((s / 255 - 0.5) / 0.25).permute(0, 3, 1, 2).float())
            for s in seen
        )
        for row, clean in enumerate(own):
            scale = hsic(clean, clean)
            assert np.isclose(dump.own(index)[row], scale, rtol=1e-4)
            for place, each in enumerate(changed):
                one, both = hsic(each[row], each[row]), hsic(clean, each[row])
                assert np.isclose(dump.changed(index)[place, row], one, rtol=1e-4)
                assert abs(dump.cross(index)[place, row] - both) < 1e-4 * np.sqrt(scale * one)


@pytest.mark.parametrize("shown", [making.VIT], indirect=True)
def test_nothing_changed_is_1_and_nothing_shared_is_about_0(shown):
    def others(pixels, indices, seed):
        return np.random.default_rng(indices).integers(0, 256, pixels.shape, dtype=np.uint8)

    same = Condition("same", 0, lambda p, i, s: p)
    cka = similarities(dumped(shown, [same, Condition("others", 1, others)]))
    assert cka.shape == (1 + 3, 2, 4)
    assert np.allclose(cka[:, 0], 1, atol=1e-6)
    assert np.abs(cka[0, 1]).max() < 0.4 and (cka[:, 1] < 0).any(), "unbiased: below 0 as well"


@pytest.mark.parametrize("shown", [making.VIT], indirect=True)
def test_a_jackknife_replicate_leaves_out_one_minibatch(shown):
    every = occlusion.conditions(SETTINGS, responses.image_facts(shown))
    dump = dumped(shown, every[:2])
    cka = similarities(dump)
    left = [1, 2]
    both = sum(dump.cross(i) for i in left)
    own, changed = sum(dump.own(i) for i in left), sum(dump.changed(i) for i in left)
    assert np.allclose(cka[1], both / np.sqrt(own * changed))
    table = depth_table(dump)
    assert len(table) == 4 * 2 * 4 and set(table["left_out"]) == {ALL, 0, 1, 2}
    one = table[(table["name"] == "norm") & (table["left_out"] == 1) & (table["severity"] == 0.5)]
    assert one["cka"].tolist() == [cka[2, 1, 3]] and one["depth"].tolist() == [1.0]
    found = turns(table.assign(family="occlusion"))
    assert found["pixels"].tolist() == cka[0, :, 0].tolist()
    assert found["last"].tolist() == cka[0, :, 2].tolist()


def test_where_a_curve_turns():
    curve = np.array([1.0, 0.9, 0.5, 0.2, 0.6])
    cka = np.stack([curve, curve + 0.01, curve - 0.01])
    found = turn(0.7, cka, np.linspace(0, 1, 5))
    assert found["lowest"] == 0.2 and found["lowest_depth"] == 0.75 and found["last"] == 0.6
    assert np.isclose(found["recovery"], 0.4) and np.isclose(found["recovery_se"], 0)
    assert np.isclose(found["last_se"], 0.01)
    assert np.isclose(found["starts"], 0.25 + 0.25 * (0.9 - 0.6) / 0.4), "half of the fall"
    early = turn(0.7, cka[:, 3:], np.array([0.0, 1.0]))
    assert early["starts"] == 0.0
    none = np.nextafter(1.0, 2.0)
    assert turn(1.0, np.full((3, 2), none), np.array([0.0, 1.0]))["lowest"] == none, "no change"
    assert np.isnan(turn(0.7, np.array([[1.0, np.nan]]), np.array([0.0, 1.0]))["recovery"])


@pytest.mark.parametrize("shown", [making.VIT], indirect=True)
def test_conditions_that_there_are_not_are_named(shown):
    with pytest.raises(ConfigError, match=r"depth asks for blur:1, fog:2; there are drop_black:"):
        settings = SETTINGS | {"depth": ["shuffle:2", "blur:1", "fog:2"]}
        occlusion_depth.record(shown, SEED, settings)
    with pytest.raises(ConfigError, match=r"depth asks for shuffle:5; there are"):
        occlusion_depth.record(shown, SEED, SETTINGS | {"depth": ["shuffle:5"]})


@pytest.mark.parametrize("shown", [making.VIT], indirect=True)
def test_corruptions_and_waves_go_through_the_same_engine(shown):
    folder = shown.images.path.parent
    asked = {"depth": ["fog:3", "speckle_noise:5"]}
    write_tensor_file(folder / "fog", corruption_depth.record(shown, SEED, asked))
    fog = DepthDump(folder / "fog")
    assert fog.conditions == [("fog", 3.0), ("speckle_noise", 5.0)]
    pixels = np.load(folder / "test_images.npy")
    order = shown.reference_minibatches()[0]
    changed = corruption.corrupt(pixels[order], order, SEED, name="fog", severity=3)
    clean, other = (
        features(shown, torch.from_numpy((s / 255 - 0.5) / 0.25).permute(0, 3, 1, 2).float())
        for s in (pixels[order], changed)
    )
    both = [hsic(a, b) for a, b in zip(clean, other, strict=True)]
    assert np.allclose(fog.cross(0)[0], both, rtol=1e-3, atol=1e-3 * np.abs(both).max())
    waves = {"depth": [1, 3], "norm": 2.0}
    write_tensor_file(folder / "waves", frequency_depth.record(shown, SEED, waves))
    found = DepthDump(folder / "waves")
    assert found.conditions == [("wave_ring", 1.0), ("wave_ring", 3.0)]
    cka = similarities(found)
    assert (cka[0, :, 0] < 0.999).all() and np.isfinite(cka).all()
