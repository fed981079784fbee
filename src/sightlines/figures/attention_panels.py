"""Panels of attention distance for Figures 3 and 4, and which ViTs they and Figure 5 show."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sightlines.core.errors import ResultError
from sightlines.figures import paper_curves
from sightlines.figures.style import BLACK, BLUE, ORANGE, SKY, VERMILLION
from sightlines.plan import roles
from sightlines.results.selecting import architectures, extreme_blocks

LOW = ((BLUE, "o"), (SKY, "s"))
HIGH = ((ORANGE, "^"), (VERMILLION, "D"))
NAMES = ("lowest block", "second lowest", "second highest", "highest block")


def plain_vits(config: dict[str, Any], models: Sequence[str]) -> list[str]:
    """The models with all their skip connections; with a class token, where there are such.

    Args:
        config: With or without `architectures`, the settings of each model.
        models: Models with attention.
    """
    return roles.class_token_first(models, architectures(config))


def uniform_px(rows: pd.DataFrame) -> float:
    """Mean distance of attention that looks everywhere alike, in px: one value a network.

    Raises:
        ResultError: the table has several, or none.
    """
    values = rows["uniform_px"].unique()
    if len(values) != 1:
        raise ResultError(f"attention_distance.csv: one network with uniform_px {list(values)}")
    return float(values[0])


def upper_limit(tables: Iterable[pd.DataFrame]) -> float:
    """A y limit in px that holds every head with its spread and the uniform line."""
    tops = [
        max((rows["distance_px"] + rows["distance_std_px"].fillna(0)).max(), rows.uniform_px.max())
        for rows in tables
    ]
    return float(1.06 * max(tops))


def draw_extreme_blocks(axes: Axes, rows: pd.DataFrame) -> None:
    """Heads of the two lowest and two highest blocks, sorted by mean distance.

    Bands are the standard deviation over images; the dashed line is uniform attention.

    Args:
        axes: Where to draw.
        rows: One network's rows of ``attention_distance.csv``.
    """
    for block, place in _places(rows).items():
        colour, marker = (*LOW, *HIGH)[place]
        heads = rows[rows["block"] == block].sort_values("distance_px", ignore_index=True)
        rank = heads.index.to_numpy() + 1
        mean, spread = heads["distance_px"], heads["distance_std_px"].fillna(0)
        low, high, name = mean - spread, mean + spread, f"block {block}"
        axes.fill_between(rank, low, high, color=colour, alpha=0.15, lw=0, label=name)
        axes.plot(rank, mean, color=colour, marker=marker, label=name)
    draw_uniform(axes, rows)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))


def draw_uniform(axes: Axes, rows: pd.DataFrame) -> None:
    """The distance of attention that looks everywhere alike."""
    look: dict[str, Any] = {"color": BLACK, "linestyle": "--", "linewidth": 0.9}
    axes.axhline(uniform_px(rows), label="uniform attention", **look)


def draw_paper(axes: Axes, figure: str, data: str, rows: pd.DataFrame) -> None:
    """The two lowest blocks of the paper's ViT-L/16, in the axes of `draw_extreme_blocks`.

    Args:
        axes: Where to draw.
        figure: Of the paper: ``3`` or ``4``.
        data: What it was trained on: ``JFT`` or ``IN``.
        rows: Our network's rows of ``attention_distance.csv``.
    """
    low, _ = extreme_blocks(rows["block"].tolist())
    heads, colours = int(rows["head"].nunique()), [colour for colour, _ in LOW[: len(low)]]
    paper_curves.draw_heads(axes, figure, data, heads, uniform_px(rows), colours)


def _places(rows: pd.DataFrame) -> dict[int, int]:
    """Block -> its place among NAMES; fewer than four where there are fewer blocks."""
    low, high = extreme_blocks(rows["block"].tolist())
    places = [*range(len(low)), *range(len(NAMES) - len(high), len(NAMES))]
    return dict(zip([*low, *high], places, strict=True))


def add_relative_axis(axes: Axes, uniform: float, with_label: bool) -> None:
    """A right axis in units of uniform attention."""

    def to_relative(px: Any) -> Any:
        return px / uniform

    def to_px(relative: Any) -> Any:
        return relative * uniform

    right = axes.secondary_yaxis("right", functions=(to_relative, to_px))
    right.spines["right"].set_visible(True)
    right.yaxis.set_major_locator(MaxNLocator(5))
    if with_label:
        right.set_ylabel("relative to uniform\n(no unit)")


def handles(tables: Iterable[pd.DataFrame]) -> list[Any]:
    """Legend entries of what `draw_extreme_blocks` draws for these networks."""
    looks = (*LOW, *HIGH)
    drawn = sorted({place for rows in tables for place in _places(rows).values()})
    blocks = [
        Line2D([], [], color=looks[place][0], marker=looks[place][1], label=NAMES[place])
        for place in drawn
    ]
    return [
        *blocks,
        Line2D([], [], color=BLACK, linestyle="--", linewidth=0.9, label="uniform attention"),
        Patch(color="0.78", label="st. dev. over images"),
    ]
