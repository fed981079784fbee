"""What a claim of the paper is, and what is read off the tables to judge it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from sightlines.claims.evidence import Evidence
from sightlines.stats.jackknife import standard_error

CONFIDENCE = 0.95
"""Of every interval."""


@dataclass(frozen=True)
class Reading:
    """A statistic of one network, or of one pair: its value and its interval over images.

    Attributes:
        value: From all images.
        low: Lower end of the interval; equal to `value` where the statistic has no sampling error.
        high: Its upper end.
    """

    value: float
    low: float
    high: float

    def plus(self, constant: float) -> "Reading":
        """The reading of the statistic plus a constant."""
        return Reading(self.value + constant, self.low + constant, self.high + constant)


def from_replicates(replicates: Any) -> Reading:
    """A reading with its jackknife interval.

    Args:
        replicates: [1 + groups] values in the order of `stats.jackknife.leave_one_out`.

    Returns:
        value ± t · standard error, with groups - 1 degrees of freedom; an interval without ends
        (NaN) where the error cannot be estimated.
    """
    values = np.asarray(replicates, np.float64)
    error = float(standard_error(values))
    half = stdtrit(len(values) - 2, (1 + CONFIDENCE) / 2) * error if len(values) > 2 else np.nan
    return Reading(float(values[0]), float(values[0] - half), float(values[0] + half))


def from_draws(draws: Any) -> Reading:
    """A reading with its percentile interval.

    Args:
        draws: [1 + draws] values of a statistic of what `statistics.resampled` gives.

    Returns:
        The value and the interval that holds CONFIDENCE of the draws and the value; without ends
        (NaN) where a draw is undefined.
    """
    value, *drawn = np.asarray(draws, np.float64)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile([*drawn, value], [tail, 1 - tail])
    return Reading(float(value), float(min(low, value)), float(max(high, value)))


def from_shares(terms: Sequence[tuple[float, float, int]]) -> Reading:
    """A weighted sum of shares of images (accuracies), with its binomial interval.

    Args:
        terms: (weight, share, images) each; taken as independent, which is wider than a paired
            interval where the images are the same.
    """
    value = sum(weight * share for weight, share, _ in terms)
    variance = sum(w**2 * max(p * (1 - p), 1 / n) / n for w, p, n in terms)
    half = 1.959964 * variance**0.5
    return Reading(value, value - half, value + half)


def exactly(value: float) -> Reading:
    """A reading without sampling error, or whose error nothing here estimates."""
    return Reading(value, value, value)


@dataclass(frozen=True)
class Criterion:
    """One inequality of a claim: the statistic must be at least, or at most, the threshold.

    Attributes:
        name: The statistic, as tables and the report call it.
        sense: ">=" or "<=".
        threshold: Set before any result was seen.
    """

    name: str
    sense: str
    threshold: float

    def outcome(self, low: float, high: float) -> str:
        """Of an interval: "holds", "fails", or "unclear" where it covers the threshold.

        A threshold of 0 is an order, which equality (nothing changed) does not show.
        """
        worst, best = (low, high) if self.sense == ">=" else (-high, -low)
        bar = self.threshold if self.sense == ">=" else -self.threshold
        if not (np.isfinite(worst) and np.isfinite(best)) or (worst == bar == 0):
            return "unclear"
        return "holds" if worst >= bar else "fails" if best < bar else "unclear"

    def admits(self, value: float) -> bool:
        """Whether a value fulfils it."""
        return self.outcome(value, value) == "holds"

    def __str__(self) -> str:
        return f"{'≥' if self.sense == '>=' else '≤'} {self.threshold:g}"


@dataclass(frozen=True)
class Case:
    """One architecture, or one combination of them, for which a claim must hold.

    Attributes:
        label: As readers know it, such as "ViT-S × ResNet".
        networks: Slugs of the trained networks behind it; each must have learned.
        readings: One list a seed, in the order of the claim's criteria.
        control: The same statistics of the untrained networks, None for one that says nothing
            of them; None in all where there are none.
        missing: Seeds, or other cases, of which the results lack something, with what that is.
    """

    label: str
    networks: list[str]
    readings: list[list[Reading]]
    control: Sequence[Reading | None] | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Premise:
    """What must be true of the networks here for a claim to be testable on them.

    Attributes:
        says: In a few words, such as "fewer images cost accuracy".
        unmet: Reads off the tables what speaks against it, with what would meet it; empty where
            nothing does.
    """

    says: str
    unmet: "Callable[[Evidence], str]"


Cases = Callable[[Evidence], list[Case]]
Opinion = Callable[[Evidence, str], bool]


@dataclass(frozen=True)
class Claim:
    """A falsifiable sentence of the paper, declared before there are results.

    Attributes:
        id: As in docs/claims.md, such as "C1".
        figure: The paper's figure.
        statement: In one sentence.
        statistic: What is computed, in words.
        criteria: All must hold.
        reason: Why these thresholds.
        paper_value: What the paper's figure or text says.
        source: How that value is known: "[text]" or "[fig]".
        tier: "A" at any scale, "B" for pretrained or large networks, "C" about data at scale; "A/B"
            where the paper leaves it open.
        controls: What it is held against, in words.
        drawn: Our figure that shows it.
        cases: Reads the cases off the tables.
        premises: What must be true for it to be testable.
        opinion: For claims about similarity: whether it stands under another index.
        amended: When it was amended last (docs/amendments.md); empty: never.
        former: Where a criterion was loosened, the claim as it was before: both are judged.
    """

    id: str
    figure: str
    statement: str
    statistic: str
    criteria: tuple[Criterion, ...]
    reason: str
    paper_value: str
    source: str
    tier: str
    controls: str
    drawn: str
    cases: Cases
    opinion: Opinion | None = None
    premises: tuple[Premise, ...] = ()
    amended: str = ""
    former: "Claim | None" = None

    def loosened(self, when: str, **former: Any) -> "Claim":
        """This claim, which was stricter before.

        Args:
            when: Date of the amendment.
            former: What was different before it.
        """
        return replace(self, amended=when, former=replace(self, opinion=None, **former))
