import numpy as np
import pytest
from matplotlib.text import Text

from sightlines.core.errors import ResultError
from sightlines.figures import diagnostics, second_opinions, style
from sightlines.plan import registry
from tests.figures import tables as synthetic
from tests.figures.indices_tables import layer_diagnostics, similarity_indices
from tests.figures.tables import DRAWN
from tests.rounding import rounded

pytestmark = pytest.mark.whole  # each draws

CONFIG = synthetic.config() | {
    "architectures": {"vit_large": {"skipless_block": 3}, "vit_small": {"skipless_block": -1}}
}
SMALL = synthetic.config(vits=("vit_small",), resnets=(), fractions=("f100",), seeds=("s0",))
SHOWN = ["vit_small/f100/s0", "vit_small/f000/s0", "resnet_thin/f100/s0", "resnet_thin/f000/s0"]


@pytest.fixture(scope="module")
def tables():
    return {
        "similarity_indices.parquet": similarity_indices(CONFIG),
        "diagnostics.csv": layer_diagnostics(CONFIG),
    }


@pytest.mark.parametrize("module", [second_opinions, diagnostics])
def test_they_declare_what_the_report_needs(module):
    name = module.__name__.split(".")[-1]
    assert name in registry.members("figures")
    declared = registry.declarations("figures", name)
    assert declared["PAPER"] == "" and "Look for:" in declared["CAPTION"]
    assert declared["NEEDS"] == ("trained",) and declared["DIFFERS"]
    assert declared["EXPLAINS"].count(". ") == 2 and declared["EXPLAINS"].endswith(".")


def test_maps_hold_the_tables_values_and_leave_skipless_models_out(tables):
    figure = second_opinions.draw(tables, CONFIG)
    maps = [a for a in figure.axes if a.images]
    assert [n.slug for _, n in second_opinions.shown_networks(CONFIG)] == SHOWN
    assert len(maps) == 4 * 6
    assert [a.get_title() for a in maps[:6]] == list(second_opinions.INDICES.values())
    assert {a.images[0].get_clim() for a in maps} == {(0.0, 1.0)}
    values = maps[4].images[0].get_array()
    assert values.shape == (4, 4) and maps[4].images[0].origin == "lower"
    assert values[1, 3] == rounded(1 - 0.2 - 0.08, **DRAWN)
    assert "shuffled 0.40" in maps[4].get_xlabel()
    assert "ViT small" in maps[0].get_ylabel() and "untrained" in maps[6].get_ylabel()


def test_undefined_similarity_is_left_grey(tables):
    damaged = tables["similarity_indices.parquet"].copy()
    damaged.loc[damaged["layer_a"] == 7, ["value", "shuffled"]] = np.nan
    figure = second_opinions.draw({"similarity_indices.parquet": damaged}, CONFIG)
    assert figure.axes[0].images[0].get_array().mask[0].all()


def test_lines_are_block_outputs_and_dots_the_other_layers(tables):
    figure = diagnostics.draw(tables, CONFIG)
    assert len(figure.axes) == 4
    own = tables["diagnostics.csv"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0'"
    )
    for axes, column in zip(figure.axes, diagnostics.PANELS, strict=True):
        others, blocks, untrained = axes.lines[:3]
        is_block = own["kind"] == "residual"
        assert (blocks.get_ydata() == own.loc[is_block, column]).all()
        assert (others.get_ydata() == own.loc[~is_block, column]).all()
        assert (blocks.get_xdata() == own.loc[is_block, "depth"]).all()
        assert untrained.get_linestyle() == "--"
        assert len(axes.lines) == 2 * 3, "the skipless model is left out"
    assert figure.axes[2].get_yscale() == "log"
    texts = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert texts == ["ViT small", "Resnet thin", "untrained", "other sub-layers"]


@pytest.mark.parametrize("module", [second_opinions, diagnostics])
def test_without_untrained_networks_and_architectures_they_still_draw(module, tables):
    config = synthetic.config(fractions=("f100",), seeds=("s0",))
    figure = module.draw(
        {
            "similarity_indices.parquet": similarity_indices(config),
            "diagnostics.csv": layer_diagnostics(config),
        },
        config,
    )
    assert [a for a in figure.axes if a.images or a.lines]


@pytest.mark.parametrize("module", [second_opinions, diagnostics])
def test_nothing_trained_is_said_so(module, tables):
    with pytest.raises(ResultError, match="none of the networks is trained"):
        module.draw(tables, synthetic.config(fractions=("f000",)))


@pytest.mark.parametrize("module", [second_opinions, diagnostics])
def test_no_text_is_read_as_mathematics(module, tables):
    figure = module.draw(tables, SMALL | {"labels": {"vit_small": "cost $1_2"}})
    with style.context():
        figure.draw_without_rendering()
    texts = figure.findobj(Text)
    assert any("$1_2" in t.get_text() for t in texts)
    assert not any("mathdefault" in t.get_text() or t.get_parse_math() for t in texts)
