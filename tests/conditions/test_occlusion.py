"""Dropped and shuffled cells are what they are called, whatever images are beside them."""

import numpy as np
import pytest

from sightlines.conditions import cells, occlusion
from sightlines.conditions.condition import Condition, ImageFacts, check_distinct
from sightlines.core.errors import ConfigError, ResultError

SIZE, SEED = 16, 3
SETTINGS = {
    "cells": 4,
    "shares": [0.0, 0.25, 0.5, 1.0],
    "mean_shares": [0.5],
    "shifted_shares": [0.5],
    "other_cells": [2, 4, 8],
    "other_shares": [0.5],
    "salient_shares": [0.5],
    "parts": True,
    "shuffle_cells": [2, 3, 8],
}
INDICES = np.arange(12)


def pixels(count=12, seed=0):
    draws = np.random.Generator(np.random.Philox(seed))
    return draws.integers(1, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def masks(indices):
    """An object of 5 × 7 pixels, whose place depends on the image."""
    found = np.zeros((len(indices), SIZE, SIZE), bool)
    for row, index in enumerate(indices):
        found[row, index % 8 : index % 8 + 5, index % 6 : index % 6 + 7] = True
    return found


FACTS = ImageFacts(SIZE, (0.25, 0.5, 0.75), masks)
CONDITIONS = {c.label: c for c in occlusion.conditions(SETTINGS, FACTS)}


def test_a_config_asks_for_these_conditions():
    names = ["drop_black:0", "drop_black:0.25", "drop_black:0.5", "drop_black:1", "drop_mean:0.5"]
    names += ["drop_shifted:0.5", "drop_grid2:0.5", "drop_grid8:0.5"]
    names += ["shuffle:2", "shuffle:4", "shuffle:8"]  # 3 does not divide; the own grid is added
    names += ["drop_object:1", "drop_anywhere:1", "drop_ground:1"]
    assert list(CONDITIONS) == names
    check_distinct([*CONDITIONS.values()])
    bare = ImageFacts(SIZE, FACTS.mean)
    assert not [c for c in occlusion.conditions(SETTINGS, bare) if c.name == "drop_object"]


@pytest.mark.parametrize("label", CONDITIONS)
def test_an_image_is_changed_alike_whatever_is_beside_it(label):
    condition, images = CONDITIONS[label], pixels()
    before = images.copy()
    whole = condition.apply(images, INDICES, SEED)
    assert (images == before).all() and whole.dtype == np.uint8
    for chosen in (INDICES[::-1], INDICES[5:6], INDICES[[7, 2, 2]]):
        assert (condition.apply(images[chosen], chosen, SEED) == whole[chosen]).all()
    if condition.severity and label != "drop_black:1":
        assert (condition.apply(images, INDICES, SEED + 1) != whole).any() or "object" in label


def test_severity_0_does_nothing_and_1_drops_all():
    images = pixels()
    assert (CONDITIONS["drop_black:0"].apply(images, INDICES, SEED) == images).all()
    assert not CONDITIONS["drop_black:1"].apply(images, INDICES, SEED).any()


@pytest.mark.parametrize(
    ("label", "side"), [("drop_black:0.25", 4), ("drop_black:0.5", 4), ("drop_grid8:0.5", 2)]
)
def test_so_many_whole_cells_are_dropped_of_every_image(label, side):
    condition, images = CONDITIONS[label], pixels()
    gone = (condition.apply(images, INDICES, SEED) == 0).all(axis=3)
    grid = gone.reshape(12, SIZE // side, side, SIZE // side, side).swapaxes(2, 3)
    whole = grid.reshape(12, -1, side**2)
    assert (whole.all(axis=2) == whole.any(axis=2)).all()
    assert (whole.all(axis=2).sum(axis=1) == condition.severity * (SIZE // side) ** 2).all()
    assert len({mask.tobytes() for mask in gone}) > 9, "every image has its own"


def test_the_same_cells_are_filled_with_black_with_the_mean_and_on_the_shifted_grid():
    images = pixels()
    black, mean, moved = (
        CONDITIONS[f"drop_{name}:0.5"].apply(images, INDICES, SEED)
        for name in ("black", "mean", "shifted")
    )
    gone = (black == 0).all(axis=3)
    assert (mean[gone] == [64, 128, 191]).all() and (mean[~gone] == images[~gone]).all()
    shifted = (moved == 0).all(axis=3)
    assert (shifted == np.roll(gone, (2, 2), axis=(1, 2))).all()
    assert shifted.sum() == gone.sum() and (shifted != gone).any()


@pytest.mark.parametrize("count", [2, 4, 8])
def test_shuffled_cells_are_the_same_cells_elsewhere(count):
    images = pixels()
    moved = CONDITIONS[f"shuffle:{count}"].apply(images, INDICES, SEED)
    for before, after in zip(images, moved, strict=True):
        one, other = (sorted(cell.tobytes() for cell in cut(i, count)) for i in (before, after))
        assert one == other and (before != after).any()
    if count == 2:
        stays = [
            a.tobytes() == b.tobytes()
            for i, j in zip(images, moved, strict=True)
            for a, b in zip(cut(i, 2), cut(j, 2), strict=True)
        ]
        assert not any(stays), "of four cells none stays"


def cut(image, count):
    """Cells of an image, row after row: the slow way."""
    side = SIZE // count
    return [
        image[r * side : (r + 1) * side, c * side : (c + 1) * side]
        for r in range(count)
        for c in range(count)
    ]


def test_permute_puts_the_named_cell_in_each_place():
    images = pixels(2)
    orders = np.array([[3, 0, 1, 2], [1, 0, 2, 3]])
    moved = cells.permute(images, orders)
    for image, order, after in zip(images, orders, moved, strict=True):
        for place, cell in enumerate(cut(after, 2)):
            assert (cell == cut(image, 2)[order[place]]).all()


def test_an_image_that_shows_no_object_stays_as_it_is():
    none = np.zeros_like(masks(INDICES))
    for part in PARTS:
        assert not occlusion.cells_of_part(none, 4, part, INDICES, SEED).any()


def test_parts_have_equally_many_cells_and_are_where_they_should_be():
    parts = {p: occlusion.cells_of_part(masks(INDICES), 4, p, INDICES, SEED) for p in PARTS}
    counts = parts["object"].sum(axis=1)
    assert (counts >= 1).all()
    for part in PARTS:
        assert (parts[part].sum(axis=1) == counts).all()
    own = cells.shares(masks(INDICES), 4)
    slow = [
        [mask[4 * r : 4 * r + 4, 4 * c : 4 * c + 4].mean() for r in range(4) for c in range(4)]
        for mask in masks(INDICES)
    ]
    assert np.allclose(own, slow)
    for row, share in enumerate(own):
        assert share[parts["object"][row]].min() >= min(0.5, share.max())
        chosen = share[parts["ground"][row]]
        assert chosen.max() <= np.sort(share)[counts[row] - 1]
    assert (parts["anywhere"] != parts["ground"]).any()


PARTS = occlusion.PARTS


def test_an_object_that_fills_half_of_no_cell_has_the_cell_that_it_covers_most():
    small = np.zeros((1, SIZE, SIZE), bool)
    small[0, 6, 5:7] = True
    chosen = occlusion.cells_of_part(small, 4, "object", np.array([0]), SEED)
    assert chosen.nonzero()[1].tolist() == [5]


def test_cells_that_do_not_divide_the_side_cover_it():
    chosen = np.ones((1, 9), bool)
    assert cells.as_masks(chosen, SIZE).all() and cells.edges(SIZE, 3) == [0, 5, 11, 16]
    with pytest.raises(ConfigError, match="17 cells a side do not fit images of 16 px: use 1 to"):
        cells.edges(SIZE, 17)


@pytest.mark.parametrize("name", ["Drop", "a b", "", "é"])
def test_a_condition_has_a_plain_name(name):
    with pytest.raises(ConfigError, match="use small letters, digits and _"):
        Condition(name, 1, lambda p, i, s: p)


@pytest.mark.parametrize("severity", [-1, float("nan"), float("inf")])
def test_a_severity_is_a_number_from_0(severity):
    with pytest.raises(ConfigError, match="it must be a number from 0"):
        Condition("drop", severity, lambda p, i, s: p)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda p: p[:, :8], "must keep the shape"),
        (lambda p: p.astype(np.float64) / 255, "float32 within"),
        (lambda p: p.astype(np.float32), "beyond"),
        (lambda p: np.full(p.shape, np.nan, np.float32), "or no numbers"),
    ],
)
def test_a_condition_that_breaks_its_word_is_named(made, said):
    odd = Condition("odd", 2, lambda p, i, s: made(p))
    with pytest.raises(ResultError, match=f"condition odd:2 made .*{said}"):
        odd.apply(pixels(2), INDICES[:2], SEED)


def test_conditions_are_asked_for_once():
    twice = [Condition("drop", s, lambda p, i, s: p) for s in (0.5, 0.25, 0.5)]
    with pytest.raises(ConfigError, match=r"more than once: drop:0\.5$"):
        check_distinct(twice)
