"""Every word of a verdict, and what leads to it, with made-up claims."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from sightlines.claims.claim import (
    Case,
    Claim,
    Criterion,
    Premise,
    Reading,
    exactly,
    from_draws,
    from_replicates,
    from_shares,
)
from sightlines.claims.evidence import NotMeasured
from sightlines.claims.statistics import resampled
from sightlines.claims.verdict import judge
from sightlines.results.verdict_words import VERDICTS
from sightlines.stats.jackknife import leave_one_out
from tests.claims.making_evidence import MEANS
from tests.rounding import rounded

AT_LEAST = Criterion("x", ">=", 1.0)
AT_MOST = Criterion("y", "<=", 0.5)


def made(cases, criteria=(AT_LEAST,), tier="A", premises=()):
    words = {"figure", "statement", "statistic", "reason", "paper_value", "source"}
    words = dict.fromkeys(words | {"controls", "drawn"}, "")
    own = {"id": "C0", "criteria": criteria, "cases": cases, "tier": tier, "premises": premises}
    return Claim(**own, **words)


def given(*cases, criteria=(AT_LEAST,), poor=(), small=(), **more):
    """The verdict over cases; networks in `poor` learned too little, in `small` saw few images."""
    evidence = SimpleNamespace(
        learned=lambda slug: slug not in poor, is_small=lambda slug: slug in small
    )
    return judge(made(lambda _: list(cases), criteria, **more), evidence)


def case(*readings, label="A", control=None, networks=("a",)):
    """One criterion, one reading a seed: (low, high), or a number."""
    seeds = [r if isinstance(r, tuple) else (r, r) for r in readings]
    own = [[Reading((low + high) / 2, low, high)] for low, high in seeds]
    return Case(label, list(networks), own, untrained(control))


def untrained(control):
    return control and [None if value is None else exactly(value) for value in control]


def test_reproduced():
    verdict = given(case((1.1, 1.3)), case((1.0, 2.0), label="B", control=[0.2]))
    assert verdict.word == "reproduced"
    assert "A, B" in verdict.because and "no untrained control for A" in verdict.because
    assert [line.outcome for line in verdict.lines] == ["holds", "holds"]


def test_one_architecture_that_fails_is_enough():
    verdict = given(case((1.1, 1.3)), case((0.7, 0.99), label="B"))
    assert verdict.word == "not reproduced"
    assert verdict.because == "fails for B (x); holds for A"
    assert verdict.deciding.case == "B"


@pytest.mark.parametrize("tier", ["B", "C"])
def test_failures_of_small_networks_say_nothing_against_claims_about_large_ones(tier):
    assert given(case(0.5), small=["a"], tier=tier).word == "out of reach"
    assert given(case(0.5), tier=tier).word == "not reproduced"
    assert given(case(1.5), small=["a"], tier=tier).word == "reproduced"
    for own in ("A", "A/B"):
        assert given(case(0.5), small=["a"], tier=own).word == "not reproduced"


def test_a_premise_that_is_not_met_is_said_whatever_the_values():
    premises = Premise("one", lambda _: ""), Premise("other", lambda _: "no images were left out")
    for value, words in ((1.5, "holds for A"), (0.5, "fails for A (x)")):
        found = given(case(value), premises=premises)
        assert found.word == "out of reach"
        assert found.because.startswith(f"no images were left out; {words}")
    assert given(case(1.5), premises=premises[:1]).word == "reproduced"


def test_inconclusive_where_an_interval_covers_the_threshold():
    verdict = given(case((1.1, 1.3)), case((0.9, 1.2), label="B"))
    assert verdict.word == "inconclusive" and "B (x)" in verdict.because
    assert "A" not in verdict.because.split(": ")[1]
    assert verdict.deciding.case == "B"


def test_failing_outweighs_an_unclear_criterion_of_the_same_case():
    own = Case("A", ["a"], [[Reading(1.0, 0.5, 1.5), Reading(0.8, 0.7, 0.9)]])
    verdict = given(own, criteria=(AT_LEAST, AT_MOST))
    assert verdict.word == "not reproduced" and verdict.because == "fails for A (y)"


def test_the_interval_runs_over_seeds():
    verdict = given(case((1.1, 1.2), (1.4, 1.9)))
    (line,) = verdict.lines
    assert (line.low, line.high, line.value) == rounded((1.1, 1.9, (1.15 + 1.65) / 2), **MEANS)
    assert given(case((1.1, 1.2), (0.8, 0.9))).word == "inconclusive"
    assert given(case((0.1, 0.2), (0.8, 0.9))).word == "not reproduced"


def test_uninformative_where_the_untrained_networks_pass():
    assert given(case(1.5, control=[1.2])).word == "uninformative"
    both = given(case(1.5, control=[1.2]), case(1.5, label="B", control=[1.0]))
    assert both.word == "uninformative"


def test_a_control_that_fails_one_criterion_does_not_pass():
    own = Case("A", ["a"], [[exactly(2.0), exactly(0.0)]], untrained([2.0, 0.6]))
    assert given(own, criteria=(AT_LEAST, AT_MOST)).word == "reproduced"


def test_a_control_is_only_asked_what_can_be_said_of_it():
    own = [[exactly(2.0), exactly(0.0)]]
    silent = Case("A", ["a"], own, [None, None])
    assert given(silent, criteria=(AT_LEAST, AT_MOST)).word == "reproduced"
    half = Case("A", ["a"], own, untrained([None, 0.0]))
    assert given(half, criteria=(AT_LEAST, AT_MOST)).word == "uninformative"


def test_an_undefined_control_does_not_pass():
    assert given(case(1.5, control=[np.nan])).word == "reproduced"
    assert given(case(1.5, control=[np.inf])).word == "reproduced"


def test_untrained_architectures_that_pass_are_named_and_half_of_them_are_enough():
    fails = [case(1.5, label=label, control=[0.2]) for label in "BC"]
    passes = [case(1.5, label=label, control=[1.2]) for label in "AD"]
    verdict = given(passes[0], *fails)
    assert verdict.word == "reproduced" and "untrained, A pass" in verdict.because
    verdict = given(*passes, *fails)
    assert verdict.word == "uninformative" and verdict.because.endswith("for A, D")


def test_a_control_passes_with_its_whole_interval_only():
    own = [[exactly(2.0)]]
    wide = given(Case("A", ["a"], own, [Reading(1.2, 0.9, 1.5)]))
    assert wide.word == "reproduced" and wide.lines[0].control_passes is False
    sure = given(Case("A", ["a"], own, [Reading(1.2, 1.1, 1.3)]))
    assert sure.word == "uninformative" and sure.lines[0].control_passes is True


def test_what_was_not_measured_is_told():
    own = Case("A", ["a"], [[exactly(2.0)]], missing=("nothing for B",))
    assert given(own).because.endswith("; in part not measured: nothing for B")


@pytest.mark.parametrize("sense", [">=", "<="])
def test_equality_is_no_order(sense):
    order, least = Criterion("x", sense, 0.0), Criterion("x", sense, 1.0)
    assert order.outcome(0.0, 0.0) == "unclear" and least.outcome(1.0, 1.0) == "holds"
    more = 1e-9 if sense == ">=" else -1e-9
    assert order.outcome(more, more) == "holds" and order.outcome(-more, -more) == "fails"


def test_a_case_without_control_does_not_make_another_control_that_passes_informative():
    verdict = given(case(1.5, control=[1.2]), case(1.5, label="B"))
    assert verdict.word == "uninformative"


def test_a_control_that_passes_does_not_change_what_is_not_reproduced():
    assert given(case(0.5, control=[1.2])).word == "not reproduced"
    assert given(case((0.5, 1.5), control=[1.2])).word == "inconclusive"


def test_networks_that_learned_too_little_cannot_speak():
    for value in (0.5, 1.5):
        verdict = given(case(value, networks=("a", "b")), poor=("b",))
        assert verdict.word == "out of reach" and verdict.because == "learned too little: A"
        assert [line.outcome for line in verdict.lines] == ["learned too little"]


def test_an_architecture_that_fails_speaks_also_beside_one_that_learned_too_little():
    verdict = given(case(0.5), case(1.5, label="B", networks=("b",)), poor=("b",))
    assert verdict.word == "not reproduced"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sense", [">=", "<="])
def test_what_is_not_finite_never_passes_and_never_fails(bad, sense):
    criterion = Criterion("x", sense, 1.0)
    assert criterion.outcome(bad, bad) == "unclear"
    assert criterion.outcome(0.5, bad) == criterion.outcome(bad, 1.5) == "unclear"
    assert not criterion.admits(bad)
    for seeds in ([[exactly(bad)]], [[exactly(bad)], [exactly(2.0)]], [[exactly(0.5)]] * 0):
        verdict = given(Case("A", ["a"], seeds), criteria=(criterion,))
        assert verdict.word in ("inconclusive", "not run")


def test_one_undefined_seed_leaves_the_case_unclear():
    verdict = given(Case("A", ["a"], [[exactly(2.0)], [Reading(2.0, np.nan, np.nan)]]))
    assert verdict.word == "inconclusive" and np.isnan(verdict.lines[0].low)
    value_only = given(Case("A", ["a"], [[exactly(2.0)], [exactly(np.nan)]]))
    assert value_only.word == "inconclusive" and np.isnan(value_only.lines[0].value)


def test_not_run():
    def missing(_):
        raise NotMeasured("needs a ViT")

    verdict = judge(made(missing), SimpleNamespace(learned=lambda _: True))
    assert (verdict.word, verdict.because, verdict.deciding) == ("not run", "needs a ViT", None)
    assert given().word == "not run"
    assert given(Case("A", ["a"], [])).word == "not run"


def test_not_run_where_accuracies_are_missing():
    def learned(slug):
        raise NotMeasured(f"no accuracy of {slug}")

    verdict = judge(made(lambda _: [case(1.5)]), SimpleNamespace(learned=learned))
    assert verdict.word == "not run" and "no accuracy of a" in verdict.because


def test_every_word_is_one_of_those_told():
    found = {
        given(case(1.5)).word,
        given(case(0.5)).word,
        given(case((0.5, 1.5))).word,
        given(case(1.5, control=[1.5])).word,
        given(case(1.5), poor=["a"]).word,
        given().word,
    }
    assert found == set(VERDICTS)


@pytest.mark.parametrize(
    ("sense", "low", "high", "outcome"),
    [
        (">=", 1.0, 2.0, "holds"),
        (">=", 0.99, 2.0, "unclear"),
        (">=", 0.5, 1.0, "unclear"),
        (">=", 0.5, 0.99, "fails"),
        ("<=", 0.5, 1.0, "holds"),
        ("<=", 0.5, 1.01, "unclear"),
        ("<=", 1.0, 2.0, "unclear"),
        ("<=", 1.01, 2.0, "fails"),
    ],
)
def test_criterion(sense, low, high, outcome):
    assert Criterion("x", sense, 1.0).outcome(low, high) == outcome


def test_replicates_give_students_interval_around_the_value():
    values = np.array([3.0, 2.9, 3.2, 3.1, 2.8])
    reading = from_replicates(values)
    left_out, groups = values[1:], 4
    error = np.sqrt((groups - 1) / groups * np.sum((left_out - left_out.mean()) ** 2))
    half = stats.t.ppf(0.975, groups - 1) * error
    assert (reading.value, reading.low, reading.high) == rounded((3, 3 - half, 3 + half), **MEANS)


def test_the_interval_of_a_mean_is_the_textbooks():
    groups = np.array([1.0, 4.0, 2.0, 7.0, 5.0])
    means = [groups.mean(), *(np.delete(groups, g).mean() for g in range(5))]
    error = groups.std(ddof=1) / np.sqrt(5)
    low, high = stats.t.interval(0.95, 4, groups.mean(), error)
    reading = from_replicates(means)
    assert (reading.low, reading.high) == rounded((low, high), **MEANS)


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0], [1.0, np.nan, 1.0, 1.0], [np.nan, 1, 1, 1]])
def test_an_interval_that_cannot_be_estimated_has_no_ends(values):
    reading = from_replicates(values)
    assert np.isnan(reading.low) and np.isnan(reading.high)
    assert AT_LEAST.outcome(reading.low, reading.high) == "unclear"


def test_draws_of_a_smooth_statistic_have_the_jackknifes_interval():
    generator = np.random.default_rng(0)
    parts = generator.normal(size=(10, 3))
    means = leave_one_out(parts) / np.array([10, *[9] * 10])[:, None]
    for column in range(3):
        jackknifed = from_replicates(means[:, column])
        drawn = from_draws(resampled(means)[:, column])
        assert drawn.value == jackknifed.value
        # An end's standard error is √(.025 · .975 / 400) / φ(1.96) = .13 σ, so that of the width of
        # 3.92 σ is 5 %; here 3 of these.
        width = jackknifed.high - jackknifed.low
        assert abs(drawn.high - drawn.low - width) < 0.15 * width


def test_a_statistic_with_steps_is_open_where_its_smooth_input_is():
    """A share that no single left-out group changes, though one of its terms hardly is above 0."""
    generator = np.random.default_rng(1)
    margins = np.array([1.0, 1.0, 1.0, -1.0, 0.0]) + 0.05 * generator.normal(size=(10, 5))
    margins[:, 4] += 0.02 - margins[:, 4].mean()
    means = leave_one_out(margins) / np.array([10, *[9] * 10])[:, None]

    def share(values):
        return (values > 0).mean(axis=-1)

    assert len(set(share(means))) == 1 and from_replicates(share(means)) == exactly(0.8)
    reading = from_draws(share(resampled(means)))
    assert (reading.value, reading.low, reading.high) == rounded((0.8, 0.6, 0.8), **MEANS)


def test_draws_without_groups_are_undefined_and_the_same_each_time():
    assert np.isnan(from_draws(resampled(np.array([1.0, 1.0]))).low)
    values = np.random.default_rng(2).normal(size=(6, 2))
    np.testing.assert_array_equal(resampled(values), resampled(values))


def test_replicates_that_agree_have_no_width():
    assert from_replicates([2.0] * 6) == exactly(2.0)


def test_shares_have_the_binomial_interval():
    reading = from_shares([(1.0, 0.6, 400), (-1.0, 0.5, 100)])
    error = np.sqrt(0.6 * 0.4 / 400 + 0.5 * 0.5 / 100)
    assert reading.value == rounded(0.1, **MEANS)
    # The quantile of the normal distribution is written down to seven digits.
    width = rounded(2 * stats.norm.ppf(0.975) * error, terms=1, dtype=np.float32, c=1)
    assert reading.high - reading.low == width
    points = from_shares([(100.0, 0.6, 400), (-100.0, 0.5, 100)])
    assert points.high - points.low == rounded(100 * (reading.high - reading.low), **MEANS)


def test_shares_of_all_or_no_images_still_have_an_interval():
    for share in (0.0, 1.0):
        reading = from_shares([(1.0, share, 100)])
        assert reading.low < share < reading.high


def test_a_reading_moves_with_its_interval():
    assert Reading(1.0, 0.0, 2.0).plus(3.0) == Reading(4.0, 3.0, 5.0)
