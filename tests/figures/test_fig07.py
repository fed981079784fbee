import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.figures import (
    fig07_skip_ratios,
    figE1_skip_tokens,
    figE2_skip_cosine,
    skip_panels,
    style,
)
from sightlines.plan.networks import Network
from tests.figures import tables as synthetic
from tests.figures.skip_tables import skip_ratios, skip_tokens
from tests.figures.tables import DRAWN
from tests.rounding import assert_rounded

pytestmark = pytest.mark.whole  # each draws

CONFIG = synthetic.config()
FIGURES = (fig07_skip_ratios, figE1_skip_tokens, figE2_skip_cosine)


def tables_of(config):
    return {"skip_ratios.parquet": skip_ratios(config), "skip_tokens.parquet": skip_tokens(config)}


@pytest.fixture(scope="module")
def tables():
    return tables_of(CONFIG)


@pytest.fixture(scope="module")
def drawn(tables):
    """Each figure of all tables, by module."""
    return {module: module.draw(tables, CONFIG) for module in FIGURES}


def panel(figure, title):
    (found,) = [a for a in figure.axes if a.get_title() == title]
    return found


def legend(figure):
    return [t.get_text() for box in figure.legends for t in box.get_texts()]


@pytest.mark.parametrize("module", FIGURES)
def test_drawing_leaves_the_tables_as_they_are(module, tables):
    before = {name: table.copy() for name, table in tables.items()}
    module.draw(tables, CONFIG)
    assert all(tables[name].equals(table) for name, table in before.items())


@pytest.mark.parametrize("module", FIGURES)
def test_explains_itself(module):
    assert "Look for:" in module.CAPTION and len(module.EXPLAINS) == 3
    assert all(sentence.endswith((".", "?")) for sentence in module.EXPLAINS)


def test_first_tokens_are_the_mlps_with_blocks_upwards(tables, drawn):
    figure = drawn[fig07_skip_ratios]
    image = panel(figure, "MLP, first tokens").images[0]
    tokens = tables["skip_tokens.parquet"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0' and branch == 'mlp'"
    )
    expected = tokens.pivot(index="block", columns="token", values="ratio").to_numpy()[:, :10]
    assert_rounded(image.get_array(), expected, **DRAWN)
    assert image.origin == "lower"
    assert panel(figure, "MLP, first tokens").get_xlabel() == "token index (0: CLS)"


def test_lines_are_the_tables_rows_of_all_images(tables, drawn):
    axes = panel(drawn[fig07_skip_ratios], "trained")
    rows = tables["skip_ratios.parquet"].query(
        "fraction == 'f100' and seed == 's0' and left_out == -1"
    )
    vit = rows.query("model == 'vit_small' and branch == 'mlp' and tokens == 'cls'")
    unit = rows.query("model == 'resnet_thin'")
    drawn = [line for line in axes.lines if line.get_marker() not in ("", "None")]
    data = {(line.get_color(), line.get_linestyle()): line.get_ydata() for line in drawn}
    assert len(drawn) == 5
    assert_rounded(data[style.VERMILLION, "--"], vit.ratio, **DRAWN)
    assert_rounded(data[style.BLACK, "-"], unit.ratio, **DRAWN)
    assert axes.get_yscale() == "log"


def test_the_untrained_resnet_is_said_to_have_no_ratio(drawn):
    figure = drawn[fig07_skip_ratios]
    assert "branch is 0" in panel(figure, "untrained").get_xlabel()
    assert "branch is 0" not in panel(figure, "trained").get_xlabel()


def test_two_convolutional_networks_are_told_apart_by_look_and_by_name():
    both = synthetic.config(("vit_small",), ("resnet_a", "resnet_b"), ("f000", "f100"), ("s0",))
    for module in (fig07_skip_ratios, figE2_skip_cosine):
        figure = module.draw(tables_of(both), both)
        entries = {
            t.get_text(): (line.get_color(), line.get_marker())
            for box in figure.legends
            for t, line in zip(box.get_texts(), box.get_lines(), strict=True)
        }
        looks = [look for text, look in entries.items() if text.startswith("convolutional unit")]
        assert len(set(looks)) == 2
        drawn = [(x.get_color(), x.get_marker()) for a in figure.axes for x in a.lines]
        assert set(looks) <= set(drawn)


def test_cosines_of_the_trained_network_stand_above_the_untrained(tables, drawn):
    figure = drawn[figE2_skip_cosine]
    above, below = figure.axes[0], figure.axes[2]
    assert above.get_ylabel().startswith("trained") and below.get_ylabel().startswith("untrained")
    rows = tables["skip_ratios.parquet"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0' and left_out == -1"
        " and branch == 'attn' and tokens == 'spatial'"
    )
    drawn = [line for line in above.lines if line.get_color() == style.BLUE]
    solid = [line for line in drawn if line.get_marker() == "o" and line.get_linestyle() == "-"]
    assert_rounded(solid[0].get_ydata(), rows.cosine, **DRAWN)


def test_all_tokens_keep_their_value_and_the_class_token_stands_apart(tables, drawn):
    figure = drawn[figE1_skip_tokens]
    patches, cls = figure.axes[2].images
    network = Network("vit_small", "f100", "s0")
    matrix = skip_panels.token_matrix(tables["skip_tokens.parquet"], network, "mlp")
    assert matrix.shape == (5, 17)
    assert_rounded(patches.get_array(), matrix[:, 1:], **DRAWN)
    assert_rounded(cls.get_array(), matrix[:, :1], **DRAWN)
    assert cls.get_extent()[1] < patches.get_extent()[0] == 0.5
    assert figure.axes[2].get_xticklabels()[0].get_text() == "CLS"
    assert patches.get_clim() == figure.axes[4].images[0].get_clim()


@pytest.mark.parametrize("module", FIGURES)
def test_without_an_untrained_network_panels_say_so(module):
    config = synthetic.config(("vit_small",), (), ("f100",), ("s0",))
    figure = module.draw(tables_of(config), config)
    assert any("no untrained network" in t.get_text() for a in figure.axes for t in a.texts)
    assert "other seeds: thin" not in legend(figure) and "convolutional unit" not in legend(figure)


@pytest.mark.parametrize("module", FIGURES)
def test_without_a_class_token_nothing_is_named_cls(module, tables):
    ratios, tokens = tables["skip_ratios.parquet"], tables["skip_tokens.parquet"]
    found = {
        "skip_ratios.parquet": ratios[ratios.tokens == "spatial"],
        "skip_tokens.parquet": tokens[tokens.token > 0].assign(token=lambda t: t.token - 1),
    }
    figure = module.draw(found, CONFIG)
    words = legend(figure) + [t.get_text() for a in figure.axes for t in a.get_xticklabels()]
    assert not [word for word in words if "CLS" in word]


@pytest.mark.parametrize("module", FIGURES)
def test_a_mixer_has_lines_of_its_own(module, tables):
    found = {
        name: t.replace({"branch": {"attn": "mixing"}}) if "branch" in t else t
        for name, t in tables.items()
    }
    figure = module.draw(found, CONFIG)
    words = legend(figure) + [a.get_title() for a in figure.axes]
    assert any("token mixing" in w for w in words)
    assert not any("self-attention" in w for w in words)


@pytest.mark.parametrize("module", FIGURES)
def test_models_without_a_skip_connection_are_left_out(module, tables):
    config = CONFIG | {"architectures": {"vit_large": {"skipless_block": 2}}}
    figure = module.draw(tables, config)
    words = [a.get_title() + a.get_ylabel() for a in figure.axes]
    assert any("ViT small" in w for w in words) and not any("ViT large" in w for w in words)
    both = {m: {"skipless_block": 2} for m in ("vit_small", "vit_large")}
    with pytest.raises(ResultError, match="no network on all images that has tokens"):
        module.draw(tables, CONFIG | {"architectures": both})


def test_a_block_without_a_branch_is_a_gap(tables):
    ratios = tables["skip_ratios.parquet"]
    gone = (ratios.model == "vit_small") & (ratios.block == 2) & (ratios.branch == "attn")
    own = skip_panels.lines(ratios[~gone], Network("vit_small", "f100", "s0"), "ratio")
    assert np.isnan(own["attn", "cls"].to_numpy()).tolist() == [False, False, True, False, False]
    assert np.isfinite(own["mlp", "cls"].to_numpy()).all()
