"""The class token's attention and rollout, against slow twins in float64."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from timm.models.vision_transformer import VisionTransformer

from sightlines.conditions import occlusion
from sightlines.core.errors import DataError, ResultError
from sightlines.core.files import (
    TensorReader,
    read_json,
    sha256,
    write_npy,
    write_table,
    write_tensor_file,
)
from sightlines.datasets import store
from sightlines.datasets.reading import normalise
from sightlines.dumps import cls_attention, object_labels
from sightlines.dumps.cls_attention_reading import ClsAttentionDump
from sightlines.dumps.network import Minibatch
from sightlines.dumps.responses import image_facts
from sightlines.dumps.rollout import Rollout
from tests.dumps.making_experiments import (
    VIT,
    content_of,
    make_dataset,
    make_network,
    make_reference,
    open_shown,
    record,
)
from tests.rounding import assert_rounded

SIZES = [13, 9]
MAPS = {"images": 17, "pictures": 3}
STORED = {"terms": 12 * 5, "size": 1, "dtype": np.float32}
"""Shares of attention, computed in float32."""


@pytest.fixture
def experiment(tmp_path):
    dataset = make_dataset(tmp_path / "data")
    make_reference(dataset, tmp_path / "reference.safetensors", SIZES)
    return dataset


def add_masks(dataset, seed=5):
    """Masks of the test images [images, 8, 8] bool, as the embedded images have them."""
    facts = read_json(dataset)
    rng = np.random.Generator(np.random.Philox(seed))
    masks = rng.random((facts["counts"]["test"], 8, 8)) < 0.3
    write_npy(dataset.parent / "test_masks.npy", np.packbits(masks.reshape(len(masks), -1), axis=1))
    names = [*facts["files"], "test_masks.npy"]
    store.write_dataset(dataset.parent, names, {k: v for k, v in facts.items() if k != "files"})
    make_reference(dataset, dataset.parents[1] / "reference.safetensors", SIZES)
    return masks


def dump(tmp_path, experiment, config=VIT, maps=MAPS, change=None):
    folder = tmp_path / config["family"]
    model = make_network(folder, config, experiment, change=change)
    path = folder / "cls_attention.safetensors"
    splits = tmp_path / "reference.safetensors"
    record("cls_attention", folder, experiment, splits, path, attention_maps=maps)
    return model.eval(), ClsAttentionDump(path)


def pixels(tmp_path, experiment):
    """The images of which maps are kept, normalised."""
    chosen = TensorReader(tmp_path / "reference.safetensors")["reference"][: MAPS["images"]]
    levels = np.load(experiment.parent / "test_images.npy")[chosen]
    images = torch.from_numpy(np.ascontiguousarray(levels.transpose(0, 3, 1, 2)))
    return levels, normalise(images, [0.5] * 3, [0.25] * 3)


def slow_attention(model, images):
    """Probabilities of every block [images, blocks, heads, tokens, tokens] float64, and ‖z‖/‖f‖."""
    model, x = model.double(), images.double()
    with torch.inference_mode():
        x = model._pos_embed(model.patch_embed(x))
        found, ratios = [], []
        for block in model.blocks:
            own, attn = block.norm1(x), block.attn
            n, tokens, width = own.shape
            qkv = attn.qkv(own).reshape(n, tokens, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
            found.append((qkv[0] @ qkv[1].transpose(-2, -1) * attn.scale).softmax(-1).numpy())
            joined = torch.from_numpy(found[-1]) @ qkv[2]
            branch = attn.proj(joined.transpose(1, 2).reshape(n, tokens, width))
            ratios.append((x.norm(dim=2) / branch.norm(dim=2)).numpy())
            x = block(x)
    return np.stack(found, axis=1), np.stack(ratios, axis=1)


def slow_rollout(attention, ratios=None):
    """R after each block, one image and one block at a time; newest block on the left."""
    images, blocks, _, tokens, _ = attention.shape
    found = np.empty((images, blocks, tokens, tokens))
    for image in range(images):
        product = np.eye(tokens)
        for block in range(blocks):
            share = np.full(tokens, 0.5)
            if ratios is not None:
                share = ratios[image, block] / (1 + ratios[image, block])
            mixed = np.diag(share) + (1 - share)[:, None] * attention[image, block].mean(axis=0)
            product = mixed @ product
            found[image, block] = product
    return found


def test_attention_and_rollout_of_the_class_token(tmp_path, experiment):
    add_masks(experiment)
    model, found = dump(tmp_path, experiment)
    _, images = pixels(tmp_path, experiment)
    attention, ratios = slow_attention(model, images)
    assert (found.images, found.kept, found.tokens) == (17, [13, 4], 5)
    for block in range(found.blocks):
        own = attention[:, block, :, 0, 1:]
        expected = own / own.sum(axis=-1, keepdims=True)
        assert_rounded(found.attention(block), expected, f"block {block}", **STORED)
    for name, weights in (("rollout", None), ("weighted", ratios)):
        rolled = slow_rollout(attention, weights)
        row = rolled[:, :, 0, 1:]
        expected = row / row.sum(axis=-1, keepdims=True)
        assert_rounded(found.rollout(name), expected, name, **STORED)
    assert_rounded(found.own(), slow_rollout(attention)[:, :, 0, 0], **STORED)


def test_without_a_class_token_it_is_the_mean_of_rows_less_what_patches_keep(tmp_path, experiment):
    add_masks(experiment)
    model, found = dump(tmp_path, experiment, VIT | {"pool": "gap"})
    _, images = pixels(tmp_path, experiment)
    attention, _ = slow_attention(model, images)
    assert not found.has_class_token
    mean = attention[:, 1].mean(axis=2)
    assert_rounded(found.attention(1), mean, **STORED)
    rolled, patches = slow_rollout(attention), 4
    row = rolled.mean(axis=2) - 0.5 ** np.arange(1, 3)[:, None] / patches
    expected = row / row.sum(axis=-1, keepdims=True)
    assert_rounded(found.rollout(), expected, **STORED | {"terms": 400})


def test_uniform_attention_keeps_the_stated_share_of_itself(tmp_path, experiment):
    add_masks(experiment)

    def flatten(state):
        for block in range(2):
            state[f"blocks.{block}.attn.qkv.weight"][: 2 * 12] = 0
            state[f"blocks.{block}.attn.qkv.bias"][: 2 * 12] = 0

    _, found = dump(tmp_path, experiment, change=flatten)
    tokens = 5
    expected = np.array([0.5**blocks + (1 - 0.5**blocks) / tokens for blocks in (1, 2)])
    assert_rounded(found.own(), np.broadcast_to(expected, (17, 2)), **STORED)
    assert_rounded(found.rollout(), np.full((17, 2, 4), 0.25), **STORED)


@pytest.mark.parametrize("has_class_token", [True, False])
def test_a_branch_that_adds_nothing_leaves_a_token_as_it_is(has_class_token):
    rolled = Rollout(1, 3, int(has_class_token), has_class_token, torch.device("cpu"))
    attention = torch.full((1, 3, 3), 1 / 3)
    rolled.add(attention, torch.full((1, 3), torch.inf))
    assert torch.equal(rolled.product, torch.eye(3)[None])
    assert not rolled.map().any() and rolled.own() == 1
    rolled.add(attention, torch.zeros(1, 3))
    assert torch.equal(rolled.product, attention)


def test_registers_are_no_patches(tmp_path, experiment):
    add_masks(experiment)
    make_network(tmp_path, VIT, experiment)
    shown = open_shown(tmp_path, experiment, tmp_path / "reference.safetensors")
    options = {"img_size": 8, "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 3}
    model = VisionTransformer(**options, num_classes=3, reg_tokens=2).eval()
    shown = dataclasses.replace(shown, model=model)
    write_tensor_file(tmp_path / "d", content_of(shown, cls_attention.record(shown, MAPS)))
    found = ClsAttentionDump(tmp_path / "d")
    _, images = pixels(tmp_path, experiment)
    attention, _ = slow_attention(model, images)
    own = attention[:, 1, :, 0, 3:]
    assert found.tokens == 7
    assert_rounded(found.attention(1), own / own.sum(axis=-1, keepdims=True), **STORED)


def test_objects_are_counted_patch_by_patch(tmp_path, experiment):
    masks = add_masks(experiment)
    _, found = dump(tmp_path, experiment)
    chosen = TensorReader(tmp_path / "reference.safetensors")["reference"][: MAPS["images"]]
    objects, valid, image = found.objects()
    for row, place in enumerate(image):
        whole = masks[chosen[place]].reshape(2, 4, 2, 4).sum(axis=(1, 3))
        assert objects[row].tolist() == whole.ravel().tolist()
    assert (valid == 16).all() and image.tolist() == list(range(17))
    levels, _ = pixels(tmp_path, experiment)
    grey = (levels / 255 @ np.array([0.299, 0.587, 0.114])).reshape(17, 2, 4, 2, 4).mean((2, 4))
    assert_rounded(found.brightness(), grey.reshape(17, 4), terms=48, size=1, dtype=np.float32)
    assert (found.pictures() == levels[:3]).all()


def test_without_masks_there_are_pictures_alone(tmp_path, experiment):
    _, found = dump(tmp_path, experiment)
    assert (found.images, found.has_masks, len(found.pictures())) == (3, False, 3)


def test_maps_are_the_same_however_many_are_kept(tmp_path, experiment):
    add_masks(experiment)
    whole = dump(tmp_path, experiment)[1].attention(1)
    assert (
        dump(tmp_path, experiment, maps=MAPS | {"images": 5})[1].attention(1) == whole[:5]
    ).all()


def list_masks(folder, images):
    """One mask for all photographs: two objects, above left and below right, and what is void."""
    level = np.zeros((8, 8), np.uint8)
    level[:4, :4], level[4:, 4:], level[4:, :4] = 1, 2, 255
    image = Image.fromarray(level, "P")
    image.putpalette(list(itertools.chain(*[(i, i, i) for i in range(256)])))
    image.save(folder / "mask.png")
    row = {"path": "mask.png", "sha256": sha256(folder / "mask.png"), "width_px": 8}
    rows = [row | {"height_px": 8, "image": i, "form": "palette"} for i in range(images)]
    write_table(folder / "masks.parquet", pd.DataFrame(rows))
    return folder / "masks.parquet"


def test_masks_of_photographs_are_read_by_their_list(tmp_path, experiment):
    masks = list_masks(tmp_path, read_json(experiment)["counts"]["test"])
    make_network(tmp_path, VIT, experiment)
    shown = open_shown(tmp_path, experiment, tmp_path / "reference.safetensors")
    labels = object_labels.label_maps(shown, masks)
    minibatch = Minibatch("000", "test", np.array([4, 2]), 2)
    found = cls_attention.known_objects(shown, labels, [minibatch], (2, 2))
    assert found["objects"].tolist() == [[16, 0, 0, 0], [0, 0, 0, 16]] * 2
    assert found["valid"].tolist() == [[16, 16, 0, 16]] * 2
    assert found["mask_image"].tolist() == [0, 0, 1, 1]
    (tmp_path / "mask.png").write_bytes(b"edited")
    with pytest.raises(DataError, match=r"mask\.png: it was edited"):
        labels(0)


def test_of_photographs_with_masks_parts_are_dropped(tmp_path, experiment):
    """Object, anywhere, ground: equal areas; the void pixels are no object's."""
    masks = list_masks(tmp_path, read_json(experiment)["counts"]["test"])
    make_network(tmp_path, VIT, experiment)
    shown = open_shown(tmp_path, experiment, tmp_path / "reference.safetensors")
    settings = {"shares": [], "mean_shares": [], "shifted_shares": [], "other_cells": []}
    settings |= {"other_shares": [], "salient_shares": [], "shuffle_cells": [], "cells": 2}
    wanted = occlusion.conditions(settings | {"parts": True}, image_facts(shown, masks))
    parts = {c.name: c for c in wanted if c.name != "shuffle"}
    assert [*parts] == ["drop_object", "drop_anywhere", "drop_ground"]
    white = np.full((3, 8, 8, 3), 255, np.uint8)
    black = {n: c.apply(white, np.array([4, 2, 1]), 5)[..., 0] == 0 for n, c in parts.items()}
    assert (black["drop_object"] == np.kron([[1, 0], [0, 1]], np.ones((4, 4)))).all()
    assert not (black["drop_object"] & black["drop_ground"]).any()
    assert {int(own.sum()) for cells in black.values() for own in cells} == {32}
    without = occlusion.conditions(settings | {"parts": True}, image_facts(shown))
    assert [c.name for c in without] == ["shuffle"]


def test_attention_that_is_not_finite_is_named(tmp_path, experiment):
    def overflow(state):
        state["blocks.1.attn.qkv.weight"][:] = 3e38

    with pytest.raises(ResultError, match="vit/f000/s0 is not finite"):
        dump(tmp_path, experiment, change=overflow)


def test_a_network_that_sees_no_object_is_named(tmp_path, experiment):
    add_masks(experiment)
    facts = read_json(experiment)
    empty = np.zeros((facts["counts"]["test"], 8), np.uint8)
    write_npy(experiment.parent / "test_masks.npy", empty)
    names = list(facts["files"])
    store.write_dataset(experiment.parent, names, {k: v for k, v in facts.items() if k != "files"})
    make_reference(experiment, tmp_path / "reference.safetensors", SIZES)
    with pytest.raises(ResultError, match="sees no object"):
        dump(tmp_path, experiment)
