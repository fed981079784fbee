"""The least of several statistics that must all hold."""

import numpy as np

from sightlines.claims.claim import Criterion, from_replicates
from sightlines.claims.several import greatest, least
from tests.claims.making_evidence import replicates
from tests.rounding import rounded

AT_LEAST = Criterion("all", ">=", 0.0)


def outcome(found):
    return AT_LEAST.outcome(found.low, found.high)


def test_all_hold_or_one_fails_or_it_is_open():
    above, below, open_ = (replicates(v, s) for v, s in ((1, 0.01), (-1, 0.01), (0.1, 0.1)))
    assert outcome(least([above, above])) == outcome(least([above])) == "holds"
    assert outcome(least([above, below])) == outcome(least([below, open_])) == "fails"
    assert outcome(least([above, open_])) == "unclear"
    assert outcome(least([above, np.full(5, np.nan)])) == "unclear"


def test_of_one_it_is_the_interval_and_of_several_the_upper_end_is_wider():
    one = from_replicates(replicates(0.5, 0.1))
    alone, both = least([replicates(0.5, 0.1)]), least([replicates(0.5, 0.1)] * 3)
    assert (alone.value, alone.low, alone.high) == rounded((one.value, one.low, one.high), terms=9)
    assert (both.value, both.low) == rounded((one.value, one.low), terms=9)
    assert both.high > one.high
    assert alone.moves.tolist() == one.moves.tolist(), "seeds that saw the same images go together"


def test_the_greatest_is_the_least_of_the_negatives():
    both = [replicates(0.5, 0.1), replicates(0.4, 0.3)]
    least_, found = least([-own for own in both]), greatest(both)
    assert (found.value, found.low, found.high) == (0.5, -least_.high, -least_.low)
    assert found.low < from_replicates(both[0]).low and found.value in both[0]
    alone, one = greatest(both[:1]), from_replicates(both[0])
    assert (alone.low, alone.high) == rounded((one.low, one.high), terms=9)
    assert alone.moves.tolist() == rounded(one.moves.tolist(), terms=9)


def test_the_least_of_several_equal_statistics_is_not_taken_for_less():
    """Six blocks without any lead: the jackknife of their minimum calls one below too often."""
    rng, draws = np.random.default_rng(0), 1000
    wrong = {"of the minimum": 0, "of all": 0}
    for _ in range(draws):
        groups = rng.standard_normal((10, 6))
        found = np.concatenate([groups.mean(0)[None], (groups.sum(0) - groups) / 9])
        wrong["of the minimum"] += outcome(from_replicates(found.min(axis=1))) == "fails"
        wrong["of all"] += outcome(least(list(found.T))) == "fails"
    two_errors = 2 * np.sqrt(0.025 * 0.975 / draws)
    assert wrong["of all"] <= (0.025 + two_errors) * draws
    assert wrong["of the minimum"] > 0.1 * draws
