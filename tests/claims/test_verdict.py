"""Every word of a verdict, and what leads to it, with made-up claims."""

from dataclasses import replace
from itertools import combinations_with_replacement, permutations
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
    Sample,
    Source,
    exactly,
    from_draws,
    from_replicates,
    from_shares,
)
from sightlines.claims.evidence import NotMeasured
from sightlines.claims.seeds import Prior, mean
from sightlines.claims.statistics import resampled
from sightlines.claims.verdict import judge
from sightlines.results.verdict_words import VERDICTS
from sightlines.stats.jackknife import leave_one_out
from tests.claims.making_evidence import MEANS
from tests.rounding import rounded

AT_LEAST = Criterion("x", ">=", 1.0)
AT_MOST = Criterion("y", "<=", 0.5)


def made(cases, criteria=(AT_LEAST,), tier="A", premises=()):
    words = {"figure", "title", "statement", "statistic", "reason", "paper_value", "source"}
    words = dict.fromkeys(words | {"controls", "drawn"}, "")
    own = {"id": "C0", "criteria": criteria, "cases": cases, "tier": tier, "premises": premises}
    return Claim(**own, **words)


def given(*cases, criteria=(AT_LEAST,), poor=(), small=(), public=(), spread=None, **more):
    """The verdict over cases; networks in `poor` learned too little, in `small` saw few images."""
    evidence = SimpleNamespace(
        learned=lambda slug: slug not in poor,
        is_small=lambda slug: slug in small,
        is_public=lambda slug: slug in public,
        spread=spread,
    )
    return judge(made(lambda _: list(cases), criteria, **more), evidence)


def measured(value, error=0.0):
    """A reading whose standard error over images, of nine degrees of freedom, is known."""
    moves = np.sqrt(9 / 10) * np.array([1, -1] * 5) * error / 3
    half = stats.t.ppf(0.975, 9) * error
    return Reading(value, value - half, value + half, moves, freedom=9.0)


def case(*values, label="A", control=None, networks=("a",), error=0.0):
    """One criterion, one reading a seed; seeds of networks of their own."""
    own = [[measured(float(value), error)] for value in values]
    controls = control and Sample.independent(
        [[measured(v)] for v in control], f"{label} untrained"
    )
    first = controls.readings[0] if controls else None
    return Case(label, list(networks), own, first, (), (), controls)


COUNTS = (("a", 3), ("b", 1))
ABOVE, BELOW, BOTH = (1.3, 1.31, 1.32), (0.3, 0.31, 0.32), (0.8, 1.0, 1.4)


def test_a_claim_that_holds_of_networks_and_not_of_untrained_ones_is_learned():
    verdict = given(case(*ABOVE, control=BELOW))
    assert verdict.word == "holds, learned" and verdict.because.startswith("holds for A")
    assert "difference by training 1 [" in verdict.because
    assert [line.outcome for line in verdict.lines] == ["holds"]
    assert verdict.p < 0.05 and verdict.lines[0].seeds == "3 of A"


def test_without_control_it_holds():
    verdict = given(case(*ABOVE))
    assert verdict.word == "holds" and "no untrained control for A" in verdict.because


def test_what_holds_untrained_is_a_finding_about_the_architecture():
    verdict = given(case(*ABOVE, control=(1.5, 1.51, 1.52)))
    assert verdict.word == "holds at initialisation"
    assert "difference by training −0.2 [" in verdict.because


def test_whether_it_is_learned_is_told_by_the_difference_not_by_two_outcomes():
    """Untrained networks just fail, trained ones just pass: no difference is shown."""
    near = given(case(1.02, 1.025, 1.03, control=(0.9, 1.0, 1.1)))
    assert near.word == "holds" and "whether it is learned is open" in near.because
    far = given(case(1.02, 1.025, 1.03, control=(0.6, 0.61, 0.62)))
    assert far.word == "holds, learned"


def test_lost_in_training():
    verdict = given(case(*BELOW, control=ABOVE))
    assert verdict.word == "lost in training" and "difference by training −1 [" in verdict.because
    assert given(case(*BELOW, control=BELOW)).word == "does not hold"
    assert given(case(*BELOW, control=BOTH)).word == "does not hold"
    assert given(case(*BELOW)).word == "does not hold"


def test_what_each_architecture_refutes_by_itself_is_lost_in_training_too():
    """Their mean is unclear, since they differ; what training took of it is clear, or is not."""

    def judged(untrained):
        control = [untrained + v for v in (0.0, 0.01, 0.02)]
        lower = case(-0.1, -0.11, -0.12, label="B", control=control)
        return given(case(*BELOW, control=control), lower)

    lost, unclear = judged(40.0), judged(1.5)
    for verdict in (lost, unclear):
        mean, told = verdict.lines[-1], verdict.deciding
        assert (mean.case, mean.outcome, mean.control_passes) == ("mean of 2", "unclear", True)
        assert (told.case, told.outcome) == ("A", "fails")
    assert lost.word == "lost in training"
    assert "untrained networks (mean of 2): x 40 [" in lost.because
    assert "difference by training −39.9 [" in lost.because
    assert unclear.word == "does not hold"


def test_undecided_says_what_would_be_seen_and_what_would_decide():
    verdict = given(case(*BOTH))
    assert verdict.word == "undecided" and verdict.because.startswith("unclear for A (x)")
    error = np.std(BOTH, ddof=1) / np.sqrt(3)
    seen = (stats.t.ppf(0.975, 2) + stats.t.ppf(0.8, 2)) * error
    assert verdict.detectable == pytest.approx(seen)
    assert f"an effect of {seen:.3g} would be seen; about" in verdict.because
    assert verdict.needed > 3
    assert f"{verdict.needed} seeds of each network would decide" in verdict.because


def test_undecided_says_whether_its_seeds_can_show_what_matters():
    error = np.std(BOTH, ddof=1) / np.sqrt(3)
    seen = f"{(stats.t.ppf(0.975, 2) + stats.t.ppf(0.8, 2)) * error:.3g}"

    def judged(smallest, **more):
        found = given(case(*BOTH, **more), criteria=(replace(AT_LEAST, smallest=smallest),))
        assert found.word == "undecided"
        return found

    few = judged(0.2)
    words = f"with 3 seeds a difference below {seen} could not be seen; 0.2 matters here; about "
    assert words in few.because
    would = few.deciding.spread.needed(0.2)
    assert f"{words}{would} seeds would do; about {few.needed} seeds of each" in few.because
    order = Criterion("x", ">=", 0.0, smallest=5.0)
    enough = given(case(-0.2, 0.0, 0.4), criteria=(order,))
    assert enough.word == "undecided"
    assert "; 5 matters here, for which 3 seeds are enough" in enough.because
    assert "0.2 matters here; more seeds alone would not do" in judged(0.2, error=1.0).because
    assert "matters" not in given(case(*BOTH)).because


def test_of_several_criteria_the_one_furthest_from_enough_is_told():
    """Both are open; the one that decides is the first, of which its seeds are enough."""
    fine, coarse = (
        Criterion(n, ">=", 0.0, smallest=s) for n, s in (("fine", 9.0), ("coarse", 0.1))
    )
    own = [[measured(v), measured(3 * v + 0.4)] for v in (-0.2, 0.0, 0.1)]
    found = given(Case("A", ["a"], own), criteria=(fine, coarse))
    assert found.word == "undecided" and found.deciding.criterion is fine
    effect = found.lines[1].spread.estimate.detectable
    seen = f"an effect of {found.detectable:.3g} would be seen; with 3 seeds a difference below "
    assert f"{seen}{effect:.3g} in coarse could not be seen; 0.1 matters here" in found.because


def test_so_many_seeds_show_what_matters_four_times_in_five():
    few = given(case(*BOTH), criteria=(replace(AT_LEAST, smallest=0.2),))
    seeds = few.deciding.spread.needed(0.2)
    random = np.random.default_rng(0)
    values = random.normal(1.2, np.std(BOTH, ddof=1), size=(4000, seeds))
    low, _ = stats.t.interval(0.95, seeds - 1, values.mean(axis=1), stats.sem(values, axis=1))
    assert 0.77 < (low > 1.0).mean() < 0.87


def test_counts_of_seeds_are_those_of_every_network():
    units = [tuple((f"{kind}/f100/s{n}",) for n in range(count)) for kind, count in COUNTS]
    known = SimpleNamespace(known=lambda *_: lambda _: Prior(0.04, 7.0, "elsewhere"))
    own = [
        Source(
            u[0][0],
            u,
            tuple([measured(v)] for v in BOTH) if len(u) > 1 else None,
            (1 / len(u),) * len(u),
        )
        for u in units
    ]
    both = replace(case(*BOTH), sources=tuple(own))
    found = given(both, criteria=(replace(AT_LEAST, smallest=0.05),), spread=known)
    assert "; with 3 and 1 seeds a difference below" in found.because


def test_the_smallest_effect_is_never_more_than_the_threshold():
    assert replace(AT_MOST, smallest=0.05).matters == 0.05
    assert replace(AT_MOST, smallest=0.7).matters == 0.5
    assert Criterion("order", ">=", 0.0, smallest=0.05).matters == 0.05
    assert np.isnan(AT_MOST.matters)


def test_images_that_are_too_few_are_not_mended_by_seeds():
    verdict = given(case(1.0, 1.001, 1.002, error=0.5))
    assert verdict.word == "undecided" and "more seeds alone would not decide" in verdict.because


def test_architectures_that_differ_are_not_mended_by_seeds():
    """The mean's error is what they differ by; each one's own seeds would not change it."""
    verdict = given(case(1.50, 1.51, 1.52), case(0.98, 1.0, 1.03, label="B"))
    assert verdict.word == "undecided" and verdict.deciding.case == "mean of 2"
    assert verdict.needed is None and "more seeds alone would not decide" in verdict.because
    one = given(case(0.98, 1.0, 1.03))
    assert one.word == "undecided" and one.needed > 3


def test_seeds_that_would_decide_are_counted_with_the_correction_for_several_criteria():
    """Seeds of x that fail it alone, but not as one criterion of ten."""
    values = (0.67, 0.75, 0.83)
    assert given(case(*values)).word == "does not hold"
    several = [[measured(x), *[measured(x / 10)] * 9] for x in values]
    verdict = given(Case("A", ["a"], several), criteria=(AT_LEAST, *[AT_MOST] * 9))
    assert verdict.word == "undecided" and "not at the 99.5 % that 10" in verdict.because
    wide = np.std(values, ddof=1)

    def seen(seeds):
        quantiles = stats.t.ppf([1 - 0.025 / 10, 0.8], seeds - 1)
        return quantiles.sum() * wide / np.sqrt(seeds)

    assert verdict.needed == 5 and seen(5) <= 0.25 < seen(4)


def test_one_run_has_no_bare_verdict():
    verdict = given(case(1.5, error=0.01), criteria=(AT_LEAST,))
    assert verdict.word == "one run" and "one run of A" in verdict.because
    assert "interval is over images only: holds for A" in verdict.because
    assert verdict.lines[0].over == "images" and verdict.p is None
    assert "fails for A (x)" in given(case(0.5)).because
    assert "unclear for A (x)" in given(case(1.0, error=0.1)).because


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((1.5, 1.6), "holds"),
        ((0.5, 0.4), "fails"),
        ((1.5, 0.5), "differs"),
        ((1.5, 1.0), "unclear"),
        ((0.5, 1.0), "unclear"),
    ],
)
def test_what_networks_of_one_run_show_stands_beside_the_verdict(values, shown):
    cases = [case(v, label=label, error=0.01) for v, label in zip(values, "AB", strict=True)]
    verdict = given(*cases)
    assert verdict.word == "one run" and verdict.in_this_run == shown
    assert not given(case(*BOTH)).in_this_run  # where there are seeds, the verdict says it
    missed = Premise("there is more", lambda _: "there is not")
    assert not given(*cases, premises=(missed,)).in_this_run


def test_of_public_weights_no_second_seed_is_asked_for():
    own = case(1.5, error=0.01, networks=("a", "b"))
    assert given(own, public=("a", "b")).because.endswith("other weights of their kind may differ")
    assert given(own, public=("a",)).because.endswith("needs a second seed")


class Elsewhere:
    """A spread of single seeds that is known from other networks."""

    def __init__(self, error, freedom=7.0):
        self.prior = Prior(error**2, freedom, "8 seeds elsewhere")

    def known(self, claim, criterion):
        return lambda source: self.prior


def test_one_run_is_judged_by_a_spread_known_from_elsewhere_which_is_named():
    found = given(case(1.5), spread=Elsewhere(0.1))
    assert found.word == "holds" and found.lines[0].seeds == "1 of A (8 seeds elsewhere)"
    half = stats.t.ppf(0.975, 7) * 0.1
    assert (found.lines[0].low, found.lines[0].high) == rounded((1.5 - half, 1.5 + half), **MEANS)
    assert given(case(1.5), spread=Elsewhere(0.4)).word == "undecided"


def test_seeds_and_what_is_known_of_them_are_pooled():
    (line,) = given(case(1.0, 1.2), spread=Elsewhere(0.1)).lines
    variance = (7 * 0.1**2 + 1 * 0.02) / 8
    half = stats.t.ppf(0.975, 8) * np.sqrt(variance / 2)
    assert (line.low, line.high) == rounded((1.1 - half, 1.1 + half), **MEANS)


def test_the_interval_is_that_of_the_mean_over_seeds_and_images():
    (line,) = given(case(*BOTH, error=0.05)).lines
    between, images = np.var(BOTH, ddof=1) / 3, 0.05**2
    half = np.hypot(*(stats.t.ppf(0.975, d) * v**0.5 for d, v in ((2, between), (9, images))))
    mean = np.mean(BOTH)
    assert (line.low, line.high) == rounded((mean - half, mean + half), **MEANS)


def test_more_seeds_of_one_truth_narrow_the_interval():
    def width(count):
        (line,) = given(case(*np.linspace(1.1, 1.5, count))).lines
        return line.high - line.low

    assert width(3) > width(5) > width(10)


def test_a_second_architecture_that_agrees_narrows_it():
    one = given(case(*BOTH))
    both = given(case(*BOTH), case(*BOTH, label="B")).lines[-1]
    assert both.case == "mean of 2" and both.value == one.lines[0].value
    assert both.high - both.low < one.lines[0].high - one.lines[0].low


def test_architectures_that_differ_widen_the_interval_of_their_mean_and_are_shown():
    near = given(case(1.3, 1.31, 1.32), case(1.4, 1.41, 1.42, label="B"))
    far = given(case(1.3, 1.31, 1.32), case(2.9, 2.91, 2.92, label="B"))
    widths = [found.lines[-1].high - found.lines[-1].low for found in (near, far)]
    assert widths[1] > 5 * widths[0]
    assert far.word == "holds", "each holds by itself, however much they differ"
    assert "by itself: holds for A, B, which decides" in far.because


@pytest.mark.parametrize(
    ("near", "far", "word"),
    [(ABOVE, (2.9, 2.91, 2.92), "holds"), (BELOW, (-2.9, -2.91, -2.92), "does not hold")],
)
def test_where_each_decides_by_itself_the_least_clear_one_is_told_not_their_mean(near, far, word):
    """The interval that a reader sees is on the side that the verdict says."""
    found = given(case(*far, label="B", control=far), case(*near, control=near))
    mean, told = found.lines[-1], found.deciding
    assert (mean.case, mean.outcome) == ("mean of 2", "unclear")
    assert found.word.startswith(word) and told.case == "A"
    assert told.outcome == {"holds": "holds", "does not hold": "fails"}[word]
    assert found.p == pytest.approx(2 * (told.holds if word == "holds" else told.fails))
    assert "by itself: " in found.because and "A, which decides" in found.because.replace(
        " (x)", ""
    )
    assert "untrained networks (mean of 2): x " in found.because or word != "holds"
    agree = given(case(*near), case(*near, label="B"))
    assert agree.deciding.case == "mean of 2" and "which decides" not in agree.because


def test_of_several_criteria_each_is_refuted_by_itself_in_the_clearest_one():
    criteria = AT_LEAST, AT_MOST
    cases = two(BELOW, BELOW), two((-2.9, -2.91, -2.92), BELOW, label="B")
    found = given(*cases, criteria=criteria)
    assert found.word == "does not hold" and found.deciding.criterion is AT_LEAST
    assert (found.deciding.case, found.deciding.outcome) == ("A", "fails")


def test_architectures_on_different_sides():
    verdict = given(case(*ABOVE), case(*BELOW, label="B"))
    assert verdict.word == "depends on the architecture"
    assert "by itself: holds for A; fails for B (x)" in verdict.because
    assert verdict.deciding.case == "B" and verdict.p < 0.05


def test_architectures_of_one_run_are_left_out_where_there_are_others():
    verdict = given(case(*ABOVE), case(0.2, label="B"))
    assert verdict.word == "holds" and "left out as one run: fails for B (x)" in verdict.because
    assert [line.over for line in verdict.lines] == ["images and seeds", "images"]


def two(first, second, label="A", control=None):
    """Two criteria, one pair of values a seed."""
    own = [[exactly(x), exactly(y)] for x, y in zip(first, second, strict=True)]
    sample = control and Sample.independent(control, "untrained")
    return Case(label, ["a"], own, control and control[0], (), (), sample)


def test_one_criterion_that_fails_is_enough_but_not_by_chance_in_one_of_many():
    criteria = AT_LEAST, AT_MOST
    found = given(two(ABOVE, (0.8, 0.81, 0.82)), criteria=criteria)
    assert found.word == "does not hold" and found.because.startswith("fails for A (y)")
    z = (0.57, 0.64, 0.665)  # decides by itself, not as one of two
    assert 0.0125 < stats.ttest_1samp(z, 0.5).pvalue / 2 < 0.025
    found = given(two(ABOVE, z), criteria=criteria)
    assert found.word == "undecided" and "fails at 95 %, but not at the 97.5 %" in found.because
    assert found.lines[1].outcome == "fails"
    assert found.level == rounded(0.975, terms=2)
    half = stats.t.ppf(1 - 0.0125, 2) * np.std(z, ddof=1) / np.sqrt(3)
    assert found.ends == rounded((np.mean(z) - half, np.mean(z) + half), **MEANS)
    assert found.ends[0] < 0.5 < found.lines[1].low


@pytest.mark.whole
def test_the_interval_that_is_told_is_the_one_that_the_verdict_is_judged_by():
    """Decisive: wholly on one side; undecided: not; whatever the criteria and architectures."""
    draws, hidden, words = np.random.default_rng(5), 0, set()
    for _ in range(400):
        criteria = (AT_LEAST, AT_MOST, Criterion("z", ">=", 0.0))[: draws.integers(1, 4)]
        shared, apart = [draws.normal(c.threshold, 0.3) for c in criteria], draws.choice([0, 0.7])
        cases = []
        for label in "AB"[: draws.integers(1, 3)]:
            own = [draws.normal(middle, apart) for middle in shared]
            seeds = [[measured(draws.normal(middle, 0.12)) for middle in own] for _ in "123"]
            cases.append(Case(label, ["a"], seeds))
        found = given(*cases, criteria=criteria)
        criterion = found.deciding.criterion
        words.add(found.word)
        outcome = {"holds": "holds", "does not hold": "fails"}.get(found.word, "unclear")
        if found.word == "depends on the architecture":
            outcome = "fails"
        assert criterion.outcome(*found.ends) == outcome, (found.word, found.level)
        alone = criterion.outcome(found.deciding.low, found.deciding.high)
        hidden += found.word == "undecided" and alone == "fails"
    assert hidden >= 5, "intervals of 95 % would lie wholly on one side of open thresholds"
    assert words == {"holds", "does not hold", "undecided", "depends on the architecture"}


def test_what_is_not_judged_has_an_interval_of_95_percent():
    criteria = AT_LEAST, AT_MOST
    assert given(two(BELOW, BELOW), criteria=criteria).level == rounded(0.975, terms=2)
    assert given(two(BELOW, BELOW), criteria=criteria, tier="B", small=("a",)).level == 0.95
    assert given(two((0.3,), (0.3,)), criteria=criteria).level == 0.95
    unmet = Premise("x", lambda _: "needs x")
    assert given(two(BELOW, BELOW), criteria=criteria, premises=(unmet,)).level == 0.95


def test_all_criteria_must_hold():
    criteria = AT_LEAST, AT_MOST
    assert given(two(ABOVE, BELOW), criteria=criteria).word == "holds"
    assert given(two(ABOVE, (0.2, 0.5, 0.6)), criteria=criteria).word == "undecided"


def test_a_control_must_meet_all_criteria_of_which_it_speaks():
    criteria = AT_LEAST, AT_MOST
    fails_one = [[exactly(x), exactly(0.9)] for x in ABOVE]
    assert given(two(ABOVE, BELOW, control=fails_one), criteria=criteria).word == "holds, learned"
    half = [[None, exactly(y)] for y in BELOW]
    assert given(two(ABOVE, BELOW, control=half), criteria=criteria).word == (
        "holds at initialisation"
    )
    none = [[None, None]] * 3
    assert given(two(ABOVE, BELOW, control=none), criteria=criteria).word == "holds"
    lost = given(two(BELOW, BELOW, control=half), criteria=criteria)
    assert lost.word == "does not hold", "half a control is not enough to have been lost"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_undefined_control_says_nothing(bad):
    found = given(case(*ABOVE, control=(bad, bad, bad)))
    assert found.word == "holds" and "is undefined" in found.because


def test_a_single_initialisation_is_no_control_to_decide_by():
    for value in (0.2, 1.5):
        found = given(case(*ABOVE, control=(value,)))
        assert found.word == "holds" and "over images only" in found.because


def test_an_interval_without_replicates_is_an_error_too():
    """As of the least of several statistics: its wider side, and in all seeds at once."""
    own = [[Reading(value, value - 0.1, value + 0.05)] for value in (1.3, 1.3, 1.3)]
    (line,) = given(Case("A", ["a"], own)).lines
    assert (line.low, line.high) == (pytest.approx(1.2), pytest.approx(1.4))
    open_ended = [[Reading(1.3, np.nan, np.nan)]] * 3
    assert given(Case("A", ["a"], open_ended)).word == "undecided"


def test_of_one_run_of_one_of_two_networks_the_interval_is_over_images_too():
    """Seeds of a ViT alone do not make an interval over seeds of ViT and ResNet."""
    own = [[measured(v, 0.01)] for v in BOTH]
    vit = Source("V", tuple((f"v{n}",) for n in range(3)), tuple(own), (1 / 3,) * 3)
    sources = vit, Source("R", (("r0",),), None, (1.0,))
    verdict = given(Case("V × R", ["a"], own, sources=sources))
    (line,) = verdict.lines
    assert verdict.word == "one run" and "one run of R" in verdict.because
    half = stats.t.ppf(0.975, 9) * 0.01
    assert line.high - line.value == rounded(half, **MEANS) and line.seeds == "3 of V; 1 of R"


@pytest.mark.parametrize("tier", ["B", "C"])
def test_failures_of_small_networks_say_nothing_against_claims_about_large_ones(tier):
    assert given(case(*BELOW), small=["a"], tier=tier).word == "out of reach"
    assert given(case(*BELOW, control=ABOVE), small=["a"], tier=tier).word == "out of reach"
    assert given(case(*BELOW), tier=tier).word == "does not hold"
    assert given(case(*ABOVE), small=["a"], tier=tier).word == "holds"
    for own in ("A", "A/B"):
        assert given(case(*BELOW), small=["a"], tier=own).word == "does not hold"


@pytest.mark.parametrize(("tier", "why"), [("B", "which these are not"), ("C", "have seen")])
def test_of_one_run_such_failures_are_told_for_what_they_are(tier, why):
    """A second seed that fails as well would leave the claim out of reach."""

    def told(value, **more):
        return given(case(value, error=0.01), **more)

    found = told(0.5, small=["a"], tier=tier)
    assert (found.word, found.in_this_run) == ("one run", "fails")
    assert found.because.endswith(why)
    others = told(1.5, small=["a"], tier=tier), told(0.5, tier=tier), told(0.5, small=["a"])
    assert not any(other.because.endswith(why) for other in others)


def test_a_premise_that_is_not_met_is_said_whatever_the_values():
    premises = Premise("one", lambda _: ""), Premise("other", lambda _: "no images were left out")
    for values, words in ((ABOVE, "holds for A"), (BELOW, "fails for A (x)")):
        found = given(case(*values), premises=premises)
        assert found.word == "out of reach"
        assert found.because.startswith(f"no images were left out; {words}")
    assert given(case(*ABOVE), premises=premises[:1]).word == "holds"


def test_seeds_do_not_stand_in_for_a_premise():
    """What these networks cannot test, more seeds of them would not decide."""
    unmet = Premise("other", lambda _: "no images were left out")
    alone = Premise("other", lambda _: "", lambda _: "one run of B")
    for premise, word in ((unmet, "out of reach"), (alone, "one run")):
        found = given(case(*BOTH), premises=(premise,))
        assert found.word == word and found.needed is None and "would" not in found.because


def test_what_was_not_measured_is_told():
    own = Case("A", ["a"], [[exactly(v)] for v in ABOVE], missing=("nothing for B",))
    assert given(own).because.endswith("; in part not measured: nothing for B")


def test_networks_that_learned_too_little_cannot_speak():
    for values in (BELOW, ABOVE):
        verdict = given(case(*values, networks=("a", "b")), poor=("b",))
        assert verdict.word == "out of reach" and verdict.because == "learned too little: A"
        assert [line.outcome for line in verdict.lines] == ["learned too little"]
    others = given(case(*BELOW), case(*ABOVE, label="B", networks=("b",)), poor=("b",))
    assert others.word == "does not hold" and "learned too little: B" in others.because


def test_one_undefined_seed_leaves_the_claim_open():
    verdict = given(case(1.3, 1.31, np.nan))
    assert verdict.word == "undecided" and verdict.because.startswith("undefined for A (x)")
    assert np.isnan(verdict.lines[0].low)
    open_end = [[exactly(1.3)], [Reading(1.3, np.nan, np.nan, error=np.nan)], [exactly(1.3)]]
    assert given(Case("A", ["a"], open_end)).word == "undecided"


@pytest.mark.parametrize("sense", [">=", "<="])
def test_equality_is_no_order(sense):
    order, least = Criterion("x", sense, 0.0), Criterion("x", sense, 1.0)
    assert order.outcome(0.0, 0.0) == "unclear" and least.outcome(1.0, 1.0) == "holds"
    more = 1e-9 if sense == ">=" else -1e-9
    assert order.outcome(more, more) == "holds" and order.outcome(-more, -more) == "fails"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sense", [">=", "<="])
def test_what_is_not_finite_never_passes_and_never_fails(bad, sense):
    criterion = Criterion("x", sense, 1.0)
    assert criterion.outcome(bad, bad) == "unclear"
    assert criterion.outcome(0.5, bad) == criterion.outcome(bad, 1.5) == "unclear"
    assert not criterion.admits(bad)
    for seeds in ([[exactly(bad)]], [[exactly(bad)], [exactly(2.0)]], [[exactly(0.5)]] * 0):
        verdict = given(Case("A", ["a"], seeds), criteria=(criterion,))
        assert verdict.word in ("undecided", "one run", "not run")


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

    verdict = judge(made(lambda _: [case(1.5)]), SimpleNamespace(learned=learned, spread=None))
    assert verdict.word == "not run" and "no accuracy of a" in verdict.because


def test_every_word_is_one_of_those_told():
    found = {
        given(case(*ABOVE, control=BELOW)).word,
        given(case(*ABOVE, control=ABOVE)).word,
        given(case(*ABOVE)).word,
        given(case(*ABOVE), case(*BELOW, label="B")).word,
        given(case(*BELOW, control=ABOVE)).word,
        given(case(*BELOW)).word,
        given(case(*BOTH)).word,
        given(case(1.5)).word,
        given(case(*ABOVE), poor=["a"]).word,
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


@pytest.mark.whole
def test_three_seeds_that_agree_about_six_blocks_do_not_decide_by_chance():
    """A truth at the threshold, over all outcomes: by the seeds' spread alone 7.8 % hold."""
    blocks, truth = 6, 0.8
    at_least = (Criterion("share", ">=", truth),)
    chance = stats.binom.pmf(np.arange(blocks + 1), blocks, truth)

    def holds(hits, of):
        own = [[replace(exactly(h / blocks), of=of)] for h in hits]
        return given(Case("A", ["a"], own), criteria=at_least).word == "holds"

    outcomes = list(combinations_with_replacement(range(blocks + 1), 3))
    weight = {h: chance[list(h)].prod() * len({*permutations(h)}) for h in outcomes}
    assert sum(weight.values()) == pytest.approx(1)
    before, now = (sum(w for h, w in weight.items() if holds(h, of)) for of in (0, blocks))
    assert before == pytest.approx(0.078, abs=0.002) and now <= 0.025
    assert holds((6, 6, 6), blocks) and not holds((5, 5, 5), blocks)


def test_more_seeds_lessen_what_shares_of_few_blocks_have_by_chance():
    own = [[replace(exactly(share), of=6)] for share in (1.0, 1.0, 5 / 6)]
    found = given(Case("A", ["a"], own), criteria=(Criterion("share", ">=", 0.8),))
    assert found.word == "undecided" and 3 < found.needed < 30


@pytest.mark.parametrize("groups", [3, 4, 10])
@pytest.mark.parametrize("more", [{"step": 0.05}, {"of": 5}])
def test_no_interval_is_narrower_for_steps(groups, more):
    """Of images in few groups, too, whose degrees of freedom must stay few."""
    random = np.random.default_rng(groups)
    for error in (0.001, 0.01, 0.1, 1.0):
        own = [[from_replicates(0.5 + error * random.normal(size=groups + 1))] for _ in range(3)]
        stepped = [[replace(reading, **more)] for (reading,) in own]
        narrow, wide = (given(Case("A", ["a"], r)).lines[0] for r in (own, stepped))
        assert wide.high - wide.low > narrow.high - narrow.low
        assert wide.holds >= narrow.holds or wide.fails >= narrow.fails


def test_an_interval_is_told_within_the_bounds_of_the_statistic():
    share = Criterion("share", ">=", 0.5, bounds=(0.0, 1.0))
    found = given(case(0.9, 1.0, 1.0, control=(0.0, 0.0, 0.1)), criteria=(share,))
    line = found.lines[0]
    beyond = given(case(0.9, 1.0, 1.0), criteria=(replace(share, bounds=(-np.inf, np.inf)),))
    assert line.high == 1.0 < beyond.lines[0].high and line.low == beyond.lines[0].low
    assert (line.holds, line.fails) == (beyond.lines[0].holds, beyond.lines[0].fails)
    assert "share 0.0333 [0, " in found.because
    assert line.difference[2] == 1.0
    assert share.told_difference(0.0, -3.0, 3.0) == (0.0, -1.0, 1.0)


def test_a_mean_of_readings_moves_in_the_largest_of_their_steps():
    found = mean([replace(exactly(v), step=s, of=3) for v, s in ((1.0, 0.1), (2.0, 0.2))])
    assert (found.value, found.step, found.of) == (1.5, 0.2, 3)
