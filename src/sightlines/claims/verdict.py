"""From readings to a verdict: one rule for all claims.

Every interval is over the images and over the seeds of the networks (`stats.nested`), 95 %, and
two-sided: so of claims whose truth lies at the threshold at most one in 20 is decided.

What is judged is the mean over the architectures that a claim is about (its cases), with random
effects of these (`architectures`); each is shown, and judged, by itself as well. A claim is
fulfilled if all its criteria are: an intersection-union test (Berger 1982), which needs no
correction for their number. It is refuted if one of them is: that P value is multiplied by their
number (Bonferroni). The interval that is told with a verdict is the one that it is judged by
(`Verdict.level`): where a criterion that is refuted, or nearly so, is one of several, it is wider
than 95 %, so that it reaches the threshold wherever the verdict is open.
Both are so of the mean over architectures, or of each architecture by itself: of two or three the
mean has a wide interval wherever they differ. The line that is told as the deciding one is then not
the mean's, but that of the architecture that is least clear.

* holds, learned: fulfilled, and untrained networks do not fulfil it as well: of a criterion that
  these do not meet, the difference of trained and untrained networks, with its whole interval, is
  towards the claim.
* holds at initialisation: trained and untrained networks fulfil it. A finding about the
  architecture; the reason says what training adds or takes.
* holds: fulfilled; whether by training is open, or there is no untrained control.
* depends on the architecture: one architecture fulfils it, another refutes it (each corrected for
  their number).
* lost in training: refuted; untrained networks fulfil it, and their difference from the trained
  ones, with its whole interval, is away from the claim.
* does not hold: refuted otherwise.
* undecided: neither; the reason has the smallest effect that these seeds would show four times in
  five, whether the smallest that matters (`effects`) is among those and how many seeds would do for
  it, and how many seeds of each network would decide if the truth were what was measured. It is not
  out of reach: that is what only other networks, recipes or images would mend.
* one run: there is one seed of some network, and nothing is known of the spread between its seeds
  (`seed_spread.SeedSpread`), or a premise is met by images alone. The interval is over images only.
  What it says of these networks alone is told beside the verdict (`Verdict.in_this_run`), never as
  one about their kind: it holds, fails, differs between networks, or is unclear.
* out of reach: the claim cannot be tested on these networks. They learned too little; or a premise
  of the claim is not met; or the claim is about large networks or much data (tier B or C), it is
  refuted, and so few images were used for training that the paper's own networks might fail too.
* not run: something is not among the results.

Architectures of one run, and those that learned too little, are left out where there are others,
and named.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from sightlines.claims.architectures import pooled
from sightlines.claims.calibration import calibration
from sightlines.claims.claim import Case, Claim, Criterion
from sightlines.claims.evidence import NotMeasured
from sightlines.claims.seeds import Known, Spread
from sightlines.results.numbers import interval, significant
from sightlines.results.verdict_words import (
    DEPENDS,
    FAILS,
    HOLDS,
    INITIAL,
    LEARNED,
    LOST,
    NOT_RUN,
    ONE_RUN,
    OUT_OF_REACH,
    OVER_ALL,
    OVER_IMAGES,
    OVER_NETWORKS,
    UNDECIDED,
)
from sightlines.stats.nested import CONFIDENCE, Estimate

OF_SCALE = {
    "B": "the claim is about large or pretrained networks, which these are not",
    "C": "the claim is about more data than these networks have seen",
}
"""Tier -> why a small network's failure says nothing against the claim."""
ONE_SIDE = (1 - CONFIDENCE) / 2
"""P value by which a claim is decided, to one side."""


@dataclass(frozen=True)
class CriterionResult:
    """One criterion of one case, or of the mean over cases.

    Attributes:
        case: Its label.
        criterion: The inequality.
        value: Mean over seeds.
        low: Lower end of its interval.
        high: Upper end.
        outcome: "holds", "fails", "unclear", or "learned too little".
        over: What the interval is over: OVER_ALL, OVER_IMAGES of one run, or OVER_NETWORKS.
        seeds: How many there are of what.
        control: Value of the untrained networks; None without any.
        control_passes: Whether it fulfils the criterion with its whole interval.
        difference: Trained minus untrained networks, with its interval; None without control.
        spread: Where the interval comes from.
        bare: The same of the untrained networks.
        gain: The same of the difference.
    """

    case: str
    criterion: Criterion
    value: float
    low: float
    high: float
    outcome: str
    over: str
    seeds: str
    control: float | None
    control_passes: bool | None
    difference: tuple[float, float, float] | None
    spread: Spread
    bare: Spread | None
    gain: Spread | None

    @cached_property
    def holds(self) -> float:
        """P value against the criterion's not being met: small where it is."""
        return _p(self.spread, self.criterion)

    @cached_property
    def fails(self) -> float:
        """P value against its being met: small where it is not."""
        return _p(self.spread, self.criterion, against=True)


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict, why, and the lines that it rests on.

    Attributes:
        claim: The claim.
        word: One of VERDICTS.
        because: Why.
        lines: All readings: each case's, then those of the mean over cases.
        deciding: The line that decided.
        p: P value of what was decided, or would be with more seeds; None where none is defined.
        detectable: The smallest effect on the deciding line that would be found; None of one run.
        needed: Seeds of each network that would decide; None where none would, or it is decided.
        calibration: Rows of seed_calibration.csv: the claim's statistics of seeds left out.
        in_this_run: Of one run, what its networks show: "holds" or "fails" for all of them,
            "differs" where it holds for some and fails for others, else "unclear".
        level: Confidence of the interval by which the deciding line is judged: CONFIDENCE, or more
            where it is one of several comparisons of which each could refute the claim. What is of
            one run, or out of reach, is not judged: CONFIDENCE.
    """

    claim: Claim
    word: str
    because: str
    lines: list[CriterionResult] = field(default_factory=list)
    deciding: CriterionResult | None = None
    p: float | None = None
    detectable: float | None = None
    needed: int | None = None
    calibration: list[dict[str, Any]] = field(default_factory=list)
    in_this_run: str = ""
    level: float = CONFIDENCE

    @property
    def ends(self) -> tuple[float, float]:
        """Of the deciding line's interval at `level`; NaN without such a line."""
        if self.deciding is None:
            return np.nan, np.nan
        if self.level == CONFIDENCE:
            return self.deciding.low, self.deciding.high
        estimate = self.deciding.spread.estimate
        ends = (float(end) for end in estimate.interval(self.level))
        _, low, high = self.deciding.criterion.told(float(estimate.value), *ends)
        return low, high


def judge(claim: Claim, evidence: Any) -> Verdict:
    """Judge one claim."""
    try:
        cases = [case for case in claim.cases(evidence) if case.readings]
        poor = {c.label for c in cases if not all(evidence.learned(n) for n in c.networks)}
        premises = claim.premises if cases else ()
        unmet = [words for p in premises if (words := p.unmet(evidence))]
        alone = [words for p in premises if (words := p.one_run(evidence))]
        caveats = [words for p in premises if (words := p.caveat(evidence))]
    except NotMeasured as reason:
        return Verdict(claim, NOT_RUN, str(reason))
    if not cases:
        return Verdict(claim, NOT_RUN, "no network of the runs is what this claim is about")
    found = _decide(claim, cases, poor, evidence, more_seeds=not unmet and not alone)
    word, because = found.word, found.because
    if unmet:
        word, because = OUT_OF_REACH, f"{'; '.join(unmet)}; {because}"
    elif claim.tier in OF_SCALE and _refutes(found):
        small = any(evidence.is_small(slug) for case in cases for slug in case.networks)
        word = OUT_OF_REACH if small and word != ONE_RUN else word
        because += f"; {OF_SCALE[claim.tier]}" if small else ""
    if alone and word != OUT_OF_REACH:
        word, because = ONE_RUN, "; ".join(dict.fromkeys([*alone, because]))
    beside = [words for case in cases for words in case.beside]
    because = "; ".join(dict.fromkeys([because, *caveats, *beside]))
    missing = dict.fromkeys(words for case in cases for words in case.missing)
    if missing:
        because += f"; in part not measured: {'; '.join(missing)}"
    rows = _calibration(claim, cases, evidence)
    level = CONFIDENCE if word in (ONE_RUN, OUT_OF_REACH) else found.level
    decided = replace(found, word=word, because=because, calibration=rows, level=level)
    if word != ONE_RUN:
        return replace(decided, in_this_run="")
    here = found.in_this_run or _in_this_run(_by_case(found.lines))
    return replace(decided, p=None, detectable=None, needed=None, in_this_run=here)


def _refutes(found: Verdict) -> bool:
    """Whether anything speaks against the claim: of one run, by intervals over images."""
    return found.word in (FAILS, LOST, DEPENDS) or found.in_this_run in ("fails", "differs")


def _calibration(claim: Claim, cases: Sequence[Case], evidence: Any) -> list[dict[str, Any]]:
    known = [_known(evidence, claim, criterion) for criterion in claim.criteria]
    sources = [source for case in cases for source in case.trained.sources]
    return [*calibration(claim.id, [c.name for c in claim.criteria], sources, known)]


def _decide(
    claim: Claim, cases: Sequence[Case], poor: set[str], evidence: Any, more_seeds: bool
) -> Verdict:
    """The verdict before premises and tiers.

    Args:
        claim: The claim.
        cases: Its architectures.
        poor: Labels of those that learned too little.
        evidence: The tables.
        more_seeds: Whether more seeds could decide it; not where a premise stands in the way.
    """
    by_case = {case.label: _lines(claim, [case], case.label, evidence, poor) for case in cases}
    lines = [line for own in by_case.values() for line in own]
    able = {label: own for label, own in by_case.items() if label not in poor}
    also = f"; learned too little: {', '.join(poor)}" if able and poor else ""
    if not able:
        because = f"learned too little: {', '.join(label for label in by_case if label in poor)}"
        return Verdict(claim, OUT_OF_REACH, because, lines, lines[0])
    whole = {c: own for c, own in able.items() if all(line.spread.is_whole for line in own)}
    if not whole:
        slugs = {slug for case in cases if case.label in able for slug in case.networks}
        because = _of_one_run(able, all(evidence.is_public(slug) for slug in slugs)) + also
        deciding, here = _worst(able), _in_this_run(able)
        return Verdict(claim, ONE_RUN, because, lines, deciding, in_this_run=here)
    if alone := [label for label in able if label not in whole]:
        left = {label: able[label] for label in alone}
        also += f"; left out as one run: {_by_direction(left)}"
    chosen = [case for case in cases if case.label in whole]
    judged = whole[chosen[0].label]
    if len(chosen) > 1:
        judged = _lines(claim, chosen, f"mean of {len(chosen)}", evidence)
        lines += judged
    holds, fails = _p_values(judged, [*whole.values()])
    word = HOLDS if holds <= ONE_SIDE else FAILS if fails <= ONE_SIDE else UNDECIDED
    p = min(1.0, 2 * min(holds, fails))
    if (differ := _differ(whole)) is not None:
        word, p = DEPENDS, differ
    deciding = _deciding(word, judged, [*whole.values()])
    level = _level(word, deciding, len(judged), len(whole))
    word, because = _explain(word, judged, whole, deciding)
    is_open = word == UNDECIDED and more_seeds
    needed = _needed(deciding, len(judged)) if is_open else None
    if is_open:
        because += _what_would_decide(deciding, judged, needed)
    bare = [c.label for c in chosen if c.untrained is None]
    if bare and not claim.of_estimator:
        because += f"; no untrained control for {', '.join(bare)}"
    detectable = deciding.spread.estimate.detectable
    because += also
    return Verdict(claim, word, because, lines, deciding, p, detectable, needed, level=level)


# -- lines ----------------------------------------------------------------------------------


def _lines(
    claim: Claim, cases: Sequence[Case], label: str, evidence: Any, poor: Collection[str] = ()
) -> list[CriterionResult]:
    """One line a criterion, of a case or of the mean over some."""
    lines = []
    for index, criterion in enumerate(claim.criteria):
        known = _known(evidence, claim, criterion)
        own = pooled([[(1.0, case.trained)] for case in cases], index, known)
        assert own is not None  # trained networks always say something
        bare = [(c.trained, c.untrained) for c in cases if c.untrained is not None]
        gains = [[(1.0, trained), (-1.0, untrained)] for trained, untrained in bare]
        control = pooled([[(1.0, untrained)] for _, untrained in bare], index, known)
        gain = pooled(gains, index, known)
        low, high = (own if own.is_whole else own.of_images).estimate.interval()
        if not own.is_whole and len(cases) == len(cases[0].readings) == 1:
            reading = cases[0].readings[0][index]
            low, high = reading.low, reading.high
        outcome = "learned too little" if label in poor else criterion.outcome(low, high)
        value, low, high = criterion.told(float(own.estimate.value), float(low), float(high))
        lines.append(
            CriterionResult(
                label,
                criterion,
                value,
                low,
                high,
                outcome,
                _over(claim, own),
                "; ".join(own.seeds),
                None if control is None else float(control.estimate.value),
                None if control is None else _passes(control, criterion),
                None if gain is None else criterion.told_difference(*_with_interval(gain)),
                own,
                control,
                gain,
            )
        )
    return lines


def _over(claim: Claim, found: Spread) -> str:
    """What an interval is over, in words."""
    if claim.of_estimator:
        return OVER_NETWORKS if found.architectures else OVER_IMAGES
    return OVER_ALL if found.is_whole else OVER_IMAGES


def _known(evidence: Any, claim: Claim, criterion: Criterion) -> Known | None:
    """What is known from elsewhere of the spread between seeds; None where that does not matter."""
    if claim.of_estimator:
        return None
    if evidence.spread is None:
        return lambda _: None
    known: Known = evidence.spread.known(claim.id, criterion.name)
    return known


def _with_interval(found: Spread) -> tuple[float, float, float]:
    """Its value and interval: over images only where one run is all there is."""
    estimate = (found if found.is_whole else found.of_images).estimate
    low, high = estimate.interval()
    return float(estimate.value), float(low), float(high)


def _passes(found: Spread, criterion: Criterion) -> bool:
    return criterion.outcome(*_with_interval(found)[1:]) == "holds"


# -- decisions --------------------------------------------------------------------------------


def _p(found: Spread | None, criterion: Criterion, against: bool = False) -> float:
    """P value against a criterion's not being met, or against its being met; 1 where undefined.

    Equality fulfils a threshold, unless that is 0, which is an order.
    """
    if found is None or not np.isfinite(_with_interval(found)).all():
        return 1.0
    estimate: Estimate = found.estimate
    if estimate.error == 0 and estimate.value == criterion.threshold:
        return 1.0 if against or criterion.threshold == 0 else 0.0
    is_upward = (criterion.direction == ">=") != against
    test = estimate.above if is_upward else estimate.below
    return float(test(criterion.threshold))


def _p_values(
    judged: Sequence[CriterionResult], each: Sequence[Sequence[CriterionResult]]
) -> tuple[float, float]:
    """Against a claim's not holding, and against its holding; see the module."""
    holds = min(max(line.holds for line in judged), max(o.holds for lines in each for o in lines))
    by_criterion = zip(judged, zip(*each, strict=True), strict=True)
    return holds, min(_p_fails(line, own, len(judged)) for line, own in by_criterion)


def _p_fails(mean: CriterionResult, each: Iterable[CriterionResult], criteria: int) -> float:
    """Against one of so many criteria being met: of the mean, or of each architecture by itself."""
    return min(1.0, criteria * min(mean.fails, max(line.fails for line in each)))


def _deciding(
    word: str, judged: Sequence[CriterionResult], each: Sequence[Sequence[CriterionResult]]
) -> CriterionResult:
    """The line that a verdict rests on: the mean's, where that decides; else one architecture's.

    Where only each architecture by itself decides, it is the least clear one: all others are
    clearer.
    """
    if word == DEPENDS:
        return min((line for lines in each for line in lines), key=lambda line: line.fails)
    if word == FAILS:
        if len(judged) * min(line.fails for line in judged) <= ONE_SIDE:
            return min(judged, key=lambda line: line.fails)
        lines_of: Iterable[Sequence[CriterionResult]] = zip(*each, strict=True)
        by_criterion = [max(lines, key=lambda o: o.fails) for lines in lines_of]
        return min(by_criterion, key=lambda line: line.fails)
    by_mean = max(judged, key=lambda line: line.holds)
    if word == UNDECIDED or by_mean.holds <= ONE_SIDE:
        return by_mean
    return max((line for lines in each for line in lines), key=lambda line: line.holds)


def _level(word: str, line: CriterionResult, criteria: int, architectures: int) -> float:
    """Confidence of the interval that the deciding line is judged by (`_p_values`, `_differ`).

    A value that meets its criterion is judged at CONFIDENCE, since all must; one that does not, at
    what keeps to CONFIDENCE for all criteria together (Bonferroni), of each architecture where
    these differ.
    """
    if word != DEPENDS and line.criterion.admits(line.value):
        return CONFIDENCE
    return _together(criteria * (architectures if word == DEPENDS else 1))


def _together(comparisons: int) -> float:
    """Confidence of each of so many intervals that keep to CONFIDENCE together (Bonferroni)."""
    return CONFIDENCE if comparisons == 1 else 1 - (1 - CONFIDENCE) / comparisons


def _differ(whole: dict[str, list[CriterionResult]]) -> float | None:
    """P value of architectures being on different sides; None where that is not shown."""
    count = len(whole)
    holds = {label: count * max(o.holds for o in own) for label, own in whole.items()}
    fails = {label: count * len(own) * min(o.fails for o in own) for label, own in whole.items()}
    best, worst = min(holds.values()), min(fails.values())
    return min(1.0, 2 * max(best, worst)) if max(best, worst) <= ONE_SIDE else None


def _explain(
    word: str,
    judged: Sequence[CriterionResult],
    whole: dict[str, list[CriterionResult]],
    deciding: CriterionResult,
) -> tuple[str, str]:
    """The final word, with what training did, and why."""
    because, untrained_networks = _by_direction(whole), "untrained networks"
    if len(whole) > 1:
        because = f"{_by_direction({judged[0].case: [*judged]})}; by itself: {because}"
    if word in (HOLDS, FAILS) and deciding not in judged:
        because += ", which decides"
        untrained_networks += f" ({judged[0].case})"
    if word == UNDECIDED and any(line.outcome == "fails" for line in judged):
        level = 100 * _together(len(judged))
        because += (
            f"; one criterion fails at {100 * CONFIDENCE:.3g} %, but not at the {level:.3g} % that "
            f"{len(judged)} criteria need to keep to {100 * CONFIDENCE:.3g} % together"
        )
    untrained = [line for line in judged if line.bare is not None]
    if word not in (HOLDS, FAILS) or not untrained:
        return word, because
    bare = max(_p_untrained(line) for line in untrained)
    has_all = len(untrained) == len(judged) or word == HOLDS
    if bare <= ONE_SIDE and has_all:
        if word == HOLDS:
            line = max(untrained, key=_p_untrained)
            return INITIAL, f"{because}; {untrained_networks}: {_control(line)}{_trained_by(line)}"
        own = zip(judged, zip(*whole.values(), strict=True), strict=True)
        failing = [line for line, each in own if _p_fails(line, each, len(judged)) <= ONE_SIDE]
        lost = [o for o in failing if len(judged) * _p_gain(o, towards=False) <= ONE_SIDE]
        if lost:
            return (
                LOST,
                f"{because}; {untrained_networks}: {_control(lost[0])}{_trained_by(lost[0])}",
            )
        return FAILS, f"{because}; {untrained_networks}: {_control(untrained[0])}"
    if word == FAILS:
        return FAILS, because
    open_ones = [o for o in untrained if _p_untrained(o) > ONE_SIDE]
    line = min(open_ones, key=lambda o: _p_gain(o, towards=True))
    if len(open_ones) * _p_gain(line, towards=True) <= ONE_SIDE:
        return LEARNED, f"{because}; {untrained_networks}: {_control(line)}{_trained_by(line)}"
    return HOLDS, f"{because}; whether it is learned is open: {_why_open(line, untrained_networks)}"


def _p_untrained(line: CriterionResult) -> float:
    """P value against untrained networks' not meeting a criterion; 1 of one initialisation."""
    return _p(line.bare, line.criterion) if line.bare and line.bare.is_whole else 1.0


def _p_gain(line: CriterionResult, towards: bool) -> float:
    """P value of training having moved a criterion towards being met, or away from it."""
    if line.gain is None or not line.gain.is_whole:
        return 1.0
    return _p(line.gain, Criterion("", line.criterion.direction, 0.0), against=not towards)


def _needed(line: CriterionResult, criteria: int) -> int | None:
    """Seeds that would decide the line of one of so many criteria (`_p_values`: Bonferroni)."""
    distance = float(line.value - line.criterion.threshold)
    if not np.isfinite(distance) or not distance:
        return None
    level = CONFIDENCE if line.criterion.admits(line.value) else _together(criteria)
    return line.spread.needed(distance, level)


# -- words ------------------------------------------------------------------------------------


def _control(line: CriterionResult) -> str:
    if line.bare is None:
        return ""
    told = line.criterion.told(*_with_interval(line.bare))
    bar = (line.criterion.threshold,)
    return f"{line.criterion.name} {interval(told, bar, write=significant, digits=3)}"


def _trained_by(line: CriterionResult) -> str:
    """What training adds, or takes: the difference with its interval."""
    if line.gain is None or line.difference is None:
        return ""
    ends = interval(line.difference, (0.0,), write=significant, digits=3)
    over = "" if line.gain.is_whole else f", over {OVER_IMAGES} only"
    return f"; difference by training {ends}{over}"


def _why_open(line: CriterionResult, untrained_networks: str) -> str:
    if line.bare is None or line.gain is None or line.difference is None:
        return "no untrained control"
    if not np.isfinite(line.difference).all():
        return "the untrained networks' value is undefined"
    return f"{untrained_networks}: {_control(line)}{_trained_by(line)}"


def _what_would_decide(
    line: CriterionResult, judged: Sequence[CriterionResult], needed: int | None
) -> str:
    effect = line.spread.estimate.detectable
    if not np.isfinite(effect):
        return "; its error is not known"
    seen = f"; an effect of {significant(effect)} would be seen"
    widest = _widest(judged)
    if widest is not None:
        matters = widest.criterion.matters
        few = widest.spread.estimate.detectable > matters
        seen = ("" if few and widest is line else seen) + _of_what_matters(widest, judged)
        if few and needed is None and widest.spread.needed(matters) is None:
            return seen
    if needed is None:
        return f"{seen}; more seeds alone would not decide"
    return (
        f"{seen}; about {needed} seeds of each network would decide, if the truth is what was "
        "measured"
    )


def _widest(judged: Sequence[CriterionResult]) -> CriterionResult | None:
    """Of the criteria that are open the one whose smallest effect is furthest from being seen."""
    known = [
        line
        for line in judged
        if line.outcome == "unclear"
        and line.spread.counts
        and np.isfinite([line.criterion.matters, line.spread.estimate.detectable]).all()
    ]
    return max(
        known, key=lambda o: o.spread.estimate.detectable / o.criterion.matters, default=None
    )


def _of_what_matters(line: CriterionResult, judged: Sequence[CriterionResult]) -> str:
    """Whether the seeds at hand can show the smallest effect that matters; else how many would."""
    matters, effect = line.criterion.matters, line.spread.estimate.detectable
    size, seeds = significant(matters), _seeds(line.spread.counts)
    if effect <= matters:
        return f"; {size} matters here, for which {seeds} are enough"
    would = line.spread.needed(matters)
    more = "more seeds alone would not do" if would is None else f"about {would} seeds would do"
    where = f" in {line.criterion.name}" if len({o.criterion.name for o in judged}) > 1 else ""
    return (
        f"; with {seeds} a difference below {significant(effect)}{where} could not be seen; {size} "
        f"matters here; {more}"
    )


def _seeds(counts: Sequence[int]) -> str:
    """Such as "3 and 1 seeds"; of several networks with as many seeds once."""
    told = [str(count) for count in dict.fromkeys(counts)]
    joined = " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)
    return f"{joined} {'seed' if told == ['1'] else 'seeds'}"


def _of_one_run(able: dict[str, list[CriterionResult]], is_public: bool) -> str:
    alone = dict.fromkeys(a for own in able.values() for line in own for a in line.spread.alone)
    more = "other weights of their kind may differ" if is_public else "needs a second seed"
    return (
        f"one run of {', '.join(alone)}, so the interval is over images only: "
        f"{_by_direction(able)}; {more}"
    )


def _by_case(lines: Sequence[CriterionResult]) -> dict[str, list[CriterionResult]]:
    """Lines of the cases that learned enough, and of their mean."""
    able = [line for line in lines if line.outcome in ("holds", "fails", "unclear")]
    return {
        label: [line for line in able if line.case == label] for label in (o.case for o in able)
    }


def _in_this_run(able: dict[str, list[CriterionResult]]) -> str:
    """What networks of one run show, by intervals over images."""
    found = {_outcome(own) for own in able.values()}
    if len(found) == 1:
        return found.pop().replace("undefined", "unclear")
    return "differs" if {"holds", "fails"} <= found else "unclear"


def _outcome(own: Sequence[CriterionResult]) -> str:
    """The word for a case: the worst of its criteria's."""
    outcomes = [_said(line) for line in own]
    return next(w for w in ("fails", "undefined", "unclear", "holds") if w in outcomes)


def _by_direction(by_case: dict[str, list[CriterionResult]]) -> str:
    """Cases by what their own intervals say."""
    said: dict[str, list[str]] = {}
    for label, own in by_case.items():
        word = _outcome(own)
        names = [line.criterion.name for line in own if _said(line) == word]
        where = "" if word == "holds" else f" ({', '.join(names)})"
        said.setdefault(word, []).append(f"{label}{where}")
    return "; ".join(f"{word} for {', '.join(own)}" for word, own in said.items())


def _said(line: CriterionResult) -> str:
    is_defined = np.isfinite([line.value, line.low, line.high]).all()
    return line.outcome if is_defined else "undefined"


def _worst(by_case: dict[str, list[CriterionResult]]) -> CriterionResult:
    order = ("fails", "unclear", "holds")
    lines = [line for own in by_case.values() for line in own]
    return min(lines, key=lambda line: order.index(line.outcome))
