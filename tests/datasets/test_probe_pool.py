"""Probe images: fitted to none that a network was trained on, and tested on others."""

import logging

import numpy as np
import pytest

from sightlines.core.errors import ConfigError
from sightlines.core.files import TensorReader, write_tensors
from sightlines.datasets import probe_pool, split
from sightlines.datasets.store import read_dataset
from sightlines.jobs.command import Job
from tests.dumps.making_experiments import make_dataset

LABELS = {
    "train": np.random.default_rng(1).choice(4, 900, p=[0.5, 0.3, 0.15, 0.05]).astype(np.int64),
    "test": np.random.default_rng(2).choice(4, 300, p=[0.5, 0.3, 0.15, 0.05]).astype(np.int64),
}
TRAIN, VALIDATION = np.arange(100, 900), np.arange(100)
SIZES = {"probe_train": 120, "probe_held_out": 40, "probe_test": 90}


def choose(pool, seed=5, **sizes):
    return probe_pool.choose(LABELS, TRAIN, VALIDATION, SIZES | sizes, seed, pool)


@pytest.mark.parametrize("pool", ["auto", "test"])
def test_probes_are_fitted_to_test_images_that_do_not_test_them(pool):
    found, of = choose(pool)
    assert of == "test" and len(found["probe_train"]) == 120
    assert not {*found["probe_train"]} & {*found["probe_test"]}
    assert sorted([*found["order_train"], *found["probe_test"]]) == list(range(300))
    counts = np.bincount(LABELS["test"][found["probe_train"]], minlength=4)
    rest = np.bincount(LABELS["test"][found["order_train"]], minlength=4)
    assert np.abs(counts - 120 * rest / rest.sum()).max() <= 1.5, "with the classes' shares"


def test_what_tests_and_chooses_probes_is_as_it_was():
    old = split.choose_probes(LABELS, TRAIN, VALIDATION, SIZES, 5)
    for pool in ("auto", "train"):
        found, _ = choose(pool)
        for name in ("probe_test", "order_test", "probe_held_out", "order_held_out"):
            np.testing.assert_array_equal(found[name], old[name])
    found, of = choose("train")
    assert of == "train"
    np.testing.assert_array_equal(found["probe_train"], old["probe_train"])


def test_too_few_test_images_leave_the_training_images():
    assert choose("auto", probe_test=180)[1] == "test", "just enough"
    found, of = choose("auto", probe_test=181)
    assert of == "train" and {*found["probe_train"]} <= {*TRAIN}
    why = "asks for 120 test images that do not test probes, but of 300 there are 119"
    with pytest.raises(ConfigError, match=why):
        choose("test", probe_test=181)
    with pytest.raises(ConfigError, match=r"splits.probe_held_out asks for 101"):
        choose("test", probe_held_out=101)


def test_the_same_seed_draws_the_same():
    one, again, other = (choose("auto", seed)[0]["probe_train"] for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(("sizes", "pool"), [((12, 3, 20), "test"), ((12, 3, 40), "train")])
def test_the_command_says_where_the_images_are_from(tmp_path, caplog, sizes, pool):
    dataset = make_dataset(tmp_path / "data", train=61, test=43)
    facts = read_dataset(dataset)
    own = {"train": np.arange(7, 61), "validation": np.arange(7)}
    meta = split.describe(own, split.sha256(dataset), facts["classes"])
    write_tensors(tmp_path / "splits", own, meta)
    config = {"seed": 3, "splits": dict(zip(SIZES, sizes, strict=True)), "probe_pool": "auto"}
    inputs = {"dataset": [dataset], "splits": [tmp_path / "splits"]}
    outputs = {"splits": [tmp_path / "probes"]}
    job = Job("m", config, inputs, outputs, tmp_path, logging.getLogger("test"))
    with caplog.at_level("WARNING"):
        probe_pool.main(job)
    file = TensorReader(tmp_path / "probes")
    assert (
        file.meta["probe_splits"]
        == {"probe_train": pool}
        == {"probe_train": job.notes["probe_pool"]}
    )
    assert ("networks were trained on" in caplog.text) == (pool == "train")
