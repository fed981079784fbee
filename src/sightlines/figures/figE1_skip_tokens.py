"""Figure E.1: how much larger the skip connection is than the branch, for every token."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps, rcParams
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from sightlines.figures import drawn
from sightlines.figures import skip_panels as panels
from sightlines.figures.style import MISSING, full_width, styled, wrap_columns
from sightlines.results.selecting import Tables, label

TITLE = "Skip connections against branches, token by token"
PAPER = "Figure E.1"
QUESTION = "skips"
CAPTION = (
    "Norm of the skip connection over norm of the branch (no unit; logarithmic colours, one scale "
    "for all panels), mean over the reference images, by block and token: the class token apart at "
    "the left of a panel, then patches row after row. First rows: trained; below: untrained. Look "
    "for: a class token that is bright where patches are dark and the other way round, with the "
    "change at middle depth, alike for all patches. Stripes that repeat along a panel are rows of "
    "the grid of patches: tokens at borders that differ from those inside. An untrained network "
    "that shows the same got it from its initial weights."
)
EXPLAINS = (
    "Figure 7 averages over all patches; this asks whether they behave alike, and how the class "
    "token differs.",
    "The length of the vector on the skip connection is divided by the length of the branch's "
    "output, for every token of every block, and averaged over images.",
    "Bright: the token passes through its block nearly unchanged; dark: the branch writes most of "
    "what goes on.",
)
DIFFERS = (
    "The paper shows one ViT with 50 tokens on linear colours; colours here are logarithmic, so "
    "that trained and untrained networks fit one scale."
)
READS = ("skip_ratios.parquet", "skip_tokens.parquet")
NEEDS = ("trained", "attention", "branches")

ROWS = (("f100", 0), ("f100", 1), ("f000", 0), ("f000", 1))
"""Fraction, and which of the block's two branches."""
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One column a model with tokens: its two branches trained, then untrained.

    Args:
        tables: ``skip_ratios.parquet`` and ``skip_tokens.parquet``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: no trained network of the experiment has tokens and all skip connections.
    """
    ratios = tables["skip_ratios.parquet"]
    models = panels.token_models(ratios, config)
    bands, columns = wrap_columns(len(models), 3)
    figure = Figure(figsize=(full_width(), bands * 6.0 + 0.2), layout="constrained")
    grid = figure.subplots(bands * 4, columns, squeeze=False)
    found = {model: _matrices(tables, config, model) for model in models}
    scale = _scale([m for own in found.values() for _, m in own if m.size])
    for place, model in enumerate(models):
        band, column = divmod(place, columns)
        stack = grid[band * 4 : band * 4 + 4, column]
        _draw_model(stack, found[model], scale, panels.has_cls(ratios, model))
        stack[0].set_title(f"{label(config, model)}\n{stack[0].get_title()}")
        if column == 0:
            for axes in stack:
                axes.set_ylabel("block index")
    for place in range(len(models), bands * columns):
        for axes in grid[place // columns * 4 : place // columns * 4 + 4, place % columns]:
            axes.set_axis_off()
    _add_colour_bar(figure, grid, scale)
    return figure


def _matrices(tables: Tables, config: dict[str, Any], model: str) -> list[tuple[str, np.ndarray]]:
    """Title and ratios [blocks, tokens] of each of ROWS; no ratios where there is no network."""
    ratios, tokens = tables["skip_ratios.parquet"], tables["skip_tokens.parquet"]
    own = set(tokens.loc[tokens["model"] == model, "branch"])
    branches = [branch for branch in panels.BRANCHES if branch in own]
    found = []
    for fraction, place in ROWS:
        branch = branches[place]
        nets = panels.with_fraction(ratios, config, model, fraction)
        matrix = panels.token_matrix(tokens, nets[0], branch) if nets else np.empty((0, 0))
        found.append((f"{panels.BRANCHES[branch][0]}, {_state(fraction)}", matrix))
    return found


def _state(fraction: str) -> str:
    return "untrained" if fraction == "f000" else "trained"


def _scale(matrices: list[np.ndarray]) -> LogNorm:
    """From the smallest ratio to the largest."""
    finite = np.concatenate([m[np.isfinite(m) & (m > 0)] for m in matrices])
    return LogNorm(finite.min(), finite.max())


def _draw_model(
    stack: Any, found: list[tuple[str, np.ndarray]], scale: LogNorm, has_cls: bool
) -> None:
    for axes, (title, matrix) in zip(stack, found, strict=True):
        axes.set_title(title)
        if matrix.size:
            _draw_tokens(axes, matrix, scale, has_cls)
        else:
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, "no untrained network", ha="center", transform=axes.transAxes)
    stack[-1].set_xlabel("token index (patches after CLS)" if has_cls else "token index (patches)")


def _draw_tokens(axes: Axes, matrix: np.ndarray, scale: LogNorm, has_cls: bool) -> None:
    """Patches as they are; the class token as a wide column of its own, left of a gap."""
    blocks, tokens = matrix.shape
    colours = colormaps[rcParams["image.cmap"]].with_extremes(bad=MISSING)
    first, gap = int(has_cls), tokens / 40
    pieces = [(first - 0.5, tokens - 0.5, matrix[:, first:])]
    left = first - 0.5 - (4 * gap if has_cls else 0)
    if has_cls:
        pieces.append((left, left + 3 * gap, matrix[:, :1]))
    for begin, end, part in pieces:
        extent = (begin, end, -0.5, blocks - 0.5)
        masked = np.ma.masked_invalid(part)
        image = axes.imshow(masked, cmap=colours, norm=scale, extent=extent, aspect="auto")
        if part.shape[1] == 1:
            drawn.state(image, pd.DataFrame({"x": 0, "y": range(blocks), "value": part[:, 0]}))
    axes.set(xlim=(left, tokens - 0.5), ylim=(-0.5, blocks - 0.5))
    axes.spines[:].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    ticks = np.linspace(first, tokens - 1, 4).round().astype(int).tolist()
    labels = [str(tick) for tick in ticks]
    if has_cls:  # whose name takes the place of the first patch's number
        ticks, labels = [left + 1.5 * gap, *ticks[1:]], ["CLS", *labels[1:]]
    axes.set_xticks(ticks, labels)


def _add_colour_bar(figure: Figure, grid: Any, scale: LogNorm) -> None:
    text = "‖skip‖ / ‖branch‖ (no unit)"
    mappable = ScalarMappable(scale, rcParams["image.cmap"])
    bar = figure.colorbar(mappable, ax=grid, label=text, shrink=0.6, aspect=35, pad=0.02)
    bar.ax.yaxis.set_major_locator(FixedLocator(TICKS))
    bar.ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
