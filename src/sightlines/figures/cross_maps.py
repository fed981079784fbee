"""Rows of panels that compare two networks layer by layer, shared by Figures 2, G.2 and H."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.claims.statistics import monotone_path
from sightlines.figures import maps
from sightlines.figures.style import full_width
from sightlines.results.selecting import (
    Tables,
    block_outputs,
    cka_matrix,
    full_network,
    label,
    layer_rows,
    untrained_network,
)

LAYERS, BLOCKS, UNTRAINED = range(3)
"""Maps of a pair: all sub-layers, block outputs alone, all sub-layers of the untrained pair."""
TITLES = {LAYERS: "all sub-layers", BLOCKS: "block outputs", UNTRAINED: "untrained, all sub-layers"}
BRIEF_TITLES = {LAYERS: "all sub-layers", UNTRAINED: "untrained"}
FULL_ROWS, MOST_PAIRS = 6, 10
"""As many pairs have a row each; above that two share one, and no more than these are drawn."""


def draw_pairs(tables: Tables, config: dict[str, Any], pairs: list[tuple[str, str]]) -> Figure:
    """All sub-layers, block outputs and the untrained pair: one row a pair of models.

    Above `FULL_ROWS` pairs, two stand side by side without block outputs. Of more than
    `MOST_PAIRS` the figure shows those that bring every model in, and says how many it leaves out.

    Args:
        tables: ``cka.parquet`` and ``layers.csv``.
        config: `networks`, `labels`.
        pairs: (model upwards, model to the right); a model with itself has no line.
    """
    shown = spread(pairs, MOST_PAIRS)
    is_brief = len(shown) > FULL_ROWS
    titles, side, abreast = (BRIEF_TITLES, 1.2, 2) if is_brief else (TITLES, 1.65, 1)
    rows = -(-len(shown) // abreast)
    height = rows * (side + (0.55 if is_brief else 0.35)) + 0.5
    figure = Figure(figsize=(full_width(), height), layout="constrained")
    grid = figure.subplots(rows, abreast * len(titles), squeeze=False)
    matrices = [_matrices(tables, config, *pair) for pair in shown]
    finite = [m for line in matrices for m in line if m is not None]
    scale = maps.common_scale(finite)
    images = []
    for axes in grid.flat[len(shown) * len(titles) :]:
        axes.set_axis_off()
    cells = itertools.product(zip(shown, matrices, strict=True), titles)
    for place, ((pair, of_pair), column) in enumerate(cells):
        axes, matrix = grid.flat[place], of_pair[column]
        if place < grid.shape[1]:
            axes.set_title(titles[column], fontweight="bold")
        if matrix is None:
            maps.blank(axes, "no such pair\nin this experiment")
            continue
        images.append(maps.draw_map(axes, matrix, scale))
        _label(axes, tables, config, pair, column, side)
        if pair[0] != pair[1]:
            _draw_path(axes, matrix, layer_rows(tables["layers.csv"], pair[0]), column)
    if images:
        maps.add_colour_bar(figure, images[0], list(grid.flat), finite)
    _explain(figure, finite, len(pairs) - len(shown))
    return figure


def spread(pairs: list[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """At most that many of the pairs, in their order, with every model as evenly as it can be."""
    used: Counter[str] = Counter()
    left = list(pairs)
    while len(pairs) - len(left) < most and left:
        pair = min(left, key=lambda pair: sum(used[model] for model in pair))
        left.remove(pair)
        used.update(pair)
    return [pair for pair in pairs if pair not in left]


def _label(
    axes: Axes,
    tables: Tables,
    config: dict[str, Any],
    pair: tuple[str, str],
    column: int,
    side: float,
) -> None:
    """Name both axes; ticks where blocks begin, on the maps of sub-layers."""
    unit = "block index" if column == BLOCKS else "layer index"
    upwards, right = (maps.wrapped(f"{label(config, model)}: {unit}", side) for model in pair)
    axes.set(xlabel=right, ylabel=upwards)
    if column != BLOCKS:
        maps.mark_blocks(axes, *(layer_rows(tables["layers.csv"], model) for model in pair))


def _explain(figure: Figure, matrices: list[np.ndarray], left_out: int) -> None:
    """What grey is, and what the figure leaves out."""
    maps.explain_grey(figure, matrices)
    if left_out:
        text = f"{left_out} more pairs of networks are not drawn; tables/cka.parquet has them"
        figure.supxlabel(text)


def _matrices(tables: Tables, config: dict[str, Any], a: str, b: str) -> list[Any]:
    cka, layers = tables["cka.parquet"], tables["layers.csv"]
    full_a, full_b = full_network(config, a), full_network(config, b)
    whole = cka_matrix(cka, layers, full_a, full_b) if full_a and full_b else None
    bare_a, bare_b = untrained_network(config, a), untrained_network(config, b)
    control = cka_matrix(cka, layers, bare_a, bare_b) if bare_a and bare_b else None
    cut = np.ix_(block_outputs(layers, a), block_outputs(layers, b))
    return [whole, None if whole is None else whole[cut], control]


def _draw_path(axes: Axes, matrix: np.ndarray, rows: pd.DataFrame, column: int) -> None:
    """For every column the layer that it matches, never lower than the one before: as C4 does.

    Embeddings are left out: they are alike to all that has seen little of the image.
    """
    computed = np.arange(len(matrix))
    if column != BLOCKS:
        computed = np.flatnonzero((rows["kind"] != "embed").to_numpy())
    path, _ = monotone_path(matrix[computed])
    found = np.where(path < 0, np.nan, computed[path])
    outline = [patheffects.withStroke(linewidth=2.2, foreground="black")]
    look: dict[str, Any] = {"color": "white", "linewidth": 1.0, "path_effects": outline}
    axes.plot(np.arange(len(found)), found, label="best match", **look)
