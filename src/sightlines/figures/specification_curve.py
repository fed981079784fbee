"""Specification curves: each claim's statistic by every way of computing it that was measured."""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sightlines.figures.maps import wrapped
from sightlines.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    column_width,
    full_width,
    styled,
    wrap_columns,
)
from sightlines.results.selecting import Tables, label, plain_models

TITLE = "Does a conclusion hang on how it was reached?"
PAPER = ""
CAPTION = (
    "Specification curves (Simonsohn et al. 2020): one panel a criterion of a claim, its statistic "
    "upwards, one dot for every way of computing it that was measured and every pair of networks, "
    "sorted by value, with its 95 % interval over images. The line is what is needed, and the "
    "criterion holds in the shaded part; hollow dots are intervals that cover the line. Colours: "
    "index of similarity, or images that probes are fitted to. Markers: all sub-layers (circles) "
    "or block outputs (squares), without the class token (triangles), smaller minibatches "
    "(crosses). Seeds are dots of their own. Look for: panels whose dots all lie on one side. "
    "Where some lie on either side with their whole intervals, the verdict says on which choice it "
    "depends."
)
EXPLAINS = (
    "Would a claim's verdict be another one had we compared the layers in another way that is as "
    "good? Every criterion is computed again by each index of similarity, of all sub-layers or "
    "block outputs alone, with and without the class token, in smaller minibatches, and with "
    "probes on few images. Dots on both sides of the line say that the conclusion belongs to the "
    "way of looking as much as to the networks."
)
DIFFERS = "The paper computes everything in one way: linear CKA, and probes on 10 images a class."
READS = ("specifications.csv",)
NEEDS = ("class_token",)

INDEX_COLOURS = {
    "linear": BLUE,
    "deconfounded": VERMILLION,
    "without_top": ORANGE,
    "rbf": GREEN,
    "procrustes": PURPLE,
    "neighbours": SKY,
}
INDEX_NAMES = {
    "linear": "linear CKA",
    "deconfounded": "CKA, pixels regressed out",
    "without_top": "CKA without 1st component",
    "rbf": "CKA, Gaussian kernel",
    "procrustes": "Procrustes",
    "neighbours": "nearest neighbours",
}
MARKERS = {"o": "all sub-layers", "s": "block outputs", "^": "no class token", "X": "smaller batch"}
CHOICES = ("index", "layers", "tokens", "minibatch", "probes", "seed")
MOST = 4
"""Panels side by side."""


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a claim and criterion, in the claims' order.

    Args:
        tables: ``specifications.csv``.
        config: `networks`, `labels`, `families`, `architectures`.
    """
    table = tables["specifications.csv"]
    table = table.assign(**{name: table[name].fillna("") for name in CHOICES})
    panels = list(table.groupby(["claim", "criterion"], sort=False))
    if not panels:
        figure = Figure(figsize=(full_width(), 0.8), layout="constrained")
        text = "no claim was computed in several ways here"
        figure.text(0.5, 0.5, text, ha="center", va="center", color="0.4")
        return figure
    bands, columns = wrap_columns(len(panels), MOST)
    size = (full_width() if columns > 1 else column_width(), 1.55 * bands + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(bands, columns, squeeze=False)
    for axes, ((claim, criterion), rows) in zip(grid.flat, panels, strict=False):
        own = table.loc[table["claim"] == claim, "minibatch"]
        _draw_panel(axes, rows, str(own.iloc[0]))
        axes.set_title(wrapped(f"{claim}: {criterion}", 1.62), fontsize="small")
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel("value")
    for axes in grid[-1]:
        axes.set_xlabel("ways, sorted")
    names = ", ".join(label(config, model) for model in plain_models(config))
    title = textwrap.fill(f"Networks: {names}", 110)
    figure.legend(handles=_handles(table), loc="outside lower center", ncols=4, title=title)
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame, whole_minibatch: str) -> None:
    needed = [str(each).split(" ") for each in rows["threshold"].unique()]
    bars = [(sense, float(bar)) for sense, bar in needed]
    ways = rows.groupby(["case", *CHOICES], sort=False)
    is_clear = ways["outcome"].agg(lambda outcomes: "unclear" not in set(outcomes))
    dots = ways.first().assign(is_clear=is_clear).reset_index()
    dots = dots.sort_values("value", kind="stable", ignore_index=True)
    error = np.abs([dots["value"] - dots["low"], dots["high"] - dots["value"]])
    for place, row in enumerate(dots.to_dict("records")):
        colour = _colour(row)
        axes.errorbar(
            place,
            row["value"],
            yerr=np.nan_to_num(error[:, [place]]),
            color=colour,
            marker=_marker(row, whole_minibatch),
            markerfacecolor=colour if row["is_clear"] else "white",
            markersize=2.8,
            markeredgewidth=0.6,
            elinewidth=0.6,
            linestyle="",
            label=", ".join(str(row[key]) for key in ("case", *CHOICES) if row[key]),
        )
    ends = [*axes.get_ylim(), *(bar for _, bar in bars)]
    low, high = min(ends), max(ends)
    room = 0.04 * (high - low)
    held = [low - room, high + room]
    for sense, bar in bars:
        axes.axhline(bar, color=BLACK, linewidth=0.7, label="threshold")
        held[sense != "≥"] = bar
    axes.axhspan(*held, color="0.93", lw=0, zorder=0)
    axes.set_ylim(low - room, high + room)
    axes.set_xticks([])
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize="small")


def _colour(row: Any) -> str:
    if row["probes"]:
        return BLACK if row["probes"] == "all images" else GREY
    return INDEX_COLOURS.get(row["index"], BLACK)


def _marker(row: Any, whole_minibatch: str) -> str:
    if row["tokens"] == "without class token":
        return "^"
    if row["minibatch"] != whole_minibatch:
        return "X"
    return "s" if row["layers"] == "block outputs" else "o"


def _handles(table: pd.DataFrame) -> list[Any]:
    """What colours and markers stand for, of those that are drawn."""
    dots: dict[str, Any] = {"linestyle": "", "markersize": 3.5}
    handles: list[Any] = [
        Line2D([], [], color=colour, marker="o", label=INDEX_NAMES[index], **dots)
        for index, colour in INDEX_COLOURS.items()
        if (table["index"] == index).any()
    ]
    probes = [name for name in dict.fromkeys(table["probes"]) if name]
    handles += [
        Line2D(
            [],
            [],
            color=BLACK if name == "all images" else GREY,
            marker="o",
            label=f"probe on {name}",
            **dots,
        )
        for name in probes
    ]
    if (table["index"] != "").any():
        handles += [
            Line2D([], [], color="0.3", marker=marker, label=name, **dots)
            for marker, name in MARKERS.items()
        ]
    hollow: dict[str, Any] = {"markerfacecolor": "white", "color": "0.3", "marker": "o"}
    handles.append(Line2D([], [], label="interval covers the line", **hollow, **dots))
    return [*handles, Patch(color="0.93", label="holds")]
