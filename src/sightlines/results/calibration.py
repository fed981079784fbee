"""What seed_calibration.csv comes to: the share of networks of one recipe taken for different."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

DRAWS = 2000
STATISTIC = ["claim", "criterion", "networks"]
WITH_SEEDS, IMAGES_ALONE = "in_intervals", "in_image_intervals"


class Share(NamedTuple):
    """A share of left-out seeds that are decisively different, with its interval.

    Attributes:
        share: Mean over statistics.
        low: Lower end of the 95 % bootstrap interval over statistics.
        high: Its upper end.
        statistics: How many there are.
    """

    share: float
    low: float
    high: float
    statistics: int


def decisive(table: pd.DataFrame, column: str = WITH_SEEDS) -> Share | None:
    """How often a seed is taken for different from the others of its recipe.

    Args:
        table: ``seed_calibration.csv``.
        column: WITH_SEEDS or IMAGES_ALONE: by which interval.

    Returns:
        None where no statistic has such an interval.
    """
    known = table[table[column].notna()]
    if known.empty:
        return None
    taken = known.assign(taken=known[column] > 1).groupby(STATISTIC, sort=False)["taken"].mean()
    shares = taken.to_numpy(np.float64)
    generator = np.random.Generator(np.random.PCG64(0))
    words = generator.bit_generator.random_raw(DRAWS * len(shares))
    drawn = shares[(words % len(shares)).astype(int)].reshape(DRAWS, len(shares)).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Share(float(shares.mean()), float(low), float(high), len(shares))


def median_width(table: pd.DataFrame) -> float:
    """Median over statistics of the interval's width, in standard deviations between seeds."""
    widths: Any = table.groupby(STATISTIC)["width_in_sds"].first()
    return float(widths.median())


def in_words(table: pd.DataFrame) -> str:
    """What the table says, for readers; empty where no network has two seeds."""
    found, before = decisive(table), decisive(table, IMAGES_ALONE)
    if before is None:
        return ""
    pairs = "comparisons of networks that differ in their seed alone"
    alone = f"by intervals over images alone it would be {before.share:.0%}"
    if found is None:
        return (
            f"A/A: by intervals over images alone {before.share:.0%} of {pairs} come out as "
            f"different ({before.statistics} statistics); with two seeds, and nothing known from "
            "elsewhere, there is no interval over seeds to try."
        )
    said = (
        f"A/A: {found.share:.1%} [{found.low:.1%}, {found.high:.1%}] of {pairs} come out as "
        f"different ({found.statistics} statistics, each seed left out in turn); {alone}."
    )
    width = median_width(table)
    if not np.isnan(width):
        said += f" The median interval is {width:.1f} standard deviations between seeds wide."
    return said
