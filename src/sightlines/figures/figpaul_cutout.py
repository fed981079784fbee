"""Paul & Chen's Table 6: accuracy that is kept where a square of the image is filled."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures import robustness_panels as panels
from sightlines.figures.style import GREY, full_width, series_name, styled
from sightlines.results.selecting import Tables
from sightlines.stats.jackknife import ALL

STUDY = "paul2022"
TITLE = "Accuracy with a square of the image cut out"
PAPER = "Table 6 of Paul & Chen 2021"
CAPTION = (
    "Accuracy on images of which one square is black, by the share of the area that is really "
    "covered; every network is shown the same squares. Left: accuracy, with the mean colour in "
    "place of black as hollow markers. Right: what is kept of the accuracy above chance; grey, the "
    "paper's two networks at the area that their squares cover in the mean. Look for: a ViT that "
    "falls less than a ResNet. Where black and the mean colour differ, part of the fall is that "
    "the network has never seen black, and not that something is missing."
)
EXPLAINS = (
    "One square of each image is painted over, small or large, and the networks are asked what "
    "they see. Networks that fall less need less of the image. All networks have the same parts "
    "hidden."
)
DIFFERS = (
    "The paper's squares reach beyond the image, so that its factor of .5 covers 34 to 41 % of it, "
    "and are drawn anew for each network; its 1,000 images are drawn with replacement. Here the "
    "covered area is as asked, the squares are the same for all, and means are over test images."
)
READS = ("cutout.parquet",)
NEEDS = ("cutout",)
COVERED = (0.0, 0.0455, 0.0865, 0.167, 0.3745)
"""Mean area that the paper's factors 0, .05, .1, .2 and .5 cover, mean of two library versions."""
PUBLISHED = {
    "ViT-L/16, paper": ("--", (83.0, 82.3, 81.4, 77.9, 60.4)),
    "BiT-M R101x3, paper": (":", (79.0, 76.0, 75.0, 72.4, 52.0)),
}
"""Top-1 accuracy in per cent; chance is one in 1,000."""


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Two panels: accuracy, and what is kept of it.

    Args:
        tables: ``cutout.parquet``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: no network on all images was shown such images.
    """
    table = tables["cutout.parquet"]
    table = table[table["left_out"] == ALL]
    models = panels.shown_models(table, config, "cutout.parquet")
    figure = Figure(figsize=(full_width(), 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for model in models:
        for place, (network, rows) in enumerate(panels.seeds_of(table, config, model)):
            look = panels.look(config, model, not place)
            look |= {"label": series_name(config, network)}
            _lines(left, rows, "accuracy", look)
            _lines(right, rows, "retention", look)
    for name, (line, values) in PUBLISHED.items():
        kept = [(v - 0.1) / (values[0] - 0.1) for v in values]
        right.plot(COVERED, kept, color=GREY, linestyle=line, label=name)
    chance = float(table["chance"].max())
    left.axhline(chance, color=GREY, linewidth=0.6, label="chance")
    left.annotate(
        "chance", (0, chance), (2, 2), textcoords="offset points", color=GREY, size="small"
    )
    left.set(ylabel="accuracy", ylim=(0, None))
    right.set(ylabel="share kept of\naccuracy above chance", ylim=(0, None))
    for axes in (left, right):
        axes.set(xlabel="share of the area that is covered", xlim=(-0.01, None))
        panels.grid(axes)
    handles = panels.model_handles(config, models)
    if (table["condition"] == "cutout_mean").any():
        handles.append(panels.note("mean colour", marker="o", ls="", mfc="white", mec=GREY))
    handles += [panels.note(name, ls=line) for name, (line, _) in PUBLISHED.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _lines(axes: Axes, rows: pd.DataFrame, column: str, look: dict[str, Any]) -> None:
    for condition in ("cutout_black", "cutout_mean"):
        own = rows[rows["condition"].isin(["clean", condition])].sort_values("severity")
        if condition == "cutout_mean":
            own = own[own["condition"] == condition]
            mean = {"linestyle": "none", "marker": look.get("marker", ""), "mfc": "white"}
            mean["label"] = f"{look['label']}, mean colour"
            axes.plot(own["changed_share"], own[column], **(look | mean))
        else:
            axes.plot(own["changed_share"], own[column], **look)
