"""`shapes` with banded surfaces: three colours in an order, told apart by width and direction."""

import numpy as np
import pytest

from sightlines.core.errors import ConfigError
from sightlines.datasets import shapes, shapes_render
from sightlines.datasets.shapes_scene import BAND_SPREAD, BAND_WIDTHS, DIRECTIONS
from sightlines.plan.config import complete
from tests.datasets.test_shapes import SMALL, digest

BANDED = {key: value["default"] for key, value in shapes.SETTINGS.items()} | {
    "n_train": 400,
    "n_test": 101,
    "n_conflict": 97,
    "seed": 7,
}
STRAIGHT = BANDED | {"surface_tilt_deg": 0, "distractors": 0}


def test_golden_bytes_are_equal_on_every_machine():
    """Rendered once, frozen; a machine that disagrees has another arithmetic."""
    images, masks, _ = shapes.generate(BANDED, "train")
    assert digest(images) == "9341be8e654fc63147699e280977d4dd4237ae95a05262ca98a84f8300a97e42"
    assert digest(masks) == "d84161b46e5d91ab4d0552e84422337f18262f26386816aa5f6268be43d6a0bc"


def test_golden_bytes_at_another_size_with_conflicts():
    images, _, _ = shapes.generate(BANDED | {"size_px": 67, "n_conflict": 23}, "conflict")
    assert digest(images) == "c62f50661cad8207cf21122a6fb84aac2eb5a9d7d39ed077d4c6e4b27eac319c"


def test_bands_are_what_a_config_has_that_names_none():
    config = {
        "dataset": {"kind": "shapes"},
        "models": {"vit": {"family": "vit", "patch_px": 4, "width": 24, "depth": 2, "heads": 3}},
        "runs": [{"models": ["vit"], "fractions": ["f100"], "seeds": ["s0"]}],
    }
    assert complete(config, "x").dataset["surface"] == "bands"


def test_every_setting_changes_the_images():
    base = digest(shapes.generate(BANDED, "test")[0])
    for key, value in (
        ("surface", "textures"),
        ("surface_tilt_deg", 0),
        ("smallest_object", 12),
        ("largest_object", 20),
        ("texture_match", 0.1),
        ("tilt_deg", 0),
        ("seed", 8),
    ):
        assert digest(shapes.generate(BANDED | {key: value}, "test")[0]) != base, key


def test_surfaces_are_named_in_the_order_of_their_labels():
    names = shapes_render.surfaces("bands")
    assert names[:2] == ["narrow bands at 0°", "narrow bands at 72°"]
    assert names[5] == "wide bands at 0°" and len(set(names)) == 10
    assert len(set(shapes_render.surfaces("textures"))) == 10


def bands_alone(monkeypatch, settings, size_px=32):
    """Surfaces without an object's edge, in step: [images, h, w, 3], and their scene."""
    monkeypatch.setattr(shapes_render, "WANDER", 0)
    scene = shapes.generate(settings | {"size_px": size_px}, "train")[2]
    return shapes_render._surface(scene, size_px), scene


def test_colours_follow_each_other_in_the_direction_of_the_surface(monkeypatch):
    """Walking along its direction red comes before green before blue; across it nothing changes."""
    side = 64
    painted, scene = bands_alone(monkeypatch, STRAIGHT, side)
    kind = painted.argmax(3)  # the band's colour: a channel stands out by 100 and more
    steps = np.arange(-24, 25)
    for image in range(40):
        angle = 2 * np.pi * (scene.texture[image] % DIRECTIONS) / DIRECTIONS
        middle = (side - 1) / 2
        walk = np.stack([np.cos(angle) * steps, np.sin(angle) * steps])
        columns, rows = np.rint(middle + walk).astype(int)
        seen = kind[image, rows, columns]
        change = np.diff(seen)[np.diff(seen) != 0] % 3
        assert len(change) >= 2 and (change == 1).all(), image
        columns, rows = np.rint(middle + np.stack([-walk[1], walk[0]])[:, 20:29]).astype(int)
        assert len(set(kind[image, rows, columns].tolist())) <= 2, image


@pytest.mark.whole
def test_bands_are_as_wide_as_their_kind(monkeypatch):
    """Surfaces 0 and 5 run along x: the width of a band is the length of a run in a row."""
    side = 128
    painted, scene = bands_alone(monkeypatch, STRAIGHT | {"n_train": 1000}, side)
    widths = {0: [], 1: []}
    for image in np.flatnonzero(scene.texture % DIRECTIONS == 0):
        row = painted[image, side // 2].argmax(1)
        edges = np.flatnonzero(np.diff(row))
        widths[int(scene.texture[image] >= DIRECTIONS)] += np.diff(edges).tolist()
    for is_wide, found in widths.items():
        low, high = BAND_WIDTHS[is_wide]  # in 1/128 of the side: px here
        assert len(found) > 100 and low - 1 <= min(found) and max(found) <= high + 1
    assert max(widths[0]) < min(widths[1])


def test_colours_of_bands_say_nothing_about_the_class():
    """Every surface has the same three hues, each drawn within the same spread."""
    scene = shapes.generate(BANDED | {"n_train": 5000, "size_px": 16}, "train")[2]
    for texture in range(10):
        mean = scene.band_colours[scene.texture == texture].mean(0)
        error = BAND_SPREAD / np.sqrt(3 * (scene.texture == texture).sum())
        away = mean - scene.band_colours.mean(0)
        assert np.abs(away).max() < 5 * error < 8


def test_bands_cover_the_object_and_nothing_else():
    one, mask, _ = shapes.generate(BANDED | {"texture_match": 1.0}, "train")
    other, same, _ = shapes.generate(BANDED | {"texture_match": 0.0}, "train")
    np.testing.assert_array_equal(mask, same)
    differs = (one != other).any(3)
    assert (differs & mask).sum() > 0.3 * mask.sum()
    assert (differs & ~mask).sum() < 0.3 * mask.sum()  # edges: covered by a quarter


def test_textures_ignore_what_bands_have():
    """The older images, from the keys that say them: as bytes, see test_shapes."""
    scene = shapes.generate(SMALL, "train")[2]
    assert not scene.band_width.any()
    assert shapes.generate(BANDED, "train")[2].band_width.all()


def test_sizes_fill_their_range_and_no_more():
    found = shapes.truth(shapes.generate(BANDED | {"n_train": 2000}, "train")[2])
    assert 16 <= found.size_px.min() < 16.2 and 23.8 < found.size_px.max() <= 24


def test_no_object_can_be_larger_than_the_largest_and_smaller_than_the_smallest():
    with pytest.raises(ConfigError, match=r"largest_object is 12, but smallest_object is 16"):
        shapes.check(BANDED | {"largest_object": 12})
    assert shapes.check(BANDED | {"largest_object": 16}) == (32, 10)
