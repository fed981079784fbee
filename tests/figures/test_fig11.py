import pytest

from sightlines.core.errors import ResultError
from sightlines.figures import (
    fig11_token_probes,
    fig13_probes_by_depth,
    figD4_token_probe_maps,
    figF_probes_other_datasets,
    probe_panels,
    style,
)
from tests.figures.probe_tables import config, mean_of_tokens, tables
from tests.figures.tables import DRAWN
from tests.rounding import assert_rounded, rounded

pytestmark = pytest.mark.whole  # each draws

CONFIG = config()
FIGURES = (
    fig11_token_probes,
    fig13_probes_by_depth,
    figD4_token_probe_maps,
    figF_probes_other_datasets,
)
TASKS = ("", "flowers")


@pytest.fixture(scope="module")
def made():
    return tables(CONFIG, TASKS)


@pytest.fixture(scope="module")
def drawn(made):
    """Each figure of all tables, by module."""
    return {module: module.draw(made, CONFIG) for module in FIGURES}


def panel(figure, title):
    """The panel whose title's first line is this one."""
    (found,) = [a for a in figure.axes if a.get_title().split("\n")[0] == title]
    return found


def legend(figure):
    return [t.get_text() for box in figure.legends for t in box.get_texts()]


def line_with(axes, **look):
    """The thick line with markers of one colour (and line style)."""
    found = [
        line
        for line in axes.lines
        if line.get_color() == look["color"]
        and line.get_marker() == look["marker"]
        and line.get_linestyle() == look.get("linestyle", "-")
    ]
    assert len(found) == 1
    return found[0]


def norm_with(axes, **look):
    """The final norm's hollow marker of one colour and shape."""
    (found,) = [
        line
        for line in axes.lines
        if line.get_color() == look["color"]
        and line.get_marker() == look["marker"]
        and line.get_markerfacecolor() == "white"
    ]
    assert found.get_linestyle() == "None"
    return found


def blocks(rows):
    """Rows of a probes' table without those of the final norm."""
    return rows[rows.name != "norm"]


@pytest.mark.parametrize("module", FIGURES)
def test_drawing_leaves_the_tables_as_they_are_and_explains_itself(module, made):
    before = {name: table.copy() for name, table in made.items()}
    module.draw(made, CONFIG)
    assert all(made[name].equals(table) for name, table in before.items())
    assert "Look for:" in module.CAPTION and len(module.EXPLAINS) == 3
    assert all(sentence.endswith((".", "?")) for sentence in module.EXPLAINS)
    assert module.DIFFERS


def test_a_line_is_the_mean_of_the_tokens_without_the_class_token(made, drawn):
    figure = drawn[fig11_token_probes]
    with style.context():
        look = style.model_look(list(CONFIG["families"]), "small")
    for axes, shots in ((panel(figure, "(a) a probe per token"), 0), (figure.axes[2], 10)):
        *expected, norm = mean_of_tokens(made["token_probes.parquet"], "small/f100/s0", shots)
        line, end = line_with(axes, **look), norm_with(axes, **look)
        assert_rounded(line.get_ydata(), expected, **DRAWN)
        assert_rounded(line.get_xdata(), [0, 0.5, 1], **DRAWN)
        assert_rounded((*end.get_xdata(), *end.get_ydata()), (1, norm), **DRAWN)
        bands = axes.collections
        assert len(bands) == 3
    assert figure.axes[0].get_ylabel().startswith("probe fitted to all its images")
    assert figure.axes[2].get_ylabel().startswith("probe fitted to 10 a class")


def test_pooled_curves_are_named_as_in_the_paper(made, drawn):
    figure = drawn[fig11_token_probes]
    axes = panel(figure, "(b) ViTs: pooled tokens")
    table = made["probes.parquet"]
    own = table[(table.dataset == "") & (table.shots == 0) & (table.fraction == "f100")]
    for (kind, pool), (name, colour, marker) in probe_panels.POOLING.items():
        model = {"cls": "small", "gap": "gap"}[kind]
        rows = own[(own.model == model) & (own.pool == pool) & (own.seed == "s0")]
        line = line_with(axes, color=colour, marker=marker)
        assert_rounded(line.get_ydata(), 100 * blocks(rows).accuracy, **DRAWN)
        assert_rounded(line.get_xdata(), [0, 0.25, 0.5, 0.75, 1], **DRAWN)
        end = norm_with(axes, color=colour, marker=marker)
        assert_rounded(end.get_ydata(), 100 * rows[rows.name == "norm"].accuracy, **DRAWN)
        assert f"(b) {name}" in legend(figure)


def test_panels_say_how_many_images_their_own_probes_are_fitted_to(drawn):
    titles = [axes.get_title() for axes in drawn[fig11_token_probes].axes]
    assert titles == [
        "(a) a probe per token\n400 training images",
        "(b) ViTs: pooled tokens\n1,000 training images",
        *["100 training images"] * 2,
    ]
    figure = drawn[figD4_token_probe_maps]
    assert figure.get_supxlabel().endswith("each probe fitted to 400 training images")


def test_the_class_token_vit_is_the_pooled_ones_twin():
    assert probe_panels.contrasted(CONFIG) == (["small"], ["gap"], ["res"])
    assert probe_panels.contrasted(config(gaps=())) == (["small", "large"], [], ["res"])
    missing = config(extra={"bare": {"family": "vit", "pool": "cls", "skipless_block": 2}}.items())
    assert "bare" not in probe_panels.contrasted(missing)[0]


@pytest.mark.parametrize(
    "settings",
    [config(("small",), ()), config((), (), fractions=("f100",))],
    ids=["no pooled ViT", "resnet alone"],
)
@pytest.mark.parametrize("module", FIGURES)
def test_figures_draw_what_there_is(module, settings):
    module.draw(tables(settings, TASKS), settings)


@pytest.mark.parametrize("module", FIGURES)
def test_without_untrained_networks_none_is_named(module):
    own = config(("small",), fractions=("f100",))
    figure = module.draw(tables(own, TASKS[:2]), own)
    words = legend(figure) + [a.get_title() for a in figure.axes]
    assert not [word for word in words if "untrained" in word]


@pytest.mark.parametrize("module", FIGURES)
def test_networks_without_skips_are_left_out(module):
    bare = {"bare": {"family": "vit", "pool": "cls", "skipless_block": 2}}
    own = config(("small",), (), (), bare.items(), ("f100",))
    figure = module.draw(tables(own, TASKS[:2]), own)
    words = legend(figure) + [t.get_text() for a in figure.axes for t in (a.title, *a.texts)]
    assert any("SMALL" in word for word in words)
    assert not [word for word in words if "BARE" in word]


@pytest.mark.parametrize("module", FIGURES)
def test_without_any_network_of_the_experiment_the_error_says_so(module, made):
    empty = {name: table[:0] for name, table in made.items()}
    with pytest.raises(ResultError, match=r"probes\.parquet has no"):
        module.draw(empty, CONFIG)


def test_less_data_is_drawn_with_all_data_and_chance(made, drawn):
    figure = drawn[fig13_probes_by_depth]
    axes = panel(figure, "(a) LARGE")
    table = made["probes.parquet"]
    own = table[(table.model == "large") & (table.pool == "mean") & (table.dataset == "")]
    own = own[(own.shots == 0) & (own.seed == "s0")]
    for fraction in ("f010", "f100"):
        rows = blocks(own[own.fraction == fraction])
        line = line_with(axes, **style.fraction_look(fraction))
        assert_rounded(line.get_ydata(), 100 * rows.accuracy, **DRAWN)
    assert any(list(line.get_ydata()) == [10, 10] for line in axes.lines)
    assert "(a) 10 % of the images" in legend(figure)
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [list(line.get_ydata()) for line in dotted] == [
        rounded(100 * blocks(own[own.fraction == "f000"]).accuracy, **DRAWN)
    ]


def test_few_shots_are_the_mean_of_the_draws_with_their_range(made):
    network = probe_panels.Network("small", "f100", "s0")
    found = probe_panels.curve(made["probes.parquet"], network, "mean", 10)
    whole = probe_panels.curve(made["probes.parquet"], network, "mean")
    assert_rounded(found["mean"] - found["low"], 2, size=100, **DRAWN)
    assert_rounded(found["high"] - found["mean"], 2, size=100, **DRAWN)
    assert (whole["low"] == whole["high"]).all()


def test_models_have_other_seeds_thin_and_untrained_ones_dotted(drawn):
    axes = panel(drawn[fig13_probes_by_depth], "(b) models compared")
    thin = [line for line in axes.lines if line.get_linewidth() == 0.6]
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert len(thin) == len(dotted) == 4


def test_every_map_has_its_own_scale_and_prints_it(made, drawn):
    figure = drawn[figD4_token_probe_maps]
    table = made["token_probes.parquet"]
    own = table[(table.model == "gap") & (table.fraction == "f100") & (table.shots == 0)]
    rows = own[own.name == "block04.out"].sort_values("token")
    maps = [a for a in figure.axes if a.images and a.get_title() == "block04"]
    grid = 100 * rows.accuracy.to_numpy().reshape(3, 3)
    (axes,) = [a for a in maps if rounded(grid, **DRAWN) == a.images[0].get_array()]
    assert axes.images[0].get_clim() == rounded((grid.min(), grid.max()), **DRAWN)
    assert axes.get_xlabel() == f"{grid.min():.1f}–{grid.max():.1f} %"
    assert sum(a.get_title().startswith("untrained\nblock04") for a in figure.axes) == 3


def test_other_datasets_are_rows_below_the_own(made, drawn):
    figure = drawn[figF_probes_other_datasets]
    names = [a.get_ylabel().split("\n")[0] for a in figure.axes[::3]]
    assert names == ["own images", "flowers"]
    with style.context():
        look = style.model_look(list(CONFIG["families"]), "large")
    dashed = line_with(figure.axes[3], **look, linestyle="--")
    table = made["probes.parquet"]
    rows = table.query(
        "model == 'large' and fraction == 'f010' and dataset == 'flowers' and pool == 'mean'"
        " and shots == 0"
    )
    assert_rounded(dashed.get_ydata(), 100 * blocks(rows).accuracy, **DRAWN)
    with pytest.raises(ResultError, match="no trained network on another task"):
        figF_probes_other_datasets.draw(tables(CONFIG), CONFIG)
