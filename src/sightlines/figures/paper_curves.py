"""What Raghu et al. show, drawn into the axes of Figures 3, 4, 5, 7, 12 and 13.

Its networks are larger than ours and see larger images: depths and ranks of heads are drawn by
their share of all blocks and heads, distances relative to attention that looks everywhere alike.
A line of the paper has the colour of what it is held against here, and one style in all figures.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from sightlines.figures.style import BLACK
from sightlines.results.paper_values import SHORT, UNIFORM_PX, Curve, curves

LOOK: dict[str, Any] = {"linestyle": (0, (5, 1, 1, 1)), "linewidth": 0.9, "marker": "None"}
"""Of every line of the paper's."""


def draw_by_place(axes: Axes, curve: Curve, first: float, last: float, colour: Any) -> None:
    """A line over blocks or ranks of heads, from our first one to our last.

    Args:
        axes: Where to draw.
        curve: Of which `x` counts blocks, units or heads.
        first: Our lowest place on the axis.
        last: Our highest; where there is no other, nothing is drawn.
        colour: Of what it is held against.
    """
    if last > first:
        places = np.linspace(first, last, len(curve.values))
        axes.plot(places, curve.values, color=colour, label=name_of(curve), **LOOK)


def name_of(curve: Curve) -> str:
    """What a line of the paper's is called in a figure's numbers."""
    return f"{SHORT}: {curve.series}"


def draw_heads(
    axes: Axes, figure: str, data: str, heads: int, uniform: float, colours: Iterable[Any]
) -> None:
    """Heads of ViT-L/16's two lowest blocks (Figures 3 and 4), as far as they look.

    Args:
        axes: Head rank from 1 by distance in px.
        figure: ``3`` or ``4``.
        data: What it was trained on: ``JFT`` or ``IN``.
        heads: How many heads a block has here.
        uniform: Our mean distance of uniform attention, in px.
        colours: Of the lowest block and of the second lowest, as far as we have them.
    """
    found = curves(figure)
    for block, colour in enumerate(colours):
        curve = found[f"L16_{data}_block{block}"]
        scaled = tuple(uniform * v / UNIFORM_PX["L16"] for v in curve.values)
        draw_by_place(axes, curve._replace(values=scaled), 1.0, float(heads), colour)


def relative_distances(curve: Curve) -> np.ndarray:
    """`x` of a curve of Figure 5, relative to attention that looks everywhere alike."""
    return np.array(curve.x) / UNIFORM_PX[curve.series.partition("-")[0]]


def handle(whose: str) -> Line2D:
    """The legend's entry for the paper's lines, with the networks that they are of."""
    return Line2D([], [], color=BLACK, label=f"{SHORT}, {whose}", **LOOK)
