"""Rows of panels that compare two networks layer by layer, shared by Figures 2, G.2 and H."""

from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures import maps
from sightlines.figures.selecting import (
    Tables,
    best_match,
    block_outputs,
    cka_matrix,
    full_network,
    label,
    layer_rows,
    untrained_network,
)
from sightlines.figures.style import WIDTH_IN

COLUMNS = ("all sub-layers", "block outputs", "untrained, all sub-layers")


def draw_pairs(tables: Tables, config: dict[str, Any], pairs: list[tuple[str, str]]) -> Figure:
    """One row a pair of models: all sub-layers, block outputs, and the untrained pair.

    Args:
        tables: ``cka.parquet`` and ``layers.csv``.
        config: `networks`, `labels`.
        pairs: (model upwards, model to the right); a model with itself has no line.
    """
    side = 1.9 if len(pairs) <= 6 else 1.5
    figure = Figure(figsize=(WIDTH_IN, len(pairs) * (side + 0.35) + 0.5), layout="constrained")
    grid = figure.subplots(len(pairs), 3, squeeze=False)
    matrices = [_matrices(tables, config, *pair) for pair in pairs]
    shown = [m for triple in matrices for m in triple if m is not None]
    scale = maps.common_scale(shown)
    image = None
    for row, (rows_model, columns_model) in enumerate(pairs):
        for column, matrix in enumerate(matrices[row]):
            axes = grid[row, column]
            if row == 0:
                axes.set_title(COLUMNS[column], fontweight="bold")
            if matrix is None:
                maps.blank(axes, "no such pair\nin this experiment")
                continue
            drawn = maps.draw_map(axes, matrix, scale)
            image = image or drawn
            if rows_model != columns_model:
                _draw_best_match(axes, matrix)
            unit = "block index" if column == 1 else "layer index"
            axes.set_xlabel(maps.wrapped(f"{label(config, columns_model)}: {unit}", side))
            axes.set_ylabel(maps.wrapped(f"{label(config, rows_model)}: {unit}", side))
            if column != 1:
                layers = tables["layers.csv"]
                maps.mark_blocks(
                    axes, layer_rows(layers, rows_model), layer_rows(layers, columns_model)
                )
    if image is not None:
        maps.add_colour_bar(figure, image, list(grid.flat), shown)
    maps.explain_grey(figure, shown)
    return figure


def _matrices(tables: Tables, config: dict[str, Any], a: str, b: str) -> list[Any]:
    cka, layers = tables["cka.parquet"], tables["layers.csv"]
    full_a, full_b = full_network(config, a), full_network(config, b)
    whole = cka_matrix(cka, layers, full_a, full_b) if full_a and full_b else None
    bare_a, bare_b = untrained_network(config, a), untrained_network(config, b)
    control = cka_matrix(cka, layers, bare_a, bare_b) if bare_a and bare_b else None
    cut = np.ix_(block_outputs(layers, a), block_outputs(layers, b))
    return [whole, None if whole is None else whole[cut], control]


def _draw_best_match(axes: Axes, matrix: np.ndarray) -> None:
    best = best_match(matrix)
    outline = [patheffects.withStroke(linewidth=2.2, foreground="black")]
    axes.plot(np.arange(len(best)), best, color="white", linewidth=1.0, path_effects=outline)
