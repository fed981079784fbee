"""Figure 3 for windows, pyramids and hybrids: how far each attention looks, in order of depth."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sightlines.figures import model_panels
from sightlines.figures.style import BLACK, BLUE, GREY, ORANGE, series_name, styled
from sightlines.plan.networks import Network
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    models,
    own_rows,
    require_some,
    untrained_network,
)

TITLE = "Attention distance in windows and pyramids"
PAPER = "Figure 3"
QUESTION = "local_and_global"
CAPTION = (
    "Mean distance between a query and where its head looks, relative to attention that looks "
    "everywhere in the image alike (dashed, 1), of every attention of a network in order of depth; "
    "one panel a network. Dots are heads, of attention inside windows (orange) and over the whole "
    "image (blue); the line is their mean, dotted that of the untrained network, bars the standard "
    "deviation over images of the mean head. Look for: heads that are local at first and global at "
    "the end, beyond what the windows force upon them. A dotted line that does the same means "
    "that the architecture, and no training, makes them so."
)
READS = ("attention_sites.csv",)
NEEDS = ("trained", "attention_sites")
EXPLAINS = (
    "Where attention sees only a window, or keys of a coarser grid, does it look as far as it can? "
    "Distances are measured in the image, between the middles of what query and key stand for. A "
    "value near 1 belongs to a head that looks everywhere, one near 0 to a head that looks at "
    "itself."
)
DIFFERS = "The paper has no networks with windows or pyramids."

COLOURS = {"windows": ORANGE, "whole image": BLUE}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a network.

    Args:
        tables: ``attention_sites.csv``.
        config: `networks`, `labels`.

    Raises:
        ResultError: the table has no trained network of this experiment.
    """
    table = tables["attention_sites.csv"]
    shown = [m for m in models(config) if len(own_rows(table, full_network(config, m)))]
    require_some(shown, "attention_sites.csv has no trained network of this experiment")
    titles = [label(config, model) for model in shown]
    figure, panels = model_panels.lay_out(titles, 2.2, 0.6, sharey=True)
    for axes, model in zip(panels, shown, strict=True):
        _draw_model(axes, table, config, model)
        if model_panels.is_leftmost(axes):
            axes.set_ylabel("distance, relative to\nuniform attention (no unit)")
    panels[0].set_ylim(bottom=0)
    own = pd.concat([own_rows(table, full_network(config, m)) for m in shown])
    bare = any(untrained_network(config, m) is not None for m in shown)
    figure.legend(handles=_handles(own, bare), loc="outside lower center", ncols=5)
    return figure


def _draw_model(axes: Axes, table: pd.DataFrame, config: dict[str, Any], model: str) -> None:
    network, bare = full_network(config, model), untrained_network(config, model)
    own = own_rows(table, network)
    axes.axhline(1, color=BLACK, linestyle="--", linewidth=0.9, label="uniform attention")
    for kind, rows in own.groupby(_kinds(own), sort=False):
        dots: dict[str, Any] = {"color": COLOURS[str(kind)], "marker": "o", "linestyle": ""}
        name = f"{series_name(config, network)}, heads, {kind}"
        axes.plot(rows["site"], rows["relative"], markersize=2.5, alpha=0.7, label=name, **dots)
    mean = _mean(table, network)
    look: dict[str, Any] = {"color": GREY, "elinewidth": 0.6, "label": series_name(config, network)}
    axes.errorbar(mean.index, mean["relative"], mean["spread"], **look)
    if bare is not None:
        mean = _mean(table, bare)
        dotted: dict[str, Any] = {"color": GREY, "linestyle": ":"}
        axes.plot(mean.index, mean["relative"], label=series_name(config, bare), **dotted)
    axes.set_xlabel("attention, in order of depth")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.grid(axis="y")


def _kinds(rows: pd.DataFrame) -> "pd.Series[str]":
    """What each head sees: a window of the image, or all of it."""
    return (rows["windows"] > 1).map({True: "windows", False: "whole image"})


def _mean(table: pd.DataFrame, network: Network | None) -> pd.DataFrame:
    """Mean over heads of the relative distance and of its spread over images, by site."""
    own = own_rows(table, network)
    spread = own["distance_std_px"] / own["uniform_px"]
    return own.assign(spread=spread).groupby("site")[["relative", "spread"]].mean()


def _handles(own: pd.DataFrame, bare: bool) -> list[Line2D]:
    kinds = [kind for kind in COLOURS if (_kinds(own) == kind).any()]
    dots: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 3}
    handles = [Line2D([], [], color=COLOURS[k], label=f"heads, {k}", **dots) for k in kinds]
    handles.append(Line2D([], [], color=GREY, label="mean of heads"))
    if bare:
        handles.append(Line2D([], [], color=GREY, linestyle=":", label="untrained"))
    dashed: dict[str, Any] = {"color": BLACK, "linestyle": "--", "linewidth": 0.9}
    return [*handles, Line2D([], [], label="uniform attention", **dashed)]
