"""From readings to a verdict: one rule for all claims.

A claim must hold for every architecture it is about. For one architecture the interval runs over
its seeds, from the lowest end of their intervals to the highest (the paper shows one run a model).

* reproduced: every criterion holds for every architecture, with its whole interval.
* not reproduced: for some architecture a criterion fails with its whole interval.
* inconclusive: an interval covers a threshold or is undefined.
* uninformative: it would be reproduced, but for half of the architectures or more the untrained
  networks pass as well: their values fulfil every criterion with their whole intervals too.
* out of reach: the claim cannot be tested on these networks. One of them learned too little; or a
  premise of the claim is not met; or the claim is about large networks or much data (tier B or C),
  it fails, and so few images were used for training that the paper's own networks might fail too.
* not run: something is not among the results.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sightlines.claims.claim import Case, Claim, Criterion, Reading
from sightlines.claims.evidence import NotMeasured
from sightlines.results.verdict_words import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    OUT_OF_REACH,
    REPRODUCED,
    UNINFORMATIVE,
)

OF_SCALE = {
    "B": "the claim is about large or pretrained networks, which these are not",
    "C": "the claim is about more data than these networks have seen",
}
"""Tier -> why a small network's failure says nothing against the claim."""


@dataclass(frozen=True)
class Line:
    """One criterion of one case, over its seeds.

    Attributes:
        case: Its label.
        criterion: The inequality.
        value: Mean over seeds.
        low: Lowest end over seeds.
        high: Highest end over seeds.
        outcome: "holds", "fails", "unclear", or "learned too little".
        control: Value of the untrained networks; None without any.
        control_passes: Whether it fulfils the criterion with its whole interval.
    """

    case: str
    criterion: Criterion
    value: float
    low: float
    high: float
    outcome: str
    control: float | None
    control_passes: bool | None


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict, why, and the lines that it rests on."""

    claim: Claim
    word: str
    because: str
    lines: list[Line] = field(default_factory=list)

    @property
    def deciding(self) -> Line | None:
        """The line that decided: the first of the worst outcome."""
        order = ("fails", "learned too little", "unclear", "holds")
        return min(self.lines, key=lambda line: order.index(line.outcome), default=None)


def judge(claim: Claim, evidence: Any) -> Verdict:
    """Judge one claim."""
    try:
        cases = [case for case in claim.cases(evidence) if case.readings]
        lines = [line for case in cases for line in _lines(claim, case, evidence.learned)]
        unmet = [words for p in claim.premises if (words := p.unmet(evidence))] if cases else []
    except NotMeasured as reason:
        return Verdict(claim, NOT_RUN, str(reason))
    if not cases:
        return Verdict(claim, NOT_RUN, "no network of the runs is what this claim is about")
    word, because = _decide(cases, lines)
    if unmet:
        word, because = OUT_OF_REACH, f"{'; '.join(unmet)}; {because}"
    elif word == NOT_REPRODUCED and claim.tier in OF_SCALE:
        small = any(evidence.is_small(slug) for case in cases for slug in case.networks)
        word = OUT_OF_REACH if small else word
        because += f"; {OF_SCALE[claim.tier]}" if small else ""
    missing = dict.fromkeys(words for case in cases for words in case.missing)
    if missing:
        because += f"; in part not measured: {'; '.join(missing)}"
    return Verdict(claim, word, because, lines)


def _lines(claim: Claim, case: Case, learned: Callable[[str], bool]) -> list[Line]:
    poor = [slug for slug in case.networks if not learned(slug)]
    lines = []
    for index, criterion in enumerate(claim.criteria):
        readings = [seed[index] for seed in case.readings]
        low, high = min(r.low for r in readings), max(r.high for r in readings)
        if any(r.low != r.low or r.high != r.high for r in readings):
            low = high = float("nan")
        value = sum(r.value for r in readings) / len(readings)
        outcome = "learned too little" if poor else criterion.outcome(low, high)
        control = None if case.control is None else case.control[index]
        facts = (None, None) if control is None else (control.value, _passes(criterion, control))
        lines.append(Line(case.label, criterion, value, low, high, outcome, *facts))
    return lines


def _decide(cases: list[Case], lines: list[Line]) -> tuple[str, str]:
    by_case = {case.label: [line for line in lines if line.case == case.label] for case in cases}
    failing = _named(by_case, "fails")
    holding = [c for c, own in by_case.items() if all(line.outcome == "holds" for line in own)]
    if failing:
        also = f"; holds for {', '.join(holding)}" if holding else ""
        return NOT_REPRODUCED, f"fails for {'; '.join(failing)}{also}"
    if poor := _named(by_case, "learned too little", name_criterion=False):
        return OUT_OF_REACH, f"learned too little: {'; '.join(poor)}"
    if wide := _named(by_case, "unclear"):
        return INCONCLUSIVE, f"the interval covers a threshold or is undefined: {'; '.join(wide)}"
    passing = [case for case, own in by_case.items() if _control_passes(own)]
    bare = [case.label for case in cases if case.control is None]
    if 2 * len(passing) >= len(cases) - len(bare) > 0:
        which = "" if len(passing) == len(cases) else f" for {', '.join(passing)}"
        return UNINFORMATIVE, f"the untrained networks pass as well{which}"
    also = f"; untrained, {', '.join(passing)} pass as well" if passing else ""
    without = f"; no untrained control for {', '.join(bare)}" if bare else ""
    return REPRODUCED, f"holds for {', '.join(holding)}{also}{without}"


def _named(by_case: dict[str, list[Line]], outcome: str, name_criterion: bool = True) -> list[str]:
    named = []
    for case, lines in by_case.items():
        found = [line.criterion.name for line in lines if line.outcome == outcome]
        if found:
            named.append(f"{case} ({', '.join(found)})" if name_criterion else case)
    return named


def _passes(criterion: Criterion, control: Reading) -> bool:
    return criterion.outcome(control.low, control.high) == "holds"


def _control_passes(lines: list[Line]) -> bool:
    passes = [line.control_passes for line in lines if line.control_passes is not None]
    return bool(passes) and all(passes)
