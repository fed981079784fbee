"""How far a claim's readings would move with other images and other seeds.

The networks of a case are of several models, and the same network may stand in several seeds and
in several cases. So the spread is told by *source*: with all other networks held, the seeds of one
model are independent draws. Sources that share networks move together; all see the same images.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from sightlines.claims.claim import Reading, Sample, Source
from sightlines.stats.nested import (
    CONFIDENCE,
    Estimate,
    between_seeds,
    by_steps,
    granularity,
    moderated,
    seeds_needed,
    student,
)

Item = TypeVar("Item")
Terms = Sequence[tuple[float, Sample]]
"""Samples with the weight that each has in a sum: of a mean of cases, of a difference."""


@dataclass(frozen=True)
class Prior:
    """What is known from elsewhere of the spread between seeds.

    Attributes:
        variance: Of single seeds.
        freedom: Its degrees of freedom.
        told: Where it is from, in words.
        is_shared: Whether it is of the seeds at hand, among others: then their own spread adds
            nothing to it.
        mean: Of the seeds that it is of.
        places: Units of the source at hand that are among these.
    """

    variance: float
    freedom: float
    told: str
    is_shared: bool = False
    mean: float = float("nan")
    places: tuple[int, ...] = ()

    def of_others(self, values: Sequence[float]) -> "Prior | None":
        """What is known of the spread without the seeds at hand.

        Args:
            values: Of all units of the source at hand.

        Returns:
            None where fewer than two other seeds are left, or where the values at hand cannot be
            among those that it is of.
        """
        away = np.array([values[place] - self.mean for place in self.places])
        left, whole = self.freedom + 1 - len(away), self.freedom * self.variance
        if left < 2:
            return None
        squares = whole - np.square(away).sum() - away.sum() ** 2 / left
        if not squares >= -ROUNDING * max(whole, ROUNDING * self.mean**2):
            return None
        return Prior(max(float(squares), 0.0) / (left - 1), left - 1, self.told)


ROUNDING = 1e-6
"""Share of a sum of squares that may be lost in the digits of a table."""
Known = Callable[[Source], Prior | None]
"""What is known from elsewhere of the spread of a source."""


@dataclass(frozen=True)
class Spread:
    """A weighted sum of means over seeds, with its error.

    Attributes:
        estimate: Its value and the parts of its variance: images first, then one a source.
        seeds: How many seeds of what, in words, with where else their spread is known from.
        alone: Sources of one seed alone, of whose spread nothing is known.
        of_seeds: Parts of the variance that more seeds would lessen, each with how many seeds
            there are.
        known: Degrees of freedom from elsewhere, of the source that has fewest.
        architectures: Last parts of its variance that are those of architectures.
        counts: Of seeds, of each source.
    """

    estimate: Estimate
    seeds: tuple[str, ...]
    alone: tuple[str, ...]
    of_seeds: tuple[tuple[float, int], ...]
    known: float
    architectures: int = 0
    counts: tuple[int, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the error is over images and seeds, not over images alone."""
        return not self.alone

    @property
    def held(self) -> Estimate:
        """With the parts of its variance that more seeds would not change."""
        own = self.estimate
        kept = [0, *range(len(own.variances) - self.architectures, len(own.variances))]
        return Estimate(own.value, own.variances[kept], own.freedoms[kept])

    def needed(self, distance: float, level: float = CONFIDENCE) -> int | None:
        """Seeds of each network that would show a truth so far from the threshold; see nested."""
        return seeds_needed(distance, self.held, self.of_seeds, self.known, level)

    @property
    def of_images(self) -> "Spread":
        """With the images' part of its error alone."""
        own = self.estimate
        estimate = Estimate(own.value, own.variances[:1], own.freedoms[:1])
        return replace(self, estimate=estimate, of_seeds=(), architectures=0)


def spread(terms: Terms, index: int, known: Known | None) -> Spread | None:
    """A weighted sum of samples, of one criterion.

    Args:
        terms: The samples with their weights.
        index: The criterion's place.
        known: What is known from elsewhere of the spread between seeds; None: they do not matter.

    Returns:
        None where one of the samples says nothing of it.
    """
    readings, weights = [], []
    for weight, sample in terms:
        for seed in sample.readings:
            reading = seed[index]
            if reading is None:
                return None
            readings.append(reading)
            weights.append(weight / len(sample.readings))
    value = float(sum(w * _valued(r) for w, r in zip(weights, readings, strict=True)))
    seeds, alone = [], []
    parts: dict[str | int, tuple[float, float]] = {-1: images(readings, weights)}
    lessened, elsewhere, counts = [], [], []
    weighted = [(w, source) for w, sample in terms for source in sample.sources]
    if known is None:
        return Spread(_estimate(value, parts), (), (), (), 0.0)
    granular = sum(w**2 * _of_sample(sample, index, known) for w, sample in terms)
    steps = {
        id(source): largest_step([seed[index] for seed in sample.readings])
        for _, sample in terms
        for source in sample.sources
    }
    for group in linked(weighted, lambda item: [n for unit in item[1].units for n in unit]):
        found = _variance(group, index, known)
        label = _joined(dict.fromkeys(source.label for _, source in group))
        count = min(len(source.units) for _, source in group)
        counts.append(count)
        told = f"{count} of {label}"
        if found is None:
            alone.append(label)
        else:
            # What is known from one place is one draw, however many sources it serves.
            place = found[2].told if found[2] else len(parts)
            before, freedom = parts.get(place, (0.0, np.inf))
            variance = found[0] + _within_steps(group, steps)
            parts[place] = before + variance, min(freedom, found[1])
            lessened.append((variance, count))
            elsewhere.append(found[2].freedom if found[2] else 0.0)
            told += f" ({found[2].told})" if found[2] else ""
        seeds.append(told)
    estimate = replace(_estimate(value, parts), granular=granular)
    if granular and lessened:
        lessened.append((granular, min(count for _, count in lessened)))
    of_what, without = tuple(dict.fromkeys(seeds)), tuple(dict.fromkeys(alone))
    known_least = min(elsewhere, default=0.0)
    parted = tuple(lessened)
    return Spread(estimate, of_what, without, parted, known_least, counts=tuple(counts))


def _of_sample(sample: Sample, index: int, known: Known) -> float:
    """Variance of a sample's mean for its granularity.

    Seeds by which the spread is known from elsewhere count as seeds that agree, or do not.
    """
    spreads = [_variance([(1.0, source)], index, known) for source in sample.sources]
    seeds = min([found[1] + 1 for found in spreads if found], default=1.0)
    return granular([seed[index] for seed in sample.readings], seeds)


def granular(readings: Sequence[Reading | None], seeds: float) -> float:
    """Variance of a mean over seeds for its being of few things, or in steps; else 0.

    Args:
        readings: Of one statistic.
        seeds: By how many the mean is known.
    """
    variance = by_steps(largest_step(readings), seeds)[1]
    shares = [reading for reading in readings if reading is not None and reading.of]
    if not shares or len(shares) < len(readings):
        return variance
    things = float(np.mean([reading.of for reading in shares]))
    share = float(np.mean([_valued(reading) for reading in shares]))
    return variance + granularity(share, round(things * seeds))


def largest_step(readings: Sequence[Reading | None]) -> float:
    """Of a statistic's readings; 0 where it moves in none."""
    return max((reading.step for reading in readings if reading is not None), default=0.0)


def _within_steps(group: Sequence[tuple[float, Source]], steps: Mapping[int, float]) -> float:
    """Variance between seeds that values on steps hide, of a sum of sources that move together."""
    _, squares = _by_unit(group, 0)
    step = sum(abs(weight) * steps[id(source)] for weight, source in group)
    return by_steps(step, 1.0)[0] * squares


def _estimate(value: float, parts: Mapping[str | int, tuple[float, float]]) -> Estimate:
    return Estimate(value, *np.array([*parts.values()], np.float64).T)


def mean(readings: Sequence[Reading | None]) -> Reading | None:
    """Mean of readings of the same images, with its interval over these; None of what says nothing.

    Args:
        readings: Of several networks.
    """
    said = [reading for reading in readings if reading is not None]
    return _mean(said) if len(said) == len(readings) else None


def _mean(readings: Sequence[Reading]) -> Reading:
    weights = [1 / len(readings)] * len(readings)
    value = float(np.mean([r.value for r in readings]))
    variance, freedom = images(readings, weights)
    low, high = Estimate(value, [variance], [freedom]).interval()
    of, step = min(r.of for r in readings), largest_step(readings)
    found = Reading(value, float(low), float(high), freedom=freedom, of=of, step=step)
    moves = [r.moves for r in readings]
    if any(m is None for m in moves) or len({len(m) for m in moves}) > 1:
        return replace(found, error=variance**0.5)
    return replace(found, moves=np.mean(moves, axis=0))


def images(readings: Sequence[Reading], weights: Sequence[float]) -> tuple[float, float]:
    """Variance of a weighted sum for its images' sake, and its degrees of freedom.

    Readings with as many moves saw the same images: what of them is shared cancels, or adds up,
    by itself. Errors without moves are taken to add up, which is the worst that can be.
    """
    moves: dict[int, np.ndarray] = {}
    error, freedom = 0.0, np.inf
    for weight, reading in zip(weights, readings, strict=True):
        freedom = min(freedom, reading.freedom)
        if reading.moves is None:
            error += abs(weight) * _error(reading)
        else:
            own = weight * np.asarray(reading.moves)
            moves[len(own)] = moves.get(len(own), 0.0) + own
    return float(error**2 + sum(np.square(m).sum() for m in moves.values())), float(freedom)


def _error(reading: Reading) -> float:
    """Of a reading without moves; where it has an interval alone, from the wider side of that."""
    if reading.error or reading.low == reading.high:
        return reading.error
    half = np.max([reading.high - reading.value, reading.value - reading.low])
    return float(half / student(np.inf, (1 + CONFIDENCE) / 2))


def _variance(
    group: Sequence[tuple[float, Source]], index: int, known: Known
) -> tuple[float, float, Prior | None] | None:
    """Variance of the sum for the sake of sources that share networks, and its freedom.

    Where each unit has a part in every source, their sum is taken unit by unit. Where it has not,
    the sources are taken to move together, which is the worst that can be.

    Returns:
        With what was known from elsewhere; None where nothing is known, of one seed alone.
    """
    prior = _prior(group, known)
    values, weights = _by_unit(group, index)
    own: float
    if values is not None:
        own, freedom = between_seeds(values)
    else:
        spreads: list[tuple[float, float]] = []
        for weight, source in group:
            if source.readings is None:
                spreads.append((0.0, 0.0))
                continue
            units = [_valued(reading[index]) for reading in source.readings]
            variance, degrees = between_seeds(units)
            spreads.append((abs(weight) * float(variance) ** 0.5, degrees))
        freedom = min(degrees for _, degrees in spreads)
        own = sum(error for error, _ in spreads) ** 2 if freedom else 0.0
    if not freedom and prior is None:
        return None
    variance, total = _pooled(own, freedom, prior)
    return variance * weights, total, prior


def with_known(values: Sequence[float], prior: Prior | None) -> tuple[float, float] | None:
    """Variance between seeds and its degrees of freedom; None of one seed, where none is known.

    Args:
        values: One a seed.
        prior: What is known from elsewhere.
    """
    own, freedom = between_seeds(values)
    return _pooled(float(own), freedom, prior) if freedom or prior else None


def _pooled(own: float, freedom: float, prior: Prior | None) -> tuple[float, float]:
    elsewhere = (prior.variance, prior.freedom) if prior else (0.0, 0.0)
    variance, total = moderated(own, 0.0 if prior and prior.is_shared else freedom, *elsewhere)
    return float(variance), total


def _by_unit(group: Sequence[tuple[float, Source]], index: int) -> tuple[list[float] | None, float]:
    """Values of the sum, once a unit, and the sum of the squares of the units' weights."""
    squares = max(sum(w**2 for w in source.weights) for _, source in group)
    placed = [
        (weight, source, place) for weight, source in group for place in range(len(source.units))
    ]
    units = linked(placed, lambda item: list(item[1].units[item[2]]))
    is_whole = all(len({id(s) for _, s, _ in u}) == len(u) == len(group) for u in units)
    if not is_whole or any(source.readings is None for _, source in group):
        return None, squares
    values = []
    for unit in units:
        total = 0.0
        for weight, source, place in unit:
            reading = source.readings[place][index] if source.readings else None
            total += weight * _valued(reading)
        values.append(total)
    return values, squares


def _valued(reading: Reading | None) -> float:
    """Its value; NaN for none, and for what is not finite, of which there is no spread."""
    return reading.value if reading and np.isfinite(reading.value) else float("nan")


def _prior(group: Sequence[tuple[float, Source]], known: Known) -> Prior | None:
    """What is known of sources that share networks: they are taken to move together."""
    found = [(weight, known(source)) for weight, source in group]
    priors = [(weight, prior) for weight, prior in found if prior is not None]
    if len(priors) < len(found):
        return None
    error = sum(abs(weight) * prior.variance**0.5 for weight, prior in priors)
    told = _joined(dict.fromkeys(prior.told for _, prior in priors))
    freedom = min(prior.freedom for _, prior in priors)
    return Prior(error**2, freedom, told, any(prior.is_shared for _, prior in priors))


def linked(items: Iterable[Item], networks: Callable[[Item], Sequence[str]]) -> list[list[Item]]:
    """Items in groups, so that those of different groups have no network in common."""
    groups: list[tuple[set[str], list[Item]]] = []
    for item in items:
        own, members = set(networks(item)), [item]
        apart = []
        for names, others in groups:
            if names & own:
                own |= names
                members = [*others, *members]
            else:
                apart.append((names, others))
        groups = [*apart, (own, members)]
    return [members for _, members in groups]


def _joined(words: Iterable[str]) -> str:
    return ", ".join(words)
