"""Networks that start idle are found and switched on, whichever library built them."""

import numpy as np
import pytest
import timm
import torch
from timm.models.resnet import Bottleneck, ResNet

from sightlines.models import building, idle, timm_facts
from sightlines.training.control import LEAST, make_control
from tests.models.nets import CLASSES, NETS, SIZE_PX
from tests.models.public import answers_of_this_process, images_of

SWITCHED = {
    "resnet18": ({}, {"zero_init_last": False}, 8),
    "test_convnext": ({}, {"ls_init_value": 1.0}, 9),
    "deit3_small_patch16_224": ({"depth": 2}, {"init_values": 1.0}, 4),
    "vit_small_patch14_dinov2": ({"depth": 2, "img_size": 56}, {"init_values": 1.0}, 4),
    "beit_base_patch16_224": ({"depth": 2}, {"init_values": 1.0}, 4),
    "cait_xxs24_224": ({"depth": 2}, {"init_values": 1.0}, 8),
}
"""Model -> arguments that make it small, the one that switches it on, scales at (nearly) 0."""
AWAKE = ("vit_tiny_patch16_224", "mobilenetv3_small_050", "mixer_s32_224", "efficientnet_b0")


def switch_on(model):
    idle.set_scales(model, names := idle.idle_scales(model))
    return names


def built(name, **arguments):
    torch.manual_seed(3)
    return timm.create_model(name, num_classes=5, **arguments).eval()


@pytest.mark.parametrize("name", SWITCHED)
def test_switching_on_is_what_the_librarys_argument_does(name):
    small, argument, count = SWITCHED[name]
    found, wanted = built(name, **small), built(name, **small, **argument)
    assert len(switch_on(found)) == count and not idle.idle_scales(wanted)
    state = wanted.state_dict()
    assert found.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in found.state_dict().items())


@pytest.mark.parametrize("name", AWAKE)
def test_other_networks_start_switched_on(name):
    assert idle.idle_scales(built(name)) == []


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "cait_xxs24_224"])
def test_values_at_the_start_are_known_without_matrices(name):
    whole = idle.idle_scales(built(name))
    with idle.VectorsOnly():
        bare = built(name)
    assert idle.idle_scales(bare) == whole
    large = [p for p in bare.parameters() if p.dim() in (2, 4) and p.numel() > idle.VALUES]
    assert large and all(p.is_meta for p in large)


@pytest.mark.parametrize("name", NETS)
def test_every_branch_of_our_own_networks_counts_once_switched_on(name):
    model = building.build(NETS[name], SIZE_PX, CLASSES, seed=3).eval()
    before = idle.branch_sizes(model, images_of(SIZE_PX))
    scales = switch_on(model)
    after = idle.branch_sizes(model, images_of(SIZE_PX))
    is_idle = NETS[name]["family"] == "resnet"
    assert bool(scales) == is_idle and (max(before) == 0 if is_idle else before == after)
    assert len(after) == (4 if is_idle else 6) and min(after) > LEAST


COUNTING = {"resnet18": 1, "deit3_small_patch16_224": 1, "test_convnext": 8, "resnet14t": 1}
"""Model -> the scale at which all its branches count."""


@pytest.mark.parametrize(("name", "scale"), COUNTING.items())
@pytest.mark.whole
def test_every_branch_of_public_networks_counts_once_switched_on(name, scale):
    small = SWITCHED.get(name, ({},))[0]
    model, images = built(name, **small), pictures(4, small.get("img_size", 224))
    assert max(idle.branch_sizes(model, images)) < LEAST
    card = make_control(model, lambda: [images])
    assert card["scale"] == scale and LEAST < card["least_branch"]
    assert card["least_branch"] == pytest.approx(min(idle.branch_sizes(model, images)), abs=1e-6)


# -- BatchNorm -------------------------------------------------------------------------------------


def bottlenecks():
    torch.manual_seed(0)
    return ResNet(Bottleneck, [3, 4, 6, 3], num_classes=5, channels=(8, 16, 32, 64)).eval()


def pictures(images=16, size_px=32):
    """Pictures with more of low than of high frequencies, as photographs have."""
    draw = torch.Generator().manual_seed(1)
    found = torch.zeros(images, 3, size_px, size_px)
    for cells in (2, 4, 8, 16):
        coarse = torch.randn(images, 3, cells, cells, generator=draw) * (2 / cells) ** 0.5
        found += torch.nn.functional.interpolate(coarse, size=size_px, mode="bilinear")
    return found / found.std()


def variances(model):
    """Variance of each unit's output."""
    found = []
    units = [m for m in model.modules() if isinstance(m, Bottleneck)]
    handles = [u.register_forward_hook(lambda _, __, out: found.append(out.var())) for u in units]
    with torch.no_grad():
        model(pictures())
    for handle in handles:
        handle.remove()
    return np.array([float(value) for value in found])


def field_px(model, path):
    """Side of the effective receptive field in the middle of a map (Luo et al. 2016)."""
    kept = {}
    module = model.get_submodule(path)
    handle = module.register_forward_hook(lambda _, __, out: kept.update(out=out))
    images = pictures(4, 64).requires_grad_()
    model(images)
    handle.remove()
    middle = kept["out"].shape[-1] // 2
    total = torch.zeros(64, 64)
    for channel in range(0, kept["out"].shape[1], 4):
        value = kept["out"][:, channel, middle, middle].sum()
        (gradient,) = torch.autograd.grad(value, images, retain_graph=True)
        total += gradient.abs().mean((0, 1))
    return float((total > 0.0455 * total.max()).sum()) ** 0.5


def test_statistics_of_images_keep_variances_bounded():
    model = bottlenecks()
    switch_on(model)
    exploded = variances(model)
    assert idle.set_statistics(model, [pictures(), pictures()]) == 32
    bounded = variances(model)
    assert exploded[-1] / exploded[0] > 30 > 10 > bounded.max() / bounded.min()


@pytest.mark.whole
def test_receptive_fields_grow_once_switched_on():
    model = bottlenecks()
    idle.set_statistics(model, [pictures()])
    stem = field_px(model, "maxpool")
    as_initialised = field_px(model, "layer3.5")
    assert stem == pytest.approx(11, abs=0.2), "a convolution of 7 px and a maximum of 3 of these"
    assert as_initialised == pytest.approx(stem, abs=0.2), "branches of 0 see nothing more"
    switch_on(model)
    idle.set_statistics(model, [pictures()])
    fields = [field_px(model, path) for path in ("maxpool", "layer1.0", "layer1.2", "layer2.3")]
    assert fields == sorted(fields) and fields[0] == stem < fields[1] < fields[3]


def test_statistics_are_means_of_minibatches_and_all_else_is_left():
    model = built("mobilenetv3_small_050", drop_rate=0.5, drop_path_rate=0.5)
    norm = idle.batch_norms(model)[0]
    first, second = pictures(8), 2 * pictures(8)
    before = {name: value.clone() for name, value in model.named_parameters()}
    momentum = norm.momentum
    idle.set_statistics(model, [first, second])
    with torch.no_grad():
        means = [model.conv_stem(part).mean((0, 2, 3)) for part in (first, second)]
    assert torch.allclose(norm.running_mean, sum(means) / 2, rtol=1e-5, atol=1e-6)
    assert not any(m.training for m in model.modules()) and norm.momentum == momentum
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
    found = {name: value.clone() for name, value in model.named_buffers()}
    idle.set_statistics(model, [first, second])
    assert all(torch.equal(value, found[name]) for name, value in model.named_buffers())


def test_networks_without_batch_norm_see_no_image():
    def never():
        raise AssertionError("an image was asked for")
        yield

    assert idle.set_statistics(built("vit_tiny_patch16_224", depth=1), never()) == 0


# -- what a plan knows -----------------------------------------------------------------------------


@pytest.mark.whole
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_resnet", True),
        ("mobilenetv2_035", True),
        ("test_vit", False),
        ("swinv2_tiny_window8_256", True),  # whose matrices are needed to build it
    ],
)
def test_facts_say_which_networks_start_idle(name, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timm_facts, "_ask", answers_of_this_process)
    listed = {"layers": ["layers.0", "layers.1"]} if name.startswith("swin") else {}
    assert timm_facts.facts({"name": name} | listed)["starts_idle"] is expected
