"""Leaving out one group of images after another, against loops and closed forms."""

import numpy as np
import pytest

from sightlines.stats.hsic import cka
from sightlines.stats.jackknife import ALL, leave_one_out, standard_error, value_and_error
from tests.rounding import assert_rounded

RNG = np.random.default_rng(3)


def test_replicates_are_the_sums_of_the_other_groups():
    parts = RNG.standard_normal((7, 3, 2)).astype(np.float32)
    found = leave_one_out(parts)
    assert found.shape == (8, 3, 2) and found.dtype == np.float64
    size = np.abs(parts).max()
    assert_rounded(found[0], np.sum(parts, axis=0, dtype=np.float64), terms=7, size=size)
    for group in range(7):
        others = [parts[i].astype(np.float64) for i in range(7) if i != group]
        assert_rounded(found[group + 1], sum(others), terms=7, size=size)
    assert ALL == -1, "row r holds left_out = r - 1"


def test_one_group_leaves_nothing_behind():
    np.testing.assert_array_equal(leave_one_out(np.array([[3.0]])), [[3.0], [0.0]])


@pytest.mark.parametrize("groups", [2, 5, 20])
def test_the_error_of_a_mean_is_the_textbook_one(groups):
    """Closed form: standard deviation with n - 1, over the root of n."""
    values = RNG.standard_normal((groups, 4)) * [1, 10, 0.1, 0]
    sums, counts = leave_one_out(values), leave_one_out(np.ones((groups, 1)))
    expected = values.std(axis=0, ddof=1) / np.sqrt(groups)
    assert_rounded(standard_error(sums / counts), expected, terms=groups)


def test_the_error_by_loops():
    replicates = RNG.standard_normal((9, 2, 3))
    left_out = replicates[1:]
    expected = np.empty((2, 3))
    for i in range(2):
        for j in range(3):
            column = [left_out[g][i][j] for g in range(8)]
            mean = sum(column) / 8
            expected[i, j] = (7 / 8 * sum((x - mean) ** 2 for x in column)) ** 0.5
    assert_rounded(standard_error(replicates), expected, terms=8)
    shifted = standard_error(replicates + 5.0)
    assert_rounded(shifted, expected, "a constant is no spread", terms=8, size=5)
    assert_rounded(standard_error(-3 * replicates), 3 * expected, terms=8)
    assert_rounded(standard_error(replicates[[0, *range(8, 0, -1)]]), expected, terms=8)


def test_the_value_of_all_images_does_not_enter_the_error():
    replicates = RNG.standard_normal((6, 2))
    other = replicates.copy()
    other[0] = np.nan
    np.testing.assert_array_equal(standard_error(other), standard_error(replicates))


@pytest.mark.parametrize("rows", [1, 2])
def test_fewer_than_two_groups_have_no_error(rows):
    found = standard_error(np.zeros((rows, 3)))
    assert found.shape == (3,) and np.isnan(found).all()


def test_an_undefined_replicate_makes_its_own_error_undefined():
    replicates = RNG.standard_normal((6, 3))
    replicates[2, 1] = np.nan
    assert np.isnan(standard_error(replicates)).tolist() == [False, True, False]


def test_it_agrees_with_the_jackknife_of_cka():
    parts = RNG.standard_normal((8, 5, 3, 16))
    sums = np.einsum("gabp,gacp->gbc", parts, parts)
    own = np.einsum("gll->gl", sums)
    value, error = value_and_error(cka, sums, own, own)
    whole = leave_one_out(sums)
    replicates = cka(whole, leave_one_out(own), leave_one_out(own))
    assert_rounded(replicates[0], value, terms=8, size=1)
    assert_rounded(standard_error(replicates), error, terms=8, size=1)


def test_it_covers_the_truth_where_groups_are_disjoint_and_not_where_they_repeat():
    """Negative control: each image twice, in two groups, makes the error too small."""
    covered = {"disjoint": [], "repeated": []}
    for _ in range(400):
        values = RNG.standard_normal((12, 1)) + 2.0
        for name, groups in (("disjoint", values), ("repeated", np.repeat(values, 4, axis=0))):
            means = leave_one_out(groups) / leave_one_out(np.ones_like(groups))
            covered[name].append(abs(means[0, 0] - 2.0) < 2.2 * standard_error(means)[0])
    # 2.2 standard errors at 11 degrees of freedom hold 95 %; of 400 draws, 1.1 % either way.
    assert 0.92 < np.mean(covered["disjoint"]) < 0.98
    assert np.mean(covered["repeated"]) < 0.8
