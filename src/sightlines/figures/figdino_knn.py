"""Nearest neighbours of frozen features by depth, beside linear probes (Caron et al. 2021)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures import probe_panels as panels
from sightlines.figures.style import GREY, full_width, model_look, series_name, styled
from sightlines.plan.networks import Network
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    models,
    other_seeds,
    plain_models,
    require_some,
    rows_of,
    settings,
    untrained_network,
)
from sightlines.results.tables import NORM

TITLE = "Nearest neighbours of frozen features by depth"
PAPER = "Table 2"
STUDY = "caron2021"
CAPTION = (
    "(a): test accuracy (%) of 20 weighted nearest neighbours (cosine, τ .07) by normalised depth; "
    "class tokens of ViTs that have one, else the mean of patches or places; thin lines are other "
    "seeds, dotted the untrained networks. (b): linear probe minus neighbours on the same features "
    "and test images, in points; the line at 5 is what the claims ask for, and bars at the right "
    "are published differences on ImageNet. (c): accuracy at the last layer by the number of "
    "neighbours. Look for: in (b) a small gap at the end, in (c) flat lines. A gap of many points "
    "at the last layer would mean that classes lie apart but not together, which a linear "
    "classifier can use and neighbours cannot."
)
EXPLAINS = (
    "Does a network bring images of one class close together, so that a classifier needs no "
    "training? Every test image takes the class that its nearest images among the probes' training "
    "images vote for. Curves that reach the linear probe's say that nothing is left to be learned."
)
DIFFERS = (
    "The paper has self-distilled networks on ImageNet with 1.28 million support images, at the "
    "last layer alone; here are the experiment's own networks at every depth, with as many support "
    "images as probes have."
)
READS = ("knn.parquet", "probes.parquet")
NEEDS = ("trained", "probes")

NEIGHBOURS = 20
BOUND = 5
PUBLISHED = {"DINO ViT-S/16": 2.5, "DINO ViT-B/16": 2.1, "DINO ResNet-50": 7.8}
"""Linear minus k-NN top-1 accuracy, in points (Caron et al. 2021, Table 2)."""
PUBLISHED_MARKERS = ("*", "1", "x")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Neighbours by depth, their distance from probes, and the number of neighbours.

    Args:
        tables: ``knn.parquet`` and ``probes.parquet``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: the table has no trained network of this experiment.
    """
    knn, probes = tables["knn.parquet"], tables["probes.parquet"]
    shown = [m for m in plain_models(config) if len(_of(knn, config, full_network(config, m)))]
    require_some(shown, "knn.parquet has no trained network of this experiment")
    figure = Figure(figsize=(full_width(), 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    published: list[Line2D] = []
    for model in shown:
        look = model_look(models(config), model)
        look |= {"label": series_name(config, full_network(config, model))}
        _draw_model(left, knn, config, model, look)
        _draw_gap(middle, knn, probes, config, model, look)
        _draw_counts(right, knn, config, model, look)
    chance = float(knn["chance"].iloc[0])
    panels.finish(left, chance)
    left.set(ylim=panels.limits([knn]), ylabel="k-NN accuracy (%)", xlabel="normalised depth")
    panels.finish(middle, np.nan)
    middle.axhline(BOUND, color=GREY, linewidth=0.8, label="threshold")
    for (name, points), marker in zip(PUBLISHED.items(), PUBLISHED_MARKERS, strict=True):
        own: dict[str, Any] = {"color": "0.35", "marker": marker, "linestyle": "", "label": name}
        published += middle.plot([1.0], [points], markersize=4.5, zorder=5, clip_on=False, **own)
    middle.set(ylabel="linear probe − k-NN (points)", xlabel="normalised depth")
    right.set(xscale="log", ylim=panels.limits([knn]), xlabel="neighbours")
    counts = sorted(int(k) for k in knn["neighbours"].unique())
    right.set_xticks(counts, [str(k) for k in counts])
    right.minorticks_off()
    right.set_ylabel("k-NN accuracy (%), last layer")
    right.grid(axis="y")
    for axes, name in zip((left, middle, right), "abc", strict=True):
        axes.set_title(f"({name})", fontweight="bold", loc="left")
    handles = [panels.handle(label(config, m), **model_look(models(config), m)) for m in shown]
    bare = any(untrained_network(config, m) for m in shown)
    figure.legend(
        handles=[*handles, *panels.control_handles(bare), *published],
        loc="outside lower center",
        ncols=4,
    )
    return figure


def _of(table: pd.DataFrame, config: dict[str, Any], network: Network | None) -> pd.DataFrame:
    """A network's rows with the pooling that it is read out by."""
    if network is None:
        return table.iloc[:0]
    own = settings(config, network.model)
    pool = own.get("pool", "cls" if own.get("family") == "vit" else "")
    rows = rows_of(table, network)
    return rows[rows["pool"] == ("cls" if pool == "cls" else "mean")].sort_values("layer")


def _curve(knn: pd.DataFrame, config: dict[str, Any], network: Network | None) -> pd.DataFrame:
    rows = _of(knn, config, network)
    rows = rows[rows["neighbours"] == _usual(rows)]
    return rows.assign(mean=100 * rows["accuracy"])


def _usual(rows: pd.DataFrame) -> int:
    """The number of neighbours that is shown by depth: 20, or the next that there is."""
    counts = sorted(int(k) for k in rows["neighbours"].unique())
    return next((k for k in counts if k >= NEIGHBOURS), counts[-1] if counts else 0)


def _draw_model(
    axes: Axes, knn: pd.DataFrame, config: dict[str, Any], model: str, look: dict[str, Any]
) -> None:
    network, bare = full_network(config, model), untrained_network(config, model)
    if bare is not None:
        name = series_name(config, bare)
        panels.draw_bare(axes, _curve(knn, config, bare), look["color"], name)
    for other in other_seeds(config, network) if network else []:
        thin: dict[str, Any] = {"linewidth": 0.6, "label": series_name(config, other)}
        panels.draw_curve(axes, _curve(knn, config, other), color=look["color"], **thin)
    panels.draw_curve(axes, _curve(knn, config, network), **look)


def _draw_gap(
    axes: Axes,
    knn: pd.DataFrame,
    probes: pd.DataFrame,
    config: dict[str, Any],
    model: str,
    look: dict[str, Any],
) -> None:
    own = _curve(knn, config, full_network(config, model))
    whole = probes[(probes["dataset"] == "") & (probes["shots"] == panels.WHOLE)]
    probed = _of(whole, config, full_network(config, model)).set_index("name")["accuracy"]
    own = own[own["name"].isin(probed.index)]
    gap = 100 * probed.loc[own["name"]].to_numpy() - own["mean"].to_numpy()
    panels.draw_curve(axes, own.assign(mean=gap), **look)


def _draw_counts(
    axes: Axes, knn: pd.DataFrame, config: dict[str, Any], model: str, look: dict[str, Any]
) -> None:
    rows = _of(knn, config, full_network(config, model))
    end = rows[rows["name"] == NORM] if (rows["name"] == NORM).any() else rows
    end = end[end["layer"] == end["layer"].max()].sort_values("neighbours")
    axes.plot(end["neighbours"], 100 * end["accuracy"], **look)
