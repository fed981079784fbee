"""What is not in the table, models of the package's own, attention that cannot be reproduced."""

import pytest
import timm
import torch
from torch import nn

from sightlines.core.errors import ResultError
from sightlines.models import attention, building, mixer, resnet, timm_blocks, vit
from sightlines.models.branches import find_branches
from sightlines.models.layers import Layer, capture, with_channels_first
from sightlines.models.timm_blocks import Traits
from tests.models.nets import CLASSES, NETS, SIZE_PX
from tests.models.public import captured, images_of, randomised, small_vit


@pytest.mark.parametrize("change", ["scale", "values", "bias"])
def test_attention_that_is_something_else_is_found_out(change):
    model, images = small_vit(), images_of(16)
    attention.check_attention(model, images)
    module = model.blocks[1].attn
    if change == "scale":
        module.scale *= 1.5  # fused kernels do not read it
    elif change == "values":
        module.attn_drop.p = 0.5
        module.attn_drop.train()
        module.fused_attn = False
    else:
        module.qkv.register_forward_hook(lambda m, a, out: out + 0.1 * out.sin())
    with pytest.raises(ResultError, match=r"attention of block 1 of VisionTransformer is not what"):
        attention.check_attention(model, images)
    assert not any(m._forward_hooks for m in model.modules() if m is not module.qkv)


def test_a_mask_is_refused():
    model, images = small_vit(), images_of(16)
    with pytest.raises(ResultError, match="mask hides tokens"):
        with torch.no_grad(), attention.capture_attention(model, lambda *_: None, 8):
            model(images, is_causal=True)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 2),
        ({"scale_attn_norm": True}, 0),
        ({"attn_layer": "diff"}, 0),
        ({"attn_layer": lambda *a, **k: timm.layers.Attention(*a, gated=True, **k)}, 0),
        ({"attn_layer": timm.layers.AttentionRope}, 0),
    ],
)
def test_modules_that_cannot_be_reproduced_are_not_claimed(changes, count):
    if callable(changes.get("attn_layer")) and not isinstance(changes["attn_layer"], type):
        model = small_vit()
        for block in model.blocks:
            block.attn = changes["attn_layer"](12, num_heads=2)
    else:
        model = small_vit(**changes)
    assert len(attention.attention_modules(model)) == count
    assert timm_blocks.traits(model).attention == bool(count)


def test_a_class_that_overrides_the_forward_pass_is_not_claimed():
    class Other(timm.layers.Attention):
        def forward(self, x, attn_mask=None, is_causal=False):
            return -super().forward(x, attn_mask, is_causal)

    class Same(timm.layers.Attention):
        pass

    model = small_vit()
    model.blocks[0].attn.__class__ = Same
    assert len(attention.attention_modules(model)) == 2
    model.blocks[0].attn.__class__ = Other
    assert attention.attention_modules(model) == [model.blocks[1].attn]
    assert not timm_blocks.traits(model).attention


# -- the package's own families ---------------------------------------------------------------

MIXER = {"family": "mixer", "patch_px": 4, "width": 12, "depth": 2, "token_ratio": 0.5}
MIXER |= {"mlp_ratio": 2, "drop_path": 0.1}
OWN = {"vit": vit, "vit_gap": vit, "resnet": resnet, "resnet_large": resnet, "mixer": mixer}


@pytest.mark.parametrize("name", OWN)
def test_names_and_values_are_those_of_the_package_s_own_families(name):
    model = randomised(building.build({**NETS, "mixer": MIXER}[name], SIZE_PX, CLASSES, seed=3))
    own, here = OWN[name].layers(model), timm_blocks.layers(model)
    assert [(x.name, x.kind, x.block) for x in own] == [(x.name, x.kind, x.block) for x in here]
    images = images_of(SIZE_PX)
    expected, found = captured(model, own, images)[0], captured(model, here, images)[0]
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def plain_mixer():
    torch.manual_seed(3)
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 12, "num_blocks": 2, "num_classes": 3}
    return timm.models.mlp_mixer.MlpMixer(**sizes, drop_path_rate=0.5)


def test_a_prepared_mixer_computes_the_same_to_the_bit():
    plain, prepared, images = plain_mixer(), plain_mixer(), images_of(8)
    with pytest.raises(LookupError, match=r"MixerBlock has no module 'drop_path1'.*prepare"):
        timm_blocks.layers(plain)
    timm_blocks.prepare(prepared)
    timm_blocks.prepare(prepared)
    assert list(plain.state_dict()) == list(prepared.state_dict())
    for model in (plain.train(), prepared.train()):
        torch.manual_seed(7)
        model.output = model(images)
    assert torch.equal(plain.output, prepared.output)
    assert torch.equal(plain.eval()(images), prepared.eval()(images))


def test_prepare_leaves_other_models_alone():
    model = small_vit()
    classes = [type(module) for module in model.modules()]
    timm_blocks.prepare(model)
    assert classes == [type(module) for module in model.modules()]


# -- what is not known ------------------------------------------------------------------------


def test_unknown_models_and_blocks_are_named():
    with pytest.raises(LookupError, match=r"layers of timm\.models\.vgg\.VGG are not known"):
        with torch.device("meta"):
            timm_blocks.layers(timm.create_model("vgg11", pretrained=False))
    block = timm.models.vision_transformer.ParallelScalingBlock
    with pytest.raises(
        LookupError, match=r"vision_transformer\.ParallelScalingBlock are not known"
    ):
        timm_blocks.layers(small_vit(block_fn=block))
    assert find_branches(small_vit(block_fn=block)) == ([], 0)
    traits = timm_blocks.traits(small_vit(block_fn=block))
    assert traits == Traits("vit", "cls", False, (4, 4), "middle")


def test_listed_modules_are_layers_of_blocks_of_their_own():
    with torch.device("meta"):
        model = timm.create_model("regnetx_002", pretrained=False).eval()
    layers = timm_blocks.listed_layers(model, ["s1", "s2.b1.conv2"])
    assert layers == [
        Layer("s1", "residual", 0, "s1"),
        Layer("s2.b1.conv2", "residual", 1, "s2.b1.conv2"),
    ]
    assert timm_blocks.traits(model) == Traits("other", "", False, (7, 7), "start")
    assert timm_blocks.traits(model, layers=layers[:1]).grid == (56, 56)
    assert timm_blocks.traits(model, 448).grid == (14, 14)


def test_listed_maps_with_channels_last_are_turned():
    arguments = {"depths": (1, 1, 1, 1), "embed_dim": 24}
    model = timm.create_model("swinv2_tiny_window8_256", pretrained=False, **arguments).eval()
    layers = timm_blocks.listed_layers(model, ["layers.1", "layers.3.blocks.0"])
    values, _ = captured(model, layers, images_of(256))
    assert [tuple(v.shape) for v in values.values()] == [(2, 48, 32, 32), (2, 192, 8, 8)]
    assert timm_blocks.traits(model).grid == (8, 8)


def test_listed_modules_that_are_missing_are_named_with_the_nearest():
    model = small_vit()
    with pytest.raises(LookupError, match=r"no modules 'block.1' \(nearest: .*blocks\.1"):
        timm_blocks.listed_layers(model, ["blocks.0", "block.1"])
    with pytest.raises(LookupError, match=r"\['norm'\] are listed more than once"):
        timm_blocks.listed_layers(model, ["norm", "norm"])
    with pytest.raises(LookupError, match=r"no modules ''"):
        timm_blocks.listed_layers(model, [""])


def test_a_module_that_gives_no_tensor_is_named():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    model = nn.Sequential(Pair())
    with pytest.raises(LookupError, match=r"layer 0: its module gives a tuple, no tensor"):
        with capture(model, timm_blocks.listed_layers(model, ["0"]), lambda *_: None):
            model(torch.zeros(2, 3))


# -- layouts ----------------------------------------------------------------------------------


def test_maps_are_turned_without_a_copy():
    value = torch.randn(2, 3, 5, 7)
    turned = with_channels_first(value.permute(0, 2, 3, 1), "nhwc")
    assert torch.equal(turned, value) and turned.data_ptr() == value.data_ptr()
    square = torch.randn(2, 9, 4)
    turned = with_channels_first(square, "flat")
    assert turned.shape == (2, 4, 3, 3) and turned.data_ptr() == square.data_ptr()
    assert torch.equal(turned[:, :, 1, 2], square[:, 5])
    assert with_channels_first(value, "") is value
    assert with_channels_first(square, "nhwc") is square
    with pytest.raises(ValueError, match="12 locations are no square map"):
        with_channels_first(torch.zeros(2, 12, 4), "flat")
    with pytest.raises(ValueError, match="unknown layout 'nchw'"):
        Layer("a", "norm", 0, "a", layout="nchw")


def test_patches_that_stay_a_map_are_turned():
    model = small_vit(dynamic_img_size=True)
    layers = timm_blocks.layers(model)
    values, _ = captured(model, layers, images_of(24))
    assert values["embed.patch"].shape == (2, 12, 6, 6)
    assert values["embed.pos"].shape == (2, 37, 12)
    assert timm_blocks.traits(model, 24).grid == (6, 6)


def test_a_vit_without_position_embedding_has_no_such_layer():
    model = small_vit(pos_embed="none")
    layers = timm_blocks.layers(model)
    assert "embed.pos" not in [layer.name for layer in layers]
    assert list(captured(model, layers, images_of(16))[0]) == [layer.name for layer in layers]


def test_an_mlp_with_a_gate_is_seen_where_its_activation_begins():
    model = small_vit(mlp_layer=timm.layers.SwiGLU)
    layers = timm_blocks.layers(model)
    assert next(x.module for x in layers if x.kind == "mlp_hidden") == "blocks.0.mlp.fc1_g"
    assert list(captured(model, layers, images_of(16))[0]) == [layer.name for layer in layers]
