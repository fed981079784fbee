"""Conflicts and grounds of generated datasets are shown as a network sees images."""

import numpy as np
import pandas as pd
import pytest
import torch

from sightlines.core.files import read_json, sha256, write_json, write_npy, write_table
from sightlines.datasets import store
from sightlines.datasets.reading import normalise, scale
from sightlines.datasets.views import View
from sightlines.dumps import backgrounds, conflicts
from sightlines.dumps.arrays import seen
from tests.dumps import making_experiments as making
from tests.dumps.test_predictions import with_head

VIEWS = [{}, {"crop_share": 0.5, "interpolation": "bilinear"}, {"crop_share": 1.0}]


def made(tmp_path, view, splits):
    """A network for 8 px, shown a dataset of 16 px; without a view one of its own size."""
    small = making.make_dataset(tmp_path / "small", 8)
    dataset = making.make_dataset(tmp_path / "data", 16 if view else 8)
    make = making.make_conflicts if splits == "conflicts" else making.make_splits
    make(dataset, tmp_path / f"{splits}.safetensors")
    making.make_network(tmp_path / "net", making.VIT, small, change=with_head)
    card = read_json(tmp_path / "net" / "card.json") | view | {"mean": [0.4, 0.5, 0.6]}
    write_json(tmp_path / "net" / "card.json", card)
    return making.open_shown(tmp_path / "net", dataset, tmp_path / f"{splits}.safetensors")


def expected(shown, pixels, view):
    """By another way than the recorders: torch's own scaling of all images at once."""
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    if view:
        images = scale(View(8, view.get("interpolation", "bicubic"), view["crop_share"]), images)
    assert images.shape[2:] == (8, 8)
    with torch.inference_mode():
        return shown.model(normalise(images, [0.4, 0.5, 0.6], [0.25] * 3)).numpy()


@pytest.mark.parametrize("view", VIEWS)
def test_conflicts_are_seen_as_other_images(tmp_path, view):
    shown = made(tmp_path, view, "conflicts")
    found = dict(conflicts.record(shown).tensors)
    pixels = np.load(shown.images.path.parent / "conflict_images.npy")
    wanted = expected(shown, pixels, view)
    assert np.allclose(found["logits.conflict"], wanted, atol=1e-6)
    if not view:
        whole = seen(shown, pixels)
        assert torch.equal(whole, torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))


@pytest.mark.parametrize("view", VIEWS)
def test_grounds_are_seen_as_other_images(tmp_path, view):
    shown = made(tmp_path, view, "splits")
    folder, facts = shown.images.path.parent, store.read_dataset(shown.images.path)
    found: dict[str, np.ndarray] = {}
    for subset in backgrounds.SUBSETS:
        truth = pd.DataFrame({"label": np.arange(making.CONFLICTS) % 3})
        write_table(folder / f"{subset}_truth.parquet", truth)
        draws = np.random.default_rng(len(subset) + len(found))
        shape = (making.CONFLICTS, shown.images.size_px, shown.images.size_px, 3)
        write_npy(folder / f"{subset}_images.npy", draws.integers(0, 256, shape, np.uint8))
        for end in ("truth.parquet", "images.npy"):
            facts["files"][f"{subset}_{end}"] = sha256(folder / f"{subset}_{end}")
        found[subset] = expected(shown, np.load(folder / f"{subset}_images.npy"), view).argmax(1)
    shown.images.facts["files"] = facts["files"]
    parts = list(backgrounds.record(shown).tensors)
    for subset, taken in found.items():
        assert np.array_equal(dict(parts)[f"taken.{subset}"], taken)
