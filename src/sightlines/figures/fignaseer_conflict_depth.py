"""The depth at which a network turns from surfaces to outlines, or from outlines to surfaces."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures import response_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.fignaseer_depth import AT_PIXELS, draw_condition, title_of
from sightlines.figures.maps import wrapped
from sightlines.figures.style import GREY, full_width, model_look, series_name, styled
from sightlines.plan.networks import Network
from sightlines.results.selecting import Tables, models, rows_of, untrained_network

TITLE = "Where in a network outlines count, and where surfaces"
STUDY = "naseer2021"
PAPER = ""
CAPTION = (
    "Images whose outline and surface are of different classes, against images with the same "
    "outline and another surface (left) and with the same surface in another outline (middle): "
    "unbiased linear CKA of each block's outputs, and left of the axis (px) of the pixels "
    "themselves. Of generated images nothing else differs; of photographs the other one shares "
    "the outline's or the surface's source. Right: the first less the second; above 0 a block "
    "tells images apart by outlines more than by surfaces. Bands are the jackknife standard error "
    "over minibatches; dotted: untrained networks. Look for: lines on the right that climb with "
    "depth, and which network's climb first."
)
EXPLAINS = (
    "Shape bias says what a network answers when outline and surface disagree, not where in it "
    "that is decided. Here one of the two is exchanged, and every block is asked whether it "
    "notices. A block that hardly notices another surface but does notice another outline goes by "
    "outlines."
)
DIFFERS = "No paper draws this; the estimator is that of Raghu et al. 2021, appendix A."
READS = ("conflict_depth.parquet", "conflict_lead.csv")
NEEDS = ("conflict_depth", "conflicts")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a cue, and their difference.

    Args:
        tables: ``conflict_depth.parquet``, ``conflict_lead.csv``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: the table has no trained network of this experiment.
    """
    table, lead = (tables[name] for name in READS)
    shown = panels.shown_models(table, config, "conflict_depth.parquet")
    conditions = list(table["condition"].unique())
    count = len(conditions) + (not lead.empty)
    figure = Figure(figsize=(full_width(), 2.75), layout="constrained")
    grid = figure.subplots(1, count, squeeze=False, sharex=True)[0]
    for axes, condition in zip(grid, conditions, strict=False):
        draw_condition(axes, table[table["condition"] == condition], config, shown)
        axes.set_title(wrapped(title_of(condition, 1.0), 6.2 / count), fontweight="bold")
    for axes in grid[1 : len(conditions)]:
        axes.sharey(grid[0])
    grid[0].set_ylabel("CKA of images with those\nthat share one cue")
    if not lead.empty:
        _draw_lead(grid[-1], tables, config, shown)
        grid[-1].set_title(wrapped("outline less surface", 6.2 / count), fontweight="bold")
        grid[-1].set_ylabel("difference of the two")
    for axes in grid:
        axes.set_xlabel("normalised depth")
    found = panels.handles(table, config, shown, bare=True)
    figure.legend(handles=found, loc="outside lower center", ncols=5)
    return figure


def _draw_lead(axes: Axes, tables: Tables, config: dict[str, Any], shown: list[str]) -> None:
    table = tables["conflict_lead.csv"]

    def of(network: Network) -> dict[str, Any]:
        own = rows_of(table, network)
        own = own[own["block"] >= 0].sort_values("depth")
        return {"x": own["depth"], "y": own["lead"], "error": own["lead_se"]}

    for model in shown:
        look = model_look(models(config), model)
        first, *others = panels.trained(config, model)
        for other in others:
            thin: dict[str, Any] = {"linewidth": 0.6, "label": series_name(config, other)}
            axes.plot(of(other)["x"], of(other)["y"], color=look["color"], **thin)
        values = of(first)
        name = series_name(config, first)
        axes.plot(values["x"], values["y"], **look, label=name)
        low, high = (values["y"] + sign * values["error"] for sign in (-1, 1))
        band: dict[str, Any] = {"alpha": 0.15, "lw": 0, "label": name}
        axes.fill_between(values["x"], low, high, color=look["color"], **band)
        control = untrained_network(config, model)
        if control is not None:
            bare = of(control)
            dotted: dict[str, Any] = {"color": look["color"], "linestyle": ":", "linewidth": 1}
            axes.plot(bare["x"], bare["y"], **dotted, label=series_name(config, control))
        own = rows_of(table, first)
        of_pixels = own.loc[own["name"] == "pixels", "lead"]
        dash: dict[str, Any] = {"color": "0.25", "marker": "_", "markersize": 8}
        dash["label"] = f"{name}, pixels"
        axes.plot([AT_PIXELS] * len(of_pixels), of_pixels, **dash)
    axes.axhline(0, color=GREY, linewidth=0.6, linestyle=":", label=DECORATION)
    axes.grid(axis="y")
