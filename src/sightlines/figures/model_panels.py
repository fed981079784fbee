"""A panel a model, in bands: the layout of figures that show one thing of every model."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures.maps import wrapped
from sightlines.figures.style import column_width, full_width, wrap_columns


def lay_out(
    titles: Sequence[str], height_in: float, below_in: float, most: int = 3, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with a titled panel each, at most so many side by side, and room for a legend.

    Args:
        titles: Of the panels.
        height_in: Of a panel with its labels, in inches.
        below_in: Room for the legend, in inches.
        most: Panels side by side. One panel alone is as wide as a column of a page.
        options: Of `Figure.subplots`, such as ``sharey=True``.

    Returns:
        The figure, and its panels in the order of the titles.
    """
    bands, columns = wrap_columns(len(titles), most)
    width = full_width() if columns > 1 else column_width()
    figure = Figure(figsize=(width, height_in * bands + below_in), layout="constrained")
    grid = figure.subplots(bands, columns, squeeze=False, **options)
    panels = list(grid.flat)
    for axes, title in zip(panels, titles, strict=False):
        axes.set_title(wrapped(title, 5.7 / columns), fontweight="bold")
    for axes in panels[len(titles) :]:
        axes.set_axis_off()
    return figure, panels[: len(titles)]


def is_leftmost(axes: Axes) -> bool:
    """Whether a panel begins its band: it alone names what the band shares."""
    place = axes.get_subplotspec()
    return place is None or place.is_first_col()
