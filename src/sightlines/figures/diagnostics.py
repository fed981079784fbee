"""Diagnostics of each layer: where one direction, one unit or one image could decide CKA."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from sightlines.figures.style import (
    BLACK,
    full_width,
    legend_below,
    model_look,
    series_name,
    styled,
)
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    plain_models,
    rows_of,
    untrained_network,
)

TITLE = "When similarity may mislead: dominant directions, units and images"
PAPER = ""
CAPTION = (
    "Four diagnostics of every layer of the networks trained on all images, against depth. Lines "
    "are block outputs (dashed: the untrained network), faint dots all other sub-layers of the "
    "trained one. Look for: a share of the first component near 1 or one to three effective "
    "dimensions (a single direction decides CKA there); a largest activation hundreds of times "
    "the median (a massive activation); an image that counts for a large part of the layer's "
    "self-similarity. Low, flat lines mean that CKA rests on many directions and images."
)
EXPLAINS = (
    "Linear CKA weighs every direction by its variance, so one direction, one huge activation or "
    "a few odd images can decide it alone. "
    "From each layer's Gram matrix we take the variance share of its first principal component, "
    "its number of effective dimensions (participation ratio) and the weight of its most "
    "influential image in the layer's self-similarity (1: all images count alike); the largest "
    "activation is divided by the median one that is not 0. "
    "Where a line is extreme, trust the other indices rather than linear CKA; where the "
    "untrained network's line is as high, the images or the architecture are the cause."
)
DIFFERS = "The paper reports no such diagnostics."
READS = ("diagnostics.csv",)
NEEDS = ("trained",)

PANELS = {
    "top_share": ("variance in the first component\n(share)", "linear"),
    "effective_dimensions": ("effective dimensions\n(number)", "log"),
    "largest_over_median": ("largest over median activation\n(ratio)", "log"),
    "influence": ("weight of the most influential\nimage (1: equal share)", "log"),
}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a diagnostic, one colour a model.

    Args:
        tables: ``diagnostics.csv``.
        config: `networks`, `labels`, `architectures`.
    """
    table = tables["diagnostics.csv"]
    models = plain_models(config)
    figure = Figure(figsize=(full_width(), 5.0), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True)
    for axes, (column, (text, scale)) in zip(grid.flat, PANELS.items(), strict=True):
        if scale == "log":
            _log_axis(axes)
        axes.set_ylabel(text)
        axes.grid(axis="y")
        for model in models:
            _draw_model(axes, table, config, model, models, column)
    grid[0, 0].set_ylim(0, 1)
    for axes in grid[1]:
        axes.set_xlabel("depth (0: first layer, 1: last)")
    legend_below(figure, _handles(config, models), min(6, len(models) + 2))
    return figure


def _log_axis(axes: Axes) -> None:
    """Ticks at 1, 2, 5, 10, …, as plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _draw_model(
    axes: Axes,
    table: pd.DataFrame,
    config: dict[str, Any],
    model: str,
    models: list[str],
    column: str,
) -> None:
    look = model_look(models, model)
    full, untrained = full_network(config, model), untrained_network(config, model)
    if full is not None:
        own = rows_of(table, full)
        blocks, others = own[own["kind"] == "residual"], own[own["kind"] != "residual"]
        dots: dict[str, Any] = {"color": look["color"], "ms": 4, "alpha": 0.4, "mew": 0}
        name = series_name(config, full)
        axes.plot(others["depth"], others[column], ".", label=f"{name}, other sub-layers", **dots)
        axes.plot(blocks["depth"], blocks[column], label=name, **look)
    if untrained is not None:
        own = rows_of(table, untrained)
        own = own[own["kind"] == "residual"]
        dashed: dict[str, Any] = {"color": look["color"], "linestyle": "--", "linewidth": 1}
        axes.plot(own["depth"], own[column], label=series_name(config, untrained), **dashed)


def _handles(config: dict[str, Any], models: list[str]) -> list[Line2D]:
    handles = [Line2D([], [], label=label(config, m), **model_look(models, m)) for m in models]
    return [
        *handles,
        Line2D([], [], color=BLACK, linestyle="--", linewidth=1, label="untrained"),
        Line2D([], [], color=BLACK, linestyle="", marker=".", alpha=0.4, label="other sub-layers"),
    ]
