"""CIFAR-10-C in the form of its authors, made of zeros where nothing is looked at."""

import json
import logging

import numpy as np
import pytest

from sightlines.core.errors import ConfigError, DataError
from sightlines.datasets import cifar10_c

SETTINGS = {"folder": "CIFAR-10-C", "corruption": "fog", "severity": 3}
LOG = logging.getLogger(__name__)


def make(folder, count=50_000, dtype=np.uint8, labels=None):
    """Sparse files: 150 MB that take no room."""
    folder.mkdir(exist_ok=True)
    images = np.lib.format.open_memmap(
        folder / "fog.npy", mode="w+", dtype=dtype, shape=(count, 32, 32, 3)
    )
    for severity in range(count // 10_000):
        images[severity * 10_000 + 7] = severity + 1
    images.flush()
    own = np.tile(np.arange(10_000) % 10, 5) if labels is None else labels
    np.save(folder / "labels.npy", own.astype(np.int64) if labels is None else own)


def test_one_severity_is_read(tmp_path):
    make(tmp_path / "CIFAR-10-C")
    out = tmp_path / "out"
    out.mkdir()
    cifar10_c.prepare(SETTINGS, tmp_path, out, LOG)
    test, labels = (np.load(out / f"test_{what}.npy") for what in ("images", "labels"))
    assert test.shape == (9_000, 32, 32, 3) and (test[7] == 3).all() and not test[8].any()
    assert np.array_equal(labels[:12], [*range(10), 0, 1]) and labels.dtype == np.int64
    facts = json.loads((out / "dataset.json").read_text())
    assert facts["counts"] == {"test": 9_000, "train": 1_000} == cifar10_c.counts(SETTINGS)
    assert facts["classes"][:2] == ["airplane", "automobile"]
    assert set(facts["files"]) == {*cifar10_c.FILES} - {"dataset.json"}


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    make(tmp_path / "CIFAR-10-C", count=40_000, labels=np.arange(50_000).astype(float))
    with pytest.raises(DataError) as caught:
        cifar10_c.prepare(SETTINGS, tmp_path, tmp_path, LOG)
    told = str(caught.value)
    assert "fog.npy: uint8 (40000, 32, 32, 3) instead of uint8 (50000, 32, 32, 3)" in told
    assert "labels.npy: float64 (50000,) instead of integers (50000,)" in told


def test_labels_beyond_the_classes_and_pickles_are_refused(tmp_path):
    make(tmp_path / "CIFAR-10-C", labels=np.full(50_000, 10))
    with pytest.raises(DataError, match="50000 labels are none of 0 to 9, first at 0"):
        cifar10_c.prepare(SETTINGS, tmp_path, tmp_path, LOG)
    np.save(tmp_path / "CIFAR-10-C/labels.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"labels\.npy: .*Python objects"):
        cifar10_c.prepare(SETTINGS, tmp_path, tmp_path, LOG)


def test_a_file_that_begins_as_an_archive_is_refused(tmp_path):
    make(tmp_path / "CIFAR-10-C")
    (tmp_path / "CIFAR-10-C/labels.npy").write_bytes(b"PK\x03\x04 and no archive")
    with pytest.raises(DataError, match=r"labels\.npy: .*magic string"):
        cifar10_c.prepare(SETTINGS, tmp_path, tmp_path, LOG)


def test_missing_files_are_named_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"lacks fog\.npy, labels\.npy"):
        cifar10_c.fingerprint(SETTINGS, tmp_path)
    make(tmp_path / "CIFAR-10-C")
    first = cifar10_c.fingerprint(SETTINGS, tmp_path)
    np.save(tmp_path / "CIFAR-10-C/labels.npy", np.zeros(50_000, np.int64))
    assert cifar10_c.fingerprint(SETTINGS, tmp_path) != first
    with pytest.raises(ConfigError, match="folder"):
        cifar10_c.check(SETTINGS | {"folder": "../elsewhere"})
