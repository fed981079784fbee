import pytest

from sightlines.core.errors import ConfigError
from sightlines.models import mixer, resnet, vit
from tests.models.nets import RESNET, VIT


@pytest.mark.parametrize(
    ("change", "size_px", "message"),
    [
        ({"patch_px": 6}, 32, r"patch_px 6 does not divide the images of 32 px.* 4 px"),
        ({"patch_px": 40}, 32, r"patch_px 40 .* 32 px: nearest that does is 16 px"),
        ({"patch_px": 32}, 32, r"patch_px 32 makes a single patch of .* 32 px.* at most 16"),
        ({"patch_px": 31}, 31, r"patch_px 31 makes a single patch .* at most 1"),
        (
            {"width": 100, "heads": 3},
            32,
            r"heads 3 does not divide width 100.*heads 2, or width 99",
        ),
        ({"mlp_ratio": 0.01}, 32, "mlp_ratio 0.01"),
    ],
)
def test_impossible_vit(change, size_px, message):
    with pytest.raises(ConfigError, match=message):
        vit.check(VIT | change, size_px)


def test_a_mixer_of_one_patch_is_refused():
    settings = {"patch_px": 32, "width": 12, "depth": 1, "token_ratio": 1, "mlp_ratio": 1}
    with pytest.raises(ConfigError, match="patch_px 32 makes a single patch"):
        mixer.check(settings, 32)
    assert mixer.check(settings | {"patch_px": 16}, 32) == (2, 2)


@pytest.mark.parametrize(
    ("change", "size_px", "message"),
    [
        ({"units": [2, 2]}, 32, r"units \[2, 2\] are 2 stages, but channels .* are 3"),
        ({"channels": [32, 64, 100]}, 32, r"channels 100 .* nearest is 96"),
        ({"stem_channels": 20}, 32, "stem_channels 20 .* nearest is 16"),
        ({"groups": 5}, 32, r"groups 5 does not divide 8 channels.*is 4"),
        ({"groups": 16}, 32, r"groups 16 does not divide 8 channels.*is 8"),
        ({}, 1, "images of 1 px are too small for stem small and 3 stages"),
        ({"stem": "large"}, 4, "images of 4 px are too small for stem large"),
    ],
)
def test_impossible_resnet(change, size_px, message):
    with pytest.raises(ConfigError, match=message):
        resnet.check(RESNET | change, size_px)


def test_grids():
    assert vit.check(VIT, 32) == (8, 8)
    assert resnet.check(RESNET, 32) == (8, 8)
    assert resnet.check(RESNET | {"stem": "medium"}, 33) == (5, 5)
    assert resnet.check(RESNET | {"stem": "large"}, 224) == (14, 14)
