"""`textures`: the same bytes on every machine, a texture that is the class and nothing else."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from sightlines.core.devices import Compute
from sightlines.core.errors import ConfigError, DiskError
from sightlines.core.files import read_json, sha256
from sightlines.datasets import reading, store, textures
from sightlines.datasets.shapes_integers import Draws
from sightlines.datasets.shapes_render import _surface, render, render_surface
from sightlines.datasets.shapes_scene import draw_scene
from sightlines.datasets.shapes_textures import TEXTURES
from tests.making_jobs import LOG
from tests.rounding import assert_rounded

SMALL = {"n_train": 211, "n_test": 101, "size_px": 32, "seed": 7}
COMPUTE = Compute(torch.device("cpu"), torch.float32, 1, 0)


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("textures")
    textures.prepare(SMALL, Path("nowhere"), out, LOG)
    return out


def test_golden_bytes_are_equal_on_every_machine():
    """Rendered once, frozen; a machine that disagrees has another arithmetic."""
    images, labels = textures.generate(SMALL, "train")
    assert digest(images) == "c759afe56b40f34824b521e0cd956959760f527216e6119d73d2c4d6c28215fc"
    assert digest(labels) == "982e03b9ff1188395533578315dda8dcfe3a71c18db0d4339847dc37bf2e11ed"


def test_golden_bytes_at_another_size():
    images, _ = textures.generate(SMALL | {"size_px": 67, "n_test": 23}, "test")
    assert images.shape == (23, 67, 67, 3) and images.dtype == np.uint8
    assert digest(images) == "5f6bef3c3fba2cdec3b9a0d69a2fa00d881e26b6643260d756ec6195815f852b"


def test_chunks_do_not_matter(monkeypatch):
    images, _ = textures.generate(SMALL, "test")
    monkeypatch.setattr(textures, "CHUNK_PIXELS", 7 * 32 * 32)
    np.testing.assert_array_equal(images, textures.generate(SMALL, "test")[0])


def test_seed_and_split_change_the_images():
    train = textures.generate(SMALL | {"n_test": 211}, "train")
    for settings, split in ((SMALL | {"seed": 8}, "train"), (SMALL | {"n_test": 211}, "test")):
        images, labels = textures.generate(settings, split)
        assert (images != train[0]).mean() > 0.9 and (labels != train[1]).any()
    first = textures.generate(SMALL | {"seed": 0}, "train")
    assert digest(first[0]) != digest(train[0])


@pytest.mark.parametrize("count", [10, 97, 211])
def test_classes_are_balanced_in_random_order(count):
    _, labels = textures.generate(SMALL | {"n_train": count, "size_px": 16}, "train")
    counts = np.bincount(labels, minlength=10)
    assert labels.dtype == np.int64 and counts.sum() == count
    assert counts.max() - counts.min() <= 1
    assert not np.array_equal(labels, np.arange(count) % 10)


def nearest_class(train, train_labels, test):
    """Class of the nearest mean, each feature scaled to unit variance."""
    centre, spread = train.mean(0), train.std(0) + 1e-9
    train, test = (train - centre) / spread, (test - centre) / spread
    means = np.stack([train[train_labels == kind].mean(0) for kind in range(10)])
    return np.argmin(((test[:, None] - means) ** 2).sum(2), axis=1)


def colour(images):
    """Mean of each channel."""
    return (images / 255).mean((1, 2))


def grain(images):
    """Quantiles of the grey values and power by spatial frequency, contrast and mean removed."""
    grey = (images / 255).mean(3)
    grey = grey - grey.mean((1, 2), keepdims=True)
    grey /= grey.std((1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(grey)) ** 2
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(grey.shape[1])] * 2))
    bands = [(frequency >= low) & (frequency < low + 0.03) for low in np.arange(0.02, 0.5, 0.03)]
    spectrum = np.log(np.stack([power[:, band].mean(1) for band in bands], axis=1))
    return np.concatenate([np.sort(grey.reshape(len(grey), -1))[:, ::64], spectrum], axis=1)


def test_the_class_is_in_the_texture_and_not_in_the_colour():
    settings = SMALL | {"n_train": 1000, "n_test": 500}
    (train, train_labels), (test, labels) = (
        textures.generate(settings, split) for split in ("train", "test")
    )
    share = {
        feature.__name__: (nearest_class(feature(train), train_labels, feature(test)) == labels)
        for feature in (colour, grain)
    }
    assert share["colour"].mean() < 0.15
    assert share["grain"].mean() > 0.3


def test_a_surface_fills_the_image_as_it_fills_the_object():
    """Far inside its outline an object shows the very pixels of the surface."""
    draws = Draws(3, "test", 20)
    labels = np.arange(20) % 10
    settings = {**textures.SCENE, "size_px": 48, "distractors": 2}
    scene = draw_scene(draws, labels, labels, settings)
    whole, inside = render(scene, 48)
    surface = render_surface(scene, 48)
    same = (whole == surface).all(3)
    assert same[inside].mean() > 0.85 and same[~inside].mean() < 0.05
    clean = _surface(scene, 48)
    in_range = (clean >= 8) & (clean <= 247)
    noise = (surface - clean)[in_range]
    error = np.sqrt(8 * 9 / 3 / noise.size)  # of the mean of integers that are uniform up to 8
    assert np.abs(noise).max() == 8 and abs(noise.mean()) < 3 * error < 0.1


def test_prepared_folder_holds_all_files_and_their_hashes(folder):
    facts = read_json(folder / "dataset.json")
    assert sorted(p.name for p in folder.iterdir()) == sorted(textures.FILES)
    assert set(facts["files"]) == set(textures.FILES) - {"dataset.json"}
    assert all(sha256(folder / name) == value for name, value in facts["files"].items())
    assert facts["classes"] == list(TEXTURES) and facts["counts"] == {"train": 211, "test": 101}
    for split in ("train", "test"):
        images, labels = textures.generate(SMALL, split)
        np.testing.assert_array_equal(np.load(folder / f"{split}_images.npy"), images)
        np.testing.assert_array_equal(np.load(folder / f"{split}_labels.npy"), labels)


def test_same_settings_give_the_same_folder(folder, tmp_path):
    textures.prepare(SMALL, Path("elsewhere"), tmp_path, LOG)
    for name in textures.FILES:
        assert sha256(tmp_path / name) == sha256(folder / name), name


def test_the_prepared_folder_is_read_like_any_other(folder):
    images = reading.open_dataset(folder / "dataset.json", folder, COMPUTE)
    raw = np.load(folder / "test_images.npy")
    wanted = [np.array([100, 0]), np.array([5])]
    for indices, batch in zip(wanted, images.batches("test", wanted), strict=True):
        np.testing.assert_array_equal(batch.permute(0, 2, 3, 1).numpy(), raw[indices])
    assert images.size_px == 32 and len(images.classes) == 10
    everything = next(images.batches("train", [np.arange(211)]))
    normal = reading.normalise(everything, images.mean, images.std)
    sums = {"terms": 211 * 32 * 32, "size": float(normal.abs().max()), "dtype": np.float32}
    assert_rounded(normal.mean((0, 2, 3)), torch.zeros(3), **sums)
    assert_rounded(normal.std((0, 2, 3), correction=0), torch.ones(3), **sums)


def test_another_size_is_prepared_too(tmp_path):
    textures.prepare(SMALL | {"size_px": 17}, Path("nowhere"), tmp_path, LOG)
    images = reading.open_dataset(tmp_path / "dataset.json", tmp_path, COMPUTE)
    assert images.size_px == 17
    assert next(images.batches("train", [np.arange(3)])).shape == (3, 3, 17, 17)


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path):
    with pytest.raises(DiskError, match="The dataset textures needs"):
        textures.prepare(SMALL | {"n_train": 10**13}, Path("nowhere"), tmp_path, LOG)
    assert list(tmp_path.iterdir()) == []


def test_check_names_the_key():
    assert textures.check(SMALL | {"size_px": 48}) == (48, 10)
    for key in ("n_train", "n_test"):
        with pytest.raises(ConfigError, match=rf"dataset\.{key} is 9, but textures has 10"):
            textures.check(SMALL | {key: 9})


def test_the_variant_depends_on_the_settings_alone():
    assert textures.variant(SMALL) == textures.variant(SMALL | {"kind": "textures"})
    names = {textures.variant(SMALL | change) for change in ({}, {"seed": 8}, {"size_px": 48})}
    assert len(names) == 3 and all(name.startswith("textures-") for name in names)


def test_channel_statistics_are_exact():
    """Against NumPy's float sums; and one grey level, whose spread is exactly nothing."""
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 3, 3)).astype(np.uint8)
    mean, std = store.channel_statistics(images)
    assert_rounded(mean, images.mean((0, 1, 2)) / 255, terms=1)  # a sum of whole numbers
    assert_rounded(std, images.std((0, 1, 2)) / 255, terms=7 * 5 * 3)
    assert store.channel_statistics(np.full((4, 9, 9, 3), 51, np.uint8)) == ([0.2] * 3, [0.0] * 3)
