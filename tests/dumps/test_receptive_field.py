import itertools
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import sightlines as sl
from sightlines.core import files
from sightlines.core.errors import DiskError, ResultError
from sightlines.datasets.reading import normalise
from sightlines.dumps import receptive_field, receptive_field_gradients
from sightlines.dumps.receptive_field_gradients import ChannelGradients
from sightlines.dumps.receptive_field_layers import (
    Target,
    Watched,
    centre_of,
    chosen_channels,
    target_of,
    watched_layers,
)
from sightlines.dumps.receptive_field_reading import ReceptiveFieldDump
from sightlines.models import building
from sightlines.models.layers import Layer, capture
from tests.dumps.making_experiments import (
    RESNET,
    VIT,
    make_dataset,
    make_network,
    make_reference,
    record,
)
from tests.reference.receptive_field_loops import mean_map
from tests.rounding import assert_rounded, rounded

SETTINGS = {"images": 10, "channels": 5, "depths": 2}
MIXER = {
    "family": "mixer",
    **{"patch_px": 4, "width": 12, "depth": 2, "token_ratio": 0.5, "mlp_ratio": 2, "drop_path": 0},
}
# Through the network and back: sums of up to 8 · 9 terms, 7 of them in each of two blocks.
NETWORK = {"terms": 2 * 72 * 7 * 2, "dtype": np.float32}
CONFIGS = {"vit": VIT, "mixer": MIXER, "vit_gap": VIT | {"pool": "gap"}, "resnet": RESNET}


def random_images(count, size_px, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, size_px, size_px, generator=generator)


def target(module, shape, channels, size_px=9, grid=(9, 9), when="output"):
    watched = Watched(Layer("x", "conv", 0, module, when), 0, 0.0, "post", "unit")
    return Target(watched, centre_of(shape, grid, size_px), np.asarray(channels))


def gradients(model, targets, images):
    return torch.stack([g.clone() for g in ChannelGradients(model, targets).of(images)])


def network(config, size_px=8):
    """A network with random weights that leave no branch at zero."""
    model = building.build(config, size_px, 3, seed=4)
    for name, parameter in model.named_parameters():
        if name.endswith("norm3.weight"):
            nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def convolution(weight):
    out, _, side, _ = weight.shape
    conv = nn.Conv2d(3, out, side, padding=side // 2, bias=False)
    conv.weight.data = weight.clone()
    return nn.Sequential(conv)


def test_the_field_of_a_convolution_is_its_kernel():
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(2))
    field = gradients(convolution(weight), [target("0", (4, 9, 9), range(4))], random_images(2, 9))
    expected = torch.zeros(9, 9)
    expected[3:6, 3:6] = weight.abs().mean((0, 1))
    assert_rounded(field[0], expected.expand(2, 9, 9), terms=4 * 3, dtype=np.float32)


def test_only_the_chosen_channels_count():
    weight = torch.zeros(3, 3, 1, 1)
    weight[1] = 7.0
    model = convolution(weight)
    for channels, value in (([0], 0.0), ([1], 7.0), ([0, 1], 3.5)):
        field = gradients(model, [target("0", (3, 9, 9), channels)], random_images(1, 9))
        assert field.sum() == value and field[0, 0, 4, 4] == value


def test_channels_of_opposite_sign_do_not_cancel():
    weight = torch.randn(1, 3, 3, 3, generator=torch.Generator().manual_seed(3))
    model = convolution(torch.cat([weight, -weight]))
    pixels = random_images(1, 9).requires_grad_()
    summed = torch.autograd.grad(model(pixels)[:, :, 4, 4].sum(), pixels)[0]
    assert not summed.any()
    field = gradients(model, [target("0", (2, 9, 9), [0, 1])], random_images(1, 9))
    kernel = weight[0].abs().mean(0)
    assert_rounded(field[0, 0, 3:6, 3:6], kernel, terms=2 * 3, dtype=np.float32)


class UniformAttention(nn.Module):
    """Every patch receives the mean of all patches."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Identity()

    def forward(self, pixels):
        tokens = nn.functional.unfold(pixels, 2, stride=2).transpose(1, 2)
        return self.mix(tokens.mean(1, keepdim=True).expand_as(tokens))


def test_the_field_of_uniform_attention_is_everything():
    """Feature 0 of every patch is its upper left red pixel: a mean over 25 patches of it."""
    field = gradients(
        UniformAttention(), [target("mix", (25, 12), range(12), 10, (5, 5))], random_images(2, 10)
    )
    expected = torch.full((2, 10, 10), 1 / 25 / 3 / 4)
    assert_rounded(field[0], expected, terms=25 * 12, dtype=np.float32)


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)

    def forward(self, pixels):
        return self.conv(pixels).mul_(0).relu_()


def test_an_operation_in_place_after_the_layer_changes_nothing():
    model = InPlace()
    one = target("conv", (6, 9, 9), range(6))
    found = gradients(model, [one], random_images(2, 9))
    plain = nn.Sequential(model.conv)
    expected = gradients(plain, [target("0", (6, 9, 9), range(6))], random_images(2, 9))
    assert_rounded(found, expected, terms=6 * 9, dtype=np.float32)
    assert found.sum() > 0.1


class Curved(nn.Module):
    """Convolutions behind activations that do not keep what they give."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.stem, self.inner, self.last = (nn.Conv2d(c, 6, 3, padding=1) for c in (3, 6, 6))
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.SiLU(inplace=True) if kind == "in place" else nn.GELU()

    def block(self, x):
        return x + self.norm(self.inner(self.act(x * 2)))

    def forward(self, pixels):
        x = self.act(self.stem(pixels) * 2)
        is_again = self.kind == "checkpointed"
        x = checkpoint(self.block, x, use_reentrant=False) if is_again else self.block(x)
        if self.kind == "of the image":
            return nn.functional.conv2d(x, self.last.weight * x.mean(), padding=1)
        return self.last(x)


KINDS = ("usual", "in place", "checkpointed", "of the image")


@pytest.mark.parametrize("kind", KINDS)
def test_what_convolutions_do_not_keep_changes_no_bit(kind, monkeypatch):
    torch.manual_seed(1)
    model, images = Curved(kind), random_images(2, 9)
    targets = [target(module, (6, 9, 9), range(6)) for module in ("stem", "norm", "")]
    found = gradients(model, targets, images)
    monkeypatch.setattr(receptive_field_gradients, "CONVOLUTIONS", frozenset())
    assert torch.equal(found, gradients(model, targets, images))
    assert all(field.std() > 0 for field in found)


def test_convolutions_do_not_keep_what_they_see():
    model = Curved("usual")
    seen = []
    for convolution in (model.inner, model.last):
        convolution.register_forward_pre_hook(lambda _, given: seen.append(weakref.ref(given[0])))
    targets = [target(module, (6, 9, 9), range(6)) for module in ("stem", "")]
    fields = ChannelGradients(model, targets).of(random_images(1, 9))
    next(fields)  # what the second field needs is still held
    assert [given() is None for given in seen] == [True, True]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        return x + self.norm(self.conv(x)).relu()


class WithoutGradients(nn.Sequential):
    @torch.no_grad()
    def forward(self, pixels):
        return super().forward(pixels)


def test_a_layer_without_a_gradient_is_named():
    model = WithoutGradients(nn.Conv2d(3, 6, 3, padding=1))
    with pytest.raises(ResultError, match=r"layer x has no gradient .* under torch.no_grad"):
        gradients(model, [target("0", (6, 9, 9), range(6))], random_images(1, 9))


class AsksForANumber(nn.Sequential):
    def forward(self, pixels):
        return super().forward(pixels) if pixels.sum().isfinite().item() else pixels


@pytest.mark.parametrize("kind", [nn.Sequential, AsksForANumber])
def test_shapes_are_found_without_numbers_where_none_is_asked_for(kind):
    model = kind(nn.Conv2d(3, 4, 2, stride=2), Residual(), Residual())
    network = sl.load(model, size_px=16)
    drawn = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    shown = []
    hook = network.module.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    table = sl.receptive_fields(network, sl.images(drawn, minibatch=4), limit=3, channels=2)
    hook.remove()
    passes = [len(pixels) for pixels in shown if not pixels.is_meta]
    assert passes == ([3] if kind is nn.Sequential else [2, 3])
    assert [*table["name"].unique()] == ["stem", "block00.out", "block01.out"]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_layer_agrees_with_loops_over_images_and_channels(name):
    config, images = CONFIGS[name], random_images(3, 8)
    model = network(config).eval()
    grid = (4, 4) if config["family"] == "resnet" else (2, 2)
    targets = found_targets(model, config, grid)
    found = gradients(model, targets, images).mean(1).numpy()
    model.double()
    modules = dict(model.named_modules())
    for field, one in zip(found, targets, strict=True):
        centre, layer = one.centre, one.watched.layer
        location = (centre.row, centre.column) if centre.token < 0 else centre.token
        before = layer.when == "input"
        own = (modules[layer.module], location, one.channels.tolist(), images.double(), before)
        expected = mean_map(model, *own)
        assert expected.max() > 0
        assert_rounded(field, expected, one, **NETWORK)


def found_targets(model, config, grid, depths=2, channels=5, size_px=8):
    watched = watched_layers(building.layers_of(config["family"], model), depths)
    shapes = {}
    with (
        torch.inference_mode(),
        capture(model, [w.layer for w in watched], lambda i, v: shapes.update({i: v.shape[1:]})),
    ):
        model(random_images(2, size_px))
    return [target_of(w, shapes[i], grid, size_px, channels) for i, w in enumerate(watched)]


def test_a_difference_quotient_agrees():
    """Independent of automatic differentiation: one channel of one image, two pixels."""
    model = network(VIT).eval()
    one = found_targets(model, VIT, (2, 2), channels=1)[-1]
    model.double()
    images = random_images(1, 8).double()
    field = gradients(model, [one], images)[0, 0]

    def value(pixels):
        kept = []
        with (
            torch.inference_mode(),
            capture(model, [one.watched.layer], lambda i, v: kept.append(v.clone())),
        ):
            model(pixels)
        return kept[0][0, one.centre.token, one.channels[0]]

    for y, x in ((5, 6), (1, 0)):
        slope = 0.0
        for colour in range(3):
            step = torch.zeros_like(images)
            step[0, colour, y, x] = 1e-5
            slope += abs(float(value(images + step) - value(images - step))) / 2e-5 / 3
        # The quotient rounds as the value does, divided by the step; it errs by step² = 1e-10.
        size = abs(float(value(images))) / 2e-5
        assert float(field[y, x]) == rounded(slope, terms=NETWORK["terms"], size=size)


def test_fused_attention_makes_no_difference():
    model = network(VIT)
    targets = found_targets(model, VIT, (2, 2))
    found = []
    for fused in (True, False):
        for block in model.blocks:
            block.attn.fused_attn = fused
        found.append(gradients(model, targets, random_images(4, 8)))
    assert_rounded(found[0], found[1], **NETWORK)


def test_images_do_not_mix_and_the_network_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    model(random_images(8, 9, seed=7))
    model.train()
    model[0].eval()
    model[0].bias.requires_grad_(False)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    one = target("2", (4, 9, 9), range(4))
    images = random_images(3, 9)
    together = gradients(model, [one], images)[0]
    alone = torch.cat([gradients(model, [one], image[None])[0] for image in images])
    assert_rounded(together, alone, terms=4 * 9, dtype=np.float32)
    assert [m.training for m in model] == [False, True, True] and model.training
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, True]
    assert all(p.grad is None for p in model.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("config", "grid"), [(VIT, (2, 2)), (RESNET, (4, 4))], ids=["vit", "resnet"]
)
def test_the_network_is_left_as_it_was_by_who_stops_half_way(config, grid):
    model = network(config).train()
    stopped = ChannelGradients(model, found_targets(model, config, grid)).of(random_images(2, 8))
    next(stopped)
    stopped.close()
    assert model.training and all(p.requires_grad for p in model.parameters())
    assert torch.is_grad_enabled()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("blocks", "depths", "expected"),
    [
        (12, 5, [0, 3, 6, 8, 11]),
        (6, 5, [0, 1, 2, 4, 5]),
        (3, 5, [0, 1, 2]),
        (8, 1, [0, 7]),
        (1, 5, [0]),
    ],
)
def test_blocks_are_spread_over_the_depth_with_the_first_and_the_last(blocks, depths, expected):
    model = building.build(VIT | {"depth": blocks}, 8, 3, seed=1)
    found = watched_layers(building.layers_of("vit", model), depths)
    assert found[0].branch == "embed" and found[0].layer.name == "embed.patch"
    assert sorted({w.block for w in found}) == [-1, *expected]
    assert found[-1].depth == (1.0 if blocks > 1 else 0.0)
    assert len(found) == 1 + 4 * len(expected)


def test_branches_of_a_vit_and_their_sums():
    model = network(VIT).eval()
    found = watched_layers(building.layers_of("vit", model), 5)[1:5]
    names = ["block00.attn", "block00.attn_out", "block00.mlp", "block00.out"]
    assert [w.layer.name for w in found] == names
    assert [(w.variant, w.branch) for w in found] == [
        *(("pre", "attn"), ("post", "attn"), ("pre", "mlp"), ("post", "mlp")),
    ]
    kept = {}
    layers = [w.layer for w in found] + [Layer("in", "norm", 0, "blocks.0", "input")]
    with torch.inference_mode(), capture(model, layers, lambda i, v: kept.update({i: v.clone()})):
        model(random_images(2, 8))
    assert_rounded(kept[1], kept[4] + kept[0], terms=2, dtype=np.float32)
    assert_rounded(kept[3], kept[1] + kept[2], terms=2, dtype=np.float32)


def test_branches_of_a_resnet_and_their_sums():
    model = network(RESNET).eval()
    found = watched_layers(building.layers_of("resnet", model), 5)
    assert [(w.layer.name, w.variant, w.branch) for w in found] == [
        ("stem.conv", "post", "embed"),
        *(("block00.norm3", "pre", "unit"), ("block00.out", "post", "unit")),
        *(("block01.norm3", "pre", "unit"), ("block01.out", "post", "unit")),
    ]


def test_a_mixer_has_the_branch_that_mixes_patches_in_the_place_of_attention():
    model = network(MIXER)
    found = watched_layers(building.layers_of("mixer", model), 5)
    assert [(w.layer.name, w.variant, w.branch) for w in found[:4]] == [
        ("embed.patch", "post", "embed"),
        *(("block00.mixing", "pre", "mixing"), ("block00.mixing_out", "post", "mixing")),
        ("block00.mlp", "pre", "mlp"),
    ]


def test_the_centre_of_tokens_and_maps():
    odd = centre_of((50, 8), (7, 7), 28)
    assert (odd.token, odd.row, odd.column) == (1 + 3 * 7 + 3, 3, 3)
    assert (odd.y_px, odd.patch_top_px, odd.patch_px) == (14.0, 12.0, 4.0)
    assert centre_of((49, 8), (7, 7), 28).token == 24
    even = centre_of((64, 8, 8), (8, 8), 32)
    assert (even.token, even.row, even.y_px, even.patch_top_px) == (-1, 4, 16.5, 16.0)
    assert centre_of((8, 3, 3), (3, 3), 20).x_px == 8.5
    with pytest.raises(ResultError, match="neither maps nor tokens of a grid of 7 × 7 patches"):
        centre_of((48, 8), (7, 7), 28)


@pytest.mark.parametrize("stem", ["small", "medium", "large"])
@pytest.mark.parametrize("size_px", [32, 20])
def test_the_middle_of_a_map_s_location_is_where_its_convolutions_are_centred(stem, size_px):
    """With positive weights and no norms, the field is symmetric about the middle."""
    model = network(RESNET | {"stem": stem, "units": [1], "channels": [32]}, size_px)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.__class__ = nn.Conv2d
            nn.init.constant_(module.weight, 1.0)
    last = [
        w for w in watched_layers(building.layers_of("resnet", model), 2) if w.branch == "embed"
    ]
    side = {"small": 1, "medium": 2, "large": 2}[stem]
    shape = (8, -(-size_px // side), -(-size_px // side))
    one = Target(last[0], centre_of(shape, shape[1:], size_px), np.arange(3))
    field = gradients(model, [one], random_images(1, size_px))[0, 0].numpy()
    places = np.argwhere(field)
    assert (places.mean(0) + 0.5).tolist() == [one.centre.y_px, one.centre.x_px]


def test_channels_are_distinct_repeatable_and_shared_by_a_block():
    chosen = chosen_channels(3, 100, 64)
    assert len(set(chosen)) == 64 and chosen.max() < 100
    assert chosen.tolist() == chosen_channels(3, 100, 64).tolist()
    assert chosen.tolist() != chosen_channels(4, 100, 64).tolist()
    assert chosen_channels(0, 12, 64).tolist() == list(range(12))


# -- the recorder -----------------------------------------------------------------------------


@pytest.fixture
def experiment(tmp_path):
    dataset = make_dataset(tmp_path / "data")
    make_reference(dataset, tmp_path / "reference.safetensors", [13, 13, 5])
    return dataset


def dump(folder, experiment, config, change=None, **settings):
    model = make_network(folder, config, experiment, change=change)
    output = folder / "dump.safetensors"
    reference = experiment.parents[1] / "reference.safetensors"
    uses = {"receptive_field": SETTINGS | settings}
    record("receptive_field", folder, experiment, reference, output, **uses)
    return model.eval(), output


def first_images(experiment, count):
    splits = files.TensorReader(experiment.parents[1] / "reference.safetensors")
    pixels = np.load(experiment.parent / "test_images.npy")[splits["reference"][:count]]
    pixels = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    return normalise(pixels, [0.5] * 3, [0.25] * 3)


@pytest.mark.parametrize("at_once", [2**19, 3 * 64])
@pytest.mark.parametrize("config", [VIT, RESNET], ids=["vit", "resnet"])
def test_the_dump_holds_means_over_groups_of_the_first_images(
    tmp_path, experiment, config, at_once, monkeypatch
):
    monkeypatch.setattr(receptive_field, "PIXELS_AT_ONCE", at_once)
    model, path = dump(tmp_path / "net", experiment, config)
    found = ReceptiveFieldDump(path)
    assert found.group_sizes == [1, 1, 1, 2, 1, 1, 1, 2] and found.size_px == 8
    grid = (2, 2) if config is VIT else (4, 4)
    targets = found_targets(model, config, grid)
    assert [layer["name"] for layer in found.layers] == [t.watched.layer.name for t in targets]
    each = gradients(model, targets, first_images(experiment, 10)).double().numpy()
    begin = np.cumsum([0, *found.group_sizes])
    for index in range(len(targets)):
        sums = [each[index, a:b].sum(0) for a, b in itertools.pairwise(begin)]
        size = each[index].max() or each.max()  # branches that start at zero have no gradients
        assert_rounded(found.group_sums(index), sums, size=size, **NETWORK)


def test_fewer_reference_images_than_wanted_are_all_shown(tmp_path, experiment):
    _, path = dump(tmp_path / "net", experiment, VIT, images=1000, channels=1)
    assert ReceptiveFieldDump(path).group_sizes == [3, 4, 4, 4, 4, 4, 4, 4]
    _, path = dump(tmp_path / "net", experiment, VIT, images=3, channels=1)
    assert ReceptiveFieldDump(path).group_sizes == [1, 1, 1]


def test_a_branch_that_starts_at_zero_has_a_zero_field(tmp_path, experiment):
    _, path = dump(tmp_path / "net", experiment, RESNET)
    found = ReceptiveFieldDump(path)
    zero = [row["name"] for i, row in enumerate(found.layers) if not found.group_sums(i).any()]
    assert zero == ["block00.norm3", "block01.norm3"]


def test_two_dumps_are_the_same_bytes_of_the_predicted_size(tmp_path, experiment):
    _, path = dump(tmp_path / "net", experiment, VIT)
    first = path.read_bytes()
    dump(tmp_path / "net", experiment, VIT)
    assert path.read_bytes() == first
    meta = files.TensorReader(path).meta
    assert len(first) == files.safetensors_bytes(receptive_field.gradient_shapes(meta), meta)


def test_too_little_disk_is_said_before_the_first_image(tmp_path, experiment, monkeypatch):
    usage = files.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(receptive_field, "mean_gradients", None)
    with pytest.raises(DiskError, match=r"dump\.safetensors needs .* MB"):
        dump(tmp_path / "net", experiment, VIT)


def test_gradients_that_are_not_finite_name_their_layer_and_leave_no_file(tmp_path, experiment):
    def overflow(state):
        state["blocks.0.mlp.fc1.weight"] *= 1e30
        state["blocks.0.mlp.fc2.weight"] *= 1e30

    with pytest.raises(ResultError, match=r"gradients of layer block00\.mlp of vit/f000/s0 are"):
        dump(tmp_path / "net", experiment, VIT, change=overflow)
    assert not (tmp_path / "net" / "dump.safetensors").exists()
