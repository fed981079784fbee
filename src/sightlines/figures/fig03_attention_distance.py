"""Figure 3: how far attention heads look, block by block."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sightlines.figures import attention_panels as panels
from sightlines.figures import drawn, paper_curves
from sightlines.figures.maps import wrapped
from sightlines.figures.style import (
    BLACK,
    BLUE,
    GREY,
    column_width,
    full_width,
    styled,
    wrap_columns,
)
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    require_some,
    rows_of,
    trained_models,
    untrained_network,
)

TITLE = "Attention distance"
PAPER = "Figure 3"
QUESTION = "local_and_global"
CAPTION = (
    "Mean distance between a query patch and where its head looks, in px of the input image. Top: "
    "heads of the two lowest and two highest blocks, sorted; bands are the standard deviation over "
    "images; the dashed line is attention that looks everywhere alike. Second row: the same for "
    "the untrained network. Third row: every head of every block. Look for: lowest blocks that "
    "mix local heads (far below the dashed line) with global ones, and highest blocks in which all "
    "heads are global. Attention paid to the CLS token counts as no distance, so read a low value "
    "in a block with a large CLS share (last row) together with the renormalised line. Lowest "
    "blocks without local heads, as in the untrained network, would contradict the paper. "
    "Dash-dotted: the two lowest blocks of the paper's ViT-L/16 (JFT-300M, fine-tuned on "
    "ImageNet), read off its plot to ±2 % of uniform attention; distances relative to uniform "
    "attention (right axis), ranks to the number of heads."
)
READS = ("attention_distance.csv",)
NEEDS = ("trained", "attention")
EXPLAINS = (
    "Attention could look anywhere from the first block on, so does it, or does it learn to look "
    "nearby first as a convolution must? For every head we average the distance in pixels between "
    "each patch and the patches that it attends to, weighted by attention, over all reference "
    "images. A head far below the dashed line is local, one near it looks everywhere, and a block "
    "whose line climbs from low to high has heads of both kinds."
)
DIFFERS = (
    "The paper shows ViT-L/16 and ViT-H/14 pretrained on JFT-300M; ours are small ViTs on our own "
    "images. We add the untrained network, every block, and the attention that goes to CLS."
)

HEIGHTS = (1.5, 1.5, 1.5, 0.9)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One column a ViT: lowest and highest blocks, untrained, all blocks, CLS share.

    Args:
        tables: ``attention_distance.csv``.
        config: `networks`, `labels`.

    Raises:
        ResultError: no trained network of the experiment has attention.
    """
    table = tables["attention_distance.csv"]
    found = {m: _rows(table, full_network(config, m)) for m in trained_models(config)}
    vits = {m: rows for m, rows in found.items() if rows is not None}
    trained = {m: vits[m] for m in panels.plain_vits(config, list(vits))}
    require_some(trained, "attention_distance.csv has no trained network of this experiment")
    bare = {m: _rows(table, untrained_network(config, m)) for m in trained}
    bands, columns = wrap_columns(len(trained), 3)
    width = full_width() if columns > 1 else column_width()
    figure = Figure(figsize=(width, bands * 7.0 + 0.4), layout="constrained")
    grid = figure.subplots(bands * 4, columns, squeeze=False, height_ratios=HEIGHTS * bands)
    top = panels.upper_limit([*trained.values(), *(r for r in bare.values() if r is not None)])
    for place, model in enumerate(trained):
        band, column = divmod(place, columns)
        stack = grid[band * 4 : band * 4 + 4, column]
        stack[0].set_title(wrapped(label(config, model), 1.8), fontweight="bold")
        last = column == columns - 1 or place == len(trained) - 1
        _draw_column(stack, trained[model], bare[model], top, last)
        if column == 0:
            _name_rows(stack)
    for place in range(len(trained), bands * columns):
        for axes in grid[place // columns * 4 : place // columns * 4 + 4, place % columns]:
            axes.set_axis_off()
    figure.legend(handles=_handles(trained), loc="outside lower center", ncols=2 + (columns > 1))
    return figure


def _rows(table: pd.DataFrame, network: Any) -> pd.DataFrame | None:
    own = rows_of(table, network) if network else None
    return None if own is None or own.empty else own


def _draw_column(
    stack: Any, trained: pd.DataFrame, bare: pd.DataFrame | None, top: float, last: bool
) -> None:
    panels.draw_extreme_blocks(stack[0], trained)
    panels.draw_paper(stack[0], "3", "JFT", trained)
    if bare is None:
        stack[1].text(
            0.5, 0.5, "no untrained network here", ha="center", transform=stack[1].transAxes
        )
        stack[1].set_xticks([])
    else:
        panels.draw_extreme_blocks(stack[1], bare)
    _draw_all_blocks(stack[2], trained, bare)
    _draw_prefix_mass(stack[3], trained, bare)
    for axes in stack[:3]:
        axes.set_ylim(0, top)
        panels.add_relative_axis(axes, panels.uniform_px(trained), last)
    for axes in stack[:2]:
        axes.set_xlabel("head, sorted by distance (rank)")
    stack[3].set_xlabel("block index")


def _name_rows(stack: Any) -> None:
    stack[0].set_ylabel("trained\nmean distance (px)")
    stack[1].set_ylabel("untrained\nmean distance (px)")
    stack[2].set_ylabel("all blocks\nmean distance (px)")
    stack[3].set_ylabel("attention to\nCLS (share)")


def _draw_all_blocks(axes: Axes, trained: pd.DataFrame, bare: pd.DataFrame | None) -> None:
    _draw_heads(axes, trained, bare, "distance_px")
    mean = trained.groupby("block")[["distance_px", "distance_renormalised_px"]].mean()
    axes.plot(mean.index, mean["distance_px"], color=BLUE, marker="", label="mean")
    without = mean["distance_renormalised_px"]
    axes.plot(mean.index, without, color=BLACK, ls=":", label="mean without CLS share")
    panels.draw_uniform(axes, trained)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))


def _draw_heads(axes: Axes, trained: pd.DataFrame, bare: pd.DataFrame | None, column: str) -> None:
    """All heads of all blocks, the untrained ones a little to the right."""
    if bare is not None:
        look: dict[str, Any] = {"s": 7, "facecolors": "none", "color": GREY}
        dots = axes.scatter(bare["block"] + 0.18, bare[column], label="heads, untrained", **look)
        drawn.state(dots, pd.DataFrame({"x": bare["block"], "y": bare[column]}))
    look = {"s": 9, "color": BLUE, "alpha": 0.8, "linewidths": 0}
    axes.scatter(trained["block"], trained[column], label="heads", **look)


def _draw_prefix_mass(axes: Axes, trained: pd.DataFrame, bare: pd.DataFrame | None) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1])
    if not (trained["prefix_mass"].fillna(0) > 0).any():
        axes.set_xlim(-0.5, trained["block"].max() + 0.5)
        axes.text(0.5, 0.5, "no CLS token", ha="center", color="0.4", transform=axes.transAxes)
        return
    _draw_heads(axes, trained, bare, "prefix_mass")
    mean = trained.groupby("block")["prefix_mass"].mean()
    axes.plot(mean.index, mean, color=BLUE, marker="", label="mean")


def _handles(trained: dict[str, pd.DataFrame]) -> list[Any]:
    hollow: dict[str, Any] = {"linestyle": "", "markersize": 3.5, "marker": "o"}
    return [
        *panels.handles(trained.values()),
        paper_curves.handle("ViT-L/16, first two blocks"),
        Line2D([], [], color=BLUE, marker="o", markersize=2, label="all heads and their mean"),
        Line2D([], [], color=GREY, markerfacecolor="none", label="all heads, untrained", **hollow),
        Line2D([], [], color=BLACK, linestyle=":", label="mean without CLS share"),
    ]
