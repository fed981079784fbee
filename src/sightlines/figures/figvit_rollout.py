"""Rollout and attention against masks, block by block (Dosovitskiy et al. 2020, Figures 6, 14)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures.maps import wrapped
from sightlines.figures.style import BLACK, BLUE, GREEN, GREY, VERMILLION, WIDTH_IN, styled
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
COLUMNS = 3


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
    columns = min(len(shown), COLUMNS)
    lines = -(-len(shown) // columns)
    width = WIDTH_IN if columns > 1 else 4.2
    figure = Figure(figsize=(width, 2.2 * lines + 0.7), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes, model in zip(grid.flat, shown, strict=False):
        _draw_model(axes, table, config, model)
        axes.set_title(wrapped(label(config, model), 1.9), fontweight="bold")
        axes.set_xlabel("block")
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
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
            axes.axhline(height, color=GREY, linewidth=0.9, linestyle=dashes)
    for name, (_, colour, marker) in MAPS.items():
        block, value, error = _curve(table, network, name)
        axes.fill_between(block, value - error, value + error, color=colour, alpha=0.2, lw=0)
        axes.plot(block, value, color=colour, marker=marker)
        for other in other_seeds(config, network) if network else []:
            axes.plot(*_curve(table, other, name)[:2], color=colour, linewidth=0.6)
        axes.plot(*_curve(table, bare, name)[:2], color=colour, linestyle=":", linewidth=1.0)
    axes.axhline(0.5, color="0.85", linewidth=0.8, zorder=0)
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
