"""`shapes`: the same bytes on every machine, and a truth that is true."""

import ast
import hashlib
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sightlines.core.errors import ConfigError
from sightlines.core.files import read_json, sha256
from sightlines.datasets import shapes, shapes_integers, shapes_outlines
from sightlines.datasets.shapes_integers import Draws, cosine, sine
from tests.making_jobs import LOG
from tests.rounding import assert_rounded, bound

SMALL = {
    "n_train": 211,
    "n_test": 101,
    "n_conflict": 97,
    "size_px": 32,
    "surface": "textures",
    "texture_match": 0.5,
    "own_hue": True,
    "tilt_deg": 30,
    "surface_tilt_deg": 30,
    "smallest_object": 22,
    "largest_object": 26,
    "distractors": 3,
    "seed": 7,
}


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def test_golden_bytes_are_equal_on_every_machine():
    """Rendered once, frozen; a machine that disagrees has another arithmetic."""
    images, masks, _ = shapes.generate(SMALL, "train")
    assert digest(images) == "d3586adce341fac6943804aa6ab8a2614c80c71ee421052d84ef2546adc1c338"
    assert digest(masks) == "9b3f69fa1e0bd62bb5ae0e9a58993b73e56ddb5485371755ed150a5c00ea60c8"


def test_golden_bytes_at_another_size_with_conflicts():
    images, _, _ = shapes.generate(SMALL | {"size_px": 67, "n_conflict": 23}, "conflict")
    assert digest(images) == "84f043f3e12ecd67d99500e420836af3072c340755bc33ebc07af5a31421a912"


def test_no_float_reaches_a_pixel():
    """The modules that render name no float constant, no division and no float function."""
    folder = Path(shapes.__file__).parent
    for name in ("integers", "outlines", "textures", "render"):
        tree = ast.parse((folder / f"shapes_{name}.py").read_text())
        for node in ast.walk(tree):
            assert not isinstance(node, ast.Div), name
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), name
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("sin", "cos", "exp", "sqrt", "float32", "float64"), name


def test_sines_are_rounded_exactly():
    steps = np.arange(-4096, 8192)
    expected = [math.sin(math.tau * int(k) / 4096) * 2**30 for k in steps]
    assert np.abs(sine(steps) - expected).max() <= 0.5 + bound(2**30, terms=2)
    np.testing.assert_array_equal(cosine(steps), sine(steps + 1024))


def test_draws_stay_in_range_and_fill_it():
    draws = Draws(3, "train", 5003)
    values = draws.between("x", -2, 4)
    assert set(np.unique(values)) == set(range(-2, 5))
    assert np.bincount(draws.below("y", 10)[:, 0]).min() > 400
    assert sorted(draws.shuffled("z")) == list(range(5003))
    assert not np.array_equal(draws.raw("a"), Draws(4, "train", 5003).raw("a"))


def test_chunks_do_not_matter(monkeypatch):
    images, _, _ = shapes.generate(SMALL, "test")
    monkeypatch.setattr(shapes, "CHUNK_PIXELS", 7 * 32 * 32)
    again, _, _ = shapes.generate(SMALL, "test")
    np.testing.assert_array_equal(images, again)


def test_every_setting_changes_the_images():
    base = digest(shapes.generate(SMALL, "test")[0])
    for key, value in (
        ("seed", 8),
        ("distractors", 0),
        ("texture_match", 1.0),
        ("size_px", 31),
        ("own_hue", False),
        ("tilt_deg", 180),
        ("smallest_object", 12),
    ):
        assert digest(shapes.generate(SMALL | {key: value}, "test")[0]) != base, key


def test_classes_are_balanced_and_textures_match_as_often_as_asked():
    scene = shapes.generate(
        SMALL | {"n_train": 5003, "size_px": 16, "texture_match": 0.3}, "train"
    )[2]
    counts = np.bincount(scene.label)
    assert counts.max() - counts.min() <= 1
    error = math.sqrt(0.3 * 0.7 / 5003)  # of a share of 5,003 draws
    assert abs((scene.label == scene.texture).mean() - 0.3) < 4 * error < 0.03
    assert np.bincount(scene.texture).min() > 400


def test_conflicts_pair_every_shape_with_every_other_texture():
    scene = shapes.generate(SMALL | {"n_conflict": 180, "size_px": 16}, "conflict")[2]
    pairs = set(zip(scene.label.tolist(), scene.texture.tolist(), strict=True))
    assert pairs == {(a, b) for a in range(10) for b in range(10) if a != b}


def test_masks_cover_the_object_and_nothing_else():
    """Images that differ in the object's texture alone differ inside its outline alone."""
    plain = SMALL | {"texture_match": 1.0}
    one, mask, scene = shapes.generate(plain, "train")
    other, same, _ = shapes.generate(plain | {"texture_match": 0.0}, "train")
    np.testing.assert_array_equal(mask, same)
    differs = (one != other).any(3)
    for image in range(len(one)):
        rows, columns = np.nonzero(differs[image] | mask[image])
        far = np.hypot(
            columns + 0.5 - scene.centre[image, 0] / 256, rows + 0.5 - scene.centre[image, 1] / 256
        )
        assert far.max() < scene.radius[image] / 256 * 1.3 + 1
    outside = differs & ~mask
    assert outside.sum() < 0.3 * mask.sum()  # edges: covered by a quarter


def test_areas_do_not_give_the_class_away():
    axis = np.arange(-2048, 2048, 8, dtype=np.int32) + 4
    x, y = np.meshgrid(axis, axis)
    for name, inside in shapes_outlines.OUTLINES.items():
        area = inside(x, y).sum() * 64 / 1024**2  # whole numbers: the same on every machine
        assert 1.45 <= area <= 1.67, name


def test_prepared_folder_holds_all_files_and_their_hashes(tmp_path):
    shapes.prepare(SMALL, Path("nowhere"), tmp_path, LOG)
    facts = read_json(tmp_path / "dataset.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(shapes.FILES)
    assert set(facts["files"]) == set(shapes.FILES) - {"dataset.json"}
    assert all(sha256(tmp_path / name) == value for name, value in facts["files"].items())
    images = np.load(tmp_path / "train_images.npy")
    masks = np.load(tmp_path / "train_masks.npy")
    truth = pd.read_parquet(tmp_path / "train_truth.parquet")
    pixels = 211 * 32 * 32
    assert_rounded(facts["mean"], images.mean((0, 1, 2)) / 255, terms=1)  # a sum of whole numbers
    assert_rounded(facts["std"], images.std((0, 1, 2)) / 255, terms=pixels)
    np.testing.assert_array_equal(truth["label"], np.load(tmp_path / "train_labels.npy"))
    unpacked = np.unpackbits(masks, axis=1).reshape(211, 32, 32).astype(bool)
    np.testing.assert_array_equal(unpacked, shapes.generate(SMALL, "train")[1])
    assert truth["angle_rad"].between(0, math.tau).all() and truth["x_px"].between(0, 32).all()


def test_same_settings_give_the_same_folder(tmp_path):
    for name in ("one", "two"):
        shapes.prepare(SMALL, Path("nowhere"), tmp_path / name, LOG)
    for name in shapes.FILES:
        assert sha256(tmp_path / "one" / name) == sha256(tmp_path / "two" / name), name
    assert shapes.variant(SMALL) == shapes.variant(SMALL | {"kind": "shapes"})
    assert shapes.variant(SMALL) != shapes.variant(SMALL | {"seed": 8})


def test_check_names_the_key():
    assert shapes.check(SMALL) == (32, 10)
    with pytest.raises(ConfigError, match=r"dataset\.n_test is 9"):
        shapes.check(SMALL | {"n_test": 9})


def test_smooth_noise_is_continuous():
    x = np.arange(1024, dtype=np.int32)[None, None, :] + np.zeros((1, 3, 1), np.int32)
    noise = shapes_integers.smooth_noise(x, np.zeros_like(x), np.full((1, 1, 1), 5, np.uint32))
    assert 0 <= noise.min() and noise.max() <= 255 and np.abs(np.diff(noise, axis=2)).max() <= 2


def test_there_may_be_no_conflict_images(tmp_path):
    shapes.prepare(SMALL | {"n_conflict": 0}, tmp_path, tmp_path / "out", LOG)
    assert np.load(tmp_path / "out" / "conflict_images.npy").shape == (0, 32, 32, 3)


def test_sizes_and_angles_fill_their_ranges():
    _, _, scene = shapes.generate(SMALL | {"tilt_deg": 180, "smallest_object": 12}, "train")
    found = shapes.truth(scene)
    assert found.size_px.min() < 13 and found.size_px.max() > 25
    turned = np.degrees(found.angle_rad)
    assert turned.min() < 10 and turned.max() > 350 and (abs(turned - 180) < 30).any()


# -- further settings and splits ----------------------------------------------------------------

FULL = SMALL | {"n_silhouette": 40, "n_mixed": 60, "ground_match": 0, "lighter": True}


def test_settings_that_came_later_change_nothing_while_they_have_their_defaults(tmp_path):
    defaults = {key: shapes.SETTINGS[key]["default"] for key in shapes.LATER}
    assert shapes.variant(SMALL | defaults) == shapes.variant(SMALL)
    assert shapes.files(SMALL | defaults) == shapes.files(SMALL) == shapes.FILES
    images, _, _ = shapes.generate(SMALL | defaults, "test")
    assert np.array_equal(images, shapes.generate(SMALL, "test")[0])
    for key, other in (("lighter", False), ("ground_match", 0.5), ("n_mixed", 3)):
        assert shapes.variant(SMALL | {key: other}) != shapes.variant(SMALL)


def lightness_auc(settings, surface):
    """Mean over images of how often a pixel of the object is lighter than one of the rest."""
    images, masks, _ = shapes.generate(settings | {"surface": surface, "n_test": 300}, "test")
    light = images.astype(np.int64).sum(-1)
    found = []
    for own, mask in zip(light, masks, strict=True):
        inside, outside = np.sort(own[mask]), np.sort(own[~mask])
        found.append(np.searchsorted(outside, inside).mean() / len(outside))
    return float(np.mean(found))


@pytest.mark.parametrize("surface", ["bands", "textures"])
def test_objects_are_no_lighter_than_grounds_where_asked(surface):
    small = SMALL | {"smallest_object": 8}
    assert lightness_auc(small | {"lighter": False}, surface) < 0.6
    assert lightness_auc(small, surface) > 0.85


@pytest.mark.whole
def test_grounds_have_their_classs_texture_as_often_as_asked():
    def share(match):
        _, _, scene = shapes.generate(SMALL | {"ground_match": match, "n_train": 2000}, "train")
        return float((scene.ground == scene.label).mean())

    assert abs(share(0) - 0.1) < 0.03 and abs(share(0.5) - 0.55) < 0.04 and share(1) == 1
    same, other = (shapes.generate(SMALL | {"ground_match": m}, "train")[2] for m in (0, 1))
    assert np.array_equal(same.centre, other.centre) and np.array_equal(same.colours, other.colours)


def test_mixed_images_differ_in_their_grounds_alone():
    same, masks, of_same = shapes.generate(FULL, "mixed_same")
    rand, masks_too, of_rand = shapes.generate(FULL, "mixed_rand")
    assert len(same) == 60 and np.array_equal(masks, masks_too)
    assert (of_same.ground == of_same.label).all() and (of_rand.ground != of_rand.label).all()
    assert np.array_equal(of_same.label, of_rand.label)
    differs = (same != rand).any(-1)
    assert differs[~masks].mean() > 0.2
    whole = np.stack([_inner(mask) for mask in masks])
    assert not differs[whole].any(), "what the object covers wholly is the same"


def _inner(mask):
    """Pixels whose neighbours are all inside too."""
    padded = np.pad(mask, 1)
    around = [padded[1 + dy : 33 + dy, 1 + dx : 33 + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return np.logical_and.reduce(around)


def test_silhouettes_are_flat_but_for_noise_and_say_nothing_but_their_outline():
    images, masks, scene = shapes.generate(FULL | {"n_silhouette": 400}, "silhouette")
    for image, mask in zip(images[:40], masks, strict=False):
        for part in (_inner(mask), _inner(~mask)):
            spread = image[part].max(0).astype(int) - image[part].min(0)
            assert (spread <= 2 * 8).all(), "twice the noise"
    assert len(np.unique(scene.label)) == 10
    assert not scene.band_width.any() and scene.clutter.shape[1] == 0


def test_further_splits_are_written_and_named(tmp_path):
    small = FULL | {"n_train": 20, "n_test": 20, "n_conflict": 5, "n_silhouette": 4, "n_mixed": 3}
    shapes.prepare(small, tmp_path, tmp_path, LOG)
    described = read_json(tmp_path / "dataset.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(shapes.files(small))
    assert described["silhouette_images"] == 4 and described["mixed_rand_images"] == 3
    assert np.load(tmp_path / "mixed_same_images.npy").shape == (3, 32, 32, 3)
    truth = pd.read_parquet(tmp_path / "mixed_same_truth.parquet")
    assert (truth["ground"] == truth["label"]).all()
