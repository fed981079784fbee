"""Rollout and attention against masks, block by block (Dosovitskiy et al. 2020, Figures 6, 14)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures import model_panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
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

TITLE = "Rollout against masks, block by block"
PAPER = "Figures 6 and 14"
STUDY = "dosovitskiy2020"
CAPTION = (
    "Area under the ROC curve (no unit; ½: chance) with which a map ranks patches of the object, "
    "at least half of which are the object's, above the other patches of the image; mean over "
    "images, bands one jackknife standard error, thin lines other seeds, dotted the untrained "
    "network. Rollout: the product of all blocks up to this one, newest on the left, ½ identity "
    "and ½ mean attention; weighted: identity and attention by the norms of skip and branch of "
    "every token. Grey lines: priors. Look for: rollout above the last block's attention and above "
    "both priors at the right. Curves below the priors mean that the pictures show what the centre "
    "or the brightness of an image shows."
)
EXPLAINS = (
    "Where does what the classifier reads come from? Rollout follows attention back through all "
    "blocks and gives every patch a share. A useful map gives the object's patches more than the "
    "others, and more so than maps that no network made."
)
DIFFERS = (
    "The paper shows pictures, without numbers, and its text leaves out the identity, which its "
    "code has. Networks with average pooling show the mean over their tokens' rows."
)
READS = ("object_auc.parquet",)
NEEDS = ("trained", "attention", "plain_attention", "masks")

MAPS = {
    "attention": ("attention of the block", VERMILLION, "s"),
    "rollout": ("rollout", BLUE, "o"),
    "weighted": ("rollout, by measured skips", GREEN, "^"),
}
PRIORS = {"centre": (0, (4, 2)), "brightness": (0, (1, 1))}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a ViT.

    Args:
        tables: ``object_auc.parquet``.
        config: `networks`, `labels`.

    Raises:
        ResultError: the table has no trained ViT of this experiment.
    """
    table = tables["object_auc.parquet"]
    shown = [m for m in plain_models(config) if len(own_rows(table, full_network(config, m)))]
    require_some(shown, "object_auc.parquet has no trained ViT of this experiment")
    titles = [label(config, model) for model in shown]
    figure, grid = model_panels.lay_out(titles, 2.2, 0.7, sharey=True)
    for axes, model in zip(grid, shown, strict=True):
        _draw_model(axes, table, config, model)
        axes.set_xlabel("block")
        if model_panels.is_leftmost(axes):
            axes.set_ylabel("area under the curve (no unit)")
    figure.legend(handles=_handles(table, config, shown), loc="outside lower center", ncols=4)
    return figure


def _curve(
    table: pd.DataFrame, network: Network | None, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blocks, area and its standard error."""
    rows = own_rows(table, network)
    frame = rows[rows["map"] == name].pivot(index="left_out", columns="block", values="auc")
    values = frame.sort_index().to_numpy()
    if not len(values):
        return np.array([]), np.array([]), np.array([])
    return frame.columns.to_numpy(), values[0], np.nan_to_num(standard_error(values))


def _draw_model(axes: Axes, table: pd.DataFrame, config: dict[str, Any], model: str) -> None:
    network, bare = full_network(config, model), untrained_network(config, model)
    for name, dashes in PRIORS.items():
        _, value, _ = _curve(table, network, name)
        for height in value:
            axes.axhline(height, color=GREY, linewidth=0.9, linestyle=dashes, label=name)
    for name, (what, colour, marker) in MAPS.items():
        block, value, error = _curve(table, network, name)
        look: dict[str, Any] = {"color": colour, "label": f"{what}, {series_name(config, network)}"}
        axes.fill_between(block, value - error, value + error, alpha=0.2, lw=0, **look)
        axes.plot(block, value, marker=marker, **look)
        for other in other_seeds(config, network) if network else []:
            look["label"] = f"{what}, {series_name(config, other)}"
            axes.plot(*_curve(table, other, name)[:2], linewidth=0.6, **look)
        look["label"] = f"{what}, {series_name(config, bare)}"
        axes.plot(*_curve(table, bare, name)[:2], linestyle=":", linewidth=1.0, **look)
    axes.axhline(0.5, color="0.85", linewidth=0.8, zorder=0, label=DECORATION)
    blocks = sorted({int(b) for b in own_rows(table, network)["block"] if b >= 0})
    axes.set_xticks(blocks[:: max(1, len(blocks) // 6)])
    axes.grid(axis="y")


def _handles(table: pd.DataFrame, config: dict[str, Any], shown: list[str]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker=marker, label=name)
        for key, (name, colour, marker) in MAPS.items()
        if (table["map"] == key).any()
    ]
    handles += [
        Line2D([], [], color=GREY, linewidth=0.9, linestyle=dashes, label=name)
        for name, dashes in PRIORS.items()
    ]
    if any(untrained_network(config, m) for m in shown):
        handles.append(Line2D([], [], color=BLACK, linestyle=":", linewidth=1, label="untrained"))
    return handles
