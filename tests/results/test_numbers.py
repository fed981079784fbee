"""Values in words: no end of an interval reads like the threshold that it lies beyond."""

import numpy as np
import pytest

from sightlines.results.numbers import bars, digits_apart, fixed, interval, significant
from sightlines.results.numbers import with_interval as told


def claim(value, low, high, threshold, **more):
    return {"value": value, "low": low, "high": high, "threshold": threshold} | more


def said(row):
    return told(row, "value", "low", "high")


def test_an_end_beyond_the_threshold_does_not_read_like_it():
    row = claim(0.88, 0.7572, 1.0, "share of heads ≥ 0.76", deciding="ViT-S: share of heads")
    assert said(row) == "0.880 [0.757, 1.000]"
    assert said(row | {"low": 0.75996}) == "0.88000 [0.75996, 1.00000]"
    assert said(row | {"low": 0.74}) == "0.88 [0.74, 1.00]"
    assert said(row | {"low": 0.76}) == "0.88 [0.76, 1.00]", "where it is the threshold itself"
    assert said(row | {"deciding": "ViT-S: another"}) == "0.88 [0.76, 1.00]"


def test_a_value_that_reads_like_the_threshold_is_told_apart_too():
    assert said(claim(0.504, 0.3, 0.7, "≥ 0.5")) == "0.504 [0.300, 0.700]"
    assert said(claim(-0.0004, -0.2, 0.2, "≤ 0")) == "−0.0004 [−0.2000, 0.2000]"


def test_a_difference_is_held_against_none():
    row = {"difference": 0.1, "difference_low": 0.0004, "difference_high": 0.2}
    columns = ("difference", "difference_low", "difference_high")
    assert told(row, *columns) == "0.1000 [0.0004, 0.2000]"


def test_digits_end_somewhere_and_nothing_known_asks_for_none():
    assert digits_apart([0.5 + 1e-13], [0.5]) == 8
    assert digits_apart([np.nan, None], [0.5]) == 2
    assert interval((0.61, np.nan, np.nan), (0.61,)) == "0.61 [–, –]"


@pytest.mark.parametrize(
    ("values", "text"),
    [((0.012, 0.01, 0.02), "0.012 [0.010, 0.020]"), ((120, 90, 150), "120.0 [90.0, 150.0]")],
)
def test_small_values_have_a_digit_more_and_large_ones_one_less(values, text):
    assert interval(values) == text


def test_significant_digits_are_added_likewise():
    own = (0.88, 0.75961, 1.0)
    assert interval(own, (0.76,), write=significant, digits=3) == "0.88 [0.7596, 1]"
    assert interval(own, (0.5,), write=significant, digits=3) == "0.88 [0.76, 1]"
    assert (significant(-1234.5), fixed(-0.001), fixed(None)) == ("−1.23e+03", "0.00", "–")


def test_thresholds_are_read_off_the_words_of_criteria():
    needed = "mean CKA > 0.5; Spearman(bias, error) ≥ −0.6; far heads ≤ 1e-05; far heads ≥ 0"
    assert bars(needed) == (0.5, -0.6, 1e-5, 0.0)
    assert bars(needed, "ViT-S: far heads") == (1e-5, 0.0)
    assert bars("≥ 0.76") == (0.76,) and bars(np.nan) == bars(None) == ()
