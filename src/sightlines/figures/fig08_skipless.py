"""Figure 8: CKA within ViTs that were trained without the skips of one block."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures import maps
from sightlines.figures.style import WIDTH_IN, styled, wrap_columns
from sightlines.plan import roles
from sightlines.plan.architectures import skipless_block
from sightlines.results.selecting import (
    Tables,
    architectures,
    cka_matrix,
    full_network,
    label,
    layer_rows,
    networks,
    require_some,
    rows_of,
    settings,
    trained_models,
)

TITLE = "ViTs without the skips of one block"
PAPER = "Figure 8"
CAPTION = (
    "Linear CKA between all sub-layers of ViTs that were trained, by the same recipe, without the "
    "skip connections of one block, beside the ViT that has them all. Dashed lines mark where the "
    "block without skips begins; its first layer, a norm, still sees what comes from below. Look "
    "for: a map that falls into the layers below and above that block, which share little, where "
    "the intact ViT's map goes on. The paper sees this for middle and late blocks, hardly for the "
    "first, at a cost of 4 % in accuracy. It would contradict the paper if the maps without skips "
    "went on across the lines as the intact one does."
)
EXPLAINS = (
    "Do skip connections carry a ViT's representations from its lowest to its highest layers? "
    "ViTs are trained without the skips of one block, and the layers of each are compared with "
    "each other by CKA. Two dark rectangles beside the dashed lines mean that what lies below the "
    "block is not passed on once its skips are gone."
)
DIFFERS = (
    "The paper does not say which ViT it cuts or what its accuracy is measured on; ours are the "
    "config's. The panels without only one of a block's two skips are ours: attention without its "
    "skip is known to be harder to train than an MLP without it."
)
READS = ("cka.parquet", "layers.csv", "accuracy.csv")
NEEDS = ("skipless",)
WHICH = {"both": "skips", "attn": "attention skip", "mlp": "MLP skip"}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a ViT: the intact one first, then by what is missing and by block.

    Args:
        tables: ``cka.parquet``, ``layers.csv`` and ``accuracy.csv``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: no ViT lacks skips.
    """
    lacking = [m for m in trained_models(config) if _block(config, m) >= 0]
    require_some(lacking, "no network lacks skips (skipless_block)")
    lacking.sort(key=lambda m: (list(WHICH).index(_which(config, m)), _block(config, m)))
    models = [*_twins(config), *lacking]
    bands, columns = wrap_columns(len(models), 3)
    side = (WIDTH_IN - 1.0) / columns
    figure = Figure(figsize=(WIDTH_IN, bands * (side + 0.35)), layout="constrained")
    grid = figure.subplots(bands, columns, squeeze=False)
    scale, shown, image = maps.common_scale([], top=1.0), [], None
    for axes, model in zip(grid.flat, models, strict=False):
        axes.set_title(_title(tables, config, model))
        network = full_network(config, model)
        matrix = cka_matrix(tables["cka.parquet"], tables["layers.csv"], network, network)  # type: ignore[arg-type]
        if matrix is None:
            maps.blank(axes, "not in cka.parquet")
            continue
        image = maps.draw_map(axes, matrix, scale)
        shown.append(matrix)
        _mark(axes, tables, config, model)
    for axes in grid.flat[len(models) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel("layer index")
    for axes in grid[-1]:
        axes.set_xlabel("layer index")
    if image is not None:
        maps.add_colour_bar(figure, image, list(grid.flat), shown)
    maps.explain_grey(figure, shown)
    return figure


def _block(config: dict[str, Any], model: str) -> int:
    return skipless_block(settings(config, model))


def _which(config: dict[str, Any], model: str) -> str:
    return str(settings(config, model).get("skipless", "both"))


def _twins(config: dict[str, Any]) -> list[str]:
    """Intact models of the same architecture."""
    pairs = roles.skipless_pairs(networks(config), architectures(config))
    intact = {model for _, model in pairs}
    return [m for m in trained_models(config) if m in intact]


def _title(tables: Tables, config: dict[str, Any], model: str) -> str:
    block = _block(config, model)
    if block < 0:
        name = f"{label(config, model)}, intact"
    else:
        name = f"block {block} without {WHICH[_which(config, model)]}"
    rows = rows_of(tables["accuracy.csv"], full_network(config, model))  # type: ignore[arg-type]
    if rows.empty:
        return name
    return f"{name}\ntest accuracy {100 * rows['accuracy_test'].iloc[0]:.1f} %"


def _mark(axes: Axes, tables: Tables, config: dict[str, Any], model: str) -> None:
    own = layer_rows(tables["layers.csv"], model)
    maps.mark_blocks(axes, own, own)
    block = _block(config, model)
    inside = np.flatnonzero(own["block"].to_numpy() == block)
    if block >= 0 and inside.size:
        for line in (axes.axhline, axes.axvline):
            line(inside[0] - 0.5, color="white", linewidth=1.0, linestyle=(0, (4, 2)))
