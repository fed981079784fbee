"""Overlap and ranks of maps over patches, against slow twins and closed forms."""

import itertools

import numpy as np
import pytest

from sightlines.stats.object_maps import area_under_curve, ceiling, centre, heaviest, jaccard
from tests.rounding import assert_rounded, rounded

PATCHES = 9


def random(seed, *shape):
    return np.random.Generator(np.random.Philox(seed)).random(shape)


def slow_heaviest(shares, mass):
    """DINO's own: sorted upwards, cumulated, kept where more than 1 − mass lies at or below."""
    kept, below = [False] * len(shares), 0.0
    for patch in sorted(range(len(shares)), key=lambda p: shares[p]):
        below += shares[patch]
        kept[patch] = below > 1 - mass
    return kept


@pytest.mark.parametrize("mass", [0.3, 0.6, 0.9])
def test_the_patches_that_hold_the_mass(mass):
    maps = random(1, 5, 3, PATCHES)
    maps /= maps.sum(axis=-1, keepdims=True)
    kept = heaviest(maps, mass)
    for image, head in itertools.product(range(5), range(3)):
        assert kept[image, head].tolist() == slow_heaviest(maps[image, head], mass)
    assert ((kept * maps).sum(axis=-1) >= mass).all()


def test_of_uniform_attention_the_overlap_is_the_objects_share_of_the_image():
    kept = heaviest(np.full((1, PATCHES), 1 / PATCHES), 0.6)
    assert kept.all()
    objects = np.array([[0, 0, 3, 16, 0, 5, 0, 0, 0.0]])
    valid = np.full((1, PATCHES), 16.0)
    assert_rounded(jaccard(kept, objects, valid), [24 / (16 * PATCHES)], terms=PATCHES)


def test_patches_of_equal_mass_are_kept_together():
    maps = np.array([1, 1, 1, 1, 4, 0, 2, 2, 0]) / 12
    assert heaviest(maps, 0.6).tolist() == [False] * 4 + [True, False, True, True, False]
    mirrored = heaviest(maps[::-1], 0.6)
    assert (mirrored[::-1] == heaviest(maps, 0.6)).all()


def test_the_overlap_is_that_of_the_scaled_up_map():
    """Pixels of a mask of 6 × 6 px, of which some are not labelled."""
    rng = np.random.Generator(np.random.Philox(2))
    labels = rng.integers(0, 3, (6, 6))  # 2: not labelled
    kept = rng.random(PATCHES) < 0.5
    large = np.kron(kept.reshape(3, 3), np.ones((2, 2), bool))
    seen = labels != 2
    both = (large & (labels == 1)).sum()
    either = ((large & seen) | (labels == 1)).sum()
    cells = [labels.reshape(3, 2, 3, 2) == level for level in range(3)]
    objects, void = (cells[level].sum(axis=(1, 3)).ravel().astype(float) for level in (1, 2))
    assert float(jaccard(kept, objects, 4 - void)) == rounded(both / either, terms=PATCHES)


def test_the_ceiling_is_the_best_of_all_choices_of_patches():
    objects = np.floor(17 * random(3, 4, PATCHES)) * (random(4, 4, PATCHES) < 0.4)
    objects[:, 0] += 1
    valid = np.full((4, PATCHES), 17.0)
    choices = np.array([*itertools.product([False, True], repeat=PATCHES)])
    best = [
        np.nanmax(jaccard(choices, own, whole))
        for own, whole in zip(objects[:, None], valid[:, None], strict=True)
    ]
    assert_rounded(ceiling(objects, valid), best, terms=PATCHES)


def test_the_area_counts_pairs():
    maps, is_object = random(5, 6, PATCHES).round(1), random(6, 6, PATCHES) < 0.4
    is_object[:, :2] = True, False
    for own, inside, area in zip(maps, is_object, area_under_curve(maps, is_object), strict=True):
        pairs = [(a > b) + (a == b) / 2 for a in own[inside] for b in own[~inside]]
        assert area == rounded(np.mean(pairs), terms=PATCHES**2)
    assert area_under_curve(np.ones((1, 4)), np.array([[True, False, False, True]])) == 0.5
    assert np.isnan(area_under_curve(maps[:1], np.ones((1, PATCHES), bool))).all()
    kept = np.arange(PATCHES) < PATCHES - 2
    known = np.broadcast_to(kept, maps.shape)
    whole = area_under_curve(maps[:, kept], is_object[:, kept])
    assert np.allclose(area_under_curve(maps, is_object, known), whole), (
        "what is not labelled counts nowhere"
    )


def test_the_centre_is_a_map_without_direction():
    own = centre((4, 4)).reshape(4, 4)
    assert own.sum() == rounded(1.0, terms=16)
    assert_rounded(own, own.T, terms=16)
    assert_rounded(own, own[::-1, ::-1], terms=16)
    ratio = own[1, 1] / own[1, 0]  # an eighth and three eighths of the side from the middle
    assert ratio == rounded(np.exp((0.375**2 - 0.125**2) / (2 * 0.25**2)), terms=16, size=10)
