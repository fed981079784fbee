"""Figure 8: CKA within ViTs that were trained without the skips of one block."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sightlines.claims.fig08_skipless import ACROSS, below_block
from sightlines.claims.statistics import cut_ratio
from sightlines.figures import maps
from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import (
    BLACK,
    GREY,
    full_width,
    model_look,
    series_name,
    styled,
    wrap_columns,
)
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
    other_seeds,
    require_some,
    rows_of,
    settings,
    trained_models,
)

TITLE = "ViTs without the skips of one block"
PAPER = "Figure 8"
QUESTION = "skips"
CAPTION = (
    "Linear CKA between all sub-layers of ViTs that were trained, by the same recipe, without the "
    "skip connections of one block, beside the ViT that has them all. Dashed lines mark where the "
    "block without skips begins; its first layer, a norm, still sees what comes from below. Look "
    "for: a map that falls into the layers below and above that block, which share little, where "
    "the intact ViT's map goes on. The paper sees this for middle and late blocks, hardly for the "
    "first, at a cost of 4 % in accuracy. It would contradict the paper if the maps without skips "
    "went on across the lines as the intact one does. Below: mean CKA across a cut over the mean "
    "within both parts, cut in turn after the first norm of every block; stars mark the block "
    "without skips, thin lines are other seeds, and the dashed line is what a partition needs."
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
    side = (full_width() - 1.0) / columns
    heights = [*[side + 0.35] * bands, 2.0]
    figure = Figure(figsize=(full_width(), sum(heights)), layout="constrained")
    places = figure.add_gridspec(bands + 1, columns, height_ratios=heights)
    cells = [[figure.add_subplot(places[b, c]) for c in range(columns)] for b in range(bands)]
    grid, below = np.array(cells), figure.add_subplot(places[bands, :])
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
    _draw_cuts(below, tables, config, models)
    return figure


def _draw_cuts(axes: Axes, tables: Tables, config: dict[str, Any], models: list[str]) -> None:
    """Partition ratio at every block, of all seeds of the intact ViTs and those without skips."""
    has_others, handles = False, list[Line2D]()
    for model in models:
        look = model_look(models, model)
        own, block = layer_rows(tables["layers.csv"], model), _block(config, model)
        full = full_network(config, model)
        for network in [full, *other_seeds(config, full)] if full else []:
            matrix = cka_matrix(tables["cka.parquet"], tables["layers.csv"], network, network)
            if matrix is None:
                continue
            cuts = _cuts(matrix, own)
            if network != full:
                has_others = True
                thin: dict[str, Any] = {"linewidth": 0.6, "label": series_name(config, network)}
                axes.plot(list(cuts), list(cuts.values()), color=look["color"], **thin)
                continue
            name = _title(tables, config, model).partition("\n")[0]
            handles += axes.plot(list(cuts), list(cuts.values()), **look, label=name)
            if block in cuts:
                star: dict[str, Any] = {"marker": "*", "markersize": 9, "linestyle": ""}
                axes.plot([block], [cuts[block]], color=look["color"], label=DECORATION, **star)
    axes.axhline(ACROSS.threshold, color=BLACK, linestyle="--", linewidth=0.8, label="threshold")
    axes.set_ylim(bottom=0)
    axes.set(xlabel="block of the cut", ylabel="CKA across ÷ within\n(no unit)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y")
    if has_others:
        handles.append(Line2D([], [], color=GREY, linewidth=0.6, label="other seeds"))
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)


def _cuts(matrix: np.ndarray, layers: pd.DataFrame) -> dict[int, float]:
    """Block -> CKA across over within the parts below and above the cut after its first norm."""
    blocks = sorted({int(b) for b in layers["block"] if b > 0})
    return {block: float(cut_ratio(matrix, below_block(layers, block))) for block in blocks}


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
            look: dict[str, Any] = {"color": "white", "linewidth": 1.0, "linestyle": (0, (4, 2))}
            line(inside[0] - 0.5, label=DECORATION, **look)
