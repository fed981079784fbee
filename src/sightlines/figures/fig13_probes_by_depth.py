"""Figure 13: at which depth the class can be read off, with more and less data, and by model."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures import paper_curves
from sightlines.figures import probe_panels as panels
from sightlines.figures.maps import wrapped
from sightlines.figures.style import (
    column_width,
    fraction_label,
    fraction_look,
    full_width,
    legend_below,
    model_look,
    series_name,
    styled,
    wrap_columns,
)
from sightlines.plan.networks import Network
from sightlines.results.paper_values import AT_HALF, curves
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    less_data,
    models,
    other_seeds,
    plain_models,
    require_some,
    untrained_network,
)

TITLE = "Linear probes by depth"
PAPER = "Figure 13"
QUESTION = "data"
CAPTION = (
    "Test accuracy (%) of linear probes on the mean of patch tokens or map places, by normalised "
    "depth (0: first block, 1: last block, and hollow markers the norm after it). (a): one model "
    "trained on all images and on fewer; (b): models trained on all images; thin lines are other "
    "seeds. Upper row of each pair: probes on all images of `splits.probe_train`; lower: on few of "
    "each class, mean of the draws, bands from lowest to highest draw. Look for: in (a) a gap "
    "between more and less data that is wider in the middle than at the end; in (b) a large ViT "
    "above the ResNets in the middle. Gaps that are widest at the end, or ResNets that lead "
    "throughout, would contradict the paper. Dash-dotted, "
    "in the rows of few images: the paper's ViT-L/16 in (a) on JFT-300M (colour of all images) and "
    "on ImageNet (of fewest), in (b) with ResNet-50 at half depth and at the end; 10 ImageNet "
    "images of each of 1,000 classes, read off its plot to ±1.6 points."
)
EXPLAINS = (
    "How deep must one look into a network before the class of an image can be read off by a "
    "straight cut, and does more training data help the middle or the end?",
    "After every block tokens are averaged, and a linear classifier in closed form is fitted to "
    "them and scored on test images.",
    "Curves that rise early belong to networks whose middle layers are already useful; read gaps "
    "between curves at the same depth, and hold each against its dotted untrained network.",
)
DIFFERS = (
    "The paper compares 300 million with 1.3 million training images, under different recipes; "
    "ours are shares of one dataset with one recipe and equal steps. Its probes have 10 images a "
    "class; those on all training images are added."
)
READS = ("probes.parquet",)
NEEDS = ("trained", "probes")

POOL = "mean"
ROW_IN = 1.75
PAPER_TOP = 84.0
"""Per cent up to which the axes reach where the paper's lines are drawn."""


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Panels (a), one a model with less data, then (b); two rows each.

    Args:
        tables: ``probes.parquet``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: the table has no trained network of this experiment.
    """
    table = tables["probes.parquet"]
    table = table[(table["dataset"] == "") & (table["pool"] == POOL)]
    shown = [m for m in plain_models(config) if _has(table, full_network(config, m))]
    require_some(shown, "probes.parquet has no trained network of this experiment")
    split = [m for m in shown if any(_has(table, n) for n in less_data(config, m))]
    numbers = panels.few_shots(table)
    bands, columns = wrap_columns(len(split) + 1, 3)
    width = full_width() if columns > 1 else column_width()
    height = bands * (len(numbers) * ROW_IN + 0.3) + 0.9
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(bands * len(numbers), columns, squeeze=False, sharex=True, sharey=True)
    for place, model in enumerate([*split, None]):
        band, column = divmod(place, columns)
        stack = grid[band * len(numbers) : (band + 1) * len(numbers), column]
        name = "(b) models compared" if model is None else f"(a) {label(config, model)}"
        stack[0].set_title(wrapped(name, 1.9), fontweight="bold")
        for axes, shots in zip(stack, numbers, strict=True):
            if model is None:
                draw_models(axes, table, config, shown, shots)
            else:
                draw_fractions(axes, table, config, model, shots)
            if shots != panels.WHOLE:
                _draw_paper(axes, config, model, shown)
            panels.finish(axes, float(table["chance"].iloc[0]))
            if column == 0:
                axes.set_ylabel(f"{panels.shots_name(shots)}\naccuracy (%)")
        stack[-1].set_xlabel("normalised depth")
        stack[-1].tick_params(labelbottom=True)
    for place in range(len(split) + 1, bands * columns):
        band, column = divmod(place, columns)
        for axes in grid[band * len(numbers) : (band + 1) * len(numbers), column]:
            axes.set_axis_off()
    low, high = panels.limits([table])
    few = any(shots != panels.WHOLE for shots in numbers)
    grid[0, 0].set_ylim(low, max(high, PAPER_TOP if few else high))
    _add_legend(figure, config, shown, split, few)
    return figure


def _draw_paper(axes: Axes, config: dict[str, Any], model: str | None, shown: list[str]) -> None:
    """(a): ViT-L/16 on JFT-300M and on ImageNet; (b): it and ResNet-50 at half depth and the end.

    In the colours of our networks on all and on fewest images, of our largest ViT and first ResNet.
    """
    if model is not None:
        fewest = next((n.fraction for n in less_data(config, model)), "f010")
        for name, fraction in (("L16_JFT", "f100"), ("L16_IN", fewest)):
            curve = curves("13a")[name]
            colour = fraction_look(fraction)["color"]
            name_of = paper_curves.name_of(curve)
            axes.plot(curve.x, curve.values, color=colour, label=name_of, **paper_curves.LOOK)
        return
    for name, family in (("L16", "vit"), ("R50", "resnet")):
        own = [m for m in shown if config.get("families", {}).get(m) == family]
        if own:
            colour = model_look(models(config), own[-1] if family == "vit" else own[0])["color"]
            curve = curves("13b")[name]
            ends, name_of = (AT_HALF[name], curve.values[0]), paper_curves.name_of(curve)
            axes.plot((0.5, 1), ends, color=colour, label=name_of, **paper_curves.LOOK)


def _has(table: pd.DataFrame, network: Network | None) -> bool:
    return network is not None and not panels.curve(table, network, POOL).empty


def draw_models(
    axes: Axes,
    table: pd.DataFrame,
    config: dict[str, Any],
    shown: list[str],
    shots: int,
    dataset: str = "",
) -> None:
    """Every model on all images, its other seeds thin, its untrained network dotted."""
    for model in shown:
        look = model_look(models(config), model)
        network, bare = full_network(config, model), untrained_network(config, model)
        if bare is not None:
            values = panels.curve(table, bare, POOL, shots, dataset)
            panels.draw_bare(axes, values, look["color"], series_name(config, bare))
        if network is None:
            continue
        for other in other_seeds(config, network):
            values = panels.curve(table, other, POOL, shots, dataset)
            thin: dict[str, Any] = {"linewidth": 0.6, "label": series_name(config, other)}
            panels.draw_curve(axes, values, color=look["color"], **thin)
        values = panels.curve(table, network, POOL, shots, dataset)
        look |= {"label": series_name(config, network)}
        panels.draw_curve(axes, values, shots != panels.WHOLE, **look)


def draw_fractions(
    axes: Axes, table: pd.DataFrame, config: dict[str, Any], model: str, shots: int
) -> None:
    """One model on all images and on fewer, its untrained network dotted."""
    bare, full = untrained_network(config, model), full_network(config, model)
    if bare is not None:
        values = panels.curve(table, bare, POOL, shots)
        panels.draw_bare(axes, values, "0.3", series_name(config, bare))
    for network in (*less_data(config, model), full):
        if network is not None:
            values = panels.curve(table, network, POOL, shots)
            look = fraction_look(network.fraction) | {"label": series_name(config, network)}
            panels.draw_curve(axes, values, shots != panels.WHOLE, **look)


def _add_legend(
    figure: Figure, config: dict[str, Any], shown: list[str], split: list[str], few: bool
) -> None:
    fractions = {n.fraction for m in split for n in less_data(config, m)}
    handles = [
        panels.handle(f"(a) {fraction_label(f)}", **fraction_look(f))
        for f in [*sorted(fractions), *(["f100"] if split else [])]
    ]
    handles += [
        panels.handle(f"(b) {label(config, m)}", **model_look(models(config), m)) for m in shown
    ]
    bare = any(untrained_network(config, m) for m in shown)
    handles += panels.control_handles(bare)
    handles += [paper_curves.handle("(a) L/16, (b) L/16, R50")] if few else []
    legend_below(figure, handles, 4)
