"""Figure E.2: how much a block turns what comes in through its skip connection."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures import skip_panels as panels
from sightlines.figures.maps import wrapped
from sightlines.figures.style import column_width, full_width, styled, wrap_columns
from sightlines.results.selecting import Tables, label

TITLE = "Direction of the skip connection against the block's output"
PAPER = "Figure E.2"
QUESTION = "skips"
CAPTION = (
    "Cosine (no unit) of z on the skip connection and z + f(z) after the branch was added, mean "
    "over the reference images; patches solid, CLS dashed, ResNet units black or grey (before the "
    "last ReLU). Top: trained; below: untrained. 1: the branch did not turn the representation. "
    "Look for: patches that turn most in the first blocks and little later, and a class token that"
    " does the opposite. Where an untrained network's branches start at 0, they were switched on. "
    "Lines that rise for CLS as for patches would contradict the paper."
)
EXPLAINS = (
    "Where in the network does a block change the direction of a token's representation, and is "
    "that the same place for CLS and for patches?",
    "For every token and image, the cosine between the vector before a branch is added and the "
    "vector after it, averaged over images.",
    "Near 1 the block keeps the representation, lower values mean that it rewrites it; compare "
    "solid with dashed lines from left to right.",
)
DIFFERS = (
    "The paper's caption can also be read as the cosine with the branch alone; this is skip "
    "against sum, which its axis from 0.6 to 1 fits."
)
READS = ("skip_ratios.parquet",)
NEEDS = ("trained", "attention", "branches")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One column a model with tokens, trained above untrained.

    Args:
        tables: ``skip_ratios.parquet``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: no trained network of the experiment has tokens and all skip connections.
    """
    ratios = tables["skip_ratios.parquet"]
    models = panels.token_models(ratios, config)
    bands, columns = wrap_columns(len(models), 3)
    width = full_width() if columns > 1 else column_width()
    figure = Figure(figsize=(width, bands * 4.0 + 0.6), layout="constrained")
    grid = figure.subplots(bands * 2, columns, squeeze=False, sharey=True)
    for place, model in enumerate(models):
        band, column = divmod(place, columns)
        top, below = grid[band * 2 : band * 2 + 2, column]
        top.set_title(wrapped(label(config, model), 1.8), fontweight="bold")
        for axes, fraction, state in ((top, "f100", "trained"), (below, "f000", "untrained")):
            _draw_panel(axes, ratios, config, model, fraction)
            axes.set_ylabel(f"{state}\ncosine (no unit)" if column == 0 else "")
    for place in range(len(models), bands * columns):
        for axes in grid[place // columns * 2 : place // columns * 2 + 2, place % columns]:
            axes.set_axis_off()
    seeds = panels.has_seeds(ratios, config, models)
    handles = panels.handles(ratios, config, seeds)
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if columns > 1 else 2)
    return figure


def _draw_panel(axes: Axes, ratios: Any, config: dict[str, Any], model: str, fraction: str) -> None:
    """The model's lines, and those of all ResNets."""
    nets = panels.with_fraction(ratios, config, model, fraction)
    if not nets:  # of an untrained network alone
        axes.text(0.5, 0.5, "no untrained network", ha="center", transform=axes.transAxes)
        axes.set_xticks([])
        return
    panels.draw_convolutional(axes, ratios, config, fraction, "cosine")
    panels.draw_lines(axes, ratios, nets, "cosine")
