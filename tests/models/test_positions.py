"""What position embeddings start from: random as before, or sines and cosines of row and column."""

import math

import numpy as np
import pytest
import torch

from sightlines.core.errors import ConfigError
from sightlines.models import building, vit
from sightlines.models.lean import timm_module
from tests.models.nets import CLASSES, VIT
from tests.rounding import assert_rounded

SIDE = 32
WAVES = VIT | {"position_init": "sincos", "position_scale": 1}


def initial(net, size_px=SIDE):
    return building.build(net, size_px, CLASSES, seed=3).state_dict()


def same(one, other, but=()):
    assert list(one) == list(other)
    return all(torch.equal(one[key], other[key]) for key in one if key not in but)


@pytest.mark.parametrize("pool", ["cls", "gap"])
@pytest.mark.parametrize(
    "keys", [{}, {"position_init": "random", "position_scale": 1}, {"position_init": "random"}]
)
def test_random_positions_are_timms_own_down_to_the_weights(pool, keys):
    """A network that was configured before the keys were there stays what it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        theirs = timm_module("models.vision_transformer").VisionTransformer(
            img_size=SIDE,
            patch_size=4,
            num_classes=CLASSES,
            embed_dim=24,
            depth=3,
            num_heads=3,
            mlp_ratio=2,
            class_token=pool == "cls",
            global_pool="token" if pool == "cls" else "avg",
            fc_norm=False,
            weight_init="jax",
        )
    assert same(initial(VIT | {"pool": pool} | keys), theirs.state_dict())


@pytest.mark.parametrize("pool", ["cls", "gap"])
def test_waves_take_the_place_of_positions_and_of_no_other_weight(pool):
    waves, random = initial(WAVES | {"pool": pool}), initial(VIT | {"pool": pool})
    assert same(waves, random, but=("pos_embed",))
    assert not torch.equal(waves["pos_embed"], random["pos_embed"])
    assert waves["pos_embed"].shape == random["pos_embed"].shape
    if pool == "cls":
        assert not waves["pos_embed"][0, 0].any()


def test_waves_are_their_closed_form():
    """Patch (r, c), feature k of width / 4: sin and cos of r / 10^(k / 6), then of c."""
    found = np.array(initial(WAVES)["pos_embed"][0, 1:])
    expected = np.empty((64, 24))
    for row in range(8):
        for column in range(8):
            for k in range(6):
                for half, place in enumerate((row, column)):
                    turned = place * 10 ** (-k / 6)
                    expected[8 * row + column, 12 * half + k] = math.sin(turned)
                    expected[8 * row + column, 12 * half + 6 + k] = math.cos(turned)
    assert_rounded(found, expected, terms=2, dtype=np.float32)


def test_the_scale_multiplies_them():
    one, three = (initial(WAVES | {"position_scale": scale})["pos_embed"] for scale in (1, 3))
    assert_rounded(three, np.array(one, np.float64) * 3, terms=2, dtype=np.float32)
    assert three.abs().max() == 3


def test_neighbours_are_more_alike_than_patches_further_off():
    """What the waves are for: similarity of positions falls with distance over the near patches."""
    places = np.array(vit.waves_2d(8, 8, 48)).reshape(8, 8, 48)
    alike = places[:, :, None, None] @ places.reshape(64, 48).T
    alike = alike.reshape(8, 8, 8, 8)
    middle = alike[4, 4]
    assert middle[4, 4] > middle[4, 5] > middle[4, 6] and middle[4, 4] > middle[5, 4] > middle[6, 4]
    assert_rounded(middle[4, 4], 24, terms=48)  # sin² + cos², 24 times


@pytest.mark.parametrize("size_px", [16, 24])
def test_grids_of_other_sides(size_px):
    side = size_px // 4
    assert initial(WAVES, size_px)["pos_embed"].shape == (1, side**2 + 1, 24)
    assert len(vit.waves_2d(side, side, 24)) == side**2


def test_a_skipless_vit_has_them_too():
    cut = initial(WAVES | {"skipless_block": 1, "skipless": "both"})
    assert same(cut, initial(WAVES))


def test_a_width_without_equal_shares():
    narrow = WAVES | {"width": 18}
    with pytest.raises(ConfigError, match=r"position_init sincos .* width is 18: nearest is 16"):
        vit.check(narrow, SIDE)
    assert vit.check(narrow | {"position_init": "random"}, SIDE) == (8, 8)
