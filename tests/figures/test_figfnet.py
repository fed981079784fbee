"""FNet: its own figure, and its layers in Figures 1, 2 and H."""

import numpy as np
import pytest

from sightlines.figures import fig01_cka_within, fig02_cka_across, figfnet_mixing, figH_mixer
from sightlines.plan.networks import Network
from sightlines.results import selecting
from tests.figures import tables as synthetic

pytestmark = pytest.mark.whole  # each draws

FNETS = ("fnet", "fnet_hartley", "fnet_hybrid")
CONFIG = synthetic.config(fnets=FNETS, mixers=("mixer",))
TABLES = synthetic.all_tables(CONFIG, names=figfnet_mixing.READS)
MIRROR, SIMILARITY = 2, 3
REVERSED = CONFIG | {"networks": CONFIG["networks"][::-1]}
"""The same with variants before the FNet, and ResNets before ViTs."""


def drawn(config=CONFIG):
    axes = figfnet_mixing.draw(TABLES, config).axes[MIRROR]
    assert axes.get_title() == "mirror"
    return {line.get_label(): line for line in axes.lines}


def test_the_mirrors_excess_is_that_of_the_table_trained_and_untrained():
    lines, table = drawn(), TABLES["branch_places.parquet"]
    for name, fraction in (("fnet", "f100"), ("fnet, untrained", "f000")):
        own = table[(table.model == "fnet") & (table.fraction == fraction)]
        own = own[own.left_out == -1].sort_values("block")
        np.testing.assert_array_equal(lines[name].get_ydata(), own.mirror_excess)
        np.testing.assert_array_equal(lines[name].get_xdata(), own.block)
    assert not any("hybrid" in name for name in lines), "whose mixing is not of every block"


def test_the_legend_names_lines_that_are_there():
    """Of Hartley's there is no untrained twin among the runs."""
    slugs = [slug for slug in CONFIG["networks"] if not slug.startswith("fnet_hartley/f000")]
    config = CONFIG | {"networks": slugs}
    axes = figfnet_mixing.draw(TABLES, config).axes[MIRROR]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["fnet, untrained", "fnet", "fnet hartley"]


# -- layers ------------------------------------------------------------------------------------


def cells(one, other):
    """What the table holds of two networks, whichever stands first [layers, layers]."""
    a, b = (Network.parse(slug) for slug in (one, other))
    return selecting.cka_matrix(TABLES["cka.parquet"], TABLES["layers.csv"], a, b)


def maps(figure):
    return [axes for axes in figure.axes if axes.images]


def assert_shows(axes, one, other):
    """A map is of these two networks, the first upwards, and says so."""
    np.testing.assert_array_equal(axes.images[0].get_array(), cells(one, other))
    named = [
        text.split(":")[0].replace("\n", " ") for text in (axes.get_ylabel(), axes.get_xlabel())
    ]
    assert named == [CONFIG["labels"][slug.split("/")[0]] for slug in (one, other)]


def test_figure_1_has_the_mixer_and_the_fnet_last_and_no_variant():
    labels = CONFIG["labels"]
    shown = ["vit_small", "vit_large", "resnet_thin", "mixer", "fnet"]
    for config, models in ((CONFIG, shown), (REVERSED, [*shown[2::-1], *shown[3:]])):
        figure = fig01_cka_within.draw(TABLES, config)
        titles = [axes.get_title().replace("\n", " ") for axes in figure.axes if axes.get_title()]
        assert titles == [labels[m] for m in models]
        first, _, untrained = figure.axes[10::3][:3]  # the middle column of the second band
        for axes, slug in ((first, "fnet/f100/s0"), (untrained, "fnet/f000/s0")):
            np.testing.assert_array_equal(axes.images[0].get_array(), cells(slug, slug))


def test_figure_2_ends_with_the_fnet_beside_a_vit_and_a_resnet():
    panels = maps(fig02_cka_across.draw(TABLES, CONFIG))
    assert len(panels) == 3 * 4
    assert_shows(panels[6], "vit_small/f100/s0", "fnet/f100/s0")
    assert_shows(panels[8], "vit_small/f000/s0", "fnet/f000/s0")
    assert_shows(panels[9], "fnet/f100/s0", "resnet_thin/f100/s0")
    assert_shows(panels[11], "fnet/f000/s0", "resnet_thin/f000/s0")


def test_figure_h_holds_the_mixer_against_the_fnet_last():
    panels = maps(figH_mixer.draw(TABLES, CONFIG))
    assert len(panels) == 3 * 5
    assert_shows(panels[12], "mixer/f100/s0", "fnet/f100/s0")
    assert_shows(panels[14], "mixer/f000/s0", "fnet/f000/s0")


def test_similarity_with_others_is_the_mean_over_their_layers_as_f3_compares_it():
    axes = figfnet_mixing.draw(TABLES, CONFIG).axes[SIMILARITY]
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    others = {"ViT small": "vit_small", "Resnet thin": "resnet_thin", "mixer": "mixer"}
    assert lines.keys() == {*others, *(f"{name}, untrained" for name in others)}
    for name, model in others.items():
        for fraction, more in (("f100", ""), ("f000", ", untrained")):
            found = cells(f"fnet/{fraction}/s0", f"{model}/{fraction}/s0")
            np.testing.assert_allclose(lines[name + more], found.mean(axis=1), rtol=1e-12)
    blocks = TABLES["layers.csv"].query("model == 'fnet'")["block"]
    np.testing.assert_array_equal(
        axes.xaxis.get_minorticklocs(), np.flatnonzero(np.diff(blocks)) + 0.5
    )


def test_without_other_networks_there_is_no_similarity_with_them():
    slugs = [slug for slug in CONFIG["networks"] if slug.startswith("fnet")]
    figure = figfnet_mixing.draw(TABLES, CONFIG | {"networks": slugs})
    assert [axes.get_title() for axes in figure.axes] == ["accuracy", "places", "mirror"]
