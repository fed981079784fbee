"""A legend is no wider than its figure, however many networks it names."""

import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures.style import legend_below


def columns_of(figure):
    figure.draw_without_rendering()
    (legend,) = figure.legends
    return len({round(text.get_window_extent().x0) for text in legend.get_texts()})


@pytest.mark.parametrize(("name", "columns"), [("ViT-S", {5}), ("no attention skip in 2", {2, 3})])
def test_it_takes_as_many_columns_as_fit(name, columns):
    figure = Figure(figsize=(6.8, 3), layout="constrained")
    legend_below(figure, [Line2D([], [], label=f"{name} {i}") for i in range(15)], 5)
    assert columns_of(figure) in columns
    assert figure.legends[0].get_window_extent().width <= figure.bbox.width


def test_names_that_are_too_long_stand_one_above_the_other():
    figure = Figure(figsize=(3, 3), layout="constrained")
    legend_below(figure, [Line2D([], [], label="long " * 30) for _ in range(2)], 4)
    assert columns_of(figure) == 1
