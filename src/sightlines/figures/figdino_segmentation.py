"""The class token's attention as segmentation, beside priors (Caron et al. 2021, Figure 4)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures import model_panels
from sightlines.figures.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    series_name,
    styled,
)
from sightlines.plan.networks import Network
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    other_seeds,
    own_rows,
    plain_models,
    require_some,
    untrained_network,
)
from sightlines.stats.jackknife import standard_error

TITLE = "The class token's attention as segmentation"
PAPER = "Figure 4"
STUDY = "caron2021"
CAPTION = (
    "Jaccard index (no unit) of the patches that hold 60 % (filled) and 90 % (hollow) of the "
    "attention to patches in the last block with masks of the objects, on half of the images; bars "
    "are one jackknife standard error over images, small points other seeds, crosses untrained "
    "networks. Best head of each mask: an oracle. One head: chosen on the other half of the "
    "images. Maps of chance: as many as there are heads. Grey line: the best that whole patches "
    "can do. Last: published values of the oracle on VOC12. Look for: one head above the priors. "
    "An oracle above one head by no more than for maps of chance says nothing of the heads, and a "
    "head below the centre or brightness has found nothing that no network need know."
)
EXPLAINS = (
    "Does a head outline the object without ever having seen a mask? The patches that it looks at "
    "most are held against the true mask. What counts is how far it is ahead of maps that no "
    "network made, and of heads that were never trained."
)
DIFFERS = (
    "The paper takes the best head for every mask, knowing the mask; one head for all images, and "
    "priors, are ours. Networks with average pooling show the mean of their tokens' attention."
)
READS = ("segmentation_replicates.parquet",)
NEEDS = ("trained", "attention", "plain_attention", "masks")

METHODS = {
    "oracle": ("best head\nof each mask", BLUE),
    "fixed": ("one head", VERMILLION),
    "random_oracle": ("maps of chance,\nbest", SKY),
    "random_fixed": ("maps of chance,\none", ORANGE),
    "whole": ("whole image", GREY),
    "centre": ("centre", GREY),
    "brightness": ("brightness", GREY),
}
PUBLISHED = {
    "S/16, random": 0.220,
    "S/16, supervised": 0.273,
    "S/16, DINO": 0.459,
    "S/8, random": 0.218,
    "S/8, supervised": 0.237,
    "S/8, DINO": 0.447,
}
"""Of ViTs: Jaccard index at a mass of 60 %, best head of each mask, VOC12 val (Figure 4)."""
MASSES = (0.6, 0.9)
COLUMNS = 3


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a ViT, and one of published values.

    Args:
        tables: ``segmentation_replicates.parquet``.
        config: `networks`, `labels`.

    Raises:
        ResultError: the table has no trained ViT of this experiment.
    """
    table = tables["segmentation_replicates.parquet"]
    shown = [m for m in plain_models(config) if len(own_rows(table, full_network(config, m)))]
    require_some(shown, "segmentation_replicates.parquet has no trained ViT of this experiment")
    titles = [*(label(config, model) for model in shown), "Caron et al. 2021, VOC12"]
    most = COLUMNS + (len(titles) == COLUMNS + 1)
    figure, grid = model_panels.lay_out(titles, 2.3, 0.5, most, sharex=True)
    for axes, model in zip(grid, shown, strict=False):
        _draw_model(axes, table, config, model)
    _draw_published(grid[-1])
    top = max(float(table["jaccard"].max()), *PUBLISHED.values())
    grid[0].set_xlim(0, min(1.0, 1.08 * top))
    for axes in grid:
        axes.set_xlabel("Jaccard index\n(no unit)")
        axes.tick_params(labelbottom=True)
        axes.grid(axis="x")
    figure.legend(handles=_handles(config, shown), loc="outside lower center", ncols=5)
    return figure


def _values(
    table: pd.DataFrame, network: Network | None, method: str, mass: float
) -> tuple[float, float]:
    """Value and standard error; NaN where there is none."""
    rows = own_rows(table, network)
    rows = rows[(rows["method"] == method) & (rows["mass"] == mass)].sort_values("left_out")
    values = rows["jaccard"].to_numpy()
    return (float(values[0]), float(standard_error(values))) if len(values) else (np.nan, np.nan)


def _draw_model(axes: Axes, table: pd.DataFrame, config: dict[str, Any], model: str) -> None:
    network, bare = full_network(config, model), untrained_network(config, model)
    ceiling, _ = _values(table, network, "ceiling", MASSES[0])
    axes.axvline(ceiling, color=GREY, linewidth=0.8, label="best of whole patches")
    for place, (method, (_, colour)) in enumerate(METHODS.items()):
        for mass, shift, face in ((MASSES[0], -0.14, colour), (MASSES[1], 0.14, "white")):
            look: dict[str, Any] = {"color": colour, "marker": "o", "linestyle": ""}
            look |= {"markerfacecolor": face, "label": _name(config, network, mass)}
            value, error = _values(table, network, method, mass)
            axes.errorbar([value], [place + shift], xerr=[np.nan_to_num(error)], **look)
            if method not in ("oracle", "fixed"):
                continue
            if bare is not None:
                value, _ = _values(table, bare, method, mass)
                cross: dict[str, Any] = {"color": BLACK, "markersize": 4}
                cross["label"] = _name(config, bare, mass)
                axes.plot([value], [place + shift], marker="x", **cross)
            for other in other_seeds(config, network) if network else []:
                value, _ = _values(table, other, method, mass)
                dot: dict[str, Any] = {"color": colour, "markersize": 3}
                dot["label"] = _name(config, other, mass)
                axes.plot([value], [place + shift], marker=".", **dot)
    is_first = model_panels.is_leftmost(axes)
    _name_rows(axes, [name for name, _ in METHODS.values()], "map" if is_first else "")
    axes.tick_params(labelleft=is_first)


def _name(config: dict[str, Any], network: Network | None, mass: float) -> str:
    """What points are called in the figure's numbers."""
    return f"{series_name(config, network)}, {100 * mass:.0f} % of the mass"


def _name_rows(axes: Axes, names: list[str], what: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_ylabel(what)


def _draw_published(axes: Axes) -> None:
    values = list(PUBLISHED.values())
    look: dict[str, Any] = {"marker": "D", "color": PURPLE, "linestyle": "", "label": "published"}
    axes.plot(values, range(len(values)), **look)
    axes.yaxis.tick_right()
    _name_rows(axes, list(PUBLISHED), "")


def _handles(config: dict[str, Any], shown: list[str]) -> list[Line2D]:
    def point(text: str, **look: Any) -> Line2D:
        return Line2D([], [], linestyle="", label=text, **look)

    handles = [
        point("60 % of the mass", color=BLACK, marker="o"),
        point("90 % of the mass", color=BLACK, marker="o", markerfacecolor="white"),
    ]
    if any(untrained_network(config, m) for m in shown):
        handles.append(point("untrained", color=BLACK, marker="x"))
    networks = [full_network(config, m) for m in shown]
    if any(other_seeds(config, n) for n in networks if n is not None):
        handles.append(point("other seeds", color=BLACK, marker=".", markersize=3))
    return [*handles, Line2D([], [], color=GREY, linewidth=0.8, label="best of whole patches")]
