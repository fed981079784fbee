"""CutOut: one square an image, of the area that was asked for, the same for all networks."""

import numpy as np
import pytest

from sightlines.conditions import cutout
from sightlines.conditions.condition import ImageFacts
from tests.conditions.making_photographs import photographs


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.9])
def test_the_area_is_covered_that_was_asked_for(share):
    masks = cutout.squares(share, 64, np.arange(200), 0)
    covered = masks.mean(axis=(1, 2))
    assert np.abs(covered - share).max() < 0.02
    assert covered.mean() == pytest.approx(share, abs=0.006)
    for mask in masks[:20]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == len(rows) * len(columns), "one rectangle"
        assert np.ptp(rows) == len(rows) - 1 and np.ptp(columns) == len(columns) - 1


def test_no_area_is_no_square_and_all_of_it_is_the_image():
    assert not cutout.squares(0.0, 16, np.arange(5), 0).any()
    assert cutout.squares(1.0, 16, np.arange(5), 0).all()


def test_squares_are_everywhere_and_reach_beyond_the_edge():
    masks = cutout.squares(0.2, 32, np.arange(2000), 0)
    share = masks.mean(axis=0)
    assert share.min() > 0.05, "also in the corners"
    # A square within the image would cover a corner hardly ever, the middle often.
    assert share[16, 16] < 4 * share[0, 0]
    sides = [np.flatnonzero(m.any(0)).size / np.flatnonzero(m.any(1)).size for m in masks]
    assert min(sides) < 0.8 and max(sides) > 1.25, "cut at an edge"


def test_a_square_lies_in_the_same_place_at_any_size_and_in_any_minibatch():
    small, large = (cutout.squares(0.4, side, np.arange(50), 3) for side in (32, 224))
    reduced = large.reshape(50, 32, 7, 32, 7).mean(axis=(2, 4))
    assert np.abs(reduced - small).mean() < 0.03
    order = np.array([7, 3])
    assert np.array_equal(cutout.squares(0.4, 32, order, 3), small[order])
    assert not np.array_equal(cutout.squares(0.4, 32, np.arange(50), 4), small)


def test_fills_are_black_and_the_mean_and_share_their_squares():
    facts = ImageFacts(32, (0.2, 0.4, 0.6))
    black, mean = cutout.conditions({"shares": [0.3], "mean_shares": [0.3]}, facts)
    assert (black.label, mean.label) == ("cutout_black:0.3", "cutout_mean:0.3")
    images = np.maximum(photographs(32), 1)
    dark, grey = (c.apply(images, np.arange(6), 0) for c in (black, mean))
    masks = cutout.squares(0.3, 32, np.arange(6), 0)
    assert (dark[masks] == 0).all() and (grey[masks] == (51, 102, 153)).all()
    for changed in (dark, grey):
        assert np.array_equal(changed[~masks], images[~masks])
