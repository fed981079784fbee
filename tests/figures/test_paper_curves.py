"""The paper's lines in our axes: at relative places, in one style, named in the legend."""

import numpy as np
import pytest

from sightlines.dumps.attention_statistics import uniform_px
from sightlines.figures import (
    fig03_attention_distance,
    fig04_attention_distance_less_data,
    fig05_head_subsets,
    fig07_skip_ratios,
    fig12_data_fractions,
    fig13_probes_by_depth,
    paper_curves,
)
from sightlines.results import paper_values
from tests.figures import tables as synthetic

CONFIG = synthetic.config()
MODULES = (
    fig03_attention_distance,
    fig04_attention_distance_less_data,
    fig05_head_subsets,
    fig07_skip_ratios,
    fig12_data_fractions,
    fig13_probes_by_depth,
)


@pytest.fixture(scope="module", params=MODULES, ids=lambda m: m.__name__.rpartition(".")[2])
def drawn(request):
    module = request.param
    names = {*module.READS}
    return module, module.draw(synthetic.all_tables(CONFIG, names=names), CONFIG)


def of_paper(axes):
    style = paper_curves.LOOK["linestyle"][1]
    return [line for line in axes.lines if tuple(line._unscaled_dash_pattern[1] or ()) == style]


def values(line):
    return np.asarray(line.get_ydata(), float)


def test_the_legend_names_the_paper_once_and_the_caption_says_how_it_was_read(drawn):
    module, figure = drawn
    entries = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert sum(entry.startswith(paper_values.SHORT) for entry in entries) == 1
    assert "Dash-dotted" in module.CAPTION and "±" in module.CAPTION


def test_the_papers_lines_lie_within_the_axes(drawn):
    _, figure = drawn
    lines = [(axes, line) for axes in figure.axes for line in of_paper(axes)]
    assert lines
    for axes, line in lines:
        (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        x = np.asarray(line.get_xdata(), float)
        assert left <= x.min() and x.max() <= right
        assert bottom <= values(line).min() and values(line).max() <= top


def of(module):
    return module.draw(synthetic.all_tables(CONFIG, names=module.READS), CONFIG)


def test_heads_are_drawn_relative_to_uniform_attention_and_by_their_share_of_ranks():
    figure = of(fig03_attention_distance)
    low, second = of_paper(figure.axes[0])
    curve = paper_values.curves("3")["L16_JFT_block0"]
    ours = next(x for x in figure.axes[0].lines if x.get_linestyle() == "--").get_ydata()[0]
    assert values(low) == pytest.approx(np.array(curve.values) / 116.5 * ours)
    assert low.get_color() != second.get_color()
    assert low.get_xdata()[0] == 1 and low.get_xdata()[-1] == 5
    assert not of_paper(figure.axes[2]), "the untrained row has none"


def test_uniform_attention_of_the_papers_networks():
    for network, grid in {"L16": ((14, 14), 16), "H14": ((16, 16), 14)}.items():
        assert paper_values.UNIFORM_PX[network] == pytest.approx(uniform_px(*grid), abs=0.2)


def test_less_data_stands_beside_imagenet_and_all_beside_jft():
    figure = of(fig04_attention_distance_less_data)
    columns = {a.get_title(): a for a in figure.axes if a.get_title()}
    first = {name: values(of_paper(axes)[0])[0] for name, axes in columns.items() if of_paper(axes)}
    assert set(first) == {"3 % of the images", "all images"}
    assert first["3 % of the images"] > 3 * first["all images"]


def test_blocks_are_drawn_by_their_share_of_the_depth():
    figure = of(fig07_skip_ratios)
    trained = next(a for a in figure.axes if a.get_title() == "trained")
    found = {len(line.get_xdata()): line for line in of_paper(trained)}
    assert set(found) == {12, 16} and len(of_paper(trained)) == 5
    for line in found.values():
        assert line.get_xdata()[0] == 0 and line.get_xdata()[-1] == 4


def test_shares_of_data_have_the_colour_of_the_same_share():
    figure = of(fig12_data_fractions)
    small, large = figure.axes[:2]
    for axes, network in ((small, "B32"), (large, "L16")):
        lines = of_paper(axes)
        wanted = {c.values for n, c in paper_values.curves("12").items() if n.startswith(network)}
        assert {tuple(values(line)) for line in lines} <= wanted and lines


def test_probes_on_few_images_alone_have_the_papers_lines():
    figure = of(fig13_probes_by_depth)
    with_lines = [a for a in figure.axes if of_paper(a)]
    assert with_lines and len(with_lines) == len(figure.axes) // 2
    assert {len(of_paper(a)) for a in with_lines} == {2}


def test_a_single_block_has_no_line():
    axes = of(fig12_data_fractions).axes[0]
    before = len(axes.lines)
    paper_curves.draw_by_place(axes, paper_values.CURVES[0], 0.0, 0.0, "black")
    assert len(axes.lines) == before
