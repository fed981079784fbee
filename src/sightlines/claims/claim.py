"""What a claim of the paper is, and what is read off the tables to judge it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from sightlines.claims.evidence import Evidence
from sightlines.stats.jackknife import standard_error
from sightlines.stats.nested import CONFIDENCE


@dataclass(frozen=True)
class Reading:
    """A statistic of one network, or of one pair: its value and its interval over images.

    Attributes:
        value: From all images.
        low: Lower end of the interval; equal to `value` where the statistic has no sampling error.
        high: Its upper end.
        moves: [groups or draws]: how the value moves with the images, so scaled that the sum of
            squares is its variance. Networks that saw the same images move together: what a
            sum of readings moves by is the sum of their moves. None where `error` is all there is.
        error: Standard error without `moves`; of several readings, errors are taken to add up.
        freedom: Degrees of freedom of that variance.
        of: Of a share, how many things it is a share of, which vary from seed to seed (blocks,
            tokens); 0 where it is none.
        step: Of a statistic that takes few values (a median, a rank correlation of few layers), the
            smallest change that one swap or one layer makes; 0 where it moves smoothly.
    """

    value: float
    low: float
    high: float
    moves: Any = field(default=None, compare=False, repr=False)
    error: float = field(default=0.0, compare=False, repr=False)
    freedom: float = field(default=np.inf, compare=False, repr=False)
    of: int = field(default=0, compare=False, repr=False)
    step: float = field(default=0.0, compare=False, repr=False)

    def plus(self, constant: float) -> "Reading":
        """The reading of the statistic plus a constant."""
        moved = (self.value + constant, self.low + constant, self.high + constant)
        return Reading(*moved, self.moves, self.error, self.freedom, self.of, self.step)


def from_replicates(replicates: Any) -> Reading:
    """A reading with its jackknife interval.

    Args:
        replicates: [1 + groups] values in the order of `stats.jackknife.leave_one_out`.

    Returns:
        value ± t · standard error, with groups - 1 degrees of freedom; an interval without ends
        (NaN) where the error cannot be estimated.
    """
    values = np.asarray(replicates, np.float64)
    groups = len(values) - 1
    error = float(standard_error(values))
    half = stdtrit(groups - 1, (1 + CONFIDENCE) / 2) * error if groups > 1 else np.nan
    value, left_out = float(values[0]), values[1:]
    if groups < 2:
        return Reading(value, np.nan, np.nan, error=np.nan)
    moves = np.sqrt((groups - 1) / groups) * (left_out - left_out.mean())
    return Reading(
        value, float(value - half), float(value + half), moves, freedom=float(groups - 1)
    )


def from_draws(draws: Any, step: float = 0.0) -> Reading:
    """A reading with its percentile interval.

    Args:
        draws: [1 + draws] values of a statistic of what `statistics.resampled` gives; they are
            spread as t's distribution asks for, so that no degrees of freedom are to be allowed
            for again.
        step: Of a statistic that takes few values (`Reading`).

    Returns:
        The value and the interval that holds CONFIDENCE of the draws and the value; without ends
        (NaN) where a draw is undefined.
    """
    value, *drawn = np.asarray(draws, np.float64)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile([*drawn, value], [tail, 1 - tail])
    moves = (np.array(drawn) - np.mean(drawn)) / np.sqrt(len(drawn))
    ends = float(min(low, value)), float(max(high, value))
    return Reading(float(value), *ends, moves, step=step)


def from_shares(terms: Sequence[tuple[float, float, int]]) -> Reading:
    """A weighted sum of shares of images (accuracies), with its binomial interval.

    Args:
        terms: (weight, share, images) each; taken as independent, which is wider than a paired
            interval where the images are the same.
    """
    value = sum(weight * share for weight, share, _ in terms)
    variance = sum(w**2 * max(p * (1 - p), 1 / n) / n for w, p, n in terms)
    half = 1.959964 * variance**0.5
    return Reading(value, value - half, value + half, error=variance**0.5)


def exactly(value: float) -> Reading:
    """A reading without sampling error, or whose error nothing here estimates."""
    return Reading(value, value, value)


OF_SHARES, OF_CORRELATIONS = (0.0, 1.0), (-1.0, 1.0)
"""Bounds of shares and relative depths; of correlations."""


@dataclass(frozen=True)
class Criterion:
    """One inequality of a claim: the statistic must be at least, or at most, the threshold.

    Attributes:
        name: The statistic, as tables and the report call it.
        direction: ">=" or "<=".
        threshold: Set before any result was seen.
        bounds: Between which the statistic lies whatever the networks; what is told of an interval
            ends there.
        smallest: The smallest effect on a statistic of its kind that matters (`effects`).
    """

    name: str
    direction: str
    threshold: float
    bounds: tuple[float, float] = (-np.inf, np.inf)
    smallest: float = np.nan

    @property
    def matters(self) -> float:
        """Distance from the threshold that matters; NaN where none is declared."""
        return min(self.smallest, abs(self.threshold) or np.inf)

    def outcome(self, low: float, high: float) -> str:
        """Of an interval: "holds", "fails", or "unclear" where it covers the threshold.

        A threshold of 0 is an order, which equality (nothing changed) does not show.
        """
        worst, best = (low, high) if self.direction == ">=" else (-high, -low)
        bar = self.threshold if self.direction == ">=" else -self.threshold
        if not (np.isfinite(worst) and np.isfinite(best)) or (worst == bar == 0):
            return "unclear"
        return "holds" if worst >= bar else "fails" if best < bar else "unclear"

    def admits(self, value: float) -> bool:
        """Whether a value fulfils it."""
        return self.outcome(value, value) == "holds"

    def told(self, value: float, low: float, high: float) -> tuple[float, float, float]:
        """A value and its interval, which ends where the statistic does."""
        least, most = self.bounds
        return value, float(np.clip(low, least, most)), float(np.clip(high, least, most))

    def told_difference(self, value: float, low: float, high: float) -> tuple[float, float, float]:
        """`told` of a difference of two values."""
        reach = self.bounds[1] - self.bounds[0]
        return value, float(np.clip(low, -reach, reach)), float(np.clip(high, -reach, reach))

    def __str__(self) -> str:
        return f"{'≥' if self.direction == '>=' else '≤'} {self.threshold:g}"


@dataclass(frozen=True)
class Source:
    """What the networks of one model, or of some, make of a case: their seeds are its units.

    Attributes:
        label: The models whose networks differ from unit to unit, as readers know them.
        units: Slugs of these networks in each unit; units share none.
        readings: One list a unit, in the order of the claim's criteria, with all other networks of
            the case held; None where there is one unit, which has no spread.
        weights: Share of each unit in the mean over the case's seeds.
    """

    label: str
    units: tuple[tuple[str, ...], ...]
    readings: "tuple[Sequence[Reading | None], ...] | None"
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Sample:
    """A statistic of the networks of several seeds, and where its spread comes from.

    Attributes:
        readings: One list a seed, in the order of the claim's criteria; None for one that says
            nothing of these networks.
        sources: Of the spread between seeds.
    """

    readings: "Sequence[Sequence[Reading | None]]"
    sources: tuple[Source, ...]

    @classmethod
    def independent(cls, readings: "Sequence[Sequence[Reading | None]]", label: str) -> "Sample":
        """Of readings that share no network."""
        count = len(readings)
        units = tuple((f"{label} {number}",) for number in range(count))
        own = tuple(readings) if count > 1 else None
        return cls(readings, (Source(label, units, own, (1 / count,) * count),))


@dataclass(frozen=True)
class Case:
    """One architecture, or one combination of them, for which a claim must hold.

    Attributes:
        label: As readers know it, such as "ViT-S × ResNet".
        networks: Slugs of the trained networks behind it; each must have learned.
        readings: One list a seed, in the order of the claim's criteria.
        control: The same statistics of the untrained networks, None for one that says nothing
            of them; None in all where there are none. Of several initialisations: `controls`.
        missing: Seeds, or other cases, of which the results lack something, with what that is.
        beside: What else the verdict is to say of it, in words.
        sources: Where the spread between seeds comes from; empty: every seed has networks of its
            own.
        controls: The untrained networks' readings, once an initialisation; None: `control` has
            those of the only one.
    """

    label: str
    networks: list[str]
    readings: list[list[Reading]]
    control: Sequence[Reading | None] | None = None
    missing: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    controls: Sample | None = None
    beside: tuple[str, ...] = ()

    @property
    def trained(self) -> Sample:
        """The trained networks' readings."""
        if self.sources:
            return Sample(self.readings, self.sources)
        return Sample.independent(self.readings, self.label)

    @property
    def untrained(self) -> Sample | None:
        """The untrained networks' readings, if there are any."""
        if self.control is None:
            return None
        if self.controls is not None:
            return self.controls
        return Sample.independent([self.control], f"{self.label}, untrained")


@dataclass(frozen=True)
class Premise:
    """What must be true of the networks here for a claim to be testable on them.

    Attributes:
        says: In a few words, such as "fewer images cost accuracy".
        unmet: Reads off the tables what speaks against it, with what would meet it; empty where
            nothing does.
        one_run: What is so of these images and might not be of other seeds, with what would tell;
            empty where nothing is: then the claim is of one run, whatever its own intervals are.
        caveat: What the verdict is to say of a premise that is neither met nor unmet; empty where
            there is nothing.
    """

    says: str
    unmet: "Callable[[Evidence], str]"
    one_run: "Callable[[Evidence], str]" = lambda _: ""
    caveat: "Callable[[Evidence], str]" = lambda _: ""


Cases = Callable[[Evidence], list[Case]]
RobustnessCheck = Callable[[Evidence, str], bool]


@dataclass(frozen=True)
class Claim:
    """A falsifiable sentence of the paper, declared before there are results.

    Attributes:
        id: As in docs/claims.md, such as "C1".
        figure: The paper's figure.
        title: What it says in at most 60 characters, for where there is one line for it.
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
        robustness_check: For claims about similarity: whether it stands under another index.
        amended: When it was amended last (docs/amendments.md); empty: never.
        former: Where a criterion was loosened, the claim as it was before: both are judged.
        of_estimator: It is about how something is measured, whatever the networks: their seeds add
            nothing to its interval, which the spread between networks widens all the same.
    """

    id: str
    figure: str
    title: str
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
    robustness_check: RobustnessCheck | None = None
    premises: tuple[Premise, ...] = ()
    amended: str = ""
    former: "Claim | None" = None
    of_estimator: bool = False

    def loosened(self, when: str, **former: Any) -> "Claim":
        """This claim, which was stricter before.

        Args:
            when: Date of the amendment.
            former: What was different before it.
        """
        return replace(self, amended=when, former=replace(self, robustness_check=None, **former))
