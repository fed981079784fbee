"""A/A: how often networks that differ in their seed alone are taken for different."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import BLUE, GREY, VERMILLION, full_width, styled
from sightlines.plan.networks import UNTRAINED
from sightlines.results.calibration import IMAGES_ALONE, WITH_SEEDS, decisive
from sightlines.results.selecting import Tables, label, networks

TITLE = "What two seeds of one network are taken for"
PAPER = "none"
CAPTION = (
    "Every statistic that a claim reads, of networks that differ in their seed alone: each seed is "
    "left out in turn and held against the mean of the others. Left: size of the difference over "
    "half the width of its 95 % interval, by an interval over images and seeds (blue) and over "
    "images alone (red): share of cases that are no larger. Right: share beyond the interval, with "
    "95 % bootstrap intervals over statistics; grey: 1 in 20. Look for: blue at or below the grey "
    "line. A red bar far above it says what verdicts on one run would be worth."
)
EXPLAINS = (
    "Are the intervals of verdicts as wide as they should be?",
    "Networks of one recipe and other seeds do not truly differ; an interval that is right takes "
    "one in 20 for different.",
    "Where more are, verdicts say more than is known; where none are, less.",
)
DIFFERS = "The paper shows one run of a network; it has no such check."
READS = ("seed_calibration.csv",)
NEEDS = ("second_seed",)

LOOKS = {
    WITH_SEEDS: ("images and seeds", BLUE),
    IMAGES_ALONE: ("images alone", VERMILLION),
}
LEAST = 1e-2
"""Smallest ratio that the axis shows; smaller ones stand there."""


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Distribution of the differences, and the share that is decisive.

    Args:
        tables: ``seed_calibration.csv``.
        config: `networks`, `labels`.
    """
    table: pd.DataFrame = tables[READS[0]]
    figure = Figure(figsize=(full_width(), 2.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    for column, (name, colour) in LOOKS.items():
        ratios = np.sort(np.maximum(table[column].dropna().to_numpy(np.float64), LEAST))
        if len(ratios):
            share = np.arange(1, len(ratios) + 1) / len(ratios)
            finite = np.where(
                np.isfinite(ratios), ratios, ratios[np.isfinite(ratios)].max(initial=1)
            )
            left.step(finite, share, where="post", color=colour, label=name)
    left.axvline(1, color=GREY, linewidth=1, label=DECORATION)
    left.axhline(0.95, color=GREY, linewidth=0.6, linestyle=":", label=DECORATION)
    left.set(
        xscale="log",
        ylim=(0, 1.02),
        xlabel="difference of seeds over half the interval (no unit)",
        ylabel="share of cases (no unit)",
        title=f"each seed against the others: {', '.join(_repeated(config))}",
    )
    left.xaxis.set_major_formatter(lambda ratio, _: f"{ratio:g}")
    if table.empty:
        text = "no statistic was read of two seeds"
        left.text(0.5, 0.5, text, ha="center", va="center", transform=left.transAxes)
    else:
        left.legend(loc="upper left")
    _draw_shares(right, table)
    return figure


def _repeated(config: dict[str, Any]) -> list[str]:
    """Models of which there are several seeds; all, where the config says of none."""
    counts = Counter(n[:2] for n in networks(config) if n.fraction != UNTRAINED)
    shown = [model for (model, _), count in counts.items() if count > 1]
    return [label(config, model) for model in dict.fromkeys(shown or (m for m, _ in counts))]


def _draw_shares(axes: Axes, table: pd.DataFrame) -> None:
    """Share beyond the interval, by what the interval is over."""
    axes.axhline(0.05, color=GREY, linewidth=1, label="threshold")
    for place, (column, (name, colour)) in enumerate(LOOKS.items()):
        found = decisive(table, column)
        if found is None:
            axes.text(place, 0.5, "no\ninterval", ha="center", va="center", color=GREY)
            continue
        ends = [[found.share - found.low], [found.high - found.share]]
        look: dict[str, Any] = {"fmt": "o", "color": colour, "capsize": 3, "label": name}
        axes.errorbar([place], [found.share], np.maximum(ends, 0), **look)
    axes.set(
        ylim=(-0.03, 1.03),
        xlim=(-0.6, len(LOOKS) - 0.4),
        ylabel="share taken for different (no unit)",
        xlabel="interval over",
        title="beyond the interval",
    )
    axes.set_xticks(range(len(LOOKS)), [name for name, _ in LOOKS.values()])
