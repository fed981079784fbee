"""Splits: stratified, nested, disjoint, repeatable; and clear when there are too few images."""

import numpy as np
import pytest

from sightlines.core import seeds
from sightlines.core.errors import ConfigError
from sightlines.core.files import TensorReader, write_tensors
from sightlines.datasets import split, store

SETTINGS = {
    "validation": 101,
    "reference_batches": 7,
    "reference_batch_size": 13,
    "probe_train": 53,
    "probe_held_out": 29,
    "probe_test": 31,
}


def make_labels(count: int, seed: int, shares=(0.5, 0.3, 0.15, 0.05)) -> np.ndarray:
    return np.random.default_rng(seed).choice(len(shares), count, p=shares).astype(np.int64)


TRAIN, TEST = make_labels(1009, 1), make_labels(307, 2)


def divide(train=TRAIN, seed=5, **settings):
    """The tensors of all three parts, by their names."""
    labels, settings = {"train": train, "test": TEST}, SETTINGS | settings
    found = split.divide_training(labels, settings, seed)
    chosen = (found["train"], found["validation"])
    found |= split.choose_reference(labels, settings, seed)
    return found | split.choose_probes(labels, *chosen, settings, seed)


def fraction(tensors, per_cent):
    return tensors["train"][tensors["train_from_per_cent"] <= per_cent]


@pytest.fixture(scope="module")
def tensors():
    return divide()


def test_fractions_are_nested_and_stratified(tensors):
    sets = [set(fraction(tensors, share).tolist()) for share in (3, 10, 30, 100)]
    assert sets[0] < sets[1] < sets[2] < sets[3] == set(tensors["train"].tolist())
    sizes = np.bincount(TRAIN[tensors["train"]])
    for share in range(1, 101):
        counts = np.bincount(TRAIN[fraction(tensors, share)], minlength=4)
        np.testing.assert_array_equal(counts, np.maximum((sizes * share + 50) // 100, 1))
    assert len(fraction(tensors, 0)) == 0


def test_fractions_are_the_first_of_each_class_in_one_order(tensors):
    train = tensors["train"]
    order = train[np.argsort(seeds.generator(5, "splits", "fractions").bit_generator.random_raw(
        len(train)), kind="stable")]  # fmt: skip
    for share in (1, 3, 47, 99):
        expected = []
        for label in range(4):
            of_class = order[TRAIN[order] == label]
            expected += of_class[: max((len(of_class) * share + 50) // 100, 1)].tolist()
        assert fraction(tensors, share).tolist() == sorted(expected)


def test_the_fraction_of_a_network_is_read_from_the_file(tensors, tmp_path):
    write_tensors(tmp_path / "splits", tensors, {})
    splits = TensorReader(tmp_path / "splits")
    for name, share in (("f003", 3), ("f100", 100), ("f000", 100)):
        found = store.fraction_images(splits, name)
        np.testing.assert_array_equal(found, fraction(tensors, share))


def test_a_rare_class_is_in_every_fraction():
    rare = np.concatenate([np.zeros(500, np.int64), np.ones(3, np.int64)])
    found = divide(rare, 0, probe_train=0)
    for share in (1, 3, 10):
        assert (rare[fraction(found, share)] == 1).sum() == 1


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


@pytest.mark.parametrize("name", ["train", "held_out", "test"])
def test_probe_images_are_the_first_of_an_order_that_no_count_changes(tensors, name):
    order = tensors[f"order_{name}"]
    among = {"train": "train", "held_out": "validation", "test": "test"}[name]
    assert sorted(order.tolist()) == sorted(tensors[among].tolist())
    assert not np.array_equal(order, np.sort(order))
    few = divide(probe_train=7, probe_held_out=5, probe_test=11)
    np.testing.assert_array_equal(few[f"order_{name}"], order)
    for found in (tensors, few):
        chosen = found[f"probe_{name}"]
        np.testing.assert_array_equal(chosen, order[: len(chosen)])


def test_wherever_the_order_ends_classes_have_their_shares(tensors):
    order = tensors["order_test"]
    sizes = np.bincount(TEST)
    for count in range(1, len(order) + 1):
        counts = np.bincount(TEST[order[:count]], minlength=4)
        assert (np.abs(counts - sizes * count / len(order)) < 1.5).all()
    np.testing.assert_array_equal(split.order_labelled(TEST, order, 5, "probe_test"), order)
    assert not np.array_equal(split.order_labelled(TEST, order, 6, "probe_test"), order)
    assert not np.array_equal(split.order_labelled(TEST, order, 5, "probe_train"), order)


def test_same_seed_same_hashes_other_seed_others(tensors):
    again, other = divide(), divide(seed=6)
    one = split.describe(tensors, "d", ["a"])
    assert one == split.describe(again, "d", ["a"])
    assert one["reference_sha256"] != split.describe(other, "d", ["a"])["reference_sha256"]
    assert one["reference_sha256"] != split.describe(again, "e", ["a"])["reference_sha256"]
    assert set(one["hashes"]) == set(tensors)
    training = {name: tensors[name] for name in ("train", "validation")}
    assert "reference_sha256" not in split.describe(training, "d", ["a"])


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
        divide(**{key: value})


def test_exactly_all_images_can_be_taken():
    found = divide(probe_test=307)
    np.testing.assert_array_equal(np.sort(found["probe_test"]), np.arange(307))
    found = divide(validation=1005, probe_train=4)
    assert (np.bincount(TRAIN[found["train"]]) == 1).all()
