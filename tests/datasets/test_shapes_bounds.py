"""`default`, drawn by `sightlines.datasets.shapes`: images that are neither a toy nor noise."""

import pytest
from benchmarks.shapes_bounds import BOUNDS, measure

pytestmark = pytest.mark.whole

CHANCE, NOISE = 0.1, 0.035
"""Five standard errors of an accuracy of 10 % on 2,000 test images."""


@pytest.mark.thorough
def test_no_simple_reading_says_the_class_and_each_says_a_little():
    found = measure()
    assert set(found) == set(BOUNDS)
    for name, bound in BOUNDS.items():
        assert CHANCE + NOISE < found[name] <= bound, name
