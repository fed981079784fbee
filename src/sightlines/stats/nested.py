"""Estimates that nest images in seeds in architectures: how far they would move with other ones.

The mean over the networks at hand has an error from these sources, whose variances add up:

* *images*: the networks of all seeds see the same ones, so replicates are averaged over seeds
  first and the average is jackknifed (`stats.jackknife`);
* *seeds*: the variance s² between seeds, d degrees of freedom, gives s² Σw² for a mean with weights
  w. s² holds what single networks differ by for their images' sake as well, which is counted twice:
  the error comes out too large rather than too small. Where the spread is known from elsewhere,
  (d₀, s₀²), both are pooled: (d₀ s₀² + d s²) / (d₀ + d), with d₀ + d degrees of freedom (Smyth
  2004, "Linear models and empirical Bayes methods for assessing differential expression", section
  3, where d₀ and s₀² are estimated from other genes; here, from other networks of the family);
* *granularity* of what takes few values (shares of few blocks, medians and ranks of few layers), in
  which seeds agree by chance: see `granularity` and `by_steps`. It is a part of its own, whose
  squares of half widths add up with the others';
* *architectures*: see `between_architectures`.

The parts that networks make have together Satterthwaite's degrees of freedom (1946, "An approximate
distribution of estimates of variance components", equation 17): of variances V = Σ Vᵢ with dᵢ,
V² / Σ (Vᵢ² / dᵢ). The images' part, of other degrees of freedom, is added to it as squares of half
widths are: half² = t² V + t′² V′, which keeps to 95 % where few seeds agree by chance (as with
Howe's and other modified large-sample intervals: Burdick and Graybill 1992, "Confidence intervals
on variance components", section 3.2); one sum of all would let the images' many degrees of freedom
speak for two seeds.

All functions take arrays with any leading axes: 10,000 simulated experiments go through at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

CONFIDENCE = 0.95
"""Of every interval."""
POWER = 0.8
"""With which an effect is to be found."""
STEPS = 20
"""Halvings of the interval in which a P value lies."""
MANY = 1e6
"""Degrees of freedom from which t's distribution is taken for the normal one."""


@dataclass(frozen=True)
class Estimate:
    """A value with the parts of its variance.

    Attributes:
        value: [...].
        variances: [parts, ...]: of the value, by source, images first.
        freedoms: [parts, ...]: degrees of freedom of each; infinite for what is known.
        granular: [...]: part of the variance that is its granularity's.
    """

    value: Any
    variances: Any
    freedoms: Any
    granular: Any = 0.0

    @property
    def error(self) -> Any:
        """Standard error [...]."""
        return np.sqrt(np.sum(self.variances, axis=0) + self.granular)

    @property
    def freedom(self) -> Any:
        """Satterthwaite's degrees of freedom of all but the images' part [...]."""
        return satterthwaite(self.variances[1:], self.freedoms[1:])

    def half_width(self, quantile: float | Any = (1 + CONFIDENCE) / 2) -> Any:
        """Half the width of an interval [...], by the quantile of t's distribution."""
        return self._half_width(quantile, np.sum(self.variances[1:], axis=0), self.freedom)

    def _half_width(self, quantile: Any, others: Any, freedom: Any) -> Any:
        squares = student(self.freedoms[0], quantile) ** 2 * self.variances[0]
        squares = squares + ndtri(quantile) ** 2 * self.granular
        return np.sqrt(squares + student(freedom, quantile) ** 2 * others)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[Any, Any]:
        """Ends of the interval [...] each."""
        half = self.half_width((1 + confidence) / 2)
        return self.value - half, self.value + half

    def above(self, threshold: float) -> Any:
        """P value of the truth being the threshold, or less: small where the value is above it.

        The level at which the interval just reaches the threshold [...], to 1 in a million.
        """
        distance = np.asarray(self.value, np.float64) - threshold
        low, high = np.full(distance.shape, 0.5), np.ones(distance.shape)
        others, freedom = np.sum(self.variances[1:], axis=0), self.freedom
        for _ in range(STEPS):
            middle = (low + high) / 2
            is_within = self._half_width(middle, others, freedom) < np.abs(distance)
            low, high = np.where(is_within, middle, low), np.where(is_within, high, middle)
        tail = np.where(distance == 0, 0.5, 1 - (low + high) / 2)
        return np.where(np.isnan(distance), np.nan, np.where(distance > 0, tail, 1 - tail))

    def below(self, threshold: float) -> Any:
        """P value of the truth being the threshold, or more: small where the value is below it."""
        return replace(self, value=-np.asarray(self.value)).above(-threshold)

    def with_part(self, variance: Any, freedom: Any) -> "Estimate":
        """The same estimate with one more source of error."""
        value = np.asarray(self.value, np.float64)
        variances, freedoms = (
            np.concatenate([np.asarray(own), np.broadcast_to(more, value.shape)[None]])
            for own, more in ((self.variances, variance), (self.freedoms, freedom))
        )
        return replace(self, variances=variances, freedoms=freedoms)

    @property
    def detectable(self) -> float:
        """The smallest true distance from a threshold that would be found with POWER, nearly."""
        return float(self.half_width() + self.half_width(POWER))


def satterthwaite(variances: Any, freedoms: Any) -> Any:
    """Degrees of freedom of a sum of variances.

    Args:
        variances: [parts, ...].
        freedoms: [parts, ...], of each.

    Returns:
        [...]; infinite where the sum is 0.
    """
    if not len(variances):
        return np.inf
    variances = np.asarray(variances, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = variances / np.sum(variances, axis=0)
        found = 1 / np.sum(np.where(share > 0, share**2 / freedoms, 0.0), axis=0)
    return np.where(np.isnan(np.sum(variances, axis=0)), np.nan, found)


def student(freedom: Any, quantile: Any) -> Any:
    """Quantile of t's distribution; of the normal one for infinitely many degrees of freedom."""
    many = np.minimum(np.asarray(freedom, np.float64), MANY)
    return np.where(many < MANY, stdtrit(np.minimum(many, MANY / 2), quantile), ndtri(quantile))


def between_seeds(values: Any) -> tuple[Any, float]:
    """Variance between seeds [...] of values [seeds, ...], and its degrees of freedom."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return np.zeros(values.shape[1:]), 0.0
    return values.var(axis=0, ddof=1), len(values) - 1.0


def moderated(variance: Any, freedom: float, prior: Any, prior_freedom: float) -> tuple[Any, float]:
    """A variance pooled with what is known of it from elsewhere (Smyth 2004).

    Args:
        variance: s², from the seeds at hand.
        freedom: d; 0 where there is one seed alone.
        prior: s₀².
        prior_freedom: d₀; 0 where nothing is known.

    Returns:
        The pooled variance, and its degrees of freedom.
    """
    total = freedom + prior_freedom
    if not total:
        return np.full(np.shape(variance), np.nan), 0.0
    return (freedom * np.asarray(variance) + prior_freedom * np.asarray(prior)) / total, total


def between_architectures(values: Any, own: Any, mean: Any) -> Any:
    """Variance of a mean over architectures that comes from their being different ones.

    A random effect: τ² is what the architectures' values differ by beyond their own errors, by the
    method of moments with equal weights (Hedges 1983, "A random effects model for effect sizes";
    the untruncated form of DerSimonian and Laird's), for errors that may go together, since all see
    the same images and pairs share networks: of K values with mean variance v̄ and the variance V of
    their mean, E[s²] = τ² + v̄ − c̄ with c̄ = (K V − v̄) / (K − 1).

    With two or three architectures τ² is hardly known; it has K − 1 degrees of freedom, and only
    ever adds to the error of the mean over these architectures (Knapp and Hartung 2003 replace that
    error by s²/K, with K − 1 degrees of freedom, so that a second architecture that agrees would
    widen the interval six-fold).

    Args:
        values: [architectures, ...].
        own: Variance of each [architectures, ...].
        mean: Variance V of their mean, without τ² [...].

    Returns:
        max(0, τ²) / K [...]; with K − 1 degrees of freedom.
    """
    values, own = np.asarray(values, np.float64), np.asarray(own, np.float64)
    count = len(values)
    if count < 2:
        return np.zeros(values.shape[1:])
    within = own.mean(axis=0)
    shared = (count * np.asarray(mean) - within) / (count - 1)
    return np.maximum(0.0, values.var(axis=0, ddof=1) - (within - shared)) / count


def granularity(share: float, count: int | float) -> float:
    """Variance that a share of few things has though all of its seeds agree.

    The wider side of Clopper and Pearson's interval (1934, "The use of confidence or fiducial
    limits illustrated in the case of the binomial", by quantiles of the beta distribution), over
    the normal quantile: as if each thing were drawn by itself. Three seeds of which each has five
    of six do not differ, and would be so in 6 % of cases if it were four of five of all seeds.

    Args:
        share: From 0 to 1, of all seeds together.
        count: Of things, of all seeds together; the share of them need be no whole number.
    """
    if not np.isfinite(share):
        return float("nan")
    hits, tail = float(np.clip(share, 0.0, 1.0)) * count, (1 - CONFIDENCE) / 2
    low = betaincinv(hits, count - hits + 1, tail) if hits > 0 else 0.0
    high = betaincinv(hits + 1, count - hits, 1 - tail) if hits < count else 1.0
    return float((max(share - low, high - share) / ndtri(1 - tail)) ** 2)


def by_steps(step: float, seeds: int | float) -> tuple[float, float]:
    """Variances that a statistic has for its moving in steps: its seeds agree though they differ.

    For example the median of a few layers, which is one of their values, or a rank correlation of
    five blocks, which has steps of .1. Two things are not seen between values that are on steps:

    * where within its step each of them is: an error that is uniform over a step, of variance
      step² / 12 (Sheppard 1898, "On the calculation of the most probable values of
      frequency-constants"). It is part of the variance between seeds, with their few degrees of
      freedom, and so keeps two seeds that agree from being taken for all;
    * the step next to the one on which they agree, which each of them has by chance p. Of so many
      seeds none has it with probability 1/40 if p is as Clopper and Pearson's upper end says
      (`granularity` of none of them), and the mean is off by p steps.

    Neither alone is enough: of rounded normal values the first lets 13 % of intervals of four seeds
    miss the truth, the second 13 % of those of two (tests/claims/test_simulation.py).

    Args:
        step: Between values next to each other.
        seeds: That the mean is over, or by which the spread is known.

    Returns:
        To be added to the variance between seeds, and to an estimate's `granular`.
    """
    return step**2 / 12, step**2 * granularity(0.0, seeds)


def seeds_needed(
    distance: float,
    held: Estimate,
    seeds: Sequence[tuple[float, int]],
    known: float = 0.0,
    level: float = CONFIDENCE,
    most: int = 1000,
) -> int | None:
    """The least number of seeds of each model by which an effect of this size would be found.

    Args:
        distance: Of the truth from the threshold.
        held: With the parts of the variance that more seeds do not change: the images' first, then
            that of architectures, if there are several.
        seeds: By source its part of the variance, and of how many seeds that is. A source that has
            more seeds than are asked for keeps them.
        known: Degrees of freedom that the variance between seeds has from elsewhere.
        level: Of the interval that must not reach the threshold.
        most: Of seeds worth naming.

    Returns:
        None where no number up to `most` would do, and where seeds do not differ.
    """
    differ = any(variance > 0 for variance, _ in seeds)
    tried = min((count for _, count in seeds), default=0) + 1
    while differ and tried <= most:
        left = sum(variance * count / max(count, tried) for variance, count in seeds)
        found = held.with_part(left, known + tried - 1)
        if found.half_width((1 + level) / 2) + found.half_width(POWER) <= abs(distance):
            return tried
        tried = tried + max(1, tried // 20)
    return None


def false_discovery(p_values: Any) -> np.ndarray:
    """P values adjusted so that taking those up to q makes q of the taken ones wrong on average.

    Benjamini and Yekutieli 2001 ("The control of the false discovery rate in multiple testing
    under dependency", theorem 1.3): for any dependence, since claims share networks and images.

    Args:
        p_values: [tests]; NaN for what was not tested, which counts nowhere.

    Returns:
        [tests] in the same order, NaN where there was none.
    """
    values = np.asarray(p_values, np.float64)
    tested = np.flatnonzero(np.isfinite(values))
    found = np.full(values.shape, np.nan)
    if not len(tested):
        return found
    order = tested[np.argsort(values[tested], kind="stable")]
    ranks = np.arange(1, len(order) + 1)
    scaled = values[order] * len(order) * (1 / ranks).sum() / ranks
    found[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return found
