"""Halves of images, and how far what is fitted to them moves with the draw of the images."""

import numpy as np
import pytest

from sightlines.stats import ridge
from sightlines.stats.half_samples import FALL, GROUPS, HALVES, PAIRS, groups_of, moves

CLASSES = 4


def generator(seed):
    return np.random.Generator(np.random.Philox(seed))


def variance(halves):
    """Of a statistic, for the draw of the images that it was fitted to."""
    return np.square(moves(np.array(list(halves)))).sum()


def test_halves_are_complements_and_pairs_cross():
    assert HALVES.shape == (2 * PAIRS, GROUPS)
    assert (HALVES[0::2] ^ HALVES[1::2]).all() and (HALVES.sum(axis=1) == GROUPS // 2).all()
    signs = np.where(HALVES[0::2], 1, -1)
    assert (signs @ signs.T == GROUPS * np.eye(PAIRS)).all()


@pytest.mark.parametrize("counts", [(40, 40, 40), (13, 5, 1, 8), (8,)])
def test_halves_have_of_each_class_as_many_images(counts):
    labels = generator(1).permutation(np.repeat(np.arange(len(counts)), counts))
    groups = groups_of(labels, generator(2))
    for chosen in (labels >= 0, *(labels == c for c in range(len(counts)))):
        images = np.bincount(groups[chosen], minlength=GROUPS)
        assert images.max() - images.min() <= 1
    assert (groups != groups_of(labels, generator(3))).any() or len(labels) == GROUPS
    assert (groups == groups_of(labels, generator(2))).all()


def test_of_a_mean_the_variance_is_as_much_too_large_as_is_said():
    """Over many draws, and with PAIRS degrees of freedom."""
    random, found = generator(4), []
    labels = np.zeros(64, int)
    for _ in range(2000):
        values, groups = random.standard_normal(64), groups_of(labels, random)
        found.append(64 * variance(values[own[groups]].mean() for own in HALVES) * FALL / 2)
    assert np.mean(found) == pytest.approx(1.0, abs=4 * np.sqrt(2 / PAIRS / 2000))
    assert np.var(found) == pytest.approx(2 / PAIRS, rel=0.3)


WIDTHS, TRAIN, HELD_OUT, TEST = (24, 48), 400, 200, 800
"""Two networks see the same images through features of these widths."""


def simulated(random, images, centres, blur):
    """Features of both networks, and classes with equal shares."""
    labels = random.permutation(np.arange(images) % CLASSES)
    signal = centres[labels] + random.standard_normal((images, max(WIDTHS)))
    return [signal @ own for own in blur], labels


def fitted(sets, train, chosen=slice(None)):
    """Of each test image, whether the first network's probe has it right less the second's."""
    (held_out, held_labels), (test, test_labels) = sets
    right = []
    for place in (0, 1):
        fit = ridge.fit(train[0][place][chosen], train[1][chosen], CLASSES)
        penalty = ridge.PENALTIES[ridge.best_penalty(fit.accuracies(held_out[place], held_labels))]
        right.append(fit.scores(test[place], penalty).argmax(axis=1) == test_labels)
    return right[0].astype(float) - right[1]


DATASETS, DRAWS = 50, 5


@pytest.mark.whole
def test_intervals_of_probes_are_as_wide_as_new_draws_of_all_images_are_apart():
    """Differences of two networks, which saw the same images: 50 sets of test images, 5 draws each.

    Over new draws of training images the variance is that of the halves; over new draws of test
    images as well it is that of both, or less. Without the halves it is far more.
    """
    random = generator(5)
    centres = 0.35 * random.standard_normal((CLASSES, max(WIDTHS)))
    blur = [random.standard_normal((max(WIDTHS), width)) for width in WIDTHS]
    found, of_fits, of_tests = np.empty((DATASETS, DRAWS)), [], []
    for place in np.ndindex(found.shape):
        if not place[1]:
            sets = [simulated(random, images, centres, blur) for images in (HELD_OUT, TEST)]
        train = simulated(random, TRAIN, centres, blur)
        ahead = fitted(sets, train)
        found[place] = ahead.mean()
        if not place[1]:
            groups = groups_of(train[1], random)
            of_fits.append(variance(fitted(sets, train, own[groups]).mean() for own in HALVES))
            of_tests.append(ahead.var() / TEST)
    of_draws = found.var(axis=1, ddof=1).mean()
    both = found.mean(axis=1).var(ddof=1) + of_draws * (1 - 1 / DRAWS)
    assert 0.75 < np.mean(of_fits) / of_draws < 1.4
    assert 0.8 < (np.mean(of_fits) + np.mean(of_tests)) / both < 1.6
    assert np.mean(of_tests) / both < 0.7
