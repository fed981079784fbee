"""The shortcut of plain ViTs, against loops over images and channels in float64."""

import numpy as np
import pytest
import timm
import torch
from torch import nn

from sightlines.dumps import receptive_field_tokens, receptive_field_vit
from sightlines.dumps.receptive_field_gradients import ChannelGradients
from sightlines.dumps.receptive_field_layers import target_of, watched_layers
from sightlines.models import building, timm_blocks
from sightlines.models.layers import capture
from tests.dumps.making_experiments import RESNET, VIT
from tests.reference.receptive_field_loops import mean_map
from tests.rounding import assert_rounded

SIZE_PX, GRID = 8, (2, 2)
BLOCKS = 5
# Through five blocks and back: sums of up to 24 terms, 7 of them in each block.
ROUNDED = {"terms": 24 * 7 * BLOCKS * 2, "dtype": np.float32}
DEFAULT = {
    "img_size": SIZE_PX,
    **{"patch_size": 4, "num_classes": 3, "embed_dim": 12, "depth": BLOCKS, "num_heads": 3},
    **{"mlp_ratio": 2.0, "class_token": True},
}
PLAIN = {
    "class token": {},
    "mean of all tokens": {"class_token": False, "global_pool": "avg"},
    "registers": {"reg_tokens": 2},
    "layer scale": {"init_values": 0.5},
    "no bias": {"qkv_bias": False, "proj_bias": False},
    "another activation": {"act_layer": nn.SiLU},
    "one head": {"num_heads": 1},
    "dropout": {"proj_drop_rate": 0.1, "drop_path_rate": 0.1, "pos_drop_rate": 0.1},
}
OTHER = {
    "norms of queries and keys": {"qk_norm": True},
    "norm before the blocks": {"pre_norm": True},
    "norm in the MLP": {"scale_mlp_norm": True},
    "norm of what is attended": {"scale_attn_norm": True},
    "blocks with the norm last": {"block_fn": timm.models.vision_transformer.ResPostBlock},
}


def random_images(count):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, SIZE_PX, SIZE_PX, generator=generator)


def vit(**arguments):
    """A ViT whose every weight matters."""
    torch.manual_seed(3)
    model = timm.models.vision_transformer.VisionTransformer(**DEFAULT | arguments)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.2 * torch.randn(parameter.shape)
        elif parameter.dim() == 2:
            parameter.data *= 10
    return model.eval()


def targets_in(model, layers, channels, depths=4):
    watched = watched_layers(layers, depths)
    shapes = {}
    with (
        torch.inference_mode(),
        capture(model, [w.layer for w in watched], lambda i, v: shapes.update({i: v.shape[1:]})),
    ):
        model(random_images(2))
    return [target_of(w, shapes[i], GRID, SIZE_PX, channels) for i, w in enumerate(watched)]


def assert_fields_rounded(model, targets, images, found):
    """Hold each field against its slow twin."""
    model.double()
    modules = dict(model.named_modules())
    for field, one in zip(found, targets, strict=True):
        layer, channels = one.watched.layer, one.channels.tolist()
        own = (modules[layer.module], one.centre.token, channels, images.double())
        expected = mean_map(model, *own, layer.when == "input")
        assert expected.max() > 0
        assert_rounded(field.mean(0), expected, layer.name, **ROUNDED)


def fields(model, targets, images):
    gradients = ChannelGradients(model, targets)
    found = torch.stack([field.clone() for field in gradients.of(images)])
    return found, gradients.is_short


SOME, ALL = 5, 12
"""Channels; the loops over all of them take a second, and are whole tests but of one kind."""
FIELDS = [(kind, SOME) for kind in PLAIN] + [("class token", ALL)]
FIELDS += [pytest.param(k, ALL, marks=pytest.mark.whole) for k in PLAIN if k != "class token"]


@pytest.mark.parametrize(("kind", "channels"), FIELDS)
def test_plain_vits_take_the_shortcut_and_agree_with_loops(kind, channels):
    """Blocks 0, 1, 3 and 4 are measured: with and without a measured block before them."""
    model, images = vit(**PLAIN[kind]), random_images(1)
    targets = targets_in(model, timm_blocks.layers(model), channels)
    assert {t.watched.block for t in targets} == {-1, 0, 1, 3, 4}
    found, is_short = fields(model, targets, images)
    assert is_short
    assert_fields_rounded(model, targets, images, found)


@pytest.mark.parametrize("kind", OTHER)
def test_other_vits_do_not_take_it_and_agree_with_loops_too(kind):
    model, images = vit(**OTHER[kind]), random_images(1)
    watched = [layer for layer in timm_blocks.layers(vit())]
    targets = targets_in(model, watched, 3, depths=2)
    found, is_short = fields(model, targets, images)
    assert not is_short
    assert_fields_rounded(model, targets, images, found)


@pytest.mark.parametrize(
    ("config", "grid"),
    [
        (VIT | {"skipless_block": 1, "skipless": "both"}, GRID),
        (RESNET, (4, 4)),
    ],
    ids=["skipless", "resnet"],
)
def test_networks_of_other_blocks_do_not_take_it(config, grid):
    model = building.build(config, SIZE_PX, 3, seed=4).eval()
    targets = targets_in(model, building.layers_of(config["family"], model), 3)
    _, is_short = fields(model, targets, random_images(1))
    assert not is_short


def test_a_vit_that_computes_something_else_than_its_classes_say_does_not_take_it():
    model, images = vit(), random_images(2)
    model.blocks[1].register_forward_hook(lambda module, given, out: out * 1.01)
    targets = targets_in(model, timm_blocks.layers(model), 12)
    found, is_short = fields(model, targets, images)
    assert not is_short
    model.double()
    last = targets[-1]
    own = (model.blocks[4], last.centre.token, last.channels.tolist(), images.double())
    assert_rounded(found[-1].mean(0), mean_map(model, *own), **ROUNDED)


@pytest.mark.parametrize("composed", [0, np.inf], ids=["composed", "in two products"])
@pytest.mark.parametrize("at_once", [1, 2**20], ids=["one at a time", "together"])
def test_how_much_is_computed_at_once_changes_nothing(composed, at_once, monkeypatch):
    monkeypatch.setattr(receptive_field_tokens, "COMPOSED", composed)
    monkeypatch.setattr(receptive_field_tokens, "NUMBERS_AT_ONCE", at_once)
    monkeypatch.setattr(receptive_field_tokens, "ROWS_AT_ONCE", at_once)
    monkeypatch.setattr(receptive_field_vit, "NUMBERS_AT_ONCE", at_once)
    model, images = vit(), random_images(1)
    targets = targets_in(model, timm_blocks.layers(model), 7)
    found, is_short = fields(model, targets, images)
    assert is_short
    assert_fields_rounded(model, targets, images, found)


def test_images_do_not_mix_and_two_calls_are_the_same_bits():
    model, images = vit(), random_images(3)
    targets = targets_in(model, timm_blocks.layers(model), 12)
    together, _ = fields(model, targets, images)
    again, _ = fields(model, targets, images)
    assert torch.equal(together, again)
    for index in range(3):
        alone, _ = fields(model, targets, images[index : index + 1])
        assert_rounded(together[:, index : index + 1], alone, **ROUNDED)
