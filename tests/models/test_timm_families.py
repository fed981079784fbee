"""One small member of each family of public models, at its native size, keeps the same contract."""

import copy
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch

from sightlines.dumps.gram_product import flatten
from sightlines.models import attention, timm_blocks
from sightlines.models.branches import capture_branches, find_branches
from sightlines.models.layers import KINDS, capture
from sightlines.models.timm_blocks import Traits
from tests.models.public import IMAGES, captured, images_of, randomised
from tests.models.test_layers import longest_sum
from tests.rounding import assert_rounded

pytestmark = pytest.mark.whole


@dataclasses.dataclass(frozen=True)
class Member:
    """A model, what is to be true of it, and how many blocks and branches it has."""

    name: str
    arguments: dict
    traits: Traits
    layers: int
    blocks: int
    branches: int
    prefix: int = 0
    has_cls: bool = False
    size_px: int = 224


def tokens(pool, side, has_attention=True, role="vit"):
    return Traits(role, pool, has_attention, (side, side), "middle")


def maps(centres, role="resnet", side=7):
    return Traits(role, "", False, (side, side), centres)


ONES = {"layers": [1, 1, 1, 1]}
FEW = {"layers": [2, 1, 1, 1]}
MEMBERS = {
    "cls": Member("vit_tiny_patch16_224", {"depth": 2}, tokens("cls", 14), 15, 2, 4, 1, True),
    "gap": Member(
        *("vit_tiny_patch16_224", {"depth": 2, "class_token": False, "global_pool": "avg"}),
        *(tokens("gap", 14), 14, 2, 4),
    ),
    "gap_with_cls": Member(
        *("vit_tiny_patch16_224", {"depth": 1, "global_pool": "avg"}),
        *(tokens("gap", 14), 8, 1, 2, 1, True),
    ),
    "registers": Member(
        *("vit_small_patch14_reg4_dinov2", {"depth": 1, "img_size": 224}),
        *(tokens("cls", 16), 9, 1, 2, 5, True),
    ),
    "registers_without_cls": Member(
        *("vit_medium_patch16_reg4_gap_256", {"depth": 1}),
        *(tokens("gap", 16), 8, 1, 2, 4, False, 256),
    ),
    "norms_of_queries": Member(
        *("vit_tiny_patch16_224", {"depth": 1, "qk_norm": True, "pre_norm": True}),
        *(tokens("cls", 14), 10, 1, 2, 1, True),
    ),
    "distilled": Member(
        "deit_tiny_distilled_patch16_224", {"depth": 2}, tokens("cls", 14), 15, 2, 4, 2, True
    ),
    "relpos_gap": Member("vit_relpos_small_patch16_224", {"depth": 2}, tokens("gap", 14), 13, 2, 4),
    "relpos_cls": Member(
        *("vit_relpos_base_patch16_cls_224", {"depth": 1, "rel_pos_type": "bias"}),
        *(tokens("cls", 14), 8, 1, 2, 1, True),
    ),
    "relpos_shared": Member(
        "vit_srelpos_small_patch16_224", {"depth": 2}, tokens("gap", 14), 14, 2, 4
    ),
    "resnet_basic": Member("resnet18", ONES, maps("start"), 28, 4, 4),
    "resnet_bottleneck": Member(
        "resnet50d", {**ONES, "drop_path_rate": 0.1}, maps("start"), 38, 4, 4
    ),
    "resnet_excited": Member("seresnet50", FEW, maps("start"), 45, 5, 5),
    "resnetv2_preact": Member("resnetv2_50x1_bit", {}, maps("start"), 118, 16, 16),
    "resnetv2_basic": Member("resnetv2_18", {}, maps("start"), 45, 8, 8),
    "resnetv2_deep": Member("resnetv2_50d_gn", FEW, maps("start"), 45, 5, 5),
    "mobilenetv2": Member("mobilenetv2_050", {}, maps("start"), 121, 17, 10),
    "mobilenetv2_same": Member("mobilenetv2_050", {"pad_type": "same"}, maps("end"), 121, 17, 10),
    "efficientnetv2": Member(
        "tf_efficientnetv2_b0", {}, maps("end", side=6), 139, 21, 15, size_px=192
    ),
    "mobilenetv3": Member("mobilenetv3_small_050", {}, maps("start"), 80, 12, 7),
    "convnext": Member("convnext_atto", {"depths": (1, 2, 1, 1)}, maps("middle"), 33, 5, 5),
    "convnext_nhwc": Member(
        "convnext_tiny", {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)}, maps("middle"), 28, 4, 4
    ),
    "swin": Member(
        *("swin_tiny_patch4_window7_224", {"depths": (2, 1, 1, 1), "embed_dim": 24}),
        *(maps("middle", "other"), 38, 5, 10),
    ),
    "mixer": Member("mixer_s32_224", {}, tokens("", 7, False, "mixer"), 50, 8, 16),
}


@pytest.fixture(scope="module", params=MEMBERS)
def case(request):
    member = MEMBERS[request.param]
    torch.manual_seed(1)
    model = randomised(
        timm.create_model(member.name, pretrained=False, num_classes=7, **member.arguments)
    )
    images = images_of(member.size_px)
    with torch.no_grad():
        before = model(images)
    timm_blocks.prepare(model)
    layers = timm_blocks.layers(model)
    values, output = captured(model, layers, images)
    return SimpleNamespace(
        member=member,
        model=model,
        images=images,
        layers=layers,
        values=values,
        before=before,
        output=output,
    )


def test_names_are_unique_and_in_the_order_in_which_layers_compute(case):
    names = [layer.name for layer in case.layers]
    assert len(set(names)) == len(names) == case.member.layers
    assert list(case.values) == names
    assert timm_blocks.layers(case.model) == case.layers
    assert {layer.kind for layer in case.layers} <= set(KINDS)
    ends = [layer for layer in case.layers if layer.kind == "residual"]
    assert [layer.name for layer in ends] == [
        f"block{i:02d}.out" for i in range(case.member.blocks)
    ]
    for layer in case.layers:
        assert (layer.block >= 0) == layer.name.startswith("block")
    blocks = [layer.block for layer in case.layers if layer.block >= 0]
    assert blocks == sorted(blocks)
    assert [path for path, _ in timm_blocks.blocks(case.model)] == [layer.module for layer in ends]


def width_of(model, layer):
    """Features that the watched module, or that of which it is the end, gives."""
    path = layer.module.removesuffix(".drop")
    module = model.get_submodule(path)
    for name in ("out_channels", "out_features", "num_features", "num_channels"):
        if isinstance(getattr(module, name, None), int):
            return getattr(module, name)
    return module.normalized_shape[0] if hasattr(module, "normalized_shape") else None


def test_shapes(case):
    grid, prefix = case.member.traits.grid, case.member.prefix
    is_token_model = case.member.traits.role in ("vit", "mixer")
    checked = 0
    for layer in case.layers:
        value = case.values[layer.name]
        assert len(value) == IMAGES, layer
        if is_token_model:
            count = grid[0] * grid[1] + (0 if layer.name == "embed.patch" else prefix)
            assert value.dim() == 3 and value.shape[1] == count, layer
        else:
            assert value.dim() == 4 and value.shape[2] == value.shape[3], layer
            assert value.shape[2] >= grid[0], layer
        width = width_of(case.model, layer)
        if width is not None:
            assert value.shape[-1 if is_token_model else 1] == width, layer
            checked += 1
    assert checked >= len(case.layers) / 3
    last = [layer for layer in case.layers if layer.kind == "residual"][-1]
    if not is_token_model:
        assert tuple(case.values[last.name].shape[2:]) == grid


def test_hooks_leave_and_change_nothing(case):
    assert torch.equal(case.before, case.output)
    assert torch.isfinite(case.output).all()
    with pytest.raises(RuntimeError, match="midway"), capture(case.model, case.layers, print):
        raise RuntimeError("midway")
    for module in case.model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_no_operation_in_place_reached_a_value_before_it_was_seen(case, monkeypatch):
    """In a twin that never writes in place, what is kept until the end is what was seen in time."""
    twin = copy.deepcopy(case.model)
    for module in twin.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    monkeypatch.setattr(torch.Tensor, "__iadd__", lambda self, other: self + other)
    kept, output = captured(twin, case.layers, case.images, keep=lambda value: value)
    assert torch.equal(output, case.output)
    for name, value in kept.items():
        assert torch.equal(value, case.values[name]), name
        assert value.std() > 0, name


def test_a_norm_is_seen_before_its_activation(case):
    norms = [layer.name for layer in case.layers if layer.kind == "norm"]
    assert norms and all((case.values[name] < 0).any() for name in norms)


@torch.no_grad()
def test_skip_and_branch_add_up_to_what_the_block_goes_on_with(case):
    branches, blocks = find_branches(case.model)
    assert (len(branches), blocks) == (case.member.branches, case.member.blocks)
    kept = {}

    def keep(index, skip, long):
        assert (branches[index].block, branches[index].name) not in kept
        kept[branches[index].block, branches[index].name] = skip.clone(), long.clone()

    with capture_branches(case.model, branches, keep):
        output = case.model(case.images)
    assert torch.equal(output, case.output)
    assert list(kept) == [(branch.block, branch.name) for branch in branches]
    modules = [module for _, module in timm_blocks.blocks(case.model)]
    for (block, name), (skip, long) in kept.items():
        assert skip.std() > 0 and long.std() > 0
        total = skip + long
        if name in ("attn", "mixing"):
            expected = kept[block, "mlp"][0]
        else:
            expected = case.values[f"block{block:02d}.out"]
            act = getattr(modules[block], "act3", getattr(modules[block], "act2", None))
            total = total if act is None else act(total)
        assert torch.equal(total.flatten(1), expected.flatten(1)), (block, name)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in case.model.modules())


def test_traits(case):
    assert timm_blocks.traits(case.model) == case.member.traits
    assert attention.prefix_tokens(case.model) == case.member.prefix
    assert attention.has_class_token(case.model) == case.member.has_cls


def test_traits_follow_the_size_of_the_images(case):
    if case.member.traits.role == "resnet":
        side = case.member.traits.grid[0]
        twice = timm_blocks.traits(case.model, 2 * case.member.size_px)
        assert twice == dataclasses.replace(case.member.traits, grid=(2 * side, 2 * side))


def test_maps_reach_a_gram_without_a_copy(case):
    layouts = {layer.name: layer.layout for layer in case.layers if layer.layout}
    shared = {}

    def look(value):
        shared[len(shared)] = flatten(value).data_ptr() == value.data_ptr()

    captured(case.model, [x for x in case.layers if x.name in layouts], case.images, keep=look)
    assert all(shared.values()) and len(shared) == len(layouts)


# -- attention --------------------------------------------------------------------------------


@torch.no_grad()
def unfused(model, images):
    """The probabilities as timm's own unfused path hands them to its dropout."""
    seen, twin = [], copy.deepcopy(model)
    for module in attention.attention_modules(twin):
        module.fused_attn = False
        module.attn_drop.register_forward_pre_hook(lambda m, a: seen.append(a[0].clone()))
    twin(images)
    return seen


@torch.no_grad()
def attentions(model, images):
    """The probabilities as captured, chunk after chunk of queries, by block."""
    found = {}

    def keep(block, probabilities, start):
        chunks = found.setdefault(block, [])
        assert start == sum(chunk.shape[2] for chunk in chunks)
        chunks.append(probabilities)

    with attention.capture_attention(model, keep, 100):
        model(images)
    return found


def test_attention_is_that_of_the_model_fused_or_not(case):
    modules = attention.attention_modules(case.model)
    if not case.member.traits.attention:
        assert not modules
        with pytest.raises(LookupError, match="has no attention modules"):
            attention.check_attention(case.model, case.images)
        return
    assert len(modules) == case.member.blocks
    expected = unfused(case.model, case.images)
    for fused in (True, False):
        for module in modules:
            module.fused_attn = fused
        attention.check_attention(case.model, case.images)
        found = attentions(case.model, case.images)
        assert all(module.fused_attn is fused for module in modules)
        for block, whole in enumerate(expected):
            own = torch.cat(found[block], dim=2)
            # Seven sums a block: norm, query, score, softmax, value, two of the MLP.
            terms = 7 * len(expected) * longest_sum(case.model)
            assert_rounded(own, whole, terms=terms, dtype=np.float32)
            assert own.max() > 5 / own.shape[-1], "attention this flat would not tell a wrong one"
    for module in case.model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
