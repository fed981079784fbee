"""Figure 7: how much larger the skip connection is than the branch that is added to it."""

from typing import Any

import numpy as np
from matplotlib import colormaps, rcParams
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from sightlines.figures import paper_curves
from sightlines.figures import skip_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.maps import wrapped
from sightlines.figures.style import BLACK, MISSING, full_width, styled
from sightlines.plan.networks import FULL, Network
from sightlines.results.paper_values import curves
from sightlines.results.selecting import Tables, label

TITLE = "Skip connections against branches"
PAPER = "Figure 7"
QUESTION = "skips"
CAPTION = (
    "Norm of the skip connection over norm of the branch that is added to it (no unit), mean over "
    "the reference images; one row a model. Left: MLP branch, by block and token; token 0 is CLS "
    "where there is one. Middle: means over patches (solid) and CLS (dashed), with the ResNet's "
    "units in black or grey; logarithmic, 1: as large as each other. Right: the same, untrained. "
    "Look for: ViT lines above the ResNet's, and lines of the MLP that cross: CLS high in the "
    "first half and low in the second, patches the other way round. What the untrained network "
    "shows as well was not learned; where branches start at 0, they were switched on (scale 1). "
    "Thin lines are other seeds. A ResNet line among or above the ViT's would contradict the "
    "paper. Dash-dotted: the paper's ViT-B/16 and ResNet-50 (ImageNet), read off its plot to ±.25, "
    "by their share of all blocks, in the colours of the same branches; of CLS too. Ratios below "
    ".05 lie off the axis."
)
EXPLAINS = (
    "Every block adds the output of a branch (attention, MLP, convolutions) to what came in over "
    "its skip connection; the question is which of the two makes up what goes on.",
    "For every token and image the length of the vector on the skip connection is divided by the "
    "length of the branch's output, and averaged over images.",
    "Above 1 the block mostly passes on what it got, below 1 it mostly writes something new; "
    "compare ViT with ResNet, and CLS with patches.",
)
DIFFERS = (
    "The paper does not say how images are averaged: this is the mean of ratios (the table has "
    "medians as well). The paper's axis is linear; it is logarithmic here, so that small ratios "
    "and the untrained network can be read."
)
READS = ("skip_ratios.parquet", "skip_tokens.parquet")
NEEDS = ("trained", "attention", "branches")

TOKENS = 10
PAPER_LINES = paper_curves.handle("ViT-B/16 and ResNet-50")
PAPER_SERIES = {
    ("attn", "spatial"): "SA_spatial",
    ("attn", "cls"): "SA_CLS",
    ("mlp", "spatial"): "MLP_spatial",
    ("mlp", "cls"): "MLP_CLS",
}
"""Branch and tokens -> the paper's line."""
LOWEST = 0.05
"""The axes reach no lower: a class token that starts at 0 would press all else together."""
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row a model with tokens: first tokens, lines, lines of the untrained network.

    Args:
        tables: ``skip_ratios.parquet`` and ``skip_tokens.parquet``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: no trained network of the experiment has tokens and all skip connections.
    """
    ratios = tables["skip_ratios.parquet"]
    models = panels.token_models(ratios, config)
    row_in = 2.05 if len(models) <= 4 else 1.5
    figure = Figure(figsize=(full_width(), row_in * len(models) + 0.7), layout="constrained")
    grid = figure.subplots(len(models), 3, squeeze=False, width_ratios=(1, 1.25, 1.25))
    for axes in grid[:, 2]:
        axes.sharey(grid[0, 1])
    for axes in grid[1:, 1]:
        axes.sharey(grid[0, 1])
    maps = [_first_tokens(tables, config, model) for model in models]
    scale = Normalize(0, max((np.nanmax(m) for m in maps if m.size), default=1.0))
    image = None
    for line, model, matrix in zip(grid, models, maps, strict=True):
        image = _draw_tokens(line[0], matrix, scale, panels.has_cls(ratios, model))
        line[0].set_ylabel(f"{wrapped(label(config, model), 1.4)}\nblock index")
        _draw_model(line[1], ratios, config, model, "f100")
        _draw_model(line[2], ratios, config, model, "f000")
        line[1].set_ylabel("‖skip‖ / ‖branch‖\n(no unit)")
    for axes, title in zip(grid[0], ("MLP, first tokens", "trained", "untrained"), strict=True):
        axes.set_title(title, fontweight="bold")
    _set_scale(grid[0, 1])
    if image is not None:
        bar = figure.colorbar(image, ax=grid[:, 0], location="left", aspect=30, pad=0.06)
        bar.set_label("‖skip‖ / ‖branch‖ (no unit)")
    seeds = panels.has_seeds(ratios, config, models)
    figure.legend(
        handles=[*panels.handles(ratios, config, seeds), PAPER_LINES],
        loc="outside lower center",
        ncols=3,
    )
    return figure


def _first_tokens(tables: Tables, config: dict[str, Any], model: str) -> np.ndarray:
    network = panels.with_fraction(tables["skip_ratios.parquet"], config, model, "f100")[0]
    return panels.token_matrix(tables["skip_tokens.parquet"], network, "mlp")[:, :TOKENS]


def _draw_tokens(axes: Axes, matrix: np.ndarray, scale: Normalize, has_cls: bool) -> AxesImage:
    colours = colormaps[rcParams["image.cmap"]].with_extremes(bad=MISSING)
    image = axes.imshow(np.ma.masked_invalid(matrix), cmap=colours, norm=scale, aspect="auto")
    axes.spines[:].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_xlabel("token index (0: CLS)" if has_cls else "token index (no CLS)")
    if has_cls:
        axes.axvline(0.5, color="white", linewidth=1.5, label=DECORATION)
    return image


def _draw_model(axes: Axes, ratios: Any, config: dict[str, Any], model: str, fraction: str) -> None:
    nets = panels.with_fraction(ratios, config, model, fraction)
    axes.axhline(1, color=BLACK, linewidth=0.7, linestyle=":", label=DECORATION)
    if not nets:  # of an untrained network alone
        axes.text(0.5, 0.5, "no untrained network", ha="center", transform=axes.transAxes)
        axes.set_xticks([])
        return
    panels.draw_lines(axes, ratios, nets, "ratio")
    panels.draw_convolutional(axes, ratios, config, fraction, "ratio")
    if fraction == FULL:
        _draw_paper(axes, ratios, nets[0])
    for other in panels.convolutional_models(ratios, config):
        own = panels.with_fraction(ratios, config, other, fraction)
        if own and panels.is_zero(ratios, own[0]):
            axes.set_xlabel("block index\n(ResNet: branch is 0, no ratio)")


def _draw_paper(axes: Axes, ratios: Any, network: Network) -> None:
    """ViT-B/16's branches and ResNet-50's units, by their share of all blocks."""
    found = curves("7")
    last = float(max(len(own) for own in panels.lines(ratios, network, "ratio").values()) - 1)
    for (branch, tokens), own in panels.lines(ratios, network, "ratio").items():
        if curve := found.get(PAPER_SERIES.get((branch, tokens), "")):
            paper_curves.draw_by_place(
                axes, curve, float(own.index[0]), last, panels.BRANCHES[branch][1]
            )
    paper_curves.draw_by_place(axes, found["ResNet50"], 0.0, last, panels.UNITS[0][0])


def _set_scale(axes: Axes) -> None:
    """Logarithmic, with ticks that are read without powers of ten."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(bottom=max(LOWEST, axes.get_ylim()[0]))
