"""Companions of tensors stay views: what is one along an axis is kept once, whatever moves it."""

import itertools

import pytest
import timm
import torch

from sightlines.models import found_layers
from sightlines.models import places as along_with

MIB = 2**20
NONE = float("nan")
SHAPES = {
    "channels stay": ((2, 4, 6, 5), (2, 2, 2, 3, 2, 5)),
    "channels are parted": ((2, 4, 6, 6), (2, 24, 2, 3)),
    "an axis of one is put in": ((2, 4, 6, 5), (2, 4, 1, 6, 5)),
    "axes are joined": ((2, 4, 6, 5), (8, 30)),
    "another axis of the same size": ((4, 6, 4), (2, 2, 6, 4)),
    "nothing stays": ((4, 6), (3, 8)),
}


def companion(shape, steady, seed=0):
    """Places that are one along some axes, as views."""
    drawn = [1 if axis in steady else size for axis, size in enumerate(shape)]
    numbers = torch.randn(*drawn, 2, dtype=torch.float64, generator=generator(seed))
    return torch.view_as_complex(numbers).expand(shape)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def held(tensor):
    return tensor.untyped_storage().nbytes()


@pytest.mark.parametrize(("before", "after"), SHAPES.values(), ids=SHAPES)
def test_another_shape_has_the_same_places(before, after):
    axes = range(len(before))
    for steady in itertools.chain(*(itertools.combinations(axes, n) for n in axes)):
        own = companion(before, steady)
        found = along_with.reshaped(own, after)
        assert found.shape == after and torch.equal(found, own.reshape(after))
        assert held(found) <= max(held(own.reshape(after)), held(own))


def test_windows_of_channels_that_have_one_place_hold_it_once():
    own = companion((2, 4, 6, 96), {3}).unflatten(1, (2, 2)).unflatten(3, (3, 2))
    windows = along_with.reshaped(own.permute(0, 1, 3, 2, 4, 5), (2 * 2 * 3, 4, 96))
    assert windows.stride(-1) == 0 and held(windows) == 2 * 4 * 6 * 16


def test_heads_of_one_place_are_joined_with_their_features_as_one():
    heads = companion((6, 3, 4, 8), {1, 3}).reshape(18, 4, 8).unflatten(0, (6, 3)).transpose(1, 2)
    found = along_with.reshaped(heads, (6, 4, 24))
    assert torch.equal(found, heads.reshape(6, 4, 24))
    assert found.stride(-1) == 0 and held(found) <= 6 * 3 * 4 * 8 * 16


@pytest.mark.parametrize("steady", [(), (3,), (1,), (0, 3)])
def test_rolled_and_sampled_places_are_those_of_all_entries(steady):
    own = companion((2, 4, 6, 5), steady)
    rolled = along_with.rolled(own, (-1, 2), (1, 2))
    assert torch.equal(rolled, own.roll((-1, 2), (1, 2)))
    at = torch.tensor([-1.0, 0.5, 2.0, 7.25], dtype=torch.float64)
    sampled = along_with.sampled(own, 2, at)
    assert torch.equal(sampled, along_with.sampled(own.clone(), 2, at))
    assert sampled.shape == (2, 4, 4, 5)
    for axis in {*steady} - {1, 2}:
        assert rolled.stride(axis) == sampled.stride(axis) == 0


def test_a_trace_of_windows_holds_little():
    sizes = {"img_size": 392, "depths": (2,), "num_heads": (3,)}
    model = timm.create_model("swin_tiny_patch4_window7_224", **sizes)
    found = found_layers.traced(model, 392)
    outputs = [output.places for call in found.calls for output in call.outputs]
    sites = [(site.queries, site.keys) for site in found.sites]
    tensors = [(p.own, p.keys) for p in outputs if p is not None] + sites
    bytes_of = {
        t.untyped_storage().data_ptr(): held(t) for t in itertools.chain(*tensors) if t is not None
    }
    assert len(found.sites) == 2 and sum(bytes_of.values()) < 8 * MIB


@pytest.mark.parametrize(
    ("x", "varies"),
    [([0, 1, 2, 0], True), ([0, 0, 0, 1], True), ([2, 2, 2, 2], False), ([NONE, 2, NONE], True)],
    ids=["ends alike", "last alone", "one place", "ends without a place"],
)
def test_places_vary_wherever_one_differs(x, varies):
    along_x = torch.tensor([complex(v, v) for v in x], dtype=torch.complex128)[None, :, None]
    found = along_x.clone().expand(2, len(x), 3)
    assert along_with.varies(found, 1) is varies
    assert not along_with.varies(found, 0) and not along_with.varies(found, 2)


def test_a_mean_over_all_places_of_an_image_has_none():
    pixels = along_with.of_pixels(2, 3, 4, 6).own
    assert along_with.reduced(pixels, [2, 3], False).isnan().all()
    rows = along_with.reduced(pixels, [2], False)
    image, y, x = along_with.decoded(rows)
    assert rows.shape == (2, 3, 6)
    assert torch.equal(
        image, torch.tensor([0.0, 1.0], dtype=torch.float64)[:, None, None].expand(2, 3, 6)
    )
    assert (y == 2).all() and torch.equal(x[1, 2], torch.arange(6, dtype=torch.float64) + 0.5)


def test_a_mean_keeps_its_places_where_one_image_alone_has_several():
    pixels = along_with.of_pixels(2, 1, 4, 6).own.clone()
    pixels[0] = pixels[0, :, :, :1]
    assert not along_with.reduced(pixels, [2], False).isnan().any()
