"""The tolerance of all other tests: what it lets pass, and what it never does."""

import numpy as np
import pytest
import torch

from tests.rounding import assert_rounded, bound, rounded

EPS32, EPS64 = 2.0**-23, 2.0**-52


def test_the_bound_is_c_roots_of_terms_of_eps_of_the_size():
    assert bound(3.0, terms=25, dtype=np.float32, c=8) == 8 * 5 * EPS32 * 3
    assert bound([1.0, 10.0], terms=9, c=2).tolist() == [2 * 3 * EPS64, 2 * 3 * EPS64 * 10]
    assert bound(1.0, terms=1) == 4 * EPS64


@pytest.mark.parametrize("c", [0, -1, 8.5])
def test_more_than_rounding_explains_is_refused(c):
    with pytest.raises(ValueError, match="8 at most"):
        bound(1.0, terms=1, c=c)


@pytest.mark.parametrize("terms", [0, 0.5])
def test_a_sum_has_a_term(terms):
    with pytest.raises(ValueError, match="0"):
        bound(1.0, terms=terms)


@pytest.mark.parametrize(
    "how",
    [
        {"terms": 10**9, "dtype": np.float32},
        {"terms": 1, "size": 1e12},
        {"terms": 1, "size": [1e12, 1e12]},
    ],
)
def test_a_bound_that_hides_one_per_cent_is_refused(how):
    with pytest.raises(ValueError, match="1 % too large could pass"):
        rounded([0.01, -0.02], **how)


def test_zeros_need_a_size():
    with pytest.raises(ValueError, match="size of the summands"):
        rounded([0.0, 0.0], terms=3)
    assert rounded(0.0, terms=4, size=2.0) == 4 * 2 * EPS64 * 2
    assert rounded(0.0, terms=4, size=2.0) != 4 * 2 * EPS64 * 2.1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, tuple])
def test_what_differs_by_the_bound_passes_and_one_per_cent_does_not(dtype, kind):
    expected = np.array([1.0, -7.0, 0.25])
    allowed = {"terms": 100, "dtype": dtype}
    limit = bound(7.0, **allowed)
    assert_rounded(kind(expected + 0.99 * limit), kind(expected), **allowed)
    for wrong in (1.01 * expected, 0.99 * expected, expected + 1.01 * limit, expected[::-1]):
        with pytest.raises(AssertionError, match="expected"):
            assert_rounded(kind(wrong.copy()), kind(expected), **allowed)


def test_a_size_for_each_value_keeps_small_ones_exact():
    expected = np.array([1e6, 1e-3])
    found = np.array([1e6, 1e-3 + 1e-12])
    assert_rounded(found, expected, terms=1)
    assert rounded(expected, terms=1, size=expected) != found


def test_it_says_where_and_how_far():
    expected = np.ones((2, 3))
    found = expected.copy()
    found[1, 2] = 2.0
    with pytest.raises(AssertionError, match=r"block at \(1, 2\): .*2\.0.* 1 of 6 values"):
        assert_rounded(found, expected, "block", terms=1)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_equals_nothing_else(odd):
    assert rounded([1.0, 2.0], terms=1) != [1.0, odd]
    assert rounded([1.0, odd], terms=1) != [1.0, 2.0]
    assert (rounded([1.0, odd], terms=1) == [1.0, odd]) == np.isinf(odd)
    assert rounded([1.0, odd], terms=1, nan_ok=True) == [1.0, odd]


def test_shapes_and_names_must_fit():
    assert rounded([1.0, 2.0], terms=1) != [1.0]
    assert rounded(1.0, terms=1) == [1.0, 1.0], "one number stands for all"
    assert rounded({"a": 1.0}, terms=1) == {"a": 1.0 + EPS64}
    assert rounded({"a": 1.0}, terms=1) != {"b": 1.0}
    assert rounded({"a": 1.0}, terms=1) != [1.0]


def test_an_array_on_the_left_is_compared_as_a_whole():
    assert (np.array([1.0, 2.0]) == rounded([1.0, 2.0], terms=1)) is True
    assert (np.float64(1.0) == rounded(1.01, terms=1)) is False
