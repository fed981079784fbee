"""Nested estimates against textbooks' formulas and what their names promise."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri
from scipy.stats import binom, binomtest

from sightlines.stats.nested import (
    Estimate,
    between_architectures,
    between_seeds,
    by_steps,
    granularity,
    moderated,
    satterthwaite,
    seeds_needed,
)


def of(value, *parts):
    variances, freedoms = np.array(parts, float).T
    return Estimate(value, variances, freedoms)


def test_without_an_error_over_images_it_is_the_t_interval_of_the_seeds():
    values = np.array([1.0, 1.4, 2.1])
    variance, freedom = between_seeds(values)
    found = of(values.mean(), (0.0, np.inf), (variance / 3, freedom))
    expected = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert found.interval() == pytest.approx(expected)
    test = stats.ttest_1samp(values, 1.0, alternative="greater").pvalue
    assert found.above(1.0) == pytest.approx(test, abs=1e-6)
    assert found.below(1.0) == pytest.approx(1 - test, abs=1e-6)


def test_two_models_have_welchs_degrees_of_freedom():
    one, other = np.array([1.0, 1.4, 2.1]), np.array([0.1, 0.2, 0.9, 0.3])
    parts = [(v / len(x), d) for x in (one, other) for v, d in [between_seeds(x)]]
    found = of(one.mean() - other.mean(), (0.0, np.inf), *parts)
    welch = stats.ttest_ind(one, other, equal_var=False)
    assert found.freedom == pytest.approx(welch.df)
    assert found.interval() == pytest.approx(tuple(welch.confidence_interval()))


def test_half_widths_of_images_and_seeds_add_as_squares():
    found = of(0.0, (0.04, 9), (0.01, 2))
    half = np.hypot(stats.t.ppf(0.975, 9) * 0.2, stats.t.ppf(0.975, 2) * 0.1)
    assert found.interval()[1] == pytest.approx(half)
    assert found.above(-half) == pytest.approx(0.025, abs=1e-5)


def test_what_has_no_error_is_certain_and_what_is_undefined_is_not():
    exact = of(1.0, (0.0, np.inf))
    assert exact.interval() == (1.0, 1.0)
    assert exact.above(0.5) == pytest.approx(0, abs=1e-5) and exact.above(1.0) == 0.5
    assert np.isnan(of(1.0, (np.nan, 9)).interval()[0]) and np.isnan(of(np.nan, (0, 9)).above(0.0))


def test_satterthwaite_of_equal_parts_adds_their_degrees_of_freedom():
    assert satterthwaite([1.0, 1.0], [3, 3]) == pytest.approx(6)
    assert satterthwaite([1.0, 0.0], [3, 50]) == pytest.approx(3)
    assert satterthwaite([0.0, 0.0], [3, 3]) == satterthwaite([], []) == np.inf


def test_variances_are_pooled_by_their_degrees_of_freedom():
    assert moderated(0.04, 2.0, 0.01, 7.0) == (pytest.approx(0.15 / 9), 9.0)
    assert moderated(0.04, 2.0, 0.0, 0.0) == (0.04, 2.0)
    assert moderated(0.0, 0.0, 0.01, 7.0) == (0.01, 7.0)
    assert np.isnan(moderated(0.0, 0.0, 0.0, 0.0)[0])


def test_architectures_add_what_they_differ_by_beyond_their_own_errors():
    values, own = [1.0, 2.0, 4.0], [0.1, 0.1, 0.1]
    apart = between_architectures(values, own, 0.1 / 3)  # errors that have nothing in common
    assert apart == pytest.approx((np.var(values, ddof=1) - 0.1) / 3)
    together = between_architectures(values, own, 0.1)  # all of their error is shared
    assert together == pytest.approx(np.var(values, ddof=1) / 3)
    assert between_architectures([1.0, 1.01], [0.1, 0.1], 0.05) == 0
    assert between_architectures([1.0], [0.1], 0.1) == 0


def test_seeds_needed_are_the_fewest_that_would_do():
    held = of(0.0, (0.001, np.inf))
    for distance in (0.5, 1.0, 2.0):
        count = seeds_needed(distance, held, [(1 / 3, 3)])
        enough, too_few = (
            of(0.0, (0.001, np.inf), (1 / n, n - 1)).detectable for n in (count, count - 1)
        )
        assert enough <= distance < too_few or count == 4
    assert seeds_needed(0.01, of(0.0, (0.5, np.inf)), [(0.1, 3)]) is None, "images alone hide it"
    assert seeds_needed(1.0, held, [(0.0, 3)]) is None, "seeds do not differ"
    usual, strict = (seeds_needed(1.0, held, [(1 / 3, 3)], level=own) for own in (0.95, 0.999))
    assert strict > usual


def test_what_architectures_differ_by_and_few_images_are_not_mended_by_seeds():
    apart = of(0.0, (0.001, np.inf), (0.25, 1))
    assert seeds_needed(1.0, of(0.0, (0.001, np.inf)), [(0.01, 3)]) == 4
    assert seeds_needed(1.0, apart, [(0.01, 3)]) is None, "t of one degree is 12.7, of half a unit"
    many, few = (seeds_needed(1.0, of(0.0, (0.04, d)), [(1 / 3, 3)]) for d in (np.inf, 2))
    assert few is None and many > 4


def test_a_source_with_more_seeds_than_asked_for_keeps_them():
    """One of two networks has three seeds already: a second of the other changes nothing of it."""
    held, seeds = of(0.0, (0.0, np.inf)), [(1 / 3, 3), (1.0, 1)]

    def seen(one, other):
        return of(0.0, (0.0, np.inf), (1 / one + 1 / other, 3 + other - 1)).detectable

    assert seen(6, 2) < 3.2 < seen(3, 2) < 3.5 < seen(2, 2) and seen(3, 3) < 3.2
    assert seeds_needed(3.5, held, seeds, known=3.0) == 2
    assert seeds_needed(3.2, held, seeds, known=3.0) == 3


def test_so_many_seeds_find_an_effect_four_times_in_five():
    random = np.random.default_rng(0)
    needed = seeds_needed(1.0, of(0.0, (0.0, np.inf)), [(1 / 3, 3)])
    draws = random.normal(1.0, 1.0, size=(needed, 20_000))
    found = stats.ttest_1samp(draws, 0.0).pvalue <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.07)


@pytest.mark.parametrize(("seeds", "things"), [(1, 6), (3, 4), (3, 6), (5, 6), (3, 36)])
@pytest.mark.parametrize("truth", [0.25, 0.5, 0.8])
def test_shares_of_few_things_hold_by_chance_in_one_of_40_at_most(seeds, things, truth):
    """Of a truth at the threshold, each seed of so many things, over all outcomes."""
    count = seeds * things
    hits = np.arange(count + 1)
    chance = binom.pmf(hits, count, truth)
    half = ndtri(0.975) * np.array([granularity(float(h / count), count) ** 0.5 for h in hits])
    assert chance[hits / count - half >= truth].sum() <= 0.025
    assert chance[hits / count + half < truth].sum() <= 0.025


def test_granularity_is_clopper_and_pearsons():
    own = binomtest(15, 18).proportion_ci(method="exact")
    half = ndtri(0.975) * granularity(15 / 18, 18) ** 0.5
    assert half == pytest.approx(max(15 / 18 - own.low, own.high - 15 / 18))
    assert granularity(1.0, 17) < ((1 - 0.8) / ndtri(0.975)) ** 2 < granularity(1.0, 16)
    assert np.isnan(granularity(float("nan"), 5))


def test_steps_are_sheppards_error_and_what_no_seed_had():
    within, unseen = by_steps(0.2, 3)
    assert within == pytest.approx(np.random.default_rng(0).uniform(0, 0.2, 10**6).var(), rel=0.01)
    chance = np.sqrt(unseen) * ndtri(0.975) / 0.2
    assert (1 - chance) ** 3 == pytest.approx(0.025)
    assert by_steps(0.0, 3) == (0.0, 0.0)
