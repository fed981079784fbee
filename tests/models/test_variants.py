"""ViTs without skips in one block, and the MLP-Mixer, against their equations written out."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sightlines.core.errors import ConfigError
from sightlines.models import building, mixer, vit
from sightlines.models.attention import attention_modules
from sightlines.models.layers import capture
from tests.models.nets import CLASSES, IMAGES, SIZE_PX, VIT
from tests.models.test_layers import vit_by_hand
from tests.rounding import assert_rounded
from tests.training import jobs

MIXER = {
    "family": "mixer",
    "patch_px": 4,
    "width": 24,
    "depth": 3,
    "token_ratio": 0.5,
    "mlp_ratio": 2,
    "drop_path": 0,
}
SKIPLESS = {
    which: VIT | {"skipless_block": 1, "skipless": which} for which in ("both", "attn", "mlp")
}
NETS = {"mixer": MIXER, "mixer_dropping": MIXER | {"drop_path": 0.2}, **SKIPLESS}
LEFT = {"both": set(), "attn": {"mlp"}, "mlp": {"attn"}}


def make(net, shaken=True):
    """A network whose values are all different, unless it is to stay as it is initialised."""
    model = building.build(net, SIZE_PX, CLASSES, seed=3).eval()
    draw = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for parameter in model.parameters() if shaken else ():
            parameter += 0.3 * torch.randn(parameter.shape, generator=draw)
    images = torch.randn(IMAGES, 3, SIZE_PX, SIZE_PX, generator=draw)
    return model, building.layers_of(net["family"], model), images


@torch.no_grad()
def values(model, layers, images):
    found = {}

    def keep(index, value):
        assert layers[index].name not in found, "a layer fired twice"
        found[layers[index].name] = value.clone()

    with capture(model, layers, keep):
        model(images)
    return found


def layer_norm(x, module):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + module.eps).sqrt() * module.weight + module.bias


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def mixer_by_hand(model, images):
    """Tolstikhin et al. 2021, section 2: one MLP over the patches of each feature, then one over
    the features of each patch."""
    seen = {}
    side = model.stem.proj.weight.shape[-1]
    kernel = model.stem.proj.weight.flatten(1)
    patches = F.unfold(images, side, stride=side).transpose(1, 2)
    x = seen["embed.patch"] = patches @ kernel.T + model.stem.proj.bias
    for i, block in enumerate(model.blocks):
        name = f"block{i:02d}"
        y = seen[f"{name}.norm1"] = layer_norm(x, block.norm1)
        over = block.mlp_tokens
        columns = []
        for feature in range(y.shape[2]):
            hidden = gelu(y[:, :, feature] @ over.fc1.weight.T + over.fc1.bias)
            columns.append(hidden @ over.fc2.weight.T + over.fc2.bias)
        mixed = seen[f"{name}.mixing"] = torch.stack(columns, dim=2)
        x = x + mixed
        y = seen[f"{name}.norm2"] = layer_norm(x, block.norm2)
        within = block.mlp_channels
        hidden = seen[f"{name}.mlp_hidden"] = y @ within.fc1.weight.T + within.fc1.bias
        out = gelu(hidden) @ within.fc2.weight.T + within.fc2.bias
        seen[f"{name}.mlp"] = out
        x = seen[f"{name}.out"] = x + out
    x = seen["norm"] = layer_norm(x, model.norm)
    return seen, x.mean(1) @ model.head.weight.T + model.head.bias


def block_by_hand(block, x, skips):
    """One block of a ViT with the skips named, out of timm's own parts."""
    attended = block.attn(layer_norm(x, block.norm1))
    x = x + attended if "attn" in skips else attended
    mixed = block.mlp(layer_norm(x, block.norm2))
    return x + mixed if "mlp" in skips else mixed


def close(found, expected):
    """The longest sum has 48 terms; 20 layers follow each other."""
    assert_rounded(found, expected, terms=48 * 20, dtype=np.float32)


# -- the Mixer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mixer", "mixer_dropping"])
@torch.no_grad()
def test_mixer_holds_what_the_equations_say_in_their_order(name):
    model, layers, images = make(NETS[name])
    found = values(model, layers, images)
    expected, logits = mixer_by_hand(model, images)
    assert list(found) == list(expected) == [layer.name for layer in layers]
    for layer, value in expected.items():
        close(found[layer], value)
    close(model(images), logits)


def test_mixer_is_timms_down_to_the_weights():
    from sightlines.models.lean import timm_module

    mlp_mixer = timm_module("models.mlp_mixer")
    torch.manual_seed(5)
    theirs = mlp_mixer.MlpMixer(
        CLASSES, SIZE_PX, patch_size=4, num_blocks=3, embed_dim=24, mlp_ratio=(0.5, 2)
    ).eval()
    torch.manual_seed(5)
    ours = mixer.build(MIXER, SIZE_PX, CLASSES).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    images = torch.randn(2, 3, SIZE_PX, SIZE_PX)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))


def test_mixer_drops_paths_as_timms_does_in_training():
    """Two modules draw what timm's one draws in two calls; without dropping, nothing is drawn."""
    from sightlines.models.lean import timm_module

    theirs = timm_module("models.mlp_mixer").MlpMixer(
        CLASSES,
        SIZE_PX,
        patch_size=4,
        num_blocks=3,
        embed_dim=24,
        mlp_ratio=(0.5, 2),
        drop_path_rate=0.4,
    )
    ours, _, images = make(MIXER | {"drop_path": 0.4})
    theirs.load_state_dict(ours.state_dict())
    outputs = []
    for model in (theirs.train(), ours.train(), ours.train()):
        torch.manual_seed(len(outputs) // 2)
        outputs.append(model(images))
    assert torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[0], outputs[2])


def test_mixer_layers_are_a_vits_without_positions():
    _, layers, _ = make(MIXER)
    _, theirs, _ = make(VIT | {"pool": "gap"})
    names = [layer.name.replace("mixing", "attn") for layer in layers]
    assert names == [layer.name for layer in theirs if layer.name != "embed.pos"]
    assert len(layers) == 6 * MIXER["depth"] + 2
    assert [layer.kind for layer in layers].count("mixing") == MIXER["depth"]
    assert attention_modules(make(MIXER)[0]) == []


def test_mixer_shapes_and_grid():
    model, layers, images = make(MIXER)
    rows, columns = mixer.check(MIXER, SIZE_PX)
    assert (rows, columns) == (5, 5)
    for name, value in values(model, layers, images).items():
        width = MIXER["width"] * (MIXER["mlp_ratio"] if name.endswith("hidden") else 1)
        assert value.shape == (IMAGES, rows * columns, width), name
    assert model.blocks[0].mlp_tokens.fc1.weight.shape == (12, rows * columns)


@torch.no_grad()
def test_mixing_crosses_patches_and_the_mlp_does_not():
    model, _, _ = make(MIXER)
    block = model.blocks[1]
    x = torch.randn(1, 25, 24, generator=torch.Generator().manual_seed(1))
    y = x.clone()
    y[:, 7] += torch.randn(24, generator=torch.Generator().manual_seed(2))
    moved = (block(x) - block(y)).abs().amax(-1)[0]
    assert (moved > 1e-6).all()
    moved = (block.mlp_channels(block.norm2(x)) - block.mlp_channels(block.norm2(y))).abs()
    assert not moved[0, [i for i in range(25) if i != 7]].any() and moved[0, 7].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_px": 6}, r"patch_px 6 does not divide the images of 20 px.* 5 px"),
        ({"token_ratio": 0.01}, "token_ratio 0.01"),
        ({"mlp_ratio": 0.01}, "mlp_ratio 0.01"),
    ],
)
def test_impossible_mixer(change, message):
    with pytest.raises(ConfigError, match=message):
        mixer.check(MIXER | change, SIZE_PX)


# -- blocks without skips ----------------------------------------------------------------------


@pytest.mark.parametrize("which", SKIPLESS)
@torch.no_grad()
def test_skipless_block_is_what_is_written_by_hand_and_no_other_block_changed(which):
    model, layers, images = make(SKIPLESS[which])
    found = values(model, layers, images)
    for i in range(3):
        before = found["embed.pos" if i == 0 else f"block{i - 1:02d}.out"]
        skips = LEFT[which] if i == 1 else {"attn", "mlp"}
        close(found[f"block{i:02d}.out"], block_by_hand(model.blocks[i], before, skips))


@pytest.mark.parametrize("which", SKIPLESS)
@torch.no_grad()
def test_skipless_has_the_intact_ones_names_weights_and_layers(which):
    cut, cut_layers, images = make(SKIPLESS[which], shaken=False)
    whole, layers, _ = make(VIT, shaken=False)
    assert cut_layers == layers
    assert list(cut.state_dict()) == list(whole.state_dict())
    assert all(torch.equal(v, whole.state_dict()[k]) for k, v in cut.state_dict().items())
    below, above = values(cut, layers, images), values(whole, layers, images)
    until = [layer.name for layer in layers].index("block01.norm2")
    for place, layer in enumerate(layers):
        same = torch.equal(below[layer.name], above[layer.name])
        if place < until or (which == "mlp" and layer.name != "block01.out" and layer.block == 1):
            assert same, layer.name
        elif layer.block != 1 or layer.name == "block01.out":
            assert not same, layer.name
    assert cut.blocks[1].skips == LEFT[which]
    assert isinstance(cut.blocks[1].skips, frozenset)
    assert not hasattr(cut.blocks[0], "skips") and type(cut.blocks[0]) is type(whole.blocks[0])


@torch.no_grad()
def test_without_a_skipless_block_the_vit_is_intact():
    whole, _, images = make(VIT)
    told, _, _ = make(VIT | {"skipless_block": -1, "skipless": "both"})
    assert torch.equal(whole(images), told(images))
    _, logits = vit_by_hand(told, images)
    close(told(images), logits)


@pytest.mark.parametrize("which", SKIPLESS)
@torch.no_grad()
def test_a_block_with_zero_branches_passes_nothing_that_has_no_skip(which):
    model, layers, images = make(SKIPLESS[which])
    for branch in (model.blocks[1].attn.proj, model.blocks[1].mlp.fc2):
        branch.weight.zero_()
        branch.bias.zero_()
    assert not values(model, layers, images)["block01.out"].any()
    model.blocks[1].skips = frozenset({"attn", "mlp"})
    found = values(model, layers, images)
    assert torch.equal(found["block01.out"], found["block00.out"])


def test_a_copy_keeps_its_missing_skips():
    model, _, images = make(SKIPLESS["attn"])
    twin = copy.deepcopy(model)
    assert twin.blocks[1].skips == LEFT["attn"]
    with torch.no_grad():
        assert torch.equal(twin(images), model(images))


@pytest.mark.parametrize("block", [3, 4])
def test_no_such_block(block):
    with pytest.raises(ConfigError, match=rf"skipless_block {block}: .* blocks are 0 to 2"):
        vit.check(VIT | {"skipless_block": block}, SIZE_PX)
    vit.check(VIT | {"skipless_block": 2}, SIZE_PX)


# -- both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_gradient_reaches_every_weight(name):
    model, _, images = make(NETS[name])
    F.cross_entropy(model(images), torch.arange(IMAGES) % CLASSES).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), key


@pytest.mark.parametrize("name", NETS)
def test_hooks_leave_and_change_nothing(name):
    model, layers, images = make(NETS[name])
    with torch.no_grad():
        before = model(images)
    values(model, layers, images)
    with pytest.raises(RuntimeError, match="midway"), capture(model, layers, lambda i, v: None):
        raise RuntimeError("midway")
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    with torch.no_grad():
        assert torch.equal(model(images), before)


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_values_are_not_overwritten_later_in_the_pass(name):
    model, layers, images = make(NETS[name])
    kept = {}
    with capture(model, layers, lambda i, v: kept.update({layers[i].name: v})):
        model(images)
    for layer, value in values(model, layers, images).items():
        assert torch.equal(kept[layer], value), layer


@pytest.mark.parametrize("name", ["mixer", "both"])
def test_training_and_loading(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = NETS[name] | {"depth": 2, "width": 12, "drop_path": 0.1}
    jobs.write_splits(tmp_path / "splits.safetensors", jobs.write_dataset(tmp_path / "data"))
    config = jobs.job_config(net, (name, "f100", "s0"), steps=4, warmup_steps=1)
    folder = jobs.train(tmp_path, "out", config)
    model, card = building.load_network(folder / "weights.safetensors", folder / "card.json")
    assert card["architecture"] == building.architecture(net)
    if name == "both":
        assert model.blocks[1].skips == frozenset()
    fresh = building.build(net, jobs.SIZE_PX, jobs.CLASSES, seed=3).state_dict()
    moved = [key for key, value in model.state_dict().items() if not torch.equal(value, fresh[key])]
    assert len(moved) > len(fresh) / 2
