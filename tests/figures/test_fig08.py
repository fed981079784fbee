"""Figures of network variants: 8 (no skips), G.2 (sizes), H (Mixer), and who is drawn where."""

import numpy as np
import pytest

from sightlines.claims.statistics import monotone_path
from sightlines.core.errors import ResultError
from sightlines.figures import (
    fig01_cka_within,
    fig02_cka_across,
    fig08_skipless,
    figG2_across_sizes,
    figH_mixer,
)
from sightlines.results import selecting
from tests.figures import tables as synthetic
from tests.figures.tables import DRAWN
from tests.rounding import rounded

pytestmark = pytest.mark.whole  # each draws

VIT = {"family": "vit", "width": 48, "pool": "cls", "skipless_block": -1, "skipless": "both"}
ARCHITECTURES = {
    "late": VIT | {"skipless_block": 3},
    "attention": VIT | {"skipless_block": 2, "skipless": "attn"},
    "mlp": VIT | {"skipless_block": 2, "skipless": "mlp"},
    "small": VIT,
    "early": VIT | {"skipless_block": 1},
    "large": VIT | {"width": 64},
    "gap": VIT | {"pool": "gap"},
    "resnet": {"family": "resnet"},
    "mixer": {"family": "mixer", "width": 48},
}
CONFIG = synthetic.config(
    vits=[m for m in ARCHITECTURES if m not in ("resnet", "mixer")],
    resnets=("resnet", "mixer"),
    fractions=("f000", "f100"),
    seeds=("s0",),
)
CONFIG["architectures"] = ARCHITECTURES
CONFIG["families"]["mixer"] = "mixer"
FIGURES = (fig08_skipless, figG2_across_sizes, figH_mixer)
OTHERS = (fig01_cka_within, fig02_cka_across)


@pytest.fixture(scope="module")
def tables():
    read = {name for module in (*FIGURES, *OTHERS) for name in module.READS}
    return synthetic.all_tables(CONFIG, names=read)


@pytest.fixture(scope="module")
def drawn(tables):
    """Each figure of all tables, by module."""
    return {module: module.draw(tables, CONFIG) for module in FIGURES}


def titles(figure):
    return [a.get_title().replace("\n", " ") for a in figure.axes if a.get_title()]


def panels(figure):
    return [a for a in figure.axes if a.images]


def only(*models):
    """The same experiment with these models only."""
    slugs = [s for s in CONFIG["networks"] if s.split("/")[0] in models]
    return CONFIG | {"networks": slugs}


# -- who is drawn ----------------------------------------------------------------------------


def test_plain_models_have_all_their_skips():
    assert selecting.plain_models(CONFIG) == ["small", "large", "gap", "resnet", "mixer"]
    without = {k: v for k, v in CONFIG.items() if k != "architectures"}
    assert selecting.plain_models(without) == list(CONFIG["families"])
    with pytest.raises(ResultError, match="with all its skips"):
        selecting.plain_models(only("late", "early"))


def test_main_models_leave_out_pooled_vits_and_mixers_unless_they_are_all_there_is():
    assert selecting.main_models(CONFIG) == ["small", "large", "resnet"]
    assert selecting.main_models(only("gap", "resnet")) == ["gap", "resnet"]
    assert selecting.main_models(only("mixer")) == ["mixer"]


def test_figures_1_and_2_draw_no_variant(tables):
    labels = [CONFIG["labels"][m] for m in ("small", "large", "resnet", "mixer")]
    assert titles(fig01_cka_within.draw(tables, CONFIG)) == labels
    assert selecting.pairs_across(CONFIG) == [("small", "resnet"), ("large", "resnet")]


# -- figure 8 --------------------------------------------------------------------------------


def test_panels_are_the_twin_then_blocks_from_early_to_late_then_one_skip_each(tables, drawn):
    figure = drawn[fig08_skipless]
    accuracy = tables["accuracy.csv"].query("fraction == 'f100'").set_index("model")
    shown = {
        m: f"test accuracy {100 * value:.1f} %" for m, value in accuracy["accuracy_test"].items()
    }
    assert titles(figure) == [
        f"small, intact {shown['small']}",
        f"block 1 without skips {shown['early']}",
        f"block 3 without skips {shown['late']}",
        f"block 2 without attention skip {shown['attention']}",
        f"block 2 without MLP skip {shown['mlp']}",
    ]
    assert {a.images[0].get_clim() for a in panels(figure)} == {(0.0, 1.0)}
    assert figure.get_figwidth() == 6.8


def test_the_cut_lies_below_the_first_layer_of_the_block(tables, drawn):
    figure = drawn[fig08_skipless]
    own = tables["layers.csv"].query("model == 'early'").set_index("name")
    cut = own.loc["block01.norm1", "layer"] - 0.5
    intact, early = panels(figure)[:2]
    assert not intact.lines
    horizontal, vertical = early.lines
    assert set(horizontal.get_ydata()) == set(vertical.get_xdata()) == {cut}


def test_maps_hold_the_tables_values(tables, drawn):
    early = panels(drawn[fig08_skipless])[1]
    cell = tables["cka.parquet"].query(
        "model_a == model_b == 'early' and fraction_a == fraction_b == 'f100'"
        " and layer_a == 2 and layer_b == 9"
    )
    assert early.images[0].get_array()[2, 9] == cell["cka"].item()


def across_over_within(table, layers, model, block):
    """Mean CKA across the cut after a block's first norm over the mean within, cell by cell."""
    first = layers.query(f"model == '{model}' and block == {block} and kind != 'norm'")[
        "layer"
    ].min()
    own = table.query(
        f"model_a == model_b == '{model}' and fraction_a == fraction_b == 'f100'"
        " and seed_a == seed_b == 's0'"
    )
    sums = {"across": [], "below": [], "above": []}
    for row in own.itertuples():
        sides = {row.layer_a < first, row.layer_b < first}
        if len(sides) == 2:
            sums["across"].append(row.cka)
        elif row.layer_a != row.layer_b:
            sums["below" if True in sides else "above"].append(row.cka)
    means = {name: np.mean(cells) for name, cells in sums.items()}
    return means["across"] / ((means["below"] + means["above"]) / 2)


def test_below_stand_the_ratios_of_every_cut(tables, drawn):
    axes = drawn[fig08_skipless].axes[-2]  # the last one is the colour bar
    assert axes.get_xlabel() == "block of the cut"
    names = [line.get_label() for line in axes.lines]
    early = axes.lines[names.index("block 1 without skips")]
    blocks = early.get_xdata().astype(int).tolist()
    assert blocks == sorted(set(tables["layers.csv"].query("model == 'early' and block > 0").block))
    expected = [
        across_over_within(tables["cka.parquet"], tables["layers.csv"], "early", b) for b in blocks
    ]
    assert early.get_ydata() == rounded(expected, terms=40 * 40)
    (star,) = (x for x in axes.lines if x.get_marker() == "*" and x.get_c() == early.get_c())
    assert star.get_xdata().tolist() == [1] and star.get_ydata()[0] == early.get_ydata()[0]


def test_a_network_without_twin_map_or_accuracy_is_still_drawn(tables):
    config = only("early", "large")
    assert "large" not in " ".join(titles(fig08_skipless.draw(tables, config)))
    bare = dict(tables)
    bare["accuracy.csv"] = tables["accuracy.csv"][:0]
    assert titles(fig08_skipless.draw(bare, config)) == ["block 1 without skips"]
    bare["cka.parquet"] = tables["cka.parquet"].query("model_a != 'early' and model_b != 'early'")
    figure = fig08_skipless.draw(bare, config)
    assert not panels(figure)
    assert "not in cka.parquet" in {t.get_text() for a in figure.axes for t in a.texts}


# -- figures G.2 and H -------------------------------------------------------------------------


def test_sizes_of_one_family_are_paired_and_nothing_else(drawn):
    figure = drawn[figG2_across_sizes]
    assert len(panels(figure)) == 3
    first = panels(figure)[0]
    assert first.get_ylabel().startswith("large") and first.get_xlabel().startswith("small")
    path = first.lines[0].get_ydata().astype(int)
    matrix = np.ma.filled(first.images[0].get_array(), np.nan)
    layers = synthetic.layers(CONFIG).query("model == 'large'")
    computed = np.flatnonzero(layers["kind"] != "embed")
    assert set(path) <= set(computed) and (np.diff(path) >= 0).all()
    best = monotone_path(matrix[computed])[1]
    assert matrix[path, np.arange(len(path))].mean() == rounded(best, **DRAWN)


def test_three_sizes_are_three_pairs():
    sizes = synthetic.config(vits=("a", "b", "c"), resnets=(), fractions=("f100",), seeds=("s0",))
    tables = synthetic.all_tables(sizes, names=figG2_across_sizes.READS)
    figure = figG2_across_sizes.draw(tables, sizes)
    axes = [(a.get_ylabel()[0], a.get_xlabel()[0]) for a in panels(figure)[::2]]
    assert axes == [("b", "a"), ("c", "a"), ("c", "b")]


def test_mixer_comes_first_with_itself_then_beside_the_others(drawn):
    figure = drawn[figH_mixer]
    rows = [panels(figure)[start : start + 3] for start in range(0, 12, 3)]
    assert all(a.get_ylabel().startswith("mixer") for row in rows for a in row)
    others = [row[0].get_xlabel().split(":")[0] for row in rows]
    assert others == [CONFIG["labels"][m] for m in ("mixer", "small", "large", "resnet")]
    assert not any(a.lines for a in rows[0]) and all(a.lines for row in rows[1:] for a in row)


@pytest.mark.parametrize("module", FIGURES)
def test_nothing_to_draw_is_said_so(module, tables):
    with pytest.raises(ResultError):
        module.draw(tables, only("small", "resnet"))


def test_a_layer_that_does_not_vary_has_no_best_match():
    pair = only("small", "large")
    own = {"cka.parquet": synthetic.cka(pair, synthetic.layers(pair), ("small", 7))}
    own["layers.csv"] = synthetic.layers(pair)
    best = panels(figG2_across_sizes.draw(own, pair))[0].lines[0].get_ydata()
    assert np.isnan(best[7]) and np.isfinite(np.delete(best, 7)).all()
