"""Places in mixing branches: scores of made-up branches, and mirrors of every layout."""

import numpy as np
import pytest

from sightlines.dumps.localisation_reading import LocalisationDump
from sightlines.measures import branch_places
from sightlines.models import fnet
from tests.measures.test_localisation import GRID, TOKENS, features, write_dump
from tests.rounding import rounded

RASTER = fnet.mirror((TOKENS,))


def scored(tmp_path, layers, patches, **settings):
    write_dump(tmp_path / "d.safetensors", layers, patches)
    dump = LocalisationDump(tmp_path / "d.safetensors")
    (table,) = branch_places.measure([dump], {"vit": {"pool": "gap"} | settings})[
        "branch_places.parquet"
    ]
    return table[table["left_out"] == -1].sort_values("block")


def test_a_branch_that_copies_keeps_places_and_one_that_mirrors_has_the_mirrors(tmp_path):
    patches = features(1)
    copied, mirrored = patches, [x[:, RASTER] for x in patches]
    mean = [(x + x[:, RASTER]) / 2 for x in patches]
    found = scored(tmp_path, [copied, mirrored, mean], patches)
    # Of the two interior places the second is its own mirror.
    assert found["rank_1_share"].iloc[0] == 1 and found["rank_1_share"].iloc[1] == 0.5
    excess = found["mirror_excess"].to_numpy()
    assert abs(excess[0]) < 0.1 and excess[1] > 0.9 and 0.3 < excess[2] < 0.9


def test_two_transforms_mirror_and_one_does_not(tmp_path):
    """Claim F5 on independent patches: x, then x + F x, mixed again."""
    import torch

    patches = features(2, width=6)
    mix = fnet.classes()[2]("fourier", (TOKENS,), 6, True)
    once = [mix(torch.from_numpy(x).float()).double().numpy() for x in patches]
    both = [x + y for x, y in zip(patches, once, strict=True)]
    twice = [mix(torch.from_numpy(x).float()).double().numpy() for x in both]
    found = scored(tmp_path, [once, twice], patches)
    first, second = found["mirror_excess"]
    assert second - first > 0.05 and abs(first) < 0.05


def test_every_group_of_images_is_left_out_once(tmp_path):
    patches = features(3)
    write_dump(tmp_path / "d.safetensors", [patches], patches)
    dump = LocalisationDump(tmp_path / "d.safetensors")
    (table,) = branch_places.measure([dump], {"vit": {}})["branch_places.parquet"]
    assert table["left_out"].tolist() == [*range(-1, 9)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"pool": "gap"}, [-1, 11, 10, 9, 8, 7, -1, 5, 4, 3, 2, 1]),
        ({"pool": "cls"}, [*range(11, -1, -1)]),
        ({"axes": "grid", "pool": "gap"}, [-1, 3, -1, 1, 8, 11, 10, 9, 4, 7, 6, 5]),
    ],
)
def test_mirrors_are_those_of_the_tokens_that_are_transformed(settings, expected):
    """With a class token at place 0, patch p is token p + 1, whose mirror is 13 - (p + 1)."""
    assert branch_places.mirrored_patches(GRID, settings).tolist() == expected


def test_the_excess_is_over_all_patches_but_two():
    maps = np.zeros((1, 3, 3))
    maps[0] = [[9.0, 0.5, 0.1], [0.2, 9.0, 0.4], [0, 0, 9]]
    assert branch_places.mirror_excess(maps, np.array([1, -1, -1]))[0] == rounded(0.4, terms=3)
