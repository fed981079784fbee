"""A figure's numbers are those that are drawn: read off lines, points, bars, areas and maps."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from sightlines.figures import drawn, style


@pytest.fixture
def axes():
    with style.context():
        yield Figure().subplots()


def rows(axes, *columns):
    table = drawn.numbers(axes.figure)
    return (
        table[list(columns)]
        .astype(object)
        .where(table[list(columns)].notna(), None)
        .values.tolist()
    )


def test_a_line_with_its_area_is_one_series_with_intervals(axes):
    x, y = [0, 1, 3], np.array([0.5, 0.7, 0.6])
    axes.fill_between(x, y - 0.1, y + 0.2, label="ViT")
    axes.plot(x, y, label="ViT")
    axes.set(xlabel="block", ylabel="CKA\n(no unit)", title="a map")
    assert rows(axes, "series", "x", "y", "low", "high") == [
        ["ViT", 0, 0.5, pytest.approx(0.4), pytest.approx(0.7)],
        ["ViT", 1, 0.7, pytest.approx(0.6), pytest.approx(0.9)],
        ["ViT", 3, 0.6, pytest.approx(0.5), pytest.approx(0.8)],
    ]
    assert rows(axes, "panel", "title", "x_axis", "y_axis")[0] == [
        *(1, "a map", "block", "CKA (no unit)")
    ]


def test_an_area_of_other_places_stands_by_itself_and_points_that_are_not_drawn_are_left_out(axes):
    axes.fill_between([0, 1], [0, 1], [2, 3], label="range")
    axes.plot([0, 1, 2], [5, np.nan, 6], label="line")
    assert rows(axes, "series", "x", "y", "low", "high") == [
        ["line", 0, 5, None, None],
        ["line", 2, 6, None, None],
        ["range", 0, None, 0, 2],
        ["range", 1, None, 1, 3],
    ]


def test_two_areas_of_one_name_are_not_mixed_into_a_line(axes):
    for height in (0, 5):
        axes.fill_between([0, 1], height, height + 1, label="ViT")
        axes.plot([0, 1], [height, height + 0.5], label="ViT")
    found = rows(axes, "y", "low", "high")
    assert len(found) == 8 and [5, None, None] in found and [None, 5, 6] in found


def test_a_map_beside_the_one_that_has_the_labels_has_places(axes):
    axes.imshow([[1, 2], [3, 4]], extent=(0, 8, 8, 0), origin="upper")
    axes.set_yticks([0, 4, 8])
    axes.set_yticklabels([])
    assert rows(axes, "x", "y", "value") == [[2, 2, 1], [6, 2, 2], [2, 6, 3], [6, 6, 4]]


def test_masked_points_with_bars_of_error_are_left_out(axes):
    axes.errorbar(np.ma.array([1, 2, 3], mask=[0, 1, 0]), [4, 5, 6], [1, 1, 1], label="up")
    assert rows(axes, "x", "y", "low", "high") == [[1, 4, 3, 5], [3, 6, 5, 7]]


def test_bars_of_error_upright_and_across(axes):
    axes.errorbar([1, 2], [3, 4], [0.5, 0.25], label="up")
    axes.errorbar([5], [6], xerr=[[1], [2]], label="across")
    assert rows(axes, "series", "x", "y", "low", "high") == [
        ["up", 1, 3, 2.5, 3.5],
        ["up", 2, 4, 3.75, 4.25],
        ["across", 5, 6, 4, 7],
    ]


def test_places_on_an_axis_of_names_are_told_by_name_and_numbers_stay_numbers(axes):
    axes.bar([0.1, 1.1], [7, 8], 0.2, label="bars")
    axes.set_xticks([0, 1], ["object", "any"])
    axes.set_yticks([0, 5], ["0", "½"])
    assert rows(axes, "series", "x", "y") == [["bars", "object", 7], ["bars", "any", 8]]


def test_points_and_lines_across_the_panel(axes):
    axes.scatter([1, 2], [3, 4], label="dots")
    axes.axhline(0.5, label="chance")
    axes.axvline(9, label="own grid")
    assert rows(axes, "series", "x", "y") == [
        *(["chance", None, 0.5], ["own grid", 9, None], ["dots", 1, 3], ["dots", 2, 4])
    ]


def test_maps_have_a_row_a_cell_and_photographs_and_decoration_have_none(axes):
    values = np.array([[1.0, 2.0], [np.nan, 4.0]])
    axes.imshow(np.ma.masked_invalid(values), origin="lower")
    axes.imshow(np.zeros((2, 2, 3)))
    axes.plot([0, 1], [0, 1], label=drawn.DECORATION)
    assert rows(axes, "x", "y", "value") == [[0, 0, 1], [1, 0, 2], [1, 1, 4]]


@pytest.mark.parametrize("origin", ["lower", "upper"])
def test_cells_of_a_map_lie_where_its_extent_says(axes, origin):
    extent = (0, 32, 32, 0) if origin == "upper" else (0, 32, 0, 32)
    axes.imshow(np.array([[1.0, 2.0], [3.0, 4.0]]), extent=extent, origin=origin)
    expected = [[8, 8, 1], [24, 8, 2], [8, 24, 3], [24, 24, 4]]
    assert rows(axes, "x", "y", "value") == expected


def test_a_figure_may_say_what_an_image_of_many_maps_shows(axes):
    image = axes.imshow(np.zeros((4, 9)))
    stated = pd.DataFrame({"series": ["head 1", "head 2"], "x": [0, 1], "y": 0, "value": [5, 6]})
    drawn.state(image, stated)
    assert rows(axes, "series", "x", "value") == [["head 1", 0, 5], ["head 2", 1, 6]]


def test_panels_below_a_title_and_beside_a_label_have_them_too():
    with style.context():
        figure = Figure()
        grid = figure.subplots(2, 2, sharex=True, sharey="row")
        for panel in grid.flat:
            panel.plot([0], [1], label="ViT")
        grid[0, 1].set_title("untrained")
        grid[1, 0].set_ylabel("norm")
        grid[1, 1].set_xlabel("block")
        figure.colorbar(grid[0, 0].scatter([0], [0], c=[1]), ax=grid[0, 0])
        table = drawn.numbers(figure).drop_duplicates("panel")
    assert table["title"].tolist() == ["", "untrained", "", "untrained"]
    assert table["y_axis"].tolist() == ["", "", "norm", "norm"]
    assert table["x_axis"].tolist() == ["", "block", "", "block"]


def test_nothing_drawn_is_a_table_without_rows(axes):
    assert list(drawn.numbers(axes.figure).columns) == list(drawn.COLUMNS)
    assert drawn.numbers(axes.figure).empty
