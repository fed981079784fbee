"""Appendix A: whether CKA depends on the minibatch, and on which images are shown."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures.style import GREY, full_width, legend_below, model_look, series_name, styled
from sightlines.results.selecting import Tables, full_network, label, rows_of, trained_models
from sightlines.stats.jackknife import ALL, standard_error

TITLE = "How much similarity depends on its estimation"
PAPER = "Appendix A"
CAPTION = (
    "For each network on all images (first seed). Left: how much the entries of its CKA map change "
    "on average when the same images are compared within smaller minibatches (mean of 8 random "
    "partitions), with jackknife standard errors over minibatches; band: what claim V1 allows. "
    "Middle: the noise floor, the largest change of any entry from one random partition to another "
    "of the same size. Right: correlation of the map's entries with those on another task's "
    "images; grey line: what claim V2 asks for. Look for: changes inside the band, and "
    "correlations above the line. Larger changes would say that CKA measures the minibatch, lower "
    "correlations that it measures the images, rather than the network."
)
EXPLAINS = (
    "Would the maps look the same had we taken other minibatches, or other images?",
    "Each network's similarity map is computed again from random halves and quarters of the same "
    "minibatches, and from images of another dataset, and compared entry by entry; the noise floor "
    "says how much two random partitions of one size differ by chance.",
    "Where a point is outside the grey band, or below the grey line, the figures on similarity "
    "have to be read with that much doubt.",
)
DIFFERS = (
    "The paper says in words that minibatches of 128 instead of 1,024 and images of JFT instead of "
    "ImageNet make no difference; here both are measured, for smaller minibatches."
)
READS = ("estimator.csv",)
NEEDS = ("trained",)

PANELS: dict[str, tuple[str, str, str, tuple[float, ...]]] = {
    "batch_size": (
        "smaller minibatches",
        "mean change of CKA (no unit)",
        "minibatch",
        (-0.01, 0.01),
    ),
    "noise_floor": ("another partition", "largest change of CKA (no unit)", "minibatch", ()),
    "image_source": ("other images", "correlation of maps (no unit)", "task shown", (0.95,)),
}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a check: a group of points for each size of minibatch, or source of images.

    Args:
        tables: ``estimator.csv``.
        config: `networks`, `labels`.

    Raises:
        ResultError: no network is trained on all images.
    """
    table, shown = tables["estimator.csv"], trained_models(config)
    checks = [check for check in PANELS if (table["check"] == check).any()]
    columns = max(len(checks), 1)
    figure = Figure(figsize=(full_width() * max(columns, 1.8) / 3, 2.9), layout="constrained")
    grid = figure.subplots(1, columns, squeeze=False)[0]
    if not checks:
        text = "the minibatches are too small to be cut,\nand no task gives other images"
        grid[0].set(xticks=[], yticks=[], ylabel=" / ".join(p[1] for p in PANELS.values()))
        grid[0].text(0.5, 0.5, text, ha="center", va="center", transform=grid[0].transAxes)
    for axes, check in zip(grid, checks, strict=False):
        title, text, across, needed = PANELS[check]
        axes.set(title=title, ylabel=text, xlabel=across)
        if len(needed) == 2:
            axes.axhspan(*needed, color=GREY, alpha=0.25, linewidth=0)
        for line in needed:
            axes.axhline(line, color=GREY, linewidth=1, label="threshold")
        axes.grid(axis="y")
        _draw_groups(axes, table[table["check"] == check], config, shown)
        if check == "noise_floor":
            axes.set_ylim(bottom=0)
    handles = [
        Line2D([], [], label=label(config, m), **(model_look(shown, m) | {"linestyle": ""}))
        for m in shown
    ]
    legend_below(figure, handles, min(5, len(shown)))
    return figure


def _draw_groups(axes: Axes, rows: pd.DataFrame, config: dict[str, Any], shown: list[str]) -> None:
    """The networks' points side by side above each source's name."""
    sources = list(dict.fromkeys(rows["source"]))
    step = 0.7 / max(len(shown), 1)
    for place, model in enumerate(shown):
        network = full_network(config, model)
        own = rows_of(rows, network) if network else rows[:0]
        values = own.pivot_table(index="left_out", columns="source", values="value").sort_index()
        if values.empty:
            continue
        x = [sources.index(s) + (place - (len(shown) - 1) / 2) * step for s in values.columns]
        look = model_look(shown, model) | {"linestyle": ""}
        look |= {"capsize": 1.8, "label": series_name(config, network)}
        axes.errorbar(x, values.loc[ALL], standard_error(values.to_numpy()), **look)
    axes.set_xticks(range(len(sources)), [str(s).replace("_", " ") for s in sources])
    axes.set_xlim(-0.5, len(sources) - 0.5)
