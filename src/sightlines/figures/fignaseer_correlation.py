"""Correlation of features of occluded images with those of the whole image."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures import response_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import GREY, full_width, styled
from sightlines.results.selecting import Tables

TITLE = "Features of occluded images"
STUDY = "naseer2021"
PAPER = "Table 1"
CAPTION = (
    "Pearson's r of the features before the head (class token, or mean over places) of an occluded "
    "image with those of the whole image, mean over images, by share of the cells that are black. "
    "Left: r itself, with the r of different images' features as thin level lines; right: what is "
    "left of it once that is taken as zero, after the last block (solid) and after the final norm "
    "(dashed). Dotted: untrained networks. Stars: the paper's Table 1 (DeiT-B above, ResNet50 "
    "below). Look for: ViTs above the ResNet on the right as well; a lead on the left alone is an "
    "offset that all images share."
)
EXPLAINS = (
    "Do features of an image survive when part of it is gone?",
    "The vector that the head reads is correlated with the one of the whole image, feature by "
    "feature, and held against the correlation of two different images.",
    "One means untouched, zero on the right no more alike than any two images.",
)
DIFFERS = (
    "The paper has r alone, which one large feature that all images share makes high, and released "
    "no code for it; the zero of the scale is measured here, before and after the final norm."
)
READS = ("occlusion.parquet",)
NEEDS = ("changed_images",)

PUBLISHED = ((0.25, 0.90, 0.32), (0.5, 0.77, 0.13), (0.75, 0.56, 0.07))
"""Share of the cells dropped, r of DeiT-B and of ResNet50 (Table 1)."""
CONDITION = "drop_black"


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Two panels: the correlation, and its excess over that of different images.

    Args:
        tables: ``occlusion.parquet``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: the table has no trained network of this experiment.
    """
    table = tables["occlusion.parquet"]
    shown = panels.shown_models(table, config, "occlusion.parquet")
    figure = Figure(figsize=(full_width(), 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    panels.draw_models(left, table, config, shown, CONDITION, "correlation", bare=True)
    thin: dict[str, Any] = {"linewidth": 0.6, "marker": "", "linestyle": (0, (1, 1))}
    thin["label"] = "different images"
    panels.draw_models(left, table, config, shown, CONDITION, "floor", **thin)
    for share, *values in PUBLISHED:
        left.plot([share] * len(values), values, **panels.PUBLISHED)
    panels.draw_models(right, table, config, shown, CONDITION, "excess", bare=True)
    dashed: dict[str, Any] = {"linestyle": (0, (4, 1.5)), "marker": "", "label": "normed"}
    panels.draw_models(right, table, config, shown, CONDITION, "excess_normed", **dashed)
    left.set(ylabel="correlation with the whole image", title="r")
    right.set(ylabel="excess over different images", title="(r − r₀) ÷ (1 − r₀)")
    for axes in (left, right):
        axes.axhline(0, color=GREY, linewidth=0.6, label=DECORATION)
        axes.set(xlim=(0, 1), xlabel="share of the cells dropped")
        axes.grid(axis="y")
    found = panels.handles(table, config, shown, bare=True)
    thin |= {"color": GREY, "label": "different images"}
    found += [Line2D([], [], **thin), Line2D([], [], **panels.PUBLISHED)]
    figure.legend(handles=found, loc="outside lower center", ncols=5)
    return figure
