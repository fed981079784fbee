"""The depth at which a network stops or starts to care about a change of the image."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures import response_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.maps import wrapped
from sightlines.figures.style import GREY, full_width, model_look, series_name, styled, wrap_columns
from sightlines.plan.networks import Network
from sightlines.results.selecting import Tables, models, rows_of, untrained_network
from sightlines.results.tables import NORM

TITLE = "Where in a network a change of the image is noticed"
STUDY = "naseer2021"
PAPER = ""
CAPTION = (
    "Unbiased linear CKA of each block's output for changed images with the same block's output "
    "for the images as they are, on the reference images; left of the axis (px) that of the pixels "
    "themselves, right the last block, hollow markers the norm after it. Bands are the jackknife "
    "standard error over minibatches; dotted: untrained networks. 1: the block tells images apart "
    "as if nothing had happened; 0: nothing is left of how it told them apart. Look for: lines "
    "that rise towards the end, where later blocks overcome the change, against lines that fall; "
    "what the untrained network shows as well is the architecture's."
)
EXPLAINS = (
    "A network that answers rightly in spite of a change has got rid of it somewhere, and the "
    "question is how deep.",
    "The same images are shown clean and changed, and every block's two answers are compared by "
    "CKA, which asks whether the same images lie near each other.",
    "A line that climbs marks blocks that undo the change; one that falls marks where it begins to "
    "matter.",
)
DIFFERS = "No paper draws this; the estimator is that of Raghu et al. 2021, appendix A."
READS = ("condition_depth.parquet",)
NEEDS = ("changed_images",)

AT_PIXELS = -0.14
"""Where the pixels are drawn, left of depth 0."""
NAMES = {
    "drop_black": "{:.0f} % of the cells black",
    "drop_mean": "{:.0f} % of the cells mean colour",
    "drop_shifted": "{:.0f} % black, shifted grid",
    "drop_object": "the object's cells black",
    "drop_ground": "as many of the ground black",
    "drop_anywhere": "as many anywhere black",
    "shuffle": "{0:g} × {0:g} cells shuffled",
    "wave_ring": "Fourier noise, {0:g} cycles",
    "other_texture": "same outline, other surface",
    "other_shape": "same surface, other outline",
}
"""Titles of panels by condition; others are called by their own names."""


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a condition.

    Args:
        tables: ``condition_depth.parquet``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: the table has no trained network of this experiment.
    """
    table = tables["condition_depth.parquet"]
    return draw_depths(table[table["family"] == "occlusion"], config)


def draw_depths(table: pd.DataFrame, config: dict[str, Any]) -> Figure:
    """One panel a condition of a table.

    Args:
        table: Rows of ``condition_depth.parquet``.
        config: See `draw`.

    Raises:
        ResultError: see `draw`.
    """
    if table.empty:
        return panels.nothing("no condition: every depth is empty", "normalised depth", "CKA")
    shown = panels.shown_models(table, config, "condition_depth.parquet")
    pairs = table[["family", "condition", "severity"]].drop_duplicates()
    conditions = [tuple(row) for row in pairs.itertuples(index=False)]
    bands, columns = wrap_columns(len(conditions), 4 if len(conditions) == 4 else 3)
    figure = Figure(figsize=(full_width(), 2.15 * bands + 0.6), layout="constrained")
    grid = figure.subplots(bands, columns, squeeze=False, sharex=True, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place >= len(conditions):
            axes.set_axis_off()
            continue
        family, condition, severity = conditions[place]
        is_own = table[["family", "condition", "severity"]] == [family, condition, severity]
        draw_condition(axes, table[is_own.all(axis=1)], config, shown)
        axes.set_title(wrapped(title_of(condition, severity), 6.2 / columns), fontweight="bold")
        if place % columns == 0:
            axes.set_ylabel("CKA of clean with\nchanged images")
        if place + columns >= len(conditions):
            axes.set_xlabel("normalised depth")
            axes.tick_params(labelbottom=True)
    found = panels.handles(table, config, shown, bare=True)
    figure.legend(handles=found, loc="outside lower center", ncols=5)
    return figure


def title_of(condition: str, severity: float) -> str:
    """What a panel of a condition is called."""
    if condition in NAMES:
        name = NAMES[condition]
        return name.format(100 * severity if "%" in name else severity)
    return f"{condition.replace('_', ' ')} {severity:g}"


def draw_condition(
    axes: Axes, table: pd.DataFrame, config: dict[str, Any], shown: list[str]
) -> None:
    """CKA by depth of every model under one condition, the pixels left of it.

    Args:
        axes: Where.
        table: The condition's rows.
        config: See `draw`.
        shown: The models.
    """
    for model in shown:
        look = model_look(models(config), model)
        first, *others = panels.trained(config, model)
        for other in others:
            values = _blocks(table, other)
            thin: dict[str, Any] = {"linewidth": 0.6, "label": series_name(config, other)}
            axes.plot(values["x"], values["y"], color=look["color"], **thin)
        look |= {"label": series_name(config, first)}
        panels.draw_curve(axes, _blocks(table, first), **look)
        _draw_ends(axes, table, first, look)
        control = untrained_network(config, model)
        if control is not None:
            values = _blocks(table, control)
            dotted: dict[str, Any] = {"color": look["color"], "linestyle": ":", "linewidth": 1}
            dotted["label"] = series_name(config, control)
            axes.plot(values["x"], values["y"], **dotted)
    axes.axhline(1, color=GREY, linewidth=0.6, linestyle=":", label=DECORATION)
    axes.axvline(AT_PIXELS / 2, color="0.85", linewidth=0.6, label=DECORATION)
    axes.set(xlim=(AT_PIXELS - 0.06, 1.05), xticks=[AT_PIXELS, 0, 0.5, 1])
    axes.set_xticklabels(["px", "0", ".5", "1"])
    axes.grid(axis="y")


def _blocks(table: pd.DataFrame, network: Network) -> pd.DataFrame:
    own = rows_of(table, network)
    return panels.errors(own[own["block"] >= 0], "depth", "cka")


def _draw_ends(axes: Axes, table: pd.DataFrame, network: Network, look: dict[str, Any]) -> None:
    """The pixels, which are the same for all networks of one size, and the final norm."""
    own = rows_of(table, network)
    pixels = panels.errors(own[own["depth"] < 0], "depth", "cka")
    dash: dict[str, Any] = {"color": "0.25", "marker": "_", "markersize": 8}
    dash["label"] = f"{look['label']}, pixels"
    axes.plot([AT_PIXELS] * len(pixels), pixels["y"], **dash)
    norm = panels.errors(own[own["name"] == NORM], "depth", "cka")
    hollow = look | {
        "markerfacecolor": "white",
        "linestyle": "",
        "label": f"{look['label']}, final norm",
    }
    axes.plot(norm["x"], norm["y"], **hollow)
