"""Dumps of networks with registers, and of such as lay out their maps with channels last."""

import numpy as np
import pytest
import torch
from torch import nn

from sightlines.core.devices import prepare
from sightlines.core.files import TensorReader, write_tensors
from sightlines.dumps import features, gram, localisation, skips, token_features
from sightlines.dumps.labelled import last_shape
from sightlines.dumps.localisation_reading import LocalisationDump
from sightlines.dumps.network import Shown
from sightlines.dumps.passes import rows_of
from sightlines.dumps.pooling import places, pool
from sightlines.dumps.receptive_field import find_targets
from sightlines.dumps.receptive_field_gradients import ChannelGradients
from sightlines.dumps.receptive_field_layers import (
    Target,
    Watched,
    centre_of,
    target_of,
    watched_layers,
)
from sightlines.dumps.skips_reading import SkipsDump
from sightlines.models import timm_blocks
from sightlines.models.attention import has_class_token, prefix_tokens
from sightlines.models.branches import find_branches
from sightlines.models.layers import Layer, block_outputs, capture
from sightlines.models.lean import timm_module
from sightlines.plan.networks import Network
from tests.dumps.grams import assert_gram
from tests.dumps.making_experiments import COMPUTE

IMAGES = 5
VIT = {"img_size": 16, "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 2}
SWIN = {"img_size": 32, "patch_size": 4, "embed_dim": 12, "depths": (2, 1), "num_heads": (2, 3)}
PREFIXES = {
    "registers": ({"class_token": False, "global_pool": "avg", "reg_tokens": 3}, 3, False),
    "cls_and_registers": ({"reg_tokens": 3}, 4, True),
    "gap_with_cls": ({"global_pool": "avg"}, 1, True),
    "gap": ({"class_token": False, "global_pool": "avg"}, 0, False),
}


def vit(**changes):
    timm = timm_module("models.vision_transformer")
    return timm.VisionTransformer(**VIT, num_classes=3, **changes)


def swin():
    return timm_module("models.swin_transformer").SwinTransformer(
        **SWIN, num_classes=3, window_size=4
    )


def shown(folder, model, size_px):
    """A network that is shown five images."""
    torch.manual_seed(5)
    for parameter in model.parameters():
        if parameter.dim() <= 1 or parameter.shape[0] == 1:
            nn.init.uniform_(parameter, 0.2, 1)
    model.eval()
    traits = timm_blocks.traits(model, size_px)
    card = {"grid": list(traits.grid), "size_px": size_px, "centres": traits.centres}
    reference = {"reference": np.arange(IMAGES), "reference_bounds": np.array([0, IMAGES])}
    write_tensors(folder / "splits.safetensors", reference, {"reference_sha256": "r"})
    splits = TensorReader(folder / "splits.safetensors")
    return Shown(
        images=None,
        splits=splits,
        batch_size=IMAGES,
        network=Network("net", "f100", "s0"),
        model=model,
        card=card,
        layers=timm_blocks.layers(model),
        device=prepare(COMPUTE).device,
    )


def images_of(size_px):
    return torch.randn(IMAGES, 3, size_px, size_px, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def values(one, layers, images):
    kept = {}
    with capture(one.model, layers, lambda i, x: kept.update({layers[i].name: x.clone()})):
        one.model(images)
    return kept


@pytest.mark.parametrize("name", PREFIXES)
def test_only_a_class_token_is_kept_as_one(tmp_path, name):
    changes, prefix, has_cls = PREFIXES[name]
    one, images = shown(tmp_path, vit(**changes), 16), images_of(16)
    assert (prefix_tokens(one.model), has_class_token(one.model)) == (prefix, has_cls)
    layers = block_outputs(one.layers)
    sizes = one.layer_shapes(layers)
    last, kept = last_shape(layers, sizes), values(one, layers, images)
    pools = features.feature_shapes(layers, sizes, has_cls, IMAGES)
    rows = token_features.token_shapes(layers, sizes, prefix - has_cls, IMAGES)
    for layer in layers:
        x = kept[layer.name]
        found = pool(x, prefix, last, has_cls)
        assert {f"{key}.{layer.name}" for key in found} <= set(pools)
        assert torch.equal(found["mean"], x[:, prefix:].mean(1))
        assert torch.equal(found["first"], x[:, prefix])
        assert torch.equal(found.get("cls", x[:, 0]), x[:, 0]) and ("cls" in found) == has_cls
        own = places(x, prefix, last, has_cls)
        assert rows[f"tokens.{layer.name}"] == ("F32", tuple(own.shape))
        assert own.shape[1] == 16 + has_cls and torch.equal(own[:, -16:], x[:, prefix:])
    assert len(pools) == len(layers) * (2 + has_cls)


@pytest.mark.parametrize("name", PREFIXES)
def test_localisation_leaves_registers_out(tmp_path, name):
    changes, prefix, has_cls = PREFIXES[name]
    one, images = shown(tmp_path, vit(**changes), 16), images_of(16)
    layers = block_outputs(one.layers)
    meta = one.describe() | localisation.describe_tokens(one, layers)
    assert (meta["prefix_tokens"], meta["class_token"]) == (prefix, has_cls)
    found = rows_of(one.model, images, localisation.watch_hsic(one, layers, images, meta))
    shapes = localisation.localisation_shapes(meta)
    assert [f"{key}.000" for key in found] == list(shapes)
    assert [value.shape for value in found.values()] == [shape for _, shape in shapes.values()]
    assert ("cross_cls" in found) == has_cls
    tensors = {f"{key}.000": value for key, value in found.items()}
    write_tensors(tmp_path / "localisation.safetensors", tensors, meta)
    assert LocalisationDump(tmp_path / "localisation.safetensors").has_cls == has_cls
    x = values(one, layers, images)[layers[0].name]
    maps, cls = localisation.as_maps(x, (4, 4), prefix, has_cls)
    assert torch.equal(maps[:, :, 1, 2], x[:, prefix + 6]) and (cls is None) == (not has_cls)


@pytest.mark.parametrize("name", PREFIXES)
def test_skips_say_whether_the_first_token_is_the_class_token(tmp_path, name):
    changes, prefix, has_cls = PREFIXES[name]
    one = shown(tmp_path, vit(**changes), 16)
    branches, blocks = find_branches(one.model)
    meta = skips.describe_branches(one, branches, blocks)
    assert (meta["prefix_tokens"], meta["class_token"], meta["blocks"]) == (prefix, has_cls, 2)
    assert [row["tokens"] for row in meta["branches"]] == [16 + prefix] * 4
    found = rows_of(one.model, images_of(16), skips.watch_skips(one, branches))
    tensors = {f"{key}.000": value for key, value in found.items()}
    write_tensors(tmp_path / "skips.safetensors", tensors, one.describe() | meta)
    assert SkipsDump(tmp_path / "skips.safetensors").has_cls == has_cls


def test_maps_with_channels_last_go_through_every_dump(tmp_path):
    one, images = shown(tmp_path, swin(), 32), images_of(32)
    kept = values(one, one.layers, images)
    assert kept["embed.patch"].shape == (IMAGES, 12, 8, 8)
    grams = gram.minibatch_grams(one, images)
    for index, layer in enumerate(one.layers):
        assert kept[layer.name].any()
        assert_gram(grams.gram[index], kept[layer.name], layer.name)
    branches, blocks = find_branches(one.model)
    meta = one.describe() | skips.describe_branches(one, branches, blocks)
    assert [row["tokens"] for row in meta["branches"]] == [64] * 4 + [16] * 2
    found = rows_of(one.model, images, skips.watch_skips(one, branches))
    assert found["ratio_sum"].shape == (4 * 64 + 2 * 16,) and (found["ratio_sum"] > 0).all()
    layers = block_outputs(one.layers)
    meta = one.describe() | localisation.describe_tokens(one, layers)
    assert [row["positions"] for row in meta["layers"]] == [[8, 8], [8, 8], [4, 4], [4, 4]]
    hsic = rows_of(one.model, images, localisation.watch_hsic(one, layers, images, meta))
    assert hsic["cross"].shape == (4, 16, 16) and np.isfinite(hsic["cross"]).all()
    targets = find_targets(one, {"depths": 3, "channels": 2})
    fields = list(ChannelGradients(one.model, targets).of(images[:2]))
    assert len(fields) == 1 + 4 * 3 and all(field.sum() > 0 for field in fields)
    names = [target.watched.layer.name for target in targets]
    assert names[:4] == ["embed.patch", "block00.attn", "block00.attn_out", "block00.mlp"]
    entering = targets[2].watched.layer
    assert (entering.when, entering.layout) == ("input", "flat")
    assert [(t.centre.y_px, t.centre.patch_px) for t in (targets[0], targets[-1])] == [
        *((18.0, 8.0), (20.0, 8.0))
    ]


def layer(name, kind, block=0):
    return Layer(f"block{block:02d}.{name}", kind, block, name)


def test_a_projection_after_the_branch_is_not_the_branch():
    norms = [layer(n, "norm") for n in ("norm1", "norm2", "proj_norm")]
    found = watched_layers([*norms, layer("out", "residual")], 1)[1:]
    assert [(w.layer.name, w.variant) for w in found] == [
        *(("block00.norm2", "pre"), ("block00.out", "post")),
    ]


def test_a_block_of_convolutions_and_an_mlp_is_one_unit():
    parts = [layer("conv", "conv"), layer("norm", "norm"), layer("mlp", "mlp")]
    found = watched_layers([*parts, layer("out", "residual")], 1)[1:]
    assert [(w.layer.name, w.variant, w.branch) for w in found] == [
        *(("block00.mlp", "pre", "unit"), ("block00.out", "post", "unit")),
    ]


def test_a_block_of_which_nothing_is_known_has_its_output_alone():
    found = watched_layers([Layer(f"b{i}", "residual", i, f"b{i}") for i in range(3)], 3)
    assert [(w.layer.name, w.variant) for w in found] == [
        *(("b0", "post"), ("b0", "post"), ("b1", "post"), ("b2", "post")),
    ]


CONVOLUTIONS = {
    "start": [(3, 2, ""), (3, 1, ""), (3, 2, "")],
    "end": [(3, 2, "same"), (5, 2, "same"), (3, 1, "same"), (3, 2, "same")],
    "middle": [(4, 4, "valid"), (3, 1, ""), (2, 2, "valid")],
}


@pytest.mark.parametrize("centres", CONVOLUTIONS)
def test_the_middle_of_a_location_is_where_its_convolutions_are_centred(centres):
    """With positive weights, the field is symmetric about the middle."""
    create_conv2d = timm_module("layers.create_conv2d").create_conv2d
    channels, convolutions = 3, []
    for kernel, stride, padding in CONVOLUTIONS[centres]:
        conv = create_conv2d(channels, 2, kernel, stride=stride, padding=padding)
        nn.init.constant_(conv.weight, 1.0)
        convolutions.append(conv)
        channels = 2
    model = nn.Sequential(*convolutions)
    images = images_of(64)
    shape = tuple(model(images).shape[1:])
    last = Layer("x", "conv", 0, str(len(convolutions) - 1))
    one = target_of(Watched(last, 0, 0.0, "post", "unit"), shape, shape[1:], 64, 2, centres)
    assert isinstance(one, Target) and one.centre == centre_of(shape, shape[1:], 64, centres)
    field = next(iter(ChannelGradients(model, [one]).of(images)))[0].numpy()
    middle = np.argwhere(field).mean(0) + 0.5
    assert middle.tolist() == [one.centre.y_px, one.centre.x_px]
