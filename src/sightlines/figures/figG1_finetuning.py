"""Figure G.1: which blocks keep their representations when a network is trained further."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sightlines.figures.maps import wrapped
from sightlines.figures.style import (
    column_width,
    full_width,
    model_look,
    styled,
    wrap_columns,
)
from sightlines.results.selecting import Tables, label, models, require_some
from sightlines.stats.jackknife import ALL, standard_error

TITLE = "Representations before and after fine-tuning"
PAPER = "Figure G.1"
QUESTION = "transfer"
CAPTION = (
    "Linear CKA of each block's output before and after the network was trained further on another "
    "task, on the experiment's own reference images; error bars are the jackknife standard error. "
    "Solid: a task with images like the first ones; dashed: one with images far from them. Look "
    "for: lowest blocks that stay as they were (near 1), highest ones that change, and more change "
    "where the images are far away. The legend gives each tuned network's accuracy on its task."
)
EXPLAINS = (
    "What does a network change when it learns another task? Each block is compared with itself "
    "before and after fine-tuning by CKA on the same images. Values near one mean that the block "
    "was reused; a fall towards the last blocks means that only these were rewritten."
)
DIFFERS = (
    "The paper fine-tunes with its own recipe on seven public tasks; ours are those of the config. "
    "It does not say which images are shown: we show the experiment's own reference images."
)
READS = ("finetuning.parquet", "tuned_accuracy.csv")
NEEDS = ("tuned",)
LINES = {"in": "-", "out": "--"}
LEGEND_LINE = 0.09
"""Room below the curves for one line of the legend, in units of the axis."""
DOMAINS = {"in": "in domain", "out": "out of domain"}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a model: CKA before and after against block, a line a task.

    Args:
        tables: ``finetuning.parquet``, ``tuned_accuracy.csv``.
        config: `networks`, `labels`.

    Raises:
        ResultError: no network was trained further.
    """
    table, scores = tables["finetuning.parquet"], tables["tuned_accuracy.csv"]
    shown = [m for m in models(config) if (table["model"] == m).any()]
    require_some(shown, "finetuning.parquet has no model of this experiment")
    tasks = list(dict.fromkeys(table["task"]))
    bands, columns = wrap_columns(len(shown), 3)
    width = full_width() if columns > 1 else column_width()
    figure = Figure(figsize=(width, 2.8 * bands), layout="constrained")
    grid = figure.subplots(bands, columns, squeeze=False, sharey=True)
    for place, model in enumerate(shown):
        axes = grid.flat[place]
        axes.set_title(wrapped(label(config, model), 1.8), fontweight="bold")
        axes.set_xlabel("block index")
        if place % columns == 0:
            axes.set_ylabel("linear CKA before × after\nfine-tuning (no unit)")
        _draw_model(axes, table[table["model"] == model], scores[scores["model"] == model], tasks)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    low = table.loc[table["left_out"] == ALL, "cka"].min()
    span = 1.02 - min(0.5, float(low) - 0.05)
    grid[0, 0].set_ylim(1.02 - span * (1 + LEGEND_LINE * len(tasks)), 1.02)
    return figure


def _draw_model(axes: Axes, rows: pd.DataFrame, scores: pd.DataFrame, tasks: list[str]) -> None:
    for task, own in rows.groupby("task", sort=False):
        frame = own.pivot(index="left_out", columns="block", values="cka").sort_index()
        accuracy = scores.loc[scores["task"] == task, "accuracy"].iloc[0]
        domain = str(own["domain"].iloc[0])
        axes.errorbar(
            frame.columns,
            frame.loc[ALL],
            standard_error(frame.to_numpy()),
            **model_look(tasks, str(task)),
            linestyle=LINES[domain],
            capsize=1.8,
            label=f"{str(task).replace('_', ' ')} ({DOMAINS[domain]}): {100 * accuracy:.0f} %",
        )
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.grid(axis="y")
    axes.legend(loc="lower left")
