"""Splits: stratified, nested, disjoint, repeatable; and clear when there are too few images."""

import numpy as np
import pytest

from sightlines.datasets import split
from sightlines.errors import ConfigError

SETTINGS = {
    "validation": 101,
    "reference_batches": 7,
    "reference_batch_size": 13,
    "probe_train": 53,
    "probe_held_out": 29,
    "probe_test": 31,
}
FRACTIONS = ["f000", "f003", "f010", "f030", "f100"]


def make_labels(count: int, seed: int, shares=(0.5, 0.3, 0.15, 0.05)) -> np.ndarray:
    return np.random.default_rng(seed).choice(len(shares), count, p=shares).astype(np.int64)


TRAIN, TEST = make_labels(1009, 1), make_labels(307, 2)


@pytest.fixture(scope="module")
def tensors():
    return split.divide(TRAIN, TEST, SETTINGS, FRACTIONS, 5)


def test_fractions_are_nested_and_stratified(tensors):
    names = ["f003", "f010", "f030", "f100"]
    sets = [set(tensors[f"fraction_{name}"].tolist()) for name in names]
    assert sets[0] < sets[1] < sets[2] < sets[3] == set(tensors["train"].tolist())
    sizes = np.bincount(TRAIN[tensors["train"]])
    for name, share in zip(names, (0.03, 0.1, 0.3, 1.0), strict=True):
        counts = np.bincount(TRAIN[tensors[f"fraction_{name}"]], minlength=4)
        assert (np.abs(counts - np.maximum(sizes * share, 1)) <= 0.5).all(), name
    assert "fraction_f000" not in tensors


def test_a_rare_class_is_in_every_fraction():
    rare = np.concatenate([np.zeros(500, np.int64), np.ones(3, np.int64)])
    found = split.divide(rare, TEST, SETTINGS | {"probe_train": 0}, ["f003"], 0)
    assert (rare[found["fraction_f003"]] == 1).sum() == 1


def test_validation_is_stratified_and_apart(tensors):
    assert len(tensors["validation"]) == 101
    assert not set(tensors["validation"]) & set(tensors["train"])
    assert len(tensors["validation"]) + len(tensors["train"]) == 1009
    expected = np.bincount(TRAIN) * 101 / 1009
    assert (np.abs(np.bincount(TRAIN[tensors["validation"]]) - expected) < 1).all()


def test_reference_images_repeat_none_and_keep_shares(tensors):
    reference = tensors["reference"]
    assert len(set(reference.tolist())) == len(reference) == 7 * 13
    assert not np.array_equal(reference, np.sort(reference))
    np.testing.assert_array_equal(tensors["reference_bounds"], np.arange(8) * 13)
    expected = np.bincount(TEST) * 91 / 307
    assert (np.abs(np.bincount(TEST[reference]) - expected) < 1).all()


def test_probe_images_come_from_their_own_sets(tensors):
    assert set(tensors["probe_train"]) < set(tensors["train"])
    assert set(tensors["probe_held_out"]) < set(tensors["validation"])
    assert [len(tensors[f"probe_{n}"]) for n in ("train", "held_out", "test")] == [53, 29, 31]


def test_fractions_do_not_depend_on_which_others_there_are(tensors):
    alone = split.divide(TRAIN, TEST, SETTINGS, ["f010"], 5)
    np.testing.assert_array_equal(alone["fraction_f010"], tensors["fraction_f010"])


def test_same_seed_same_hashes_other_seed_others(tensors):
    again = split.divide(TRAIN, TEST, SETTINGS, FRACTIONS, 5)
    other = split.divide(TRAIN, TEST, SETTINGS, FRACTIONS, 6)
    one = split.describe(tensors, "d", ["a"])
    assert one == split.describe(again, "d", ["a"])
    assert one["reference_sha256"] != split.describe(other, "d", ["a"])["reference_sha256"]
    assert one["reference_sha256"] != split.describe(again, "e", ["a"])["reference_sha256"]
    assert set(one["hashes"]) == set(tensors)


@pytest.mark.parametrize(
    ("key", "value", "there"),
    [
        ("validation", 1006, "1005"),
        ("reference_batches", 24, "307"),
        ("probe_train", 909, "908"),
        ("probe_held_out", 102, "101"),
        ("probe_test", 308, "307"),
    ],
)
def test_too_few_images_name_the_key_and_how_many_there_are(key, value, there):
    with pytest.raises(ConfigError, match=rf"splits\.{key}.* there are {there} to choose"):
        split.divide(TRAIN, TEST, SETTINGS | {key: value}, FRACTIONS, 5)


def test_exactly_all_images_can_be_taken():
    found = split.divide(TRAIN, TEST, SETTINGS | {"probe_test": 307}, ["f100"], 5)
    np.testing.assert_array_equal(found["probe_test"], np.arange(307))
    assert (np.bincount(TRAIN[split.divide(TRAIN, TEST, SETTINGS | {
        "validation": 1005, "probe_train": 4}, ["f003"], 5)["train"]]) == 1).all()  # fmt: skip
