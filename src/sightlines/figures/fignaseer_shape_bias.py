"""Shape bias of networks on images whose outline and surface are of different classes."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures import maps
from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import BLACK, GREY, full_width, model_look, series_name, styled
from sightlines.plan.networks import FULL, Network
from sightlines.results.selecting import (
    Tables,
    label,
    models,
    networks,
    require_some,
    rows_of,
)
from sightlines.stats.jackknife import standard_error

STUDY = "naseer2021"
TITLE = "Shape against texture"
PAPER = "Section 3.2"
CAPTION = (
    "Left: shape bias, of the answers that name outline or surface of an image with a cue conflict "
    "the share that name the outline, with its 95 % interval over images; filled points are "
    "networks of this experiment, those whose answers name either less than 3 times as often as "
    "chance are crossed out; open diamonds are published, on 1,200 photographs. Right: the same by "
    "category of the outline. Look for: ViTs to the right of ResNets. Equal biases, or ResNets to "
    "the right, would contradict the paper; 0.5 is chance."
)
EXPLAINS = (
    "Does a network know a cat by its outline or by its fur? It is shown images with the outline "
    "of one class and the surface of another, and asked for the class. A shape bias of 1 is an "
    "eye for outlines alone, as people nearly have, 0 one for surfaces alone."
)
DIFFERS = (
    "The paper shows means over categories, read off a plot; ours are pooled over images (the "
    "table has both). On generated images shape bias says what a network is inclined to only where "
    "both cues told the class equally well in training (texture_match: 1)."
)
READS = ("shape_bias.csv",)
NEEDS = ("conflicts", "trained")

PUBLISHED = {
    "people": 0.959,
    "ResNet-50, stylised images": 0.806,
    "AlexNet": 0.429,
    "GoogLeNet": 0.312,
    "ResNet-152": 0.256,
    "ResNet-50": 0.221,
    "VGG-16": 0.172,
}
"""Pooled over 1,200 images, from the answers that Geirhos et al. published (texture-vs-shape)."""
TIMES_CHANCE = 3
ROW_IN = 0.22
MOST_CATEGORIES = 16


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Biases of networks, then by category.

    Args:
        tables: ``shape_bias.csv``.
        config: `networks`, `labels`.

    Raises:
        ResultError: no trained network has a shape bias.
    """
    table = tables["shape_bias.csv"]
    trained = [n for n in networks(config) if n.fraction == FULL and not _of(table, n).empty]
    require_some(trained, "shape_bias.csv has no network trained on all images")
    order = models(config)
    shown = sorted(trained, key=lambda n: (order.index(n.model), n.seed))
    names = list(dict.fromkeys(n.model for n in shown))
    categories = [c for c in table["category"].unique() if c != "all"][:MOST_CATEGORIES]
    rows = max(len(names) + len(PUBLISHED), len(categories))
    figure = Figure(figsize=(full_width(), 1.2 + ROW_IN * rows), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_biases(left, table, config, shown, names)
    _draw_categories(right, table, config, shown, names, categories)
    return figure


def _of(table: pd.DataFrame, network: Network, category: str = "all") -> pd.DataFrame:
    own = rows_of(table, network)
    return own[own["category"] == category].sort_values("left_out")


def _draw_biases(
    axes: Axes,
    table: pd.DataFrame,
    config: dict[str, Any],
    shown: list[Network],
    names: list[str],
) -> None:
    for network in shown:
        own, place = _of(table, network), names.index(network.model)
        whole, look = own.iloc[0], model_look(models(config), network.model)
        half = 1.96 * float(standard_error(own["bias"].to_numpy()))
        says = whole["cue_accuracy"] >= TIMES_CHANCE * whole["chance"]
        look |= {} if says else {"marker": "x", "color": GREY}
        look |= {"linestyle": "", "capsize": 2, "label": series_name(config, network)}
        axes.errorbar(whole["bias"], place, xerr=half, **look)
    for place, value in enumerate(PUBLISHED.values(), len(names)):
        look = {"marker": "D", "markerfacecolor": "none", "color": BLACK, "linestyle": ""}
        look["label"] = "published"
        axes.plot(value, place, **look)
    axes.axhline(len(names) - 0.5, color=GREY, linewidth=0.6, label=DECORATION)
    labels = [maps.wrapped(label(config, name), 1.6) for name in names]
    axes.set_yticks(range(len(names) + len(PUBLISHED)), [*labels, *PUBLISHED])
    axes.set_ylim(len(names) + len(PUBLISHED) - 0.5, -0.5)
    axes.axvline(0.5, color=GREY, linewidth=0.7, linestyle=":", label=DECORATION)
    axes.set(xlim=(0, 1), xlabel="shape bias (0: surfaces, 1: outlines)", ylabel="network")
    axes.set_title("all images", fontweight="bold")


def _draw_categories(
    axes: Axes,
    table: pd.DataFrame,
    config: dict[str, Any],
    shown: list[Network],
    names: list[str],
    categories: list[str],
) -> None:
    """Each model's mean over seeds."""
    for place, category in enumerate(categories):
        for model in names:
            own = [_of(table, n, category) for n in shown if n.model == model]
            values = [float(rows["bias"].iloc[0]) for rows in own if len(rows)]
            if np.isfinite(values).any():
                look = model_look(models(config), model) | {"linestyle": ""}
                axes.plot(np.nanmean(values), place, label=label(config, model), **look)
    axes.set_yticks(range(len(categories)), [maps.wrapped(c, 1.2) for c in categories])
    axes.set_ylim(len(categories) - 0.5, -0.5)
    axes.axvline(0.5, color=GREY, linewidth=0.7, linestyle=":", label=DECORATION)
    axes.grid(axis="y")
    axes.set(xlim=(-0.03, 1.03), xlabel="shape bias", ylabel="category of the outline")
    axes.set_title("by category", fontweight="bold")
