import numpy as np
import pandas as pd
import pytest

from sightlines.core.errors import ResultError
from sightlines.figures import fig06_receptive_field_curves as curves
from sightlines.figures import fig06_receptive_fields as fields
from sightlines.figures import figC_receptive_fields as every
from sightlines.figures import receptive_field_panels as panels
from sightlines.figures import style
from tests.figures import receptive_field_tables as synthetic
from tests.figures import tables as others
from tests.figures.tables import DRAWN
from tests.rounding import assert_rounded, rounded

pytestmark = pytest.mark.whole  # each draws

CONFIG = others.config(fractions=("f000", "f010", "f100"))
ALONE = others.config(vits=("vit_tiny",), resnets=(), fractions=("f100",), seeds=("s0",))


def all_tables(config):
    return {
        "receptive_fields.parquet": synthetic.receptive_fields(config),
        "receptive_field_maps.parquet": synthetic.receptive_field_maps(config),
    }


@pytest.fixture(scope="module")
def tables():
    return all_tables(CONFIG)


@pytest.fixture(scope="module")
def drawn(tables):
    """Both figures of all tables, by module."""
    return {module: module.draw(tables, CONFIG) for module in (fields, curves)}


def drawn_maps(figure):
    return [axes for axes in figure.axes if axes.images]


def test_maps_of_all_models_trained_and_untrained_by_depth(drawn):
    figure = drawn[fields]
    maps = drawn_maps(figure)
    assert len(maps) == 3 * 2 * 4
    titles = [axes.get_title() for axes in maps]
    assert titles[:4] == ["first layer", "attention 0", "attention 2", "attention 4"]
    assert titles[-4:] == ["first layer", "unit 0", "unit 2", "unit 4"]
    assert figure.get_figwidth() == 6.8


def test_a_map_shows_the_table_s_values_as_an_image_is_seen_and_dark_is_large(tables, drawn):
    axes = drawn_maps(drawn[fields])[2]
    image = axes.images[0]
    table = tables["receptive_field_maps.parquet"]
    row = table.query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0' "
        "and name == 'block02.attn_out' and row == 3 and column == 11"
    )
    assert image.get_array()[3, 11] == row["gradient"].item()
    assert image.origin == "upper" and list(image.get_extent()) == [0, 16, 16, 0]
    assert image.get_clim() == (0.0, 1.0)
    assert sum(image.cmap(image.norm(0.9))[:3]) < sum(image.cmap(image.norm(0.1))[:3])


def test_the_own_patch_is_outlined(drawn):
    maps = drawn_maps(drawn[fields])
    (vit,), (resnet,) = maps[1].patches, maps[-1].patches
    assert (vit.get_xy(), vit.get_width(), vit.get_height()) == ((8.0, 8.0), 4, 4)
    assert resnet.get_xy() == (6.5, 6.5)


def test_a_layer_without_a_gradient_says_so(tables):
    changed = {name: table.copy() for name, table in tables.items()}
    for name, column in (("receptive_fields", "side_px"), ("receptive_field_maps", "gradient")):
        table = changed[f"{name}.parquet"]
        table.loc[table["name"] == "block02.out", column] = np.nan
    maps = drawn_maps(fields.draw(changed, CONFIG))
    assert maps[-2].get_xlabel() == "zero" and maps[-2].images[0].get_array().mask.all()
    assert maps[-1].get_xlabel() == "side 12 px"


def test_maps_work_for_one_model_without_untrained_control():
    assert len(drawn_maps(fields.draw(all_tables(ALONE), ALONE))) == 4


def test_models_with_different_numbers_of_layers_leave_empty_places(tables):
    fewer = dict(tables)
    for name, table in tables.items():
        fewer[name] = table[(table["model"] != "resnet_thin") | (table["block"] != 2)]
    assert len(drawn_maps(fields.draw(fewer, CONFIG))) == 3 * 2 * 4 - 2


def lines(axes):
    return {
        (line.get_linestyle(), line.get_color(), line.get_marker()): line for line in axes.lines
    }


def test_curves_show_the_table_s_values(tables, drawn):
    figure = drawn[curves]
    left, right, *below = figure.axes
    assert len(below) == 3 and len(left.lines) == len(right.lines) == 3 * 3
    own = tables["receptive_fields.parquet"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0' and left_out == -1"
    )
    sums = own.query("variant == 'post' and branch in ['embed', 'mlp']").sort_values("block")
    trained = lines(right)["-", style.BLUE, "o"]
    assert_rounded(trained.get_ydata(), 100 - 100 * sums["window_share"], **DRAWN)
    assert_rounded(trained.get_xdata(), [curves.FIRST, 0, 0.5, 1], **DRAWN)
    (thin,) = (own for own in right.lines if own.get_marker() == "" and own.get_c() == style.BLUE)
    other = tables["receptive_fields.parquet"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's1' and left_out == -1"
        " and variant == 'post' and branch in ['embed', 'mlp']"
    )
    sums = other.sort_values("block")
    assert_rounded(thin.get_ydata(), 100 - 100 * sums["window_share"], **DRAWN)
    before = own.query("variant == 'pre' and branch == 'attn'").sort_values("block")
    dashed = lines(below[0])["--", style.BLUE, "o"]
    assert_rounded(dashed.get_ydata(), 100 * before["window_share"], **DRAWN)


def test_bands_are_jackknife_standard_errors(drawn):
    """Left out: 0, .01, .02, .03 above; sqrt(3/4 · Σ(d - .015)²) = .0193649."""
    left = drawn[curves].axes[1]
    band = left.collections[1].get_paths()[0].vertices
    heights = band[:, 1][band[:, 0] == 1.0]
    error = 100 * np.sqrt(3 / 4 * np.square(np.array([0, 0.01, 0.02, 0.03]) - 0.015).sum())
    assert heights.max() - heights.min() == rounded(2 * error, size=heights.max(), **DRAWN)


def test_curves_work_for_one_model_without_untrained_control():
    figure = curves.draw(all_tables(ALONE), ALONE)
    assert len(figure.axes) == 3 and len(figure.axes[0].lines) == 2


def test_a_mixer_is_named(tables):
    mixer = others.config(vits=("mixer",), resnets=(), fractions=("f000", "f100"), seeds=("s0",))
    mixer["families"] = {"mixer": "mixer"}
    own = all_tables(mixer)
    assert drawn_maps(fields.draw(own, mixer))[1].get_title() == "mixing 0"
    figure = curves.draw(own, mixer)
    texts = {t.get_text() for sub in figure.subfigs for g in sub.legends for t in g.get_texts()}
    assert {"mixing", "MLP", "untrained", "branch before it"} <= texts


@pytest.mark.parametrize("figure", [fields, curves])
def test_tables_without_a_trained_network_are_refused(figure, tables):
    bare = {name: table[table["fraction"] != "f100"] for name, table in tables.items()}
    with pytest.raises(ResultError, match="no receptive fields of a network on all images"):
        figure.draw(bare, CONFIG)


def test_figure_6_shows_five_blocks_and_figure_c_all(tables):
    """Evenly spread, the first and the last included."""
    rows = tables["receptive_fields.parquet"]
    own = rows.query("model == 'vit_small' and fraction == 'f100' and seed == 's0'")
    one = own.query("left_out == -1 and block == 2")
    first = own.query("left_out == -1 and block == -1")
    many = pd.concat([first, *(one.assign(block=b, name=f"b{b}") for b in range(9))])
    assert panels.columns_of(many)["block"].tolist() == [-1, 0, 2, 4, 6, 8]
    figure = every.draw(tables, CONFIG)
    shown = [axes.get_title() for axes in figure.axes if axes.images]
    sums, branches = ["first", "0", "2", "4"], ["0", "2", "4"]
    vit = [*sums, *branches, *branches, *branches]
    assert shown == [*vit, *vit, *sums, *branches]
