"""Blocks, places and attention of networks that no table knows, on small members of families."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from sightlines.core.errors import ConfigError, ResultError
from sightlines.models import foreign, found_layers, timm_building
from sightlines.models.layers import capture
from sightlines.models.placed_attention import capture_sites, check_sites, placed_sites
from sightlines.models.tracing import trace
from tests.models.public import as_map, randomised
from tests.rounding import assert_rounded

IMAGES = 2


def built(name, size_px, **arguments):
    """A model with random weights, as a job builds it."""
    torch.manual_seed(1)
    settings = {"name": name, "arguments": arguments}
    return randomised(timm_building.build(settings, size_px, 7))


def images_of(size_px):
    return torch.randn(IMAGES, 3, size_px, size_px, generator=torch.Generator().manual_seed(5))


THIN = {"embed_dim": 24, "num_heads": 2}
FAMILIES = {
    "beit_base_patch16_224": (64, {**THIN, "depth": 2}, "vit", 2),
    "cait_xxs24_224": (64, {"depth": 2}, "vit", 2),
    "crossvit_tiny_240": (240, {"depth": ((1, 2, 0),)}, "hierarchical", 2),
    "gcvit_xxtiny": (64, {"depths": (2, 1, 1, 2)}, "hierarchical", 6),
    "hiera_tiny_224": (64, {"stages": (1, 1, 2, 1), "embed_dim": 16}, "hierarchical", 5),
    "maxvit_pico_rw_256": (64, {}, "hierarchical", 33),
    "mobilevit_xxs": (64, {}, "hybrid", 11),
    "nest_tiny": (64, {"depths": (1, 1, 2)}, "hierarchical", 4),
    "pit_s_224": (64, {}, "hierarchical", 14),
    "pvt_v2_b0": (64, {}, "hierarchical", 12),
    "regnetx_002": (64, {}, "resnet", 13),
    "resnest14d": (64, {}, "resnet", 4),
}


LARGE = ("crossvit_tiny_240", "gcvit_xxtiny", "hiera_tiny_224", "maxvit_pico_rw_256")
LARGE += ("mobilevit_xxs", "pit_s_224")


def cases(names, large):
    """Names, of which some are of whole tests, of a second or so."""
    return [pytest.param(name, marks=pytest.mark.whole if name in large else ()) for name in names]


@pytest.fixture(scope="module", params=cases(FAMILIES, LARGE))
def case(request):
    size_px, arguments, role, blocks = FAMILIES[request.param]
    model = built(request.param, size_px, **arguments)
    return model, size_px, role, blocks


def test_roles_and_blocks_are_found_from_the_model(case):
    model, _, role, blocks = case
    seen = timm_building.found_of(model)
    assert seen.role == role
    found = [layer for layer in seen.layers if layer.kind == "residual"]
    assert len(found) >= blocks
    assert [layer.block for layer in found] == [*range(len(found))]
    assert len({layer.name for layer in seen.layers}) == len(seen.layers)


def test_blocks_are_timms_own_intermediates(case):
    model, size_px, _, _ = case
    seen, images = timm_building.found_of(model), images_of(size_px)
    values, order = {}, []

    def keep(index, value):
        order.append(index)
        values[index] = value.clone()

    with torch.no_grad():
        before = model(images)
        with capture(model, seen.layers, keep):
            after = model(images)
        expected = model.forward_intermediates(images, intermediates_only=True, norm=False)
    assert torch.equal(before, after)
    assert order == sorted(order) == [*range(len(seen.layers))]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    flat = [part for each in expected for part in (each if isinstance(each, tuple) else (each,))]
    for like in flat:
        own = [as_map(value, like, seen.prefix) for value in values.values()]
        assert any(v.shape == like.shape and torch.equal(v, like) for v in own), like.shape


@pytest.mark.whole
def test_the_last_branches_of_hrnet_are_blocks_though_sums_join_them():
    model, images = built("hrnet_w18_small", 64), images_of(64)
    layers, values = timm_building.layers_of(model), []
    with torch.no_grad():
        with capture(model, layers, lambda _, value: values.append(value.clone())):
            model(images)
        expected = model.forward_intermediates(images, [1, 2, 3, 4], intermediates_only=True)
    assert len(expected) == 4
    for like in expected:
        assert any(v.shape == like.shape and torch.equal(v, like) for v in values), like.shape


# -- attention -----------------------------------------------------------------------------

ATTENTION = {
    "beit_base_patch16_224": (64, {**THIN, "depth": 2}),
    "hiera_tiny_224": (64, {"stages": (1, 1, 2, 1), "embed_dim": 16}),
    "maxvit_pico_rw_256": (64, {}),
    "pvt_v2_b0": (64, {}),
    "swin_tiny_patch4_window7_224": (64, {"depths": (2, 1, 1, 1), "embed_dim": 24}),
    "tiny_vit_5m_224": (64, {}),
}


def seen_rows(model, sites, images):
    """Probabilities [images, slices, queries, keys] of every site."""
    found = [{} for _ in sites]

    def keep(index, image, part, rows):
        found[index].setdefault(image, []).append(rows.clone())

    with torch.no_grad(), capture_sites(model, sites, len(images), keep):
        model(images)
    return [torch.stack([torch.cat(own[i]) for i in range(len(images))]) for own in found]


SUMS = {"maxvit_pico_rw_256": 60_000}
"""Terms behind a probability of the last block, where they are more than 10,000: convolutions and
scores of about 10 in each softmax magnify the errors of all layers below."""


@pytest.mark.whole
@pytest.mark.parametrize("name", ATTENTION)
def test_fused_and_explicit_attention_are_the_same(name):
    """Fused probabilities are computed a second time, explicit ones are taken as they are."""
    size_px, arguments = ATTENTION[name]
    model, images = built(name, size_px, **arguments), images_of(size_px)
    plain = copy.deepcopy(model)
    for module in plain.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    both = []
    for own in (model, plain):
        sites, _ = found_layers.attention_of(own, size_px)
        check_sites(own, sites, images)
        both.append((sites, seen_rows(own, sites, images)))
    (sites, rows), (others, expected) = both
    assert {site.site.function for site in others} == {"product"}
    assert [site.name for site in sites] == [site.name for site in others]
    for site, other, a, b in zip(sites, others, rows, expected, strict=True):
        assert (site.heads, site.window_of) == (other.heads, other.window_of)
        assert torch.equal(site.queries.nan_to_num(-1), other.queries.nan_to_num(-1))
        assert torch.equal(site.keys.nan_to_num(-1), other.keys.nan_to_num(-1))
        assert_rounded(a, b, terms=SUMS.get(name, 10_000), size=1, dtype=np.float32)
        assert_rounded(a.sum(-1), torch.ones(a.shape[:-1]), terms=a.shape[-1], dtype=np.float32)


def test_shifted_windows_stand_where_their_pixels_are():
    """Of Swin's second block: 4 × 4 tokens in windows of 2, shifted by 1 and rolled round."""
    swin = timm.models.swin_transformer.SwinTransformer(
        img_size=16, patch_size=4, embed_dim=8, depths=(2,), num_heads=(2,), window_size=2
    ).eval()
    plain, shifted = found_layers.attention_of(swin, 16)[0]
    assert (plain.heads, len(plain.queries)) == (shifted.heads, len(shifted.queries)) == (2, 4)
    assert plain.queries[0].tolist() == [[2, 2], [2, 6], [6, 2], [6, 6]]
    assert plain.queries[3].tolist() == [[10, 10], [10, 14], [14, 10], [14, 14]]
    assert shifted.queries[0].tolist() == [[6, 6], [6, 10], [10, 6], [10, 10]]
    assert shifted.queries[3].tolist() == [[14, 14], [14, 2], [2, 14], [2, 2]]
    rows = seen_rows(swin, [shifted], images_of(16))[0]
    corner = rows[:, torch.tensor(shifted.window_of) == 3]
    assert_rounded(corner, torch.eye(4).expand(corner.shape), terms=4, size=1, dtype=np.float32)


def test_keys_of_a_pyramid_stand_in_the_middle_of_what_they_are_pooled_from():
    sites, _ = found_layers.attention_of(built("pvt_v2_b0", 64), 64)
    first = sites[0]
    assert first.queries.shape == (1, 256, 2) and first.keys.shape == (1, 4, 2)
    steps = first.keys[0].reshape(2, 2, 2)
    assert (steps[1, 0] - steps[0, 0]).tolist() == [32, 0]
    assert (steps[0, 1] - steps[0, 0]).tolist() == [0, 32]


# -- what a network does -------------------------------------------------------------------

DOES = {
    "coat_tiny": (64, "hybrid"),  # factorised attention: keys to values, queries to both
    "edgenext_xx_small": (64, "hybrid"),  # attention over channels
    "efficientvim_m1": (128, "hybrid"),  # a state space
    "efficientvit_b0": (64, "hybrid"),  # linear attention
    "mobilevitv2_050": (64, "hybrid"),  # sums over places by weights of one number a place
    "swiftformer_xs": (64, "hybrid"),  # the same
    "gcresnet33ts": (64, "hybrid"),  # the same, as a product of matrices
    "csatv2": (64, "hybrid"),  # softmax attention in its last blocks
    "convnext_atto": (64, "resnet"),
    "efficientnet_b0": (64, "resnet"),  # gates (squeeze and excitation)
    "focalnet_tiny_srf": (64, "resnet"),  # a gate for each place
    "regnetx_002": (64, "resnet"),
    "resnest14d": (64, "resnet"),  # softmax over branches
    "resnet18": (64, "resnet"),
    "skresnet18": (64, "resnet"),  # a sum over branches
    "vit_base_mci_224": (224, "vit"),  # plain convolutions before the tokens
    "vit_tiny_r_s16_p8_224": (224, "vit"),  # one convolution and a pool
    "vit_small_r26_s32_224": (224, "hybrid"),  # a ResNet before them
    "vitamin_small_224": (224, "hybrid"),  # blocks of a MobileNet before them
}
QUICK = ("convnext_atto", "mobilevitv2_050", "resnest14d", "resnet18", "swiftformer_xs")
QUICK += ("vit_tiny_r_s16_p8_224",)


@pytest.mark.parametrize("name", cases(DOES, {*DOES} - {*QUICK}))
@pytest.mark.whole
def test_what_attends_in_whatever_way_is_no_resnet(name):
    size_px, does = DOES[name]
    known = timm_building.describe({"name": name, "size_px": size_px})
    assert known["does"] == does
    assert known["role"] == (does if does in ("vit", "resnet") else "other")


@pytest.mark.whole
def test_a_vit_behind_convolutional_blocks_is_measured_as_a_vit():
    known = timm_building.describe({"name": "vit_small_r26_s32_224"})
    assert known["attention"] and known["plain_attention"] and known["pool"] == "cls"


class Mixing(nn.Module):
    """Ways to combine two tensors of one image."""

    def __init__(self, kind):
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 4, 4)
        self.more = nn.Conv2d(8, 16, 1)
        self.one = nn.Conv2d(8, 1, 1)
        self.table = nn.Parameter(torch.ones(16, 16))
        self.kind = kind

    def forward(self, images):
        maps = self.cut(images)
        q, k = self.more(maps).flatten(2).chunk(2, dim=1)
        one = self.one(maps)
        if self.kind == "linear":
            out = (q @ k.transpose(1, 2)) @ q
        elif self.kind == "equation":
            out = torch.einsum("ncp,nkp,nkr->ncr", q, k, q)
        elif self.kind == "additive":
            out = (one.flatten(2) * q).sum(-1, keepdim=True) * k
        elif self.kind == "pooled":
            out = (one * maps).mean((2, 3), keepdim=True) * maps
        elif self.kind == "parameters":
            out = q @ self.table
        elif self.kind == "excitation":
            out = maps * maps.mean((2, 3), keepdim=True).sigmoid()
        elif self.kind == "places":
            out = maps * one.sigmoid() + maps
        elif self.kind == "swish":
            out = maps * (maps * maps.sigmoid()).mean((2, 3), keepdim=True)
        else:
            both = torch.stack([q, k], dim=1)
            gates = both.mean(-1, keepdim=True).softmax(1)
            out = (both * gates).sum(1)
        return out.flatten(2).mean(-1)


@pytest.mark.parametrize("kind", ["linear", "equation", "additive", "pooled"])
def test_sums_by_weights_of_the_image_are_noted(kind):
    assert trace(Mixing(kind).eval(), 16).mixings


@pytest.mark.parametrize("kind", ["parameters", "excitation", "places", "swish", "branches"])
def test_gates_and_sums_by_parameters_are_not(kind):
    assert not trace(Mixing(kind).eval(), 16).mixings


class Toy(nn.Module):
    """One softmax of each kind: over keys, over channels, over what is no product."""

    def __init__(self, kind):
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 4, 4)
        self.qkv = nn.Linear(8, 24)
        self.head = nn.Linear(8, 3)
        self.kind = kind

    def forward(self, images):
        tokens = self.cut(images).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).chunk(3, dim=-1)
        if self.kind == "places":
            out = (q @ k.transpose(1, 2) / math.sqrt(8)).softmax(-1) @ v
        elif self.kind == "channels":
            out = (v.transpose(1, 2).transpose(1, 2)) @ (q.transpose(1, 2) @ k).softmax(-1)
        elif self.kind == "twice":
            probabilities = (q @ k.transpose(1, 2)).softmax(-1)
            out = v * (probabilities @ probabilities.transpose(1, 2)).sum((1, 2), keepdim=True)
        elif self.kind == "gate":
            out = v * q.softmax(-1)
        else:
            probabilities = (q @ k.transpose(1, 2)).softmax(-1)
            out = (probabilities * 0.5) @ v
        return self.head((tokens + out).mean(1))


@pytest.mark.parametrize(
    ("kind", "sites"), [("places", 1), ("channels", 0), ("gate", 0), ("scaled", 1)]
)
def test_a_softmax_counts_where_it_runs_over_keys_with_places(kind, sites):
    """There are as many tokens, 16, as no axis of channels has; with 8 px there would be 4."""
    found = trace(Toy(kind).eval(), 16)
    placed, _ = placed_sites(found.sites, 16)
    assert len(placed) == sites
    assert bool(found.others) == (not sites)
    applied = [site.site.applied for site in placed]
    assert applied == ([()] if kind == "places" else [("mul",)] if kind == "scaled" else [])


def test_a_product_of_two_matrices_of_probabilities_multiplies_no_values():
    assert not trace(Toy("twice").eval(), 16).sites


def test_attention_of_torchs_own_module_is_recomputed_from_its_arguments():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.cut = nn.Conv2d(3, 8, 4, 4)
            self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, images):
            tokens = self.cut(images).flatten(2).transpose(1, 2)
            return self.attend(tokens, tokens, tokens, need_weights=False)[0].mean(1)

    model, images = Own().eval(), images_of(16)
    sites, _ = found_layers.attention_of(model, 16)
    assert [(s.site.function, s.heads, len(s.queries)) for s in sites] == [("multi_head", 2, 1)]
    rows = seen_rows(model, sites, images)[0]
    tokens = model.cut(images).flatten(2).transpose(1, 2)
    weight, bias = model.attend.in_proj_weight, model.attend.in_proj_bias
    q, k, _ = (tokens @ weight.T + bias).chunk(3, dim=-1)
    q, k = (x.unflatten(2, (2, 4)).transpose(1, 2) for x in (q, k))
    expected = (q @ k.transpose(2, 3) / 2).softmax(-1)
    assert_rounded(rows, expected.detach(), terms=100, size=1, dtype=np.float32)


@pytest.mark.parametrize(("bias", "zero"), [(True, False), (False, True), (True, True)])
def test_learnt_keys_of_torchs_own_module_have_no_place(bias, zero):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.cut = nn.Conv2d(3, 8, 4, 4)
            more = {"add_bias_kv": bias, "add_zero_attn": zero}
            self.attend = nn.MultiheadAttention(8, 2, batch_first=True, **more)

        def forward(self, images):
            tokens = self.cut(images).flatten(2).transpose(1, 2)
            return self.attend(tokens, tokens, tokens, need_weights=False)[0].mean(1)

    model, images = Own().eval(), images_of(16)
    (site,), _ = found_layers.attention_of(model, 16)
    assert site.keys[0, :, 0].isnan().tolist() == [False] * 16 + [True] * (bias + zero)
    rows = seen_rows(model, [site], images)[0]
    assert rows.shape[-2:] == (16, 16 + bias + zero)


ORDERS = {
    "index": lambda x, order: x[:, order],
    "list": lambda x, order: x[:, list(PERMUTED)],
    "pairs": lambda x, order: x[torch.arange(len(x))[:, None], order.expand(len(x), -1)],
    "gather": lambda x, order: x.gather(1, order[None, :, None].expand(x.shape)),
    "take": lambda x, order: torch.take_along_dim(x, order[None, :, None], 1),
    "select": lambda x, order: x.index_select(1, order),
}
PERMUTED = (5, 2, 14, 9, 0, 12, 7, 3, 15, 10, 1, 6, 13, 4, 11, 8)


class Ordered(nn.Module):
    """One block of attention on 16 tokens, in an order that a buffer holds."""

    def __init__(self, put):
        super().__init__()
        self.cut, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.block, self.head = Attends(), nn.Linear(8, 3)
        self.register_buffer("order", torch.tensor(PERMUTED))
        self.put = put

    def forward(self, images):
        tokens = self.put(self.cut(images).flatten(2).transpose(1, 2), self.order)
        return self.head(self.norm(self.block(tokens)).mean(1))


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        return x + functional.scaled_dot_product_attention(*self.qkv(x).chunk(3, dim=-1))


@pytest.mark.parametrize("way", ORDERS)
def test_tokens_stand_where_their_pixels_are_whatever_order_numbers_give_them(way):
    model = foreign.prepared(Ordered(ORDERS[way]).eval(), 16)
    layers, (site,) = foreign.layers(model), found_layers.attention_of(model, 16)[0]
    centres = [[4 * (i // 4) + 2, 4 * (i % 4) + 2] for i in PERMUTED]
    assert site.queries[0].tolist() == site.keys[0].tolist() == centres
    maps, images = {}, images_of(16)
    for put in (ORDERS[way], lambda x, order: x):  # without positions the order alone differs
        model.put = put
        own = layers if put is ORDERS[way] else [replace(each, order=()) for each in layers]
        with (
            torch.no_grad(),
            capture(model, own, lambda index, x: maps.setdefault(index, []).append(x)),
        ):
            model(images)
    assert [layer.name for layer in layers] == ["stem", "block00.out", "norm"]
    for one, other in maps.values():
        assert one.shape[2:] == (4, 4)
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("way", ["index", "pairs", "gather", "take"])
def test_an_order_that_differs_from_image_to_image_is_no_order(way):
    def sorted_by_norm(x, order):
        del order
        found = x.norm(dim=-1).argsort(dim=1)
        if way == "gather":
            return x.gather(1, found[..., None].expand(x.shape))
        if way == "take":
            return torch.take_along_dim(x, found[..., None], 1)
        return x[:, found[0]] if way == "index" else x[torch.arange(len(x))[:, None], found]

    model = foreign.prepared(Ordered(sorted_by_norm).eval(), 16)
    with pytest.raises(ConfigError, match="were not found"):
        foreign.layers(model)


def test_tokens_that_are_put_in_places_by_numbers_are_taken_for_none_in_rows():
    def scattered(x, order):
        return torch.zeros_like(x).scatter(1, order[None, :, None].expand(x.shape), x)

    model = foreign.prepared(Ordered(scattered).eval(), 16)
    with pytest.raises(ConfigError, match="were not found"):
        foreign.layers(model)


def test_a_scripted_network_is_refused_by_name():
    scripted = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3)))
    with pytest.raises(ConfigError, match="scripted module"):
        found_layers.traced(nn.Sequential(scripted), 16)


def test_attention_in_half_precision_is_refused_with_the_cure():
    class Halved(Ordered):
        def forward(self, images):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return super().forward(images)

    model = Halved(lambda x, order: x).eval()
    model.block.qkv.weight.data.mul_(4)
    sites, _ = found_layers.attention_of(model, 16)
    with pytest.raises(ResultError, match=r"torch\.autocast\), let it compute in float32"):
        check_sites(model, sites, images_of(16))


def test_images_that_are_too_small_are_refused_with_the_cure():
    with pytest.raises(ConfigError, match="Set size_px to a side that it takes"):
        timm_building.described_network({"name": "vgg11", "size_px": 16})
