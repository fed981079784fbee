import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sightlines.core.errors import ResultError
from sightlines.figures import (
    fig09_localisation,
    fig10_localisation_gap,
    figD_localisation_layers,
)
from sightlines.figures.localisation_selecting import shown_tokens
from sightlines.plan import registry
from sightlines.results.selecting import plain_models
from tests.figures import tables as synthetic
from tests.figures.localisation_tables import localisation_tables
from tests.figures.tables import DRAWN
from tests.rounding import rounded

pytestmark = pytest.mark.whole  # each draws

VITS = ("vit_small", "vit_gap", "vit_cut", "vit_large")
CONFIG = synthetic.config(vits=VITS, fractions=("f000", "f100"))
CONFIG["architectures"] = {
    "vit_small": {"family": "vit", "width": 48, "pool": "cls"},
    "vit_gap": {"family": "vit", "width": 48, "pool": "gap"},
    "vit_cut": {"family": "vit", "width": 48, "pool": "cls", "skipless_block": 2},
    "vit_large": {"family": "vit", "width": 64, "pool": "cls", "skipless_block": -1},
    "resnet_thin": {"family": "resnet"},
}
ALONE = synthetic.config(vits=("vit_tiny",), resnets=(), fractions=("f100",), seeds=("s0",))
MODULES = {
    "fig09_localisation": fig09_localisation,
    "fig10_localisation_gap": fig10_localisation_gap,
    "figD_localisation_layers": figD_localisation_layers,
}


@pytest.fixture(scope="module")
def tables():
    return localisation_tables(CONFIG)


@pytest.fixture(scope="module")
def drawn(tables):
    """Figure 9 of all tables."""
    return fig09_localisation.draw(tables, CONFIG)


def panels_of(figure):
    return [a for a in figure.axes if a.images]


@pytest.mark.parametrize("name", MODULES)
def test_what_is_declared(name):
    declared = registry.declarations("figures", name)
    assert "Look for:" in declared["CAPTION"] and len(declared["EXPLAINS"]) == 3
    assert all(sentence.endswith((".", "?")) for sentence in declared["EXPLAINS"])
    assert isinstance(declared["DIFFERS"], str) and set(declared["NEEDS"]) <= {"trained", "gap"}


def test_which_models_are_shown():
    assert fig09_localisation.shown_models(CONFIG) == ["vit_small", "vit_large", "resnet_thin"]
    assert fig10_localisation_gap.shown_models(CONFIG) == ["vit_small", "vit_gap"]
    other = CONFIG | {"architectures": CONFIG["architectures"] | {"vit_small": {"width": 7}}}
    assert fig10_localisation_gap.shown_models(other) == ["vit_small", "vit_large", "vit_gap"]
    assert fig09_localisation.shown_models(ALONE) == ["vit_tiny"]
    gap = ALONE | {"architectures": {"vit_tiny": {"pool": "gap"}}}
    assert fig09_localisation.shown_models(gap) == ["vit_tiny"]


def test_mixers_are_left_to_the_appendix():
    mixed = CONFIG | {"families": CONFIG["families"] | {"vit_large": "mixer"}}
    assert fig09_localisation.shown_models(mixed) == ["vit_small", "resnet_thin"]
    swin = CONFIG | {"families": CONFIG["families"] | {"resnet_thin": "other"}}
    assert fig09_localisation.shown_models(swin) == ["vit_small", "vit_large", "resnet_thin"]
    assert "vit_large" in plain_models(mixed)


def test_panels_show_the_tables_maps_with_rows_upwards_and_the_own_patch_outlined(tables, drawn):
    shown = panels_of(drawn)
    assert len(shown) == 2 * 3 * 4 + 4
    third = shown[2]
    table = tables["localisation_maps.parquet"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0' and name == 'block03.out'"
    )
    token = 3 * 5 + 1
    expected = table.query(f"token == {token}").sort_values("patch")["cka"].to_numpy()
    assert (third.images[0].get_array() == expected.reshape(5, 5)).all()
    assert third.images[0].origin == "lower" and third.images[0].get_cmap().name == "viridis"
    assert third.patches[0].get_xy() == (0.5, 2.5)
    own = tables["localisation_tokens.parquet"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0' and name == 'block03.out'"
    )
    z, rank = own.loc[own["token"] == token, ["z", "rank"]].iloc[0]
    assert third.get_title() == f"token (3, 1)\nz {z:.1f}\nrank {rank:.0f}"


def test_panels_of_a_network_share_their_colours_and_start_at_0(drawn):
    shown = panels_of(drawn)
    limits = {a.images[0].get_clim() for a in shown[:4]}
    assert len(limits) == 1
    largest = max(a.images[0].get_array().max() for a in shown[:4])
    assert limits.pop() == (0.0, rounded(largest, **DRAWN))


def test_the_last_row_is_the_pixels(tables, drawn):
    pixels = next(a for a in panels_of(drawn) if a.get_ylabel().startswith("own"))
    table = tables["localisation_maps.parquet"].query("model == 'vit_small' and token == 0")
    expected = table["baseline"].to_numpy()[:25].reshape(5, 5)
    assert (pixels.images[0].get_array() == expected).all() and expected[0, 0] == 1


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ((7, 7), [(0, 0), (2, 1), (4, 2), (4, 4)]),
        ((8, 8), [(0, 0), (2, 1), (5, 2), (5, 5)]),
        ((4, 4), [(0, 0), (1, 1), (2, 1), (2, 2)]),
        ((3, 3), [(0, 0), (1, 1)]),
        ((1, 1), [(0, 0)]),
    ],
)
def test_shown_tokens_are_the_papers(grid, expected):
    tokens = shown_tokens(grid)
    assert [divmod(token, grid[1]) for token in tokens] == expected
    assert max(tokens) < grid[0] * grid[1]


def test_without_an_untrained_network_the_right_half_is_empty():
    tables = localisation_tables(ALONE)
    figure = fig09_localisation.draw(tables, ALONE)
    assert len(panels_of(figure)) == 8
    assert any(t.get_text() == "none" for a in figure.axes for t in a.texts)
    assert isinstance(figD_localisation_layers.draw(tables, ALONE), Figure)


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (3, 6)])
def test_small_grids_and_one_block(grid):
    tables = localisation_tables(ALONE, grid, blocks=1)
    for module in (fig09_localisation, figD_localisation_layers):
        assert isinstance(module.draw(tables, ALONE), Figure)


def test_undefined_patches_are_grey_and_explained(tables, drawn):
    holes = {key: table.copy() for key, table in tables.items()}
    maps = holes["localisation_maps.parquet"]
    maps.loc[maps["patch"] == 7, "cka"] = np.nan
    figure = fig09_localisation.draw(holes, CONFIG)
    assert panels_of(figure)[0].images[0].get_array().mask[1, 2]
    assert any("does not vary" in t.get_text() for x in figure.legends for t in x.get_texts())
    assert not drawn.legends


def test_curves_are_the_scores_against_depth(tables):
    figure = figD_localisation_layers.draw(tables, CONFIG)
    axes = next(a for a in figure.axes if a.get_ylabel() == "own patch, d")
    own = tables["localisation.parquet"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0' and left_out == -1"
        " and where == 'interior' and score == 'cka' and block >= 0"
    )
    expected = own.sort_values("depth")["effect"].tolist()
    assert expected in [list(line.get_ydata()) for line in axes.lines]
    maps_of = [a.get_title() for a in panels_of(figure)]
    assert (
        sum(title.startswith("CLS") for title in maps_of) == 6
    )  # three layers of both ViTs that have one


def test_tables_without_the_networks_are_refused(tables):
    empty = {key: table[:0] for key, table in tables.items()}
    for module in MODULES.values():
        with pytest.raises(ResultError, match="no trained network"):
            module.draw(empty, CONFIG)


@pytest.mark.whole  # a hundred panels
def test_scores_of_many_models_stand_inside_the_figure():
    vits = tuple(f"vit_{place}" for place in range(12))
    many = synthetic.config(vits, fractions=("f000", "f100"), seeds=("s0",))
    figure = fig09_localisation.draw(localisation_tables(many), many)
    FigureCanvasAgg(figure).draw()
    (scores,) = [t for t in figure.texts if t.get_text().startswith("all interior tokens")]
    shown = " ".join(scores.get_text().split())
    assert shown.count("map correlation") == len(vits) + 1
    extent = scores.get_window_extent()
    assert extent.y0 > 0 and extent.x1 <= figure.bbox.width  # lines that are too long are broken
