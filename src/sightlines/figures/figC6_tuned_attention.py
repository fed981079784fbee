"""Figure C.6: how far attention heads look before and after fine-tuning."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures import attention_panels as panels
from sightlines.figures.maps import wrapped
from sightlines.figures.style import full_width, styled, wrap_columns
from sightlines.results.selecting import Tables, label, models, require_some
from sightlines.stats.jackknife import ALL

TITLE = "Attention distance before and after fine-tuning"
PAPER = "Figure C.6"
QUESTION = "transfer"
CAPTION = (
    "Mean distance between a query patch and where its head looks, in px of the input image, for "
    "the heads of the two lowest and two highest blocks, sorted; the dashed line is attention that "
    "looks everywhere alike. First panel of each network: as it was trained first; the others: "
    "after it was trained further on another task, on the same reference images. Look for: panels "
    "of one network that are alike, so that what Figure 3 shows does not hang on fine-tuning. "
    "Local heads that appear or go by fine-tuning would contradict the paper."
)
EXPLAINS = (
    "Does it matter for Figure 3 whether the network was trained further on another task before it "
    "was looked at? The same distances are measured of the network before and after. Panels that "
    "are alike say that the heads keep looking where they looked."
)
DIFFERS = (
    "The paper's Figure 3 is of networks that were fine-tuned, and its Figure C.6 of a ViT-H/14 "
    "that was not. Ours is the other way round: Figure 3 shows networks as they were trained, and "
    "this figure those that `transfer` trains further."
)
READS = ("tuned_attention.parquet",)
NEEDS = ("tuned_attention",)
MOST = 4
"""Panels side by side."""


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One band a network: before, then after each task.

    Args:
        tables: ``tuned_attention.parquet``.
        config: `networks`, `labels`.

    Raises:
        ResultError: no network with attention was trained further.
    """
    table = tables["tuned_attention.parquet"]
    table = table[table["left_out"] == ALL]
    shown = [m for m in models(config) if (table["model"] == m).any()]
    require_some(shown, "tuned_attention.parquet has no model of this experiment")
    stages = {m: _stages(table[table["model"] == m]) for m in shown}
    most = max(len(own) for own in stages.values())
    bands, columns = wrap_columns(most, MOST)
    height = 2.1 * bands * len(shown) + 0.5
    figure = Figure(figsize=(full_width(), height), layout="constrained")
    grid = figure.subplots(bands * len(shown), columns, squeeze=False, sharey=True)
    rows = [own for model in shown for own in stages[model].values()]
    for place, model in enumerate(shown):
        own = list(grid[place * bands : (place + 1) * bands].flat)
        for axes, (name, heads) in zip(own, stages[model].items(), strict=False):
            axes.set_title(wrapped(f"{label(config, model)}, {name}", 1.6))
            _draw(axes, heads)
        for axes in own[len(stages[model]) :]:
            axes.set_axis_off()
    grid[0, 0].set_ylim(0, panels.upper_limit(rows))
    for axes in grid[:, 0]:
        axes.set_ylabel("mean distance (px)")
    handles = panels.handles(rows)[:-1]  # without the spread over images
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _stages(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Name -> distances in px, as `attention_panels` draws them: before, then after each task."""
    first = rows[rows["task"] == rows["task"].iloc[0]]
    found = {"before": _in_px(first, "before")}
    for task, own in rows.groupby("task", sort=False):
        found[f"after {str(task).replace('_', ' ')}"] = _in_px(own, "after")
    return found


def _in_px(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    distance = rows[column] * rows["uniform_px"]
    kept = rows[["block", "head", "uniform_px"]]
    return kept.assign(distance_px=distance, distance_std_px=np.nan)


def _draw(axes: Axes, heads: pd.DataFrame) -> None:
    panels.draw_extreme_blocks(axes, heads)
    axes.set_xlabel("head, sorted")
