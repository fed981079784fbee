"""Figure 2: which layers of a ViT and of a ResNet resemble each other."""

from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.errors import ResultError
from sightlines.figures import maps
from sightlines.figures.drawing import command
from sightlines.figures.selecting import (
    Tables,
    best_match,
    block_outputs,
    cka_matrix,
    full_network,
    label,
    layer_rows,
    trained_models,
    untrained_network,
)
from sightlines.figures.style import WIDTH_IN, styled
from sightlines.stage import run

TITLE = "Similarity of layers across networks"
PAPER = "Figure 2"
CAPTION = (
    "Linear CKA between the layers of two networks (one row a pair; ViT upwards, ResNet to the "
    "right, or two ViTs of different size). The line marks, for each layer on the x axis, the "
    "most similar layer on the y axis. Look for: a line that stays well below the diagonal, that "
    "is, many lower ResNet layers doing the work of few lower ViT layers, and for top ViT layers "
    "that resemble no ResNet layer. Compare with the untrained pair on the right. A line on the "
    "diagonal, or the same line in the untrained pair, would contradict the paper's reading."
)
READS = ("cka.parquet", "layers.csv")
NEEDS = ("trained", "two_families")

COLUMNS = ("all sub-layers", "block outputs", "untrained, all sub-layers")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row a pair of models: all sub-layers, block outputs, and the untrained pair.

    Args:
        tables: ``cka.parquet`` and ``layers.csv``.
        config: `networks`, `labels`, `families`.

    Raises:
        ResultError: the experiment has no pair of trained models to compare.
    """
    pairs = model_pairs(config)
    if not pairs:
        raise ResultError("there is no pair of networks to compare: train two families of models")
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


def model_pairs(config: dict[str, Any]) -> list[tuple[str, str]]:
    """(model upwards, model to the right): every ViT with every other family, then ViT sizes."""
    models, families = trained_models(config), config["families"]
    across = [
        (b, a) if families[b] == "vit" else (a, b)
        for place, a in enumerate(models)
        for b in models[place + 1 :]
        if families[a] != families[b]
    ]
    vits = [m for m in models if families[m] == "vit"]
    return across + list(zip(vits[1:], vits[:-1], strict=True))


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


main = command(READS, draw)

if __name__ == "__main__":
    run(main)
