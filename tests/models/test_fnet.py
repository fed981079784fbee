"""FNet: its mixing against torch's transforms and closed forms, its blocks written out."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sightlines.core.errors import ConfigError
from sightlines.models import building, fnet
from sightlines.models.branches import capture_branches, find_branches
from sightlines.models.layers import capture
from tests.models.nets import FNET, SIZE_PX

SIDE = SIZE_PX // FNET["patch_px"]
TOKENS, WIDTH = SIDE**2, FNET["width"]


def mixing(kind, shape=(TOKENS,), width=WIDTH, is_orthonormal=True):
    torch.manual_seed(5)
    return fnet.classes()[2](kind, shape, width, is_orthonormal)


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def as_matrix(module, tokens, width):
    """What a mixing does to [tokens · width] numbers: it is linear."""
    ones = torch.eye(tokens * width).unflatten(1, (tokens, width))
    return module(ones).flatten(1).double().T


@pytest.mark.parametrize("shape", [(TOKENS,), (SIDE, SIDE)], ids=["raster", "grid"])
@pytest.mark.parametrize("is_orthonormal", [True, False])
def test_fourier_is_the_real_part_of_the_sums_that_define_the_transform(shape, is_orthonormal):
    x = drawn(2, TOKENS, WIDTH)
    rest = x.double().unflatten(1, shape).to(torch.complex128)
    for axis, length in enumerate((*shape, WIDTH), 1):
        place = torch.arange(length, dtype=torch.float64)
        turns = torch.exp(-2j * np.pi * place[:, None] * place / length)
        rest = torch.tensordot(rest, turns, ([axis], [0])).movedim(-1, axis)
    scale = (TOKENS * WIDTH) ** 0.5 if is_orthonormal else 1.0
    for kind, wanted in (("fourier", rest.real), ("hartley", rest.real - rest.imag)):
        found = mixing(kind, shape, is_orthonormal=is_orthonormal)(x).double()
        wanted = wanted.flatten(1, -2) / scale
        assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max(), kind


@pytest.mark.parametrize("shape", [(TOKENS,), (SIDE, SIDE), (7,)], ids=["raster", "grid", "odd"])
def test_hartley_twice_is_the_identity(shape):
    x = drawn(2, int(np.prod(shape)), WIDTH)
    once, raw = mixing("hartley", shape), mixing("hartley", shape, is_orthonormal=False)
    assert torch.allclose(once(once(x)), x, atol=1e-5)
    times = x[0].numel()
    assert torch.allclose(raw(raw(x)), times * x, atol=1e-5 * times)


@pytest.mark.parametrize("shape", [(TOKENS,), (SIDE, SIDE)], ids=["raster", "grid"])
def test_fourier_twice_is_the_mean_of_input_and_mirror_image(shape):
    x, mix = drawn(2, TOKENS, WIDTH), mixing("fourier", shape)
    mirrored = x[:, fnet.mirror(shape)][:, :, fnet.mirror((WIDTH,))]
    assert torch.allclose(mix(mix(x)), (x + mirrored) / 2, atol=1e-5)


def test_fourier_loses_half_of_its_input_and_its_controls_none():
    tokens, width = 16, 36
    matrix = as_matrix(mixing("fourier", (tokens,), width), tokens, width)
    kept = int((torch.linalg.svdvals(matrix) > 1e-3).sum())
    assert kept == 290  # (576 + 4 places that are their own mirror) / 2
    for kind in ("hartley", "random", "identity"):
        small = as_matrix(mixing(kind, (5,), 6), 5, 6)
        assert torch.allclose(small @ small.T, torch.eye(30, dtype=torch.float64), atol=1e-5), kind


def test_the_unnormalised_transform_multiplies_the_spread_by_the_root_of_half_the_places():
    x = drawn(64, 64, 36)
    assert abs(float(mixing("fourier", (64,), 36, is_orthonormal=False)(x).std()) - 33.9) < 0.5
    assert abs(float(mixing("fourier", (64,), 36)(x).std()) - 0.5**0.5) < 0.02


def test_token_0_of_a_transform_is_that_of_the_sum_of_all_tokens():
    x = drawn(3, TOKENS, WIDTH)
    wanted = torch.fft.fft(x.sum(1)).real
    assert torch.allclose(mixing("fourier", is_orthonormal=False)(x)[:, 0], wanted, atol=1e-4)


def test_random_mixing_is_of_its_network_and_stays():
    net = FNET | {"mixing": "random"}
    one, same, other = (building.build(net, SIZE_PX, 7, seed=s) for s in (1, 1, 2))
    name = "blocks.0.mix.matrix0"
    assert torch.equal(one.state_dict()[name], same.state_dict()[name])
    assert not torch.equal(one.state_dict()[name], other.state_dict()[name])
    assert not torch.equal(one.state_dict()[name], one.state_dict()["blocks.1.mix.matrix0"])
    assert name not in dict(one.named_parameters())


def test_a_mirror_is_its_own_inverse_and_keeps_the_first_place():
    for shape in ((7,), (8,), (3, 4)):
        found = fnet.mirror(shape)
        assert found[0] == 0 and [found[place] for place in found] == list(range(len(found)))
    assert fnet.mirror((5,)) == [0, 4, 3, 2, 1]


def made(**settings):
    net = FNET | settings
    fnet.check({key: v for key, v in net.items() if key != "family"}, SIZE_PX)
    model = building.build(net, SIZE_PX, 7, seed=3).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * drawn(*parameter.shape)
    return model, building.layers_of("fnet", model), drawn(5, 3, SIZE_PX, SIZE_PX)


def normed(module, x):
    return F.layer_norm(x, (x.shape[-1],), module.weight, module.bias, module.eps)


def dense(mlp, x):
    return F.linear(x, mlp.fc1.weight, mlp.fc1.bias)


def by_hand(model, x, is_pre):
    """The equations, written out, with Re(F x) by torch.fft."""
    seen = {}
    kernel = model.patch_embed.proj
    x = F.conv2d(x, kernel.weight, kernel.bias, stride=kernel.kernel_size)
    x = seen["embed.patch"] = x.flatten(2).transpose(1, 2)
    x = seen["embed.pos"] = x + model.pos_embed
    for i, block in enumerate(model.blocks):
        name = f"block{i:02d}"
        y = normed(block.norm1, x) if is_pre else x
        scale = "ortho" if is_pre else "backward"
        mixed = seen[f"{name}.mixing"] = torch.fft.fft2(y, norm=scale).real
        after = x + mixed
        seen[f"{name}.norm1"] = y if is_pre else normed(block.norm1, after)
        x = after if is_pre else seen[f"{name}.norm1"]
        y = normed(block.norm2, x) if is_pre else x
        if is_pre:
            seen[f"{name}.norm2"] = y
        y = seen[f"{name}.mlp_hidden"] = dense(block.mlp, y)
        y = F.linear(F.gelu(y), block.mlp.fc2.weight, block.mlp.fc2.bias)
        seen[f"{name}.mlp"] = y
        x = seen[f"{name}.out"] = x + y if is_pre else normed(block.norm2, x + y)
    if is_pre:
        x = seen["norm"] = normed(model.norm, x)
    return seen, F.linear(x.mean(1), model.head.weight, model.head.bias)


@pytest.mark.parametrize("norm", ["pre", "post"])
@torch.no_grad()
def test_layers_are_the_papers_equations(norm):
    model, layers, images = made(norm=norm)
    found = {}
    with capture(model, layers, lambda i, x: found.update({layers[i].name: x.clone()})):
        logits = model(images)
    wanted, answer = by_hand(model, images, norm == "pre")
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        limit = 1e-4 * float(value.abs().max())
        assert (found[name] - value).abs().max() < limit, name
    assert torch.allclose(logits, answer, atol=1e-4)


@pytest.mark.parametrize("norm", ["pre", "post"])
@torch.no_grad()
def test_branches_are_what_is_added(norm):
    model, layers, images = made(norm=norm, attention_blocks=[1], heads=3)
    branches, blocks = find_branches(model)
    names = [(branch.block, branch.name) for branch in branches]
    assert blocks == 3 and names[0] == (0, "mixing") and names[1] == (0, "mlp")
    kept, sums = {}, {}
    with capture_branches(
        model, branches, lambda i, z, f: kept.update({names[i]: (z + f).clone()})
    ):
        with capture(model, layers, lambda i, x: sums.update({layers[i].name: x.clone()})):
            model(images)
    block = model.blocks[0]
    total = kept[0, "mlp"] if norm == "pre" else normed(block.norm2, kept[0, "mlp"])
    assert torch.allclose(total, sums["block00.out"], atol=1e-5)
    after = kept[0, "mixing"]
    entering = normed(block.norm2 if norm == "pre" else block.norm1, after)
    assert torch.allclose(entering, sums[f"block00.norm{2 if norm == 'pre' else 1}"], atol=1e-5)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_hybrid_has_attention_in_its_blocks_alone(norm):
    model, layers, images = made(norm=norm, attention_blocks=[2], heads=3)
    kinds = [layer.kind for layer in layers if layer.kind in ("attn", "mixing")]
    assert kinds == ["mixing", "mixing", "attn"]
    with torch.no_grad():
        assert torch.isfinite(model(images)).all()
    assert sum("qkv.weight" in name for name in model.state_dict()) == 1


def test_without_mixing_a_tokens_stream_depends_on_its_own_patch_alone():
    model, layers, images = made(mixing="identity")
    other = images.clone()
    other[:, :, -FNET["patch_px"] :, -FNET["patch_px"] :] += 1.0
    found = []
    for shown in (images, other):
        with torch.no_grad(), capture(model, layers[-2:-1], lambda i, x: found.append(x.clone())):
            model(shown)
    assert torch.equal(found[0][:, :-1], found[1][:, :-1])
    assert not torch.equal(found[0][:, -1], found[1][:, -1])


def test_positions_start_from_waves_where_asked():
    from sightlines.models.vit import waves_2d

    model = building.build(FNET | {"position_init": "sincos", "position_scale": 3}, SIZE_PX, 7, 1)
    assert torch.allclose(model.pos_embed[0], 3 * torch.tensor(waves_2d(SIDE, SIDE, WIDTH)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention_blocks": [1, 3, 4]}, "attention_blocks has 3, 4: with depth 3 the blocks"),
        ({"attention_blocks": [0], "heads": 5}, "heads 5 does not divide width 24"),
        ({"axes": "grid", "pool": "cls"}, "a class token is in none: use pool gap, or axes raster"),
        ({"patch_px": 3}, "patch_px 3 does not divide the images"),
        ({"mlp_ratio": 0.01}, "leaves an MLP of width 24 without hidden"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        made(**settings)
