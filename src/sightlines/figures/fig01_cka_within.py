"""Figure 1: how similar the layers of one network are to each other."""

from typing import Any

from matplotlib.figure import Figure

from sightlines.figures import maps
from sightlines.figures.style import full_width, styled, wrap_columns
from sightlines.results.selecting import (
    Tables,
    block_outputs,
    cka_matrix,
    full_network,
    label,
    layer_rows,
    shown_models,
    untrained_network,
)

TITLE = "Similarity of layers within a network"
PAPER = "Figures 1 and B.1"
QUESTION = "structure"
CAPTION = (
    "Linear CKA between all pairs of layers of one network (one column a network, a Mixer and an "
    "FNet last, where there are such; origin at the lower left, small ticks where a block begins). "
    "Look for: a ViT that stays similar from its lowest to its highest layers, with a grid from "
    "sub-layers off the residual stream, against a ResNet that falls into dissimilar lower and "
    "upper parts. The second row keeps block outputs only, so the grid vanishes there. Compare "
    "with the row of the untrained network, where there is one: what it shows as well was not "
    "learned. It would contradict the paper if the lowest and highest quarters of the ViT were no "
    "more similar to each other than those of the ResNet."
)
READS = ("cka.parquet", "layers.csv")
NEEDS = ("trained",)
EXPLAINS = (
    "Do the layers of one network compute similar or different things? Every pair of layers is "
    "compared by CKA, which asks whether the two see the same images as alike. A map that is "
    "bright throughout means that representations change little with depth; bright squares along "
    "the diagonal with dark between them mean stages."
)
DIFFERS = (
    "The paper's top row shows no untrained network, and its maps have no common colour scale. "
    "Block outputs are shown apart, since which layers are drawn decides much of what such a map "
    "looks like. The paper has Mixers in Figure H.1 and no FNet."
)

ABREAST = 4
"""At most so many networks side by side; in several bands each is as narrow as that, for height."""
ROWS = ("all sub-layers", "block outputs", "untrained, all sub-layers")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One column a model: all sub-layers, block outputs, and the untrained network.

    Args:
        tables: ``cka.parquet`` and ``layers.csv``.
        config: `networks`, `labels`, `families`.
    """
    models = shown_models(config)
    bands, columns = wrap_columns(len(models), ABREAST)
    side = min(2.3, (full_width() - 1.6) / (columns if bands == 1 else ABREAST) - 0.1)
    lines = 3 if any(untrained_network(config, m) for m in models) else 2
    size = (columns * (side + 0.1) + 1.6, bands * lines * (side + 0.42) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(bands * lines, columns, squeeze=False)
    scale = maps.common_scale([], top=1.0)
    shown, image = [], None
    for place, model in enumerate(models):
        band, column = divmod(place, columns)
        for row, matrix in enumerate(_matrices(tables, config, model)[:lines]):
            axes = grid[band * lines + row, column]
            if row == 0:
                axes.set_title(maps.wrapped(label(config, model), side), fontweight="bold")
            if matrix is None:
                maps.blank(axes, "no untrained network\nin this experiment")
                continue
            drawn = maps.draw_map(axes, matrix, scale)
            image = image or drawn
            shown.append(matrix)
            unit = "block index" if row == 1 else "layer index"
            axes.set_xlabel(unit)
            axes.set_ylabel(f"{ROWS[row]}\n{unit}" if column == 0 else "")
            if row != 1:
                own = layer_rows(tables["layers.csv"], model)
                maps.mark_blocks(axes, own, own)
    for place in range(len(models), bands * columns):
        for row in range(lines):
            grid[place // columns * lines + row, place % columns].set_axis_off()
    if image is not None:
        maps.add_colour_bar(figure, image, list(grid.flat), shown)
    maps.explain_grey(figure, shown)
    return figure


def _matrices(tables: Tables, config: dict[str, Any], model: str) -> list[Any]:
    """The model's three maps; None where the experiment lacks the untrained network."""
    cka, layers = tables["cka.parquet"], tables["layers.csv"]
    full, untrained = full_network(config, model), untrained_network(config, model)
    whole = cka_matrix(cka, layers, full, full) if full else None
    outputs = block_outputs(layers, model)
    control = cka_matrix(cka, layers, untrained, untrained) if untrained else None
    return [whole, None if whole is None else whole[outputs][:, outputs], control]
