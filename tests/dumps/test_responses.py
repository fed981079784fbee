"""What is kept of changed images is what a slow float64 network says of each of them alone."""

import contextlib
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from sightlines.conditions import occlusion
from sightlines.conditions.condition import Condition
from sightlines.core.errors import ConfigError, ResultError
from sightlines.core.files import TensorReader, write_tensor_file
from sightlines.dumps import lesions, occlusions, responses
from sightlines.dumps.network import Minibatch
from sightlines.dumps.responses_reading import ResponsesDump
from tests.dumps import making_experiments as making
from tests.dumps.test_predictions import with_head

SEED, IMAGES = 5, 30
SETTINGS = {
    "images": IMAGES,
    "cells": 2,
    "shares": [0.25, 0.5],
    "mean_shares": [0.5],
    "shifted_shares": [0.5],
    "other_cells": [4],
    "other_shares": [0.5],
    "salient_shares": [0.5],
    "parts": True,
    "shuffle_cells": [2, 4],
}
NETS = {
    "vit": making.VIT,
    "gap": making.VIT | {"pool": "gap"},
    "resnet": making.RESNET,
    "mixer": {"family": "mixer", "patch_px": 4, "width": 12, "depth": 2, "token_ratio": 0.5}
    | {"mlp_ratio": 2, "drop_path": 0},
}
TOLERANCE = 2e-4
"""Of float32 networks of some layers against float64 ones: outputs are of size 1."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    dataset = making.make_dataset(folder / "data")
    making.make_splits(dataset, folder / "splits.safetensors")
    return dataset


def opened(folder, dataset, config, change=with_head):
    making.make_network(folder, config, dataset, change=change)
    return making.open_shown(folder, dataset, dataset.parents[1] / "splits.safetensors")


def dumped(folder, content):
    path = folder / "dump.safetensors"
    write_tensor_file(path, content)
    return ResponsesDump(path)


def slow(shown, images, place):
    """Outputs and features of images, one at a time, in float64."""
    model = shown.model.double()
    layer = dict(model.named_modules())[
        responses.Watching.of(replace(shown, model=model.float())).layers[place].module
    ]
    model.double()
    kept = []
    handle = layer.register_forward_hook(lambda m, a, output: kept.append(output))
    with torch.inference_mode():
        outputs = [model(image[None])[0].numpy() for image in images]
    handle.remove()
    model.float()
    vectors = []
    for value in kept:
        if value.dim() == 4:
            vectors.append(value.mean((2, 3))[0].numpy())
        elif getattr(model, "cls_token", None) is not None:
            vectors.append(value[0, 0].numpy())
        else:
            vectors.append(value.mean(1)[0].numpy())
    return np.stack(outputs), np.stack(vectors)


def pearson(one, other):
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(one, other, strict=True)])


@pytest.mark.parametrize("name", NETS)
def test_a_dump_is_what_a_slow_network_says(tmp_path, dataset, name):
    shown = opened(tmp_path / name, dataset, NETS[name])
    dump = dumped(tmp_path, occlusions.record(shown, SEED, SETTINGS))
    wanted = occlusion.conditions(SETTINGS, responses.image_facts(shown))
    assert dump.conditions[:7] == [(c.name, c.severity) for c in wanted] and len(wanted) == 7
    looked_at = [("drop_salient", 0.5), ("drop_unsalient", 0.5)]
    assert dump.conditions[7:] == (looked_at if name == "vit" else [])
    order = responses.walk_of(shown, SEED, IMAGES).kept
    pixels = np.load(dataset.parent / "test_images.npy")[order]
    labels = np.load(dataset.parent / "test_labels.npy")[order]
    assert (dump.labels == labels).all() and len(order) == IMAGES
    places = ["last"] if name == "resnet" else ["last", "normed"]
    assert dump.places == places
    for place in places:
        clean = None
        for column, condition in enumerate([None, *wanted]):
            seen = pixels if condition is None else condition.apply(pixels, order, SEED)
            images = torch.from_numpy((seen / 255 - 0.5) / 0.25).permute(0, 3, 1, 2)
            outputs, features = slow(shown, images, place)
            clean = features if clean is None else clean
            rows = np.arange(IMAGES)
            probabilities = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
            expected = {"log_p": np.log(probabilities[rows, labels])}
            expected["confidence"] = probabilities.max(1)
            others = np.where(np.arange(3) == labels[:, None], -np.inf, outputs).max(1)
            expected["margin"] = outputs[rows, labels] - others
            expected[f"correlation.{place}"] = pearson(clean, features)
            apart = seen / 255 - pixels / 255
            expected["changed"] = (apart != 0).any(3).mean((1, 2))
            expected["rms"] = np.sqrt((apart**2).mean((1, 2, 3)))
            for key, values in expected.items():
                assert np.abs(dump.values(key)[:, column] - values).max() < TOLERANCE, key
            decided = np.abs(np.diff(np.sort(outputs)[:, -2:])[:, 0]) > TOLERANCE
            assert decided.sum() > IMAGES / 2
            taken = outputs.argmax(1)
            for key in ("prediction", "among"):
                assert (dump.values(key)[decided, column] == taken[decided]).all()
        whole = torch.from_numpy((pixels / 255 - 0.5) / 0.25).permute(0, 3, 1, 2)
        _, clean = slow(shown, whole, place)
        partners = [pearson(clean, np.roll(clean, -k, 0)) for k in range(1, len(clean))]
        assert np.abs(dump.floor(place) - np.mean(partners, 0)).max() < TOLERANCE


def test_of_fewer_images_the_dump_is_the_beginning(tmp_path, dataset):
    """Same image, same bytes: how many others are shown after it does not matter."""
    shown = opened(tmp_path / "vit", dataset, making.VIT)
    found = []
    for images in (IMAGES, 17):
        folder = tmp_path / str(images)
        dumped(folder, occlusions.record(shown, SEED, SETTINGS | {"images": images}))
        found.append(TensorReader(folder / "dump.safetensors"))
    whole, part = found
    for name in part.names():
        if not name.startswith("floor"):
            assert (np.asarray(whole[name][:17]) == part[name]).all(), name


def test_without_positions_shuffling_the_own_grid_changes_nothing(tmp_path, dataset):
    """Attention does not know where a patch is; a position embedding tells it (Naseer, 3.3)."""

    def unplaced(state):
        with_head(state)
        state["pos_embed"][...] = 0

    def placed(state):
        with_head(state)
        draw = np.random.default_rng(3)
        state["pos_embed"][...] = draw.normal(0, 1, state["pos_embed"].shape)

    settings = SETTINGS | {"shares": [0.5], "shuffle_cells": [2, 4]}
    for change, is_invariant in ((unplaced, True), (placed, False)):
        shown = opened(tmp_path / str(is_invariant), dataset, making.VIT, change)
        dump = dumped(tmp_path, occlusions.record(shown, SEED, settings))
        labels = [f"{name}:{severity:g}" for name, severity in dump.conditions]
        own, finer = (1 + labels.index(label) for label in ("shuffle:2", "shuffle:4"))
        for values in (dump.values("log_p"), dump.values("margin")):
            apart = np.abs(values - values[:, :1]).max(0)
            assert (apart[own] < 1e-5) == is_invariant and apart[finer] > 1e-3
        r = dump.values("correlation.last")
        assert (r[:, own].min() > 1 - 1e-6) == is_invariant


def test_float_pixels_are_normalised_as_bytes_are(tmp_path, dataset):
    shown = opened(tmp_path / "vit", dataset, making.VIT)
    as_bytes = Condition("turn", 1, lambda p, i, s: p[:, ::-1].copy())
    as_floats = Condition("turn", 2, lambda p, i, s: p[:, ::-1].astype(np.float32) / 255)
    dump = dumped(tmp_path, responses.to_conditions(shown, [as_bytes, as_floats], SEED, IMAGES))
    for name in ("log_p", "correlation.last", "changed", "rms"):
        values = dump.values(name)
        assert np.allclose(values[:, 1], values[:, 2], atol=1e-5), name
    assert (dump.values("changed")[:, 1] > 0.9).all()


def test_conditions_that_collide_or_diverge_are_named(tmp_path, dataset):
    shown = opened(tmp_path / "vit", dataset, making.VIT)
    same = Condition("turn", 1, lambda p, i, s: p)
    with pytest.raises(ConfigError, match="more than once: turn:1"):
        responses.to_conditions(shown, [same, same], SEED, IMAGES)

    def overflow(state):
        state["head.weight"][...] = 3e38

    broken = opened(tmp_path / "broken", dataset, making.VIT, overflow)
    with pytest.raises(ResultError, match=r"outputs of vit/f000/s0 are not finite under clean 0"):
        dumped(tmp_path, responses.to_conditions(broken, [same], SEED, IMAGES))


def test_of_outputs_that_stand_for_nothing_known_features_alone_are_kept(tmp_path, dataset):
    shown = opened(tmp_path / "vit", dataset, making.VIT)
    shown = replace(shown, card=shown.card | {"answers": []})
    dump = dumped(tmp_path, occlusions.record(shown, SEED, SETTINGS))
    assert not len(dump.answers)
    assert dump.values("correlation.normed").shape == (IMAGES, 10)
    with pytest.raises(ResultError, match="tensor log_p should be"):
        dump.values("log_p")


def test_what_a_vit_looks_at_most_is_dropped_and_what_it_looks_at_least(tmp_path, dataset):
    shown = opened(tmp_path / "vit", dataset, making.VIT)
    dump = dumped(tmp_path, occlusions.record(shown, SEED, SETTINGS))
    assert not [m for m in shown.model.modules() if m._forward_pre_hooks]
    order = responses.walk_of(shown, SEED, IMAGES).kept
    pixels = np.load(dataset.parent / "test_images.npy")[order]
    attention = slow_attention(shown, pixels)
    for name, sign in (("drop_salient", -1), ("drop_unsalient", 1)):
        seen = pixels.copy()
        for image, row in zip(seen, attention, strict=True):
            for cell in np.argsort(sign * row)[:2]:
                r, c = divmod(int(cell), 2)
                image[4 * r : 4 * r + 4, 4 * c : 4 * c + 4] = 0
        images = torch.from_numpy((seen / 255 - 0.5) / 0.25).permute(0, 3, 1, 2)
        outputs, _ = slow(shown, images, "last")
        log_p = outputs - np.log(np.exp(outputs).sum(1, keepdims=True))
        column = 1 + dump.conditions.index((name, 0.5))
        own = log_p[np.arange(IMAGES), dump.labels]
        assert np.abs(own - dump.values("log_p")[:, column]).max() < TOLERANCE
        assert (dump.values("changed")[:, column] == 0.5).all()
    bare = SETTINGS | {"salient_shares": []}
    assert len(dumped(tmp_path, occlusions.record(shown, SEED, bare)).conditions) == 7
    other = SETTINGS | {"cells": 4}
    names = [n for n, _ in dumped(tmp_path, occlusions.record(shown, SEED, other)).conditions]
    assert "drop_salient" not in names, "its patches are not the cells"


def slow_attention(shown, pixels):
    """The class token's attention to each patch in the last block, mean of the heads, float64."""
    model, found = shown.model.double(), []
    block = model.blocks[-1]
    handle = block.attn.register_forward_pre_hook(lambda m, a: found.append(a[0][0]))
    with torch.no_grad():
        for image in torch.from_numpy((pixels / 255 - 0.5) / 0.25).permute(0, 3, 1, 2):
            model(image[None])
    handle.remove()
    rows = []
    for tokens in found:
        qkv = (tokens @ block.attn.qkv.weight.T + block.attn.qkv.bias).detach().numpy()
        width = qkv.shape[1] // 3
        heads = []
        for head in range(3):
            part = slice(head * width // 3, (head + 1) * width // 3)
            q, k = qkv[0, :width][part], qkv[:, width : 2 * width][:, part]
            scores = np.exp(k @ q / np.sqrt(width // 3))
            heads.append(scores / scores.sum())
        rows.append(np.mean(heads, 0)[1:])
    model.float()
    return np.array(rows)


# -- lesions --------------------------------------------------------------------------------------

LESIONS = {"images": IMAGES, "shares": [0.25, 1.0], "shuffled_shares": [0.5]}


def test_sites_are_inputs_of_blocks_and_of_stages_and_the_pooling(tmp_path, dataset):
    found = {n: lesions.sites(opened(tmp_path / n, dataset, NETS[n])) for n in NETS}
    assert [site.name for site in found["vit"]] == ["block00", "block01"]
    assert [site.name for site in found["mixer"]] == ["block00", "block01"]
    assert found["resnet"] == [
        ("stage1", "stages.0.blocks.0", False),
        ("stage2", "stages.1.blocks.0", False),
        ("stage3", "stages.1.blocks.0", True),
    ]


@pytest.mark.parametrize(("shape", "prefix"), [((3, 10, 4), 1), ((3, 10, 4), 0), ((3, 4, 2, 5), 0)])
def test_a_lesion_zeroes_or_moves_so_many_places_of_each_image(shape, prefix):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    minibatch = Minibatch("test", "test", np.array([4, 9, 2]), 3)
    before = values.clone()

    def places(value):
        flat = value.flatten(2).transpose(1, 2) if value.dim() == 4 else value[:, prefix:]
        return flat.numpy()

    for share, count in ((0.25, round(0.25 * (10 - prefix))), (1.0, 10 - prefix)):
        rest = (prefix, "zero", share, SEED, "site", minibatch)
        zeroed = lesions.lesioned(values, *rest)
        assert (values == before).all() and zeroed.shape == values.shape
        gone = (places(zeroed) == 0).all(2)
        assert (gone.sum(1) == count).all()
        assert (places(zeroed)[~gone] == places(values)[~gone]).all()
        if prefix:
            assert (zeroed[:, :prefix] == values[:, :prefix]).all()
        moved = places(lesions.lesioned(values, prefix, "shuffle", *rest[2:]))
        stays = (moved == places(values)).all(2)
        assert (stays == ~gone).all(), "the places that are zeroed change places instead"
        for one, other in zip(moved, places(values), strict=True):
            assert sorted(map(bytes, one)) == sorted(map(bytes, other))
        alone = Minibatch("test", "test", np.array([9]), 1)
        again = lesions.lesioned(values[1:2], *rest[:-1], alone)
        assert (again == zeroed[1:2]).all()


@pytest.mark.parametrize("name", NETS)
def test_lesions_are_what_a_network_without_these_places_answers(tmp_path, dataset, name):
    shown = opened(tmp_path / name, dataset, NETS[name])
    content = lesions.record(shown, SEED, LESIONS)
    dump = dumped(tmp_path, content)
    assert not [m for m in shown.model.modules() if m._forward_pre_hooks or m._forward_hooks]
    sites = lesions.sites(shown)
    assert [n for n, _ in dump.conditions[::3]] == [f"zero_{site.name}" for site in sites]
    assert not dump.values("changed").any()
    order = responses.walk_of(shown, SEED, IMAGES).kept
    pixels = next(shown.pixels("test", [order]))
    minibatch = Minibatch("test", "test", order, IMAGES)
    column = 1 + [n for n, _ in dump.conditions].index(f"shuffle_{sites[-1].name}")
    with torch.inference_mode(), lesions.lesion(shown, sites[-1], "shuffle", 0.5, SEED, minibatch):
        outputs = shown.model(pixels).double().numpy()
    outputs -= np.log(np.exp(outputs).sum(1, keepdims=True))
    own = outputs[np.arange(IMAGES), dump.labels]
    assert np.abs(own - dump.values("log_p")[:, column]).max() < TOLERANCE
    if name == "resnet":  # places that change places before the mean change nothing
        assert np.abs(own - dump.values("log_p")[:, 0]).max() < TOLERANCE


def test_a_failing_network_leaves_no_hook(tmp_path, dataset):
    shown = opened(tmp_path / "vit", dataset, making.VIT)
    minibatch = Minibatch("test", "test", np.arange(3), 3)
    site = lesions.sites(shown)[0]
    with (
        contextlib.suppress(ZeroDivisionError),
        lesions.lesion(shown, site, "zero", 0.5, SEED, minibatch),
    ):
        raise ZeroDivisionError
    assert not shown.model.get_submodule(site.module)._forward_pre_hooks


def test_equal_correlations_whatever_is_added_to_all_features():
    draw = np.random.default_rng(1)
    one, other = draw.normal(size=(2, 6, 40))
    r = responses.correlation(one, other)
    assert np.allclose(r, pearson(one, other), atol=1e-6)
    assert np.allclose(responses.correlation(3 * one + 2, other - 5), r, atol=1e-6)
    assert np.isnan(responses.correlation(np.ones((2, 5)), draw.normal(size=(2, 5)))).all()
    shared = one + np.eye(40)[0] * 1000  # one large feature that all images share
    assert responses.floors(shared).min() > 0.99 > abs(responses.floors(one)).max()
    assert np.isnan(responses.floors(one[:1])).all()
    pairs = np.corrcoef(one)
    means = (pairs.sum(axis=1) - 1) / (len(one) - 1)
    assert np.allclose(responses.floors(one), means, atol=1e-6)
    flat = np.concatenate([one, np.ones((1, 40))])  # has no r, and takes part in no mean
    assert np.allclose(responses.floors(flat)[:-1], means, atol=1e-6)
    assert np.isnan(responses.floors(flat)[-1])


def test_the_margin_and_the_class_among_many_outputs():
    clean = responses.Answer(np.zeros((2, 4)), {})
    outputs = np.array([[0.0, 5.0, 1.0, 2.0], [3.0, 0.0, 0.0, -1.0]])
    kept = responses.compare(clean, responses.Answer(outputs, {}), np.array([1, 0]), [3, 0])
    assert kept["prediction"].tolist() == [1, 0] and kept["among"].tolist() == [0, 1]
    assert kept["margin"].tolist() == [-5.0, -4.0]
    assert partial(np.allclose, atol=1e-6)(
        np.exp(kept["log_p"][1]), np.exp(-1) / np.exp(outputs[1]).sum()
    )
