"""A/A: how often networks that differ in their seed alone would be taken for different.

Of every statistic that a claim reads, and of every source of its spread that has two seeds or more,
each seed is left out in turn and held against the mean of the others, by the interval that these
give: the truth is 0, so at most one in 20 may be decisive. Where the spread is known of seeds among
which these are, it is taken of the other ones: with the left-out seed in it, the spread grows with
that seed's distance, so that of eight seeds three in a thousand would be decisive, not one in 20,
whatever the rule is worth. The same by an interval over images alone says what verdicts of one run
would be worth.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sightlines.claims.claim import Reading, Source
from sightlines.claims.seeds import Known, granular, images, largest_step, with_known
from sightlines.stats.nested import Estimate, by_steps

COLUMNS = (
    *("claim", "criterion", "networks", "seeds", "left_out", "value", "difference"),
    *("half_width", "in_intervals", "in_image_intervals", "width_in_sds"),
)


def calibration(
    claim: str, criteria: Sequence[str], sources: Iterable[Source], known: Sequence[Known | None]
) -> Iterator[dict[str, Any]]:
    """Rows of seed_calibration.csv, of one claim.

    Args:
        claim: Its id.
        criteria: Their names.
        sources: Of its trained networks; of those that have one label the first.
        known: For each criterion, what is known of the spread from elsewhere; None for claims to
            which seeds do not matter.
    """
    first: dict[str, Source] = {}
    for source in sources:
        first.setdefault(source.label, source)
    for label, source in first.items():
        if source.readings is None:
            continue
        for index, (criterion, spread) in enumerate(zip(criteria, known, strict=True)):
            readings = [unit[index] for unit in source.readings]
            if spread is None or any(r is None or not np.isfinite(r.value) for r in readings):
                continue
            own = [reading for reading in readings if reading is not None]
            width = _width(own, source, spread)
            for place, unit in enumerate(source.units):
                row: dict[str, Any] = {"claim": claim, "criterion": criterion, "networks": label}
                row |= {"seeds": len(own), "left_out": " ".join(unit), "width_in_sds": width}
                yield row | _left_out(own, place, source, spread)


def _left_out(
    readings: Sequence[Reading], place: int, source: Source, known: Known
) -> dict[str, Any]:
    """One seed against the mean of the others."""
    prior = known(source)
    if prior is not None and prior.is_shared:
        prior = prior.of_others([reading.value for reading in readings])
    others = [reading for n, reading in enumerate(readings) if n != place]
    values = [reading.value for reading in others]
    difference = readings[place].value - float(np.mean(values))
    weights = [-1 / len(others)] * len(others)
    by_images = images([readings[place], *others], [1.0, *weights])
    found = with_known(values, prior)
    half_images = _half([by_images])
    half = np.nan
    if found is not None:
        seeds = (found[0] + _within_steps(readings)) * (1 + 1 / len(others)), found[1]
        steps = granular(others, found[1] + 1) + granular(readings, 1.0)
        half = _half([by_images, seeds], steps)
    return {
        "value": readings[place].value,
        "difference": difference,
        "half_width": half,
        "in_intervals": _share(difference, half),
        "in_image_intervals": _share(difference, half_images),
    }


def _width(readings: Sequence[Reading], source: Source, known: Known) -> float:
    """Width of the interval of the mean over all seeds, in standard deviations between them."""
    found = with_known([reading.value for reading in readings], known(source))
    if found is None or not found[0] > 0:
        return float("nan")
    count = len(readings)
    by_images = images(readings, [1 / count] * count)
    seeds = (found[0] + _within_steps(readings)) / count, found[1]
    half = _half([by_images, seeds], granular(readings, found[1] + 1))
    return 2 * half / math.sqrt(found[0])


def _within_steps(readings: Sequence[Reading]) -> float:
    return by_steps(largest_step(readings), 1.0)[0]


def _half(parts: Sequence[tuple[float, float]], steps: float = 0.0) -> float:
    variances, freedoms = np.array(parts, np.float64).T
    return float(Estimate(0.0, variances, freedoms, steps).interval()[1])


def _share(difference: float, half: float) -> float:
    """Undefined where both are 0: no networks differ, and none are taken to."""
    if not half > 0:
        return float("nan") if np.isnan(half) else (0.0 if difference == 0 else np.inf)
    return abs(difference) / half


def table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """seed_calibration.csv: one row a claim, criterion, source of spread and seed left out."""
    return pd.DataFrame([*rows], columns=[*COLUMNS])
