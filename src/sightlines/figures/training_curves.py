"""Training curves: did every network learn, and had it finished?"""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from sightlines.figures.maps import wrapped
from sightlines.figures.style import (
    column_width,
    fraction_label,
    fraction_look,
    full_width,
    series_name,
    styled,
    wrap_columns,
)
from sightlines.plan.networks import per_cent
from sightlines.results.selecting import Tables, label, networks, rows_of, trained_models

TITLE = "Training curves"
PAPER = "none"
CAPTION = (
    "Loss and accuracy during training, on the training images as augmented (thin) and on held-out "
    "validation images (thick), for every share of the training images. Look for: curves that have "
    "flattened at the end, since what an unfinished network shows speaks for its training budget, "
    "and for the gap between thin and thick lines, which grows as the share of images shrinks."
)
EXPLAINS = (
    "Had the networks finished learning when they were measured? Loss and accuracy are followed "
    "during training on the images that are learned from and on images held out. A thick line that "
    "still falls or climbs at the right edge is a network stopped early; a thick line far from the "
    "thin one has learned its images by heart."
)
DIFFERS = "The paper shows no training curves."
READS = ("curves.csv",)
NEEDS = ("trained_here",)

SPLITS: dict[str, dict[str, Any]] = {
    "train": {"linewidth": 0.6, "alpha": 0.65},
    "validation": {"linewidth": 1.5},
}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One column a model: loss above, accuracy below.

    Args:
        tables: ``curves.csv``.
        config: `networks`, `labels`.
    """
    history = tables["curves.csv"]
    moved = {*history.loc[history["step"] > 0, "model"]}  # imported ones were trained elsewhere
    models = [m for m in trained_models(config) if m in moved] or trained_models(config)
    bands, columns = wrap_columns(len(models), 4)
    width = full_width() if columns > 1 else column_width()
    figure = Figure(figsize=(width, bands * 3.4 + 0.5), layout="constrained")
    grid = figure.subplots(bands * 2, columns, squeeze=False, sharex="col", sharey="row")
    for place, model in enumerate(models):
        band, column = divmod(place, columns)
        loss, accuracy = grid[band * 2 : band * 2 + 2, column]
        loss.set_title(wrapped(label(config, model), 1.8), fontweight="bold")
        _draw_model(loss, accuracy, history, config, model)
        accuracy.set_xlabel("optimiser step")
        accuracy.tick_params(labelbottom=True)
        if column == 0:
            loss.set_ylabel("loss (nats per image)")
            accuracy.set_ylabel("accuracy (%)")
    for place in range(len(models), bands * columns):
        for axes in grid[place // columns * 2 : place // columns * 2 + 2, place % columns]:
            axes.set_axis_off()
    figure.legend(handles=_handles(config), loc="outside lower center", ncols=1 + 2 * (columns > 1))
    return figure


def _draw_model(
    loss: Axes, accuracy: Axes, history: pd.DataFrame, config: dict[str, Any], model: str
) -> None:
    for network in networks(config):
        if network.model != model or not per_cent(network.fraction):
            continue
        own = rows_of(history, network).sort_values("step")
        colour = fraction_look(network.fraction)["color"]
        for split, look in SPLITS.items():
            rows = own[own["split"] == split]
            for axes, values in ((loss, rows["loss"]), (accuracy, 100 * rows["accuracy"])):
                name = f"{series_name(config, network)}, {split}"
                known = {"color": colour, "label": name}
                axes.plot(rows["step"][values.notna()], values.dropna(), **known, **look)
    for axes in (loss, accuracy):
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _handles(config: dict[str, Any]) -> list[Line2D]:
    fractions = sorted({n.fraction for n in networks(config) if per_cent(n.fraction)}, key=per_cent)
    colours = [
        Line2D([], [], color=fraction_look(f)["color"], label=fraction_label(f)) for f in fractions
    ]
    splits = [Line2D([], [], color="0.2", label=name, **look) for name, look in SPLITS.items()]
    return colours + splits
