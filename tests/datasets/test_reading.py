"""Reading arrays: resident, in the order asked for, and never silently damaged."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sightlines.core.devices import Compute
from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader, sha256
from sightlines.datasets import reading, shapes, split
from tests.making_jobs import LOG, make_job
from tests.rounding import assert_rounded

SETTINGS = {
    "kind": "shapes",
    "n_train": 53,
    "n_test": 31,
    "n_conflict": 11,
    "size_px": 16,
    "surface": "textures",
    "texture_match": 0.5,
    "distractors": 2,
    "own_hue": True,
    "tilt_deg": 30,
    "surface_tilt_deg": 30,
    "smallest_object": 22,
    "largest_object": 26,
    "seed": 1,
}
COMPUTE = Compute(torch.device("cpu"), torch.float32, 1, 0)


@pytest.fixture
def folder(tmp_path):
    shapes.prepare(SETTINGS, Path("nowhere"), tmp_path / "data", LOG)
    return tmp_path / "data"


def test_batches_are_the_images_asked_for(folder):
    images = reading.open_dataset(folder / "dataset.json", folder, COMPUTE)
    raw = np.load(folder / "train_images.npy")
    wanted = [np.array([7, 0, 52]), np.array([3, 3])]
    for indices, batch in zip(wanted, images.batches("train", wanted), strict=True):
        assert batch.dtype == torch.uint8
        np.testing.assert_array_equal(batch.permute(0, 2, 3, 1).numpy(), raw[indices])
    np.testing.assert_array_equal(images.labels("test"), np.load(folder / "test_labels.npy"))
    assert images.classes[2] == "triangle" and images.size_px == 16


def test_normalise_centres_and_scales(folder):
    images = reading.open_dataset(folder / "dataset.json", folder, COMPUTE)
    everything = next(images.batches("train", [np.arange(53)]))
    x = reading.normalise(everything, images.mean, images.std)
    assert x.dtype == torch.float32
    sums = {"terms": 53 * 16 * 16, "size": float(x.abs().max()), "dtype": np.float32}
    assert_rounded(x.mean((0, 2, 3)), torch.zeros(3), **sums)
    assert_rounded(x.std((0, 2, 3), correction=0), torch.ones(3), **sums)


def test_damaged_files_are_noticed(folder):
    images = reading.open_dataset(folder / "dataset.json", folder, COMPUTE)
    path = folder / "train_images.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ResultError, match=r"train_images\.npy is not the file"):
        next(images.batches("train", [np.array([0])]))
    (folder / "test_labels.npy").unlink()
    with pytest.raises(ResultError, match=r"cannot read .*test_labels\.npy"):
        images.labels("test")
    (folder / "dataset.json").write_text('{"kind": "shapes"}')
    with pytest.raises(ResultError, match="lacks storage, classes"):
        reading.open_dataset(folder / "dataset.json", folder, COMPUTE)


def test_split_command_writes_what_the_contract_says(folder, tmp_path):
    settings = {
        "training": {"validation": 11},
        "reference": {"reference_batches": 2, "reference_batch_size": 13},
        "probes": {"probe_train": 0, "probe_held_out": 5, "probe_test": 17},
    }
    expected = {
        "training": {"train": 42, "validation": 11, "test": 31, "train_from_per_cent": 42},
        "reference": {"reference": 26, "reference_bounds": 3},
        "probes": {"probe_train": 0, "probe_held_out": 5, "probe_test": 17}
        | {"order_train": 42, "order_held_out": 11, "order_test": 31},
    }
    splits = tmp_path / "training" / "one.safetensors"
    for part in settings:
        files = [tmp_path / part / f"{name}.safetensors" for name in ("one", "two")]
        config = {"part": part, "seed": 3, "splits": settings[part]}
        inputs = {"dataset": folder / "dataset.json"}
        inputs |= {"splits": splits} if part == "probes" else {}
        for path in files:
            split.main(make_job(config, inputs, {"splits": path}, tmp_path))
        assert files[0].read_bytes() == files[1].read_bytes()
        reader = TensorReader(files[0])
        assert reader.meta["dataset_sha256"] == sha256(folder / "dataset.json")
        assert reader.meta["classes"][0] == "circle"
        assert {name: len(reader[name]) for name in reader.names()} == expected[part]
        assert all(reader[name].dtype == np.int64 for name in reader.names())
        assert set(reader.meta["hashes"]) == set(expected[part])
        assert ("reference_sha256" in reader.meta) == (part == "reference")
    held_out = set(reader["probe_held_out"].tolist())
    assert held_out <= set(TensorReader(splits)["validation"].tolist())
