"""Average precision: by hand, and by counting pairs of thresholds."""

import numpy as np
import pytest

from sightlines.stats.detection import average_precision


def by_thresholds(scores, positive):
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        taken = scores >= threshold
        recall = (taken & positive).sum() / positive.sum()
        total += (recall - before) * (taken & positive).sum() / taken.sum()
        before = recall
    return total


def test_it_is_the_step_area_also_with_ties():
    draws = np.random.Generator(np.random.Philox(0))
    for _ in range(20):
        scores = draws.integers(0, 6, 40) / 6.0
        positive = draws.random(40) < 0.4
        assert average_precision(scores, positive) == pytest.approx(by_thresholds(scores, positive))


def test_ends():
    positive = np.array([True, True, False, False])
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), positive) == 1
    assert average_precision(np.zeros(4), positive) == 0.5, "one step: the base rate"
    worst = average_precision(np.array([1.0, 2.0, 3.0, 4.0]), positive)
    assert worst == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert np.isnan(average_precision(np.zeros(2), np.zeros(2, bool)))
