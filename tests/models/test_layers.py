import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sightlines.models import building
from sightlines.models.layers import Layer, capture, layer_table
from sightlines.plan import registry
from tests.models.nets import CLASSES, IMAGES, NETS, SIZE_PX
from tests.rounding import assert_rounded


def make(name):
    """A network whose values are all different: no zero-initialised scale, no zero bias."""
    model = building.build(NETS[name], SIZE_PX, CLASSES, seed=3).eval()
    generator = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    images = torch.randn(IMAGES, 3, SIZE_PX, SIZE_PX, generator=generator)
    return model, building.layers_of(NETS[name]["family"], model), images


@torch.no_grad()
def values(model, layers, images):
    found = {}

    def keep(index, value):
        assert layers[index].name not in found, "a layer fired twice"
        found[layers[index].name] = value.clone()

    with capture(model, layers, keep):
        model(images)
    return found


def vit_by_hand(model, x):
    """The ViT's equations, written out."""
    n, width = len(x), model.embed_dim
    seen = {}
    kernel = model.patch_embed.proj
    x = F.conv2d(x, kernel.weight, kernel.bias, stride=kernel.kernel_size)
    x = seen["embed.patch"] = x.flatten(2).transpose(1, 2)
    if model.cls_token is not None:
        x = torch.cat([model.cls_token.expand(n, 1, width), x], dim=1)
    x = seen["embed.pos"] = x + model.pos_embed
    for i, block in enumerate(model.blocks):
        y = seen[f"block{i:02d}.norm1"] = norm(block.norm1, x)
        q, k, v = F.linear(y, block.attn.qkv.weight, block.attn.qkv.bias).chunk(3, dim=-1)
        heads = block.attn.num_heads
        q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
        mass = (q @ k.transpose(-1, -2) / (width // heads) ** 0.5).softmax(-1)
        y = (mass @ v).transpose(1, 2).flatten(2)
        y = seen[f"block{i:02d}.attn"] = F.linear(y, *weights(block.attn.proj))
        x = x + y
        y = seen[f"block{i:02d}.norm2"] = norm(block.norm2, x)
        y = seen[f"block{i:02d}.mlp_hidden"] = F.linear(y, *weights(block.mlp.fc1))
        y = seen[f"block{i:02d}.mlp"] = F.linear(F.gelu(y), *weights(block.mlp.fc2))
        x = seen[f"block{i:02d}.out"] = x + y
    x = seen["norm"] = norm(model.norm, x)
    pooled = x[:, 0] if model.cls_token is not None else x.mean(1)
    return seen, F.linear(pooled, *weights(model.head))


def weights(module):
    return module.weight, module.bias


def norm(module, x):
    return F.layer_norm(x, (x.shape[-1],), module.weight, module.bias, module.eps)


def conv(module, x):
    w = module.weight
    mean = w.mean((1, 2, 3), keepdim=True)
    variance = w.var((1, 2, 3), unbiased=False, keepdim=True)
    w = (w - mean) / (variance + module.eps).sqrt()
    return F.conv2d(x, w, stride=module.stride, padding=module.padding)


def group_norm(module, x):
    return F.group_norm(x, module.num_groups, module.weight, module.bias, module.eps)


def resnet_by_hand(model, x):
    """The post-activation bottleneck, written out: every norm before its ReLU."""
    seen = {}
    x = seen["stem.conv"] = conv(model.stem.conv, x)
    x = seen["stem.norm"] = group_norm(model.stem.norm, x)
    x = model.stem.pool(F.relu(x))
    units = [unit for stage in model.stages for unit in stage.blocks]
    for i, unit in enumerate(units):
        block, shortcut = f"block{i:02d}", x
        if unit.downsample is not None:
            shortcut = seen[f"{block}.proj_conv"] = conv(unit.downsample.conv, x)
            shortcut = seen[f"{block}.proj_norm"] = group_norm(unit.downsample.norm, shortcut)
        for j, (c, g) in enumerate(
            [(unit.conv1, unit.norm1), (unit.conv2, unit.norm2), (unit.conv3, unit.norm3)], 1
        ):
            x = seen[f"{block}.conv{j}"] = conv(c, F.relu(x) if j > 1 else x)
            x = seen[f"{block}.norm{j}"] = group_norm(g, x)
        x = seen[f"{block}.out"] = F.relu(x + shortcut)
    fc = model.head.fc
    return seen, F.linear(x.mean((2, 3)), fc.weight.flatten(1), fc.bias)


BY_HAND = {"vit": vit_by_hand, "resnet": resnet_by_hand}


def longest_sum(model):
    """Terms of the longest weighted sum in a network."""
    weighted = (torch.nn.Linear, torch.nn.Conv2d)
    return max(m.weight[0].numel() for m in model.modules() if isinstance(m, weighted))


def test_every_family_is_tested():
    # test_variants.py, test_fnet.py, test_timm_families.py, test_foreign.py, test_transformers.py
    elsewhere = {"mixer", "fnet", "timm", "module", "torchvision", "transformers", "open_clip"}
    assert {net["family"] for net in NETS.values()} | elsewhere == set(registry.members("models"))


@pytest.mark.parametrize("name", NETS)
def test_layers_hold_what_the_equations_say(name):
    model, layers, images = make(name)
    found = values(model, layers, images)
    with torch.no_grad():
        expected, logits = BY_HAND[NETS[name]["family"]](model, images)
        terms = longest_sum(model) * len(layers)
        # Firing order: dictionaries remember in which order they were filled.
        assert list(found) == list(expected) == [layer.name for layer in layers]
        for layer, value in expected.items():
            assert_rounded(found[layer], value, layer, terms=terms, dtype=np.float32)
        assert_rounded(model(images), logits, terms=terms, dtype=np.float32)


@pytest.mark.parametrize("name", NETS)
def test_count_and_names(name):
    net = NETS[name]
    _, layers, _ = make(name)
    if net["family"] == "vit":
        assert len(layers) == 6 * net["depth"] + 3
    else:
        assert len(layers) == 7 * sum(net["units"]) + 2 * len(net["units"]) + 2
    names = [layer.name for layer in layers]
    assert len(set(names)) == len(names)
    residual = [layer for layer in layers if layer.kind == "residual"]
    assert [layer.block for layer in residual] == list(range(len(residual)))
    assert all(layer.name == f"block{layer.block:02d}.out" for layer in residual)
    assert all((layer.block >= 0) == layer.name.startswith("block") for layer in layers)


@pytest.mark.parametrize("name", NETS)
def test_shapes_and_final_grid(name):
    net = NETS[name]
    model, layers, images = make(name)
    found = values(model, layers, images)
    family = registry.load("models", net["family"])
    rows, columns = family.check(building.architecture(net), SIZE_PX)
    last = found[[layer.name for layer in layers if layer.kind == "residual"][-1]]
    if net["family"] == "vit":
        tokens = rows * columns + model.num_prefix_tokens
        assert last.shape == (IMAGES, tokens, net["width"])
        assert found["embed.patch"].shape == (IMAGES, rows * columns, net["width"])
        assert found["block01.mlp_hidden"].shape[2] == net["width"] * net["mlp_ratio"]
    else:
        assert last.shape == (IMAGES, net["channels"][-1], rows, columns)
        assert found["block00.norm1"].shape[1] == net["channels"][0] // 4
    assert all(len(value) == IMAGES for value in found.values())


@pytest.mark.parametrize("name", NETS)
def test_hooks_leave_and_change_nothing(name):
    model, layers, images = make(name)
    with torch.no_grad():
        before = model(images)
    values(model, layers, images)
    with pytest.raises(RuntimeError, match="midway"), capture(model, layers, lambda i, v: None):
        raise RuntimeError("midway")
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    with torch.no_grad():
        assert torch.equal(model(images), before)


def test_norms_of_a_resnet_are_seen_before_the_relu_in_place():
    model, layers, images = make("resnet")
    kept = {}
    with torch.no_grad(), capture(model, layers, lambda i, v: kept.update({i: v})):
        model(images)
    found = values(model, layers, images)
    pre = [i for i, layer in enumerate(layers) if layer.name.endswith(("norm1", "norm2"))]
    assert pre
    for i in pre:
        assert (found[layers[i].name] < 0).any()
        assert (kept[i] >= 0).all(), "the ReLU no longer works in place: simplify this test"


def test_gap_has_no_class_token_and_norms_before_pooling():
    model, _, _ = make("vit_gap")
    assert model.num_prefix_tokens == 0 and model.cls_token is None
    assert isinstance(model.fc_norm, torch.nn.Identity)
    assert not isinstance(model.norm, torch.nn.Identity)


def test_depth_runs_from_0_to_1():
    _, layers, _ = make("vit")
    table = layer_table(layers)
    assert [row["index"] for row in table] == list(range(21))
    assert table[0]["depth"] == 0 and table[5]["depth"] == 0.25 and table[-1]["depth"] == 1
    assert set(table[0]) == {"index", "name", "kind", "block", "depth"}


def test_input_of_a_module_can_be_watched():
    model, _, images = make("vit")
    after_attention = Layer("block01.mid", "residual", 1, "blocks.1.norm2", when="input")
    seen = []
    with torch.no_grad(), capture(model, [after_attention], lambda i, v: seen.append(v)):
        model(images)
    expected, _ = vit_by_hand(model, images)
    sums = expected["block00.out"] + expected["block01.attn"]
    assert_rounded(seen[0], sums, terms=longest_sum(model) * len(expected), dtype=np.float32)


def test_unknown_module_is_named_with_those_that_exist():
    model, layers, images = make("vit")
    wrong = Layer("block09.out", "residual", 9, "blocks.9")
    with pytest.raises(LookupError, match=r"no modules \['blocks.9'\].*'blocks.2.mlp.fc1'"):
        with capture(model, [*layers, wrong], lambda i, v: None):
            model(images)
    assert not any(m._forward_hooks for m in model.modules())


def test_layer_that_never_fires_is_named():
    model, layers, images = make("vit")
    silent = Layer("gone", "norm", -1, "attn_pool_of_nobody")
    model.add_module(silent.module, torch.nn.Identity())
    with pytest.raises(LookupError, match=r"no forward pass reached the layers \['gone'\]"):
        with capture(model, [*layers, silent], lambda i, v: None):
            model(images)


@pytest.mark.parametrize("field", [{"kind": "mystery"}, {"when": "later"}])
def test_layer_of_unknown_kind(field):
    with pytest.raises(ValueError, match="unknown kind"):
        Layer(**({"name": "a", "kind": "norm", "block": 0, "module": "a"} | field))
