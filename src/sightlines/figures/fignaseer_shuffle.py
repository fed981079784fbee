"""Shuffled cells: what a network answers when the arrangement of the image is lost."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

from sightlines.figures import response_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import GREY, full_width, model_look, styled
from sightlines.results.selecting import Tables, label, models, rows_of

TITLE = "Shuffled patches"
STUDY = "naseer2021"
PAPER = "Figure 10"
CAPTION = (
    "The cells of a grid change places, in another order for every image. Left: share of the "
    "accuracy above chance that is kept, by cells along a side (logarithmic); right: share of "
    "images that are answered as the whole image was, untrained networks dotted. Bands are the "
    "jackknife standard error; vertical lines mark a network's own grid. Look for: lines of ViTs "
    "above the ResNet's up to their own grid, and a fall beyond it, where patches are cut up."
)
EXPLAINS = (
    "Does a network need the parts of an image in their places, or only the parts?",
    "A grid is laid over the image, and its cells are put in a random order before the network "
    "sees them.",
    "A network that holds up is a bag of parts; one that falls at the coarsest grid already reads "
    "the arrangement.",
)
DIFFERS = (
    "The paper has one order for a whole minibatch, and the identity is one of the 24 orders of a "
    "2 × 2 grid; here every image has its own order, and of so few cells none stays in its place."
)
READS = ("occlusion.parquet",)
NEEDS = ("changed_images",)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Two panels: what is kept, and how often the answer is the same.

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
    panels.draw_models(left, table, config, shown, "shuffle", "retention")
    panels.draw_models(right, table, config, shown, "shuffle", "agreement", bare=True)
    left.axhline(1, color=GREY, linewidth=0.6, linestyle=":", label=DECORATION)
    left.set_ylabel("accuracy above chance kept\n(share of the whole image's)")
    right.set_ylabel("answered as the whole image\n(share of images)")
    sizes = sorted(table.loc[table["condition"] == "shuffle", "severity"].unique())
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("cells along a side")
        axes.grid(axis="y")
        for model in shown:
            own = rows_of(table, panels.trained(config, model)[0])["grid"]
            if len(own) and own.iloc[0] > 0:
                colour = model_look(models(config), model)["color"]
                look: dict[str, Any] = {"color": colour, "linewidth": 0.5, "alpha": 0.5}
                name = f"{label(config, model)}: own grid"
                axes.axvline(float(own.iloc[0]), label=name, **look)
    found = panels.handles(table, config, shown, bare=True)
    figure.legend(handles=found, loc="outside lower center", ncols=5)
    return figure
