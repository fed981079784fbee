"""Lesions: what a network answers when places of a representation are zeroed or shuffled."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sightlines.figures import response_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import GREY, full_width, model_look, series_name, styled
from sightlines.results.selecting import Tables, models, rows_of

TITLE = "Lesions inside of a network"
STUDY = "naseer2021"
PAPER = "Tables 6 and 7"
CAPTION = (
    "Share of the accuracy above chance that is kept when a quarter of the places of a "
    "representation is zeroed (solid), or changes places (dashed, the control): patch tokens at "
    "the input of a block (left), places of the maps that enter a stage (right; the last is the "
    "pooling). Bands are the jackknife standard error, stars published values at a quarter (ViT "
    "DeiT-B left, ResNet50 right). Look for: a first stage that loses nearly all, and blocks that "
    "all keep most. Where shuffling costs as much as zeroing, it is the places that were needed; a "
    "ViT's blocks know no places, so that shuffling its tokens changes nothing by design."
)
EXPLAINS = (
    "Does a network notice when part of what it has computed is gone, and is it the same early and "
    "late?",
    "Before one block or stage a quarter of the places of every image is set to zero, class tokens "
    "left alone, and the network goes on from there.",
    "High lines are redundant representations; a low point marks where nothing may be missing.",
)
DIFFERS = (
    "The paper makes one choice for a whole minibatch, counts the class token among the tokens, "
    "and draws each place of a map for itself; here every image has its own choice of equally many "
    "places. Shuffling as a control is new."
)
READS = ("lesion.parquet",)
NEEDS = ("changed_images", "branches")

QUARTER = 0.25
PUBLISHED = {
    "block": ((1, 0.701), (3, 0.592), (5, 0.668), (7, 0.678), (9, 0.618), (11, 0.757)),
    "stage": ((1, 0.002), (2, 0.592), (3, 0.909), (4, 0.972), (5, 0.995)),
}
"""Place and accuracy kept at a quarter, of DeiT-B (81.8 %) and ResNet50 (76.1 %): Tables 6, 7. The
fifth stage is the pooling, whatever the number of stages before it."""
POOLING = 5
LINES: dict[str, Any] = {"zero": "-", "shuffle": (0, (4, 1.5))}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """A panel of blocks and one of stages, as far as there are such networks.

    Args:
        tables: ``lesion.parquet``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: the table has no trained network of this experiment.
    """
    table = tables["lesion.parquet"]
    shown = panels.shown_models(table, config, "lesion.parquet")
    by_site = {
        site: [m for m in shown if (_sites(table, config, m) == site).any()]
        for site in ("block", "stage")
    }
    sites = [site for site, own in by_site.items() if own]
    if not sites:
        return panels.nothing("no lesions: conditions.lesion is empty", "input of block", "kept")
    figure = Figure(figsize=(full_width(), 2.9), layout="constrained")
    grid = figure.subplots(1, len(sites), squeeze=False, sharey=True)[0]
    for axes, site in zip(grid, sites, strict=True):
        _draw_site(axes, table, config, by_site[site], site)
    grid[0].set_ylabel("accuracy above chance kept\n(share of the intact network's)")
    more = [
        Line2D([], [], color=GREY, linestyle=LINES["zero"], label="zeroed"),
        Line2D([], [], color=GREY, linestyle=LINES["shuffle"], label="shuffled"),
        Line2D([], [], **panels.PUBLISHED),
    ]
    found = [*panels.handles(table, config, shown), *more]
    figure.legend(handles=found, loc="outside lower center", ncols=4)
    return figure


def _sites(table: pd.DataFrame, config: dict[str, Any], model: str) -> "pd.Series[str]":
    return rows_of(table, panels.trained(config, model)[0])["site"]


def _draw_site(
    axes: Axes, table: pd.DataFrame, config: dict[str, Any], shown: list[str], site: str
) -> None:
    table = table[(table["site"] == site) & (table["severity"] == QUARTER)]
    last = 0
    for model in shown:
        look = model_look(models(config), model)
        for turn, network in enumerate(panels.trained(config, model)):
            for change, line in LINES.items():
                rows = rows_of(table, network)
                own: dict[str, Any] = {"linestyle": line}
                own["label"] = f"{series_name(config, network)}, {change}"
                values = panels.errors(rows[rows["change"] == change], "place", "retention")
                if turn:
                    thin = {"color": look["color"], "linewidth": 0.6}
                    axes.plot(values["x"], values["y"], **thin, **own)
                else:
                    panels.draw_curve(axes, values, **(look | own))
                last = max([last, *values["x"]])
    for place, kept in PUBLISHED[site]:
        is_pooling = site == "stage" and place == POOLING
        if is_pooling or place < last + (site == "block"):
            axes.plot([last if is_pooling else place], [kept], **panels.PUBLISHED)
    axes.axhline(1, color=GREY, linewidth=0.6, linestyle=":", label=DECORATION)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    named = {"block": "input of block", "stage": "input of stage (last: pooling)"}
    axes.set(xlabel=named[site], title={"block": "tokens", "stage": "maps"}[site])
    axes.set_ylim(bottom=min(-0.04, axes.get_ylim()[0]))
    axes.grid(axis="y")
