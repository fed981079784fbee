"""Test accuracy against the number of training images."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from sightlines.figures.style import BLACK, GREY, full_width, model_look, styled
from sightlines.plan.networks import ON
from sightlines.results.selecting import (
    Tables,
    best_accuracy,
    label,
    models,
    needed_accuracy,
    require_some,
)

TITLE = "Accuracy by number of training images"
PAPER = "none"
QUESTION = "data"
CAPTION = (
    "Accuracy on the test images against the number of training images; points are seeds, lines "
    "join their means, the leftmost points are networks as they start. Look for: every trained "
    "network above the dashed line, a quarter of what the best network reaches above chance, below "
    "which its representations say little, and for ViTs that lose more than "
    "ResNets when images are few."
)
EXPLAINS = (
    "Did the networks learn, and how much do they need? Every network is scored on test images "
    "that it has never seen, and drawn over the number of images that it was trained on. A network "
    "near the line of chance has little to say about what training does; a steep line is a model "
    "that needs many images."
)
DIFFERS = (
    "The paper reports the accuracy of few of its networks; here every network of the other "
    "figures is scored, the untrained ones too."
)
READS = ("accuracy.csv",)
NEEDS = ("trained_here",)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One line a model over the number of training images (logarithmic).

    Args:
        tables: ``accuracy.csv``.
        config: `networks`, `labels`.

    Raises:
        ResultError: the table has no trained network.
    """
    table = trained_here(tables["accuracy.csv"])
    table = table[table["accuracy_test"].notna()]  # without labels there is nothing to be right in
    trained = table[table["fraction"] != "f000"]
    require_some(trained, "accuracy.csv has no trained network")
    shown = [m for m in models(config) if (table["model"] == m).any()]
    figure = Figure(figsize=(full_width() * 0.72, 3.3), layout="constrained")
    axes = figure.subplots()
    least = float(trained["train_images"].min())
    handles = []
    for model in shown:
        own, look = table[table["model"] == model], model_look(models(config), model)
        handles.append(_draw_model(axes, own, least / 2, label(config, model), look))
    chance = float(table["chance"].iloc[0])
    handles.append(axes.axhline(100 * chance, color=GREY, linestyle=":", label="chance"))
    needed = needed_accuracy(chance, best_accuracy(table))
    dashed: dict[str, Any] = {"color": BLACK, "linestyle": "--", "linewidth": 0.9}
    handles.append(axes.axhline(100 * needed, label="learned", **dashed))
    axes.set(xlabel="training images (number, logarithmic)", ylabel="test accuracy (%)")
    axes.set_ylim(0, min(100, 115 * max(table["accuracy_test"].max(), needed)))
    _mark_images(axes, trained, bool((table["fraction"] == "f000").any()), least / 2)
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def trained_here(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of models that were trained on these images, and not imported: from their start on."""
    starts = table[~table["seed"].str.endswith(ON)]  # a control is not where training starts
    return starts[starts["model"].isin(starts.loc[starts["train_images"] > 0, "model"])]


def _draw_model(
    axes: Axes, own: pd.DataFrame, untrained_at: float, name: str, look: dict[str, Any]
) -> Line2D:
    """Dots of one model and their means; returns what stands for it in the legend."""
    bare, trained = own[own["fraction"] == "f000"], own[own["fraction"] != "f000"]
    mean = trained.groupby("train_images")["accuracy_test"].mean()
    axes.plot(mean.index, 100 * mean, color=look["color"], label=f"{name}, mean")
    images, shares = trained["train_images"], 100 * trained["accuracy_test"]
    (dots,) = axes.plot(images, shares, linestyle="", label=name, **look)
    axes.plot(
        [untrained_at] * len(bare),
        100 * bare["accuracy_test"],
        linestyle="",
        markerfacecolor="none",
        label=f"{name}, untrained",
        **look,
    )
    return dots


def _mark_images(axes: Axes, trained: pd.DataFrame, has_bare: bool, untrained_at: float) -> None:
    """Ticks at the numbers of images that were used; they may differ a little between models."""
    axes.set_xscale("log")
    counts = sorted(trained["train_images"].unique())
    apart = [c for i, c in enumerate(counts) if i == 0 or c > 1.25 * counts[i - 1]]
    ticks = [untrained_at] * bool(has_bare) + apart
    names = ["untrained"] * bool(has_bare) + [f"{int(c):,}" for c in apart]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter(names))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(ticks[0] / 1.4, counts[-1] * 1.4)
