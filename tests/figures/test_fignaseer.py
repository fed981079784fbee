"""Figures of changed images show what their tables hold."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from sightlines.claims import naseer_doses
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.figures import (
    fignaseer_conflict_depth,
    fignaseer_correlation,
    fignaseer_depth,
    fignaseer_lesion,
    fignaseer_patchdrop,
    fignaseer_shuffle,
    fignaseer_texture_match,
)
from sightlines.figures.drawn import numbers
from sightlines.plan.networks import Network
from sightlines.results.selecting import rows_of
from sightlines.stats.jackknife import ALL
from tests.figures import condition_tables as made
from tests.figures import robustness_tables
from tests.figures import tables as synthetic

pytestmark = pytest.mark.whole  # each draws

CONFIG = synthetic.only(synthetic.whole())
VIT = Network("vit_small", "f100", "s0")


def value(table, network, column, **where):
    own = rows_of(table, network)
    own = own[own["left_out"] == ALL]
    for key, wanted in where.items():
        own = own[own[key] == wanted]
    return own[column].to_numpy()


def has_line(axes, x, y):
    lines = [np.array(line.get_xydata()) for line in axes.lines]
    wanted = np.column_stack([x, y])
    return any(each.shape == wanted.shape and np.allclose(each, wanted) for each in lines)


def test_dropped_shares_grids_and_parts():
    table = made.occlusion(CONFIG)
    figure = fignaseer_patchdrop.draw({"occlusion.parquet": table}, CONFIG)
    shares, grids, parts = figure.axes
    for condition, x in (
        ("drop_black", (0.1, 0.25, 0.5, 0.75, 0.9)),
        ("drop_mean", (0.25, 0.5, 0.75)),
    ):
        y = value(table, VIT, "retention", condition=condition)
        assert has_line(shares, x, y)
    for condition in ("drop_salient", "drop_unsalient"):
        assert has_line(shares, [0.5], value(table, VIT, "retention", condition=condition))
    y = [
        value(table, VIT, "retention", condition=c, severity=0.5)[0]
        for c in ("drop_grid4", "drop_black", "drop_grid16")
    ]
    assert has_line(grids, [0, 1, 2], y)
    assert [t.get_text() for t in grids.get_xticklabels()] == ["4 × 4", "8 × 8", "16 × 16"]
    heights = sorted(bar.get_height() for bar in parts.patches)
    wanted = value(table, VIT, "accuracy", condition="drop_object")[0]
    assert (
        np.isclose(heights, 100 * wanted).any()
        and len(heights) == 4 * table.loc[table["fraction"] == "f100", "model"].nunique()
    )
    bare = table[~table["condition"].isin(["drop_object", "drop_ground", "drop_anywhere"])]
    assert len(fignaseer_patchdrop.draw({"occlusion.parquet": bare}, CONFIG).axes) == 2


def test_shuffled_grids_and_correlations():
    tables = {"occlusion.parquet": made.occlusion(CONFIG)}
    (table,) = tables.values()
    left, right = fignaseer_shuffle.draw(tables, CONFIG).axes
    for axes, column in ((left, "retention"), (right, "agreement")):
        assert has_line(axes, [2, 4, 8, 16], value(table, VIT, column, condition="shuffle"))
    bare = value(table, VIT._replace(fraction="f000"), "agreement", condition="shuffle")
    assert has_line(right, [2, 4, 8, 16], bare)
    left, right = fignaseer_correlation.draw(tables, CONFIG).axes
    x = (0.1, 0.25, 0.5, 0.75, 0.9)
    for axes, column in (
        (left, "correlation"),
        (left, "floor"),
        (right, "excess"),
        (right, "excess_normed"),
    ):
        assert has_line(axes, x, value(table, VIT, column, condition="drop_black")), column


def test_lesions_by_block_and_by_stage():
    table = made.lesion(CONFIG)
    figure = fignaseer_lesion.draw({"lesion.parquet": table}, CONFIG)
    blocks, stages = figure.axes
    assert has_line(blocks, range(5), value(table, VIT, "retention", change="zero"))
    resnet = Network("resnet_thin", "f100", "s0")
    for change in ("zero", "shuffle"):
        assert has_line(stages, range(1, 5), value(table, resnet, "retention", change=change))
    empty = table[table["site"] == ""]
    assert (
        "no lesions"
        in fignaseer_lesion.draw({"lesion.parquet": empty}, CONFIG).axes[0].texts[0].get_text()
    )


def test_a_panel_for_every_condition_by_depth():
    table = made.condition_depth(CONFIG)
    figure = fignaseer_depth.draw({"condition_depth.parquet": table}, CONFIG)
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert titles == [
        "50 % of the cells black",
        "50 % of the cells mean colour",
        "2 × 2 cells shuffled",
        "8 × 8 cells shuffled",
    ]
    blocks = table[table["block"] >= 0]
    for axes, (condition, severity) in zip(
        figure.axes,
        [("drop_black", 0.5), ("drop_mean", 0.5), ("shuffle", 2), ("shuffle", 8)],
        strict=True,
    ):
        where = {"condition": condition, "severity": severity}
        assert has_line(axes, [0, 0.25, 0.5, 0.75, 1], value(blocks, VIT, "cka", **where))
        pixels = value(table[table["name"] == "pixels"], VIT, "cka", **where)
        assert has_line(axes, [fignaseer_depth.AT_PIXELS], pixels)
    every = made.every_depth(CONFIG)
    assert len(fignaseer_depth.draw({"condition_depth.parquet": every}, CONFIG).axes) == 4
    empty = fignaseer_depth.draw({"condition_depth.parquet": table[:0]}, CONFIG)
    assert "no condition" in empty.axes[0].texts[0].get_text()


def test_a_panel_for_each_cue_and_one_for_their_difference():
    tables = {
        "conflict_depth.parquet": made.conflict_depth(CONFIG),
        "conflict_lead.csv": made.conflict_lead(CONFIG),
    }
    texture, shape, lead = fignaseer_conflict_depth.draw(tables, CONFIG).axes
    blocks = tables["conflict_depth.parquet"].query("block >= 0")
    depths = [0, 0.25, 0.5, 0.75, 1]
    assert has_line(texture, depths, value(blocks, VIT, "cka", condition="other_texture"))
    assert has_line(shape, depths, value(blocks, VIT, "cka", condition="other_shape"))
    own = tables["conflict_lead.csv"].assign(left_out=-1)
    assert has_line(lead, depths, value(own[own["block"] >= 0], VIT, "lead"))
    one = {**tables, "conflict_lead.csv": tables["conflict_lead.csv"][:0]}
    assert len(fignaseer_conflict_depth.draw(one, CONFIG).axes) == 2


def test_bias_and_errors_by_how_often_surfaces_tell_the_class():
    table = robustness_tables.texture_match(CONFIG)
    left, middle, right = fignaseer_texture_match.draw({"texture_match.csv": table}, CONFIG).axes
    doses = [0.1, 0.4, 0.7, 1.0]
    bias, error = (value(table, VIT, column) for column in ("bias", "error"))
    assert has_line(left, doses, bias) and has_line(middle, doses, error)
    assert has_line(middle, doses, [0.2] * 4) and has_line(right, bias, error)


def of_doses(own):
    """Seven doses of two models, with shape biases and errors at random; and the config."""
    doses = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
    table, random = robustness_tables.texture_match(own, doses), np.random.default_rng(3)
    for column in ("bias", "error"):
        table[column] = random.uniform(0.1, 0.9, len(table))
    models = table["model"].unique()
    made_by = {"images": {"n_train": 6000, "seed": 1}, "train": {m: {"steps": 4} for m in models}}
    return table, own | {"doses": dict.fromkeys(table["task"].unique(), made_by)}


def test_the_doses_of_the_verdict_are_those_of_the_figure_and_others_are_pale():
    """Where the verdict's rank correlation is that of the points that are drawn in full."""
    own = synthetic.config(("vit_small",), fractions=("f100",))
    table, config = of_doses(own)
    fewer = config["doses"]["match_1"] | {"images": {"n_train": 500, "seed": 1}}
    config["doses"]["match_1"] = fewer
    resnets = table["model"] == "resnet_thin"
    unsure = resnets & (table["task"] == "match_10") & (table["seed"] == "s0")
    table.loc[unsure, "cue_accuracy"] = 0.5
    few = resnets & (table["seed"] == "s1") & (table["texture_match"] < 0.7)
    table.loc[few, "cue_accuracy"] = 0.5
    evidence = Evidence(config, {"texture_match.csv": table})
    figure = fignaseer_texture_match.draw({"texture_match.csv": table}, config)
    *_, right = numbers(figure).groupby("panel")
    shown = right[1].groupby("series")
    for slug, count in (("vit_small/f100/s0", 6), ("vit_small/f100/s1", 6), (RESNET, 5)):
        network = Network.parse(slug)
        name = f"{config['labels'][network.model]}, {network.seed}"
        points = shown.get_group(name)
        assert len(points) == count
        told = naseer_doses.dose_response(evidence, network)[0]
        assert np.isclose(told, spearmanr(points["x"], points["y"])[0])
        pale = shown.get_group(f"{name}, left out of N10")
        left = {*value(table, network, "bias")} - {*points["x"]}
        assert {*pale["x"]} == left and len(left) == 7 - count
    with pytest.raises(NotMeasured, match="at 3 values"):
        naseer_doses.dose_response(evidence, Network.parse("resnet_thin/f100/s1"))
    assert len(shown.get_group("Resnet thin, s1, left out of N10")) == 7
    assert "Resnet thin, s1" not in shown.groups
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries[-1] == "left out of N10"


def test_where_all_doses_are_compared_none_is_pale():
    table, config = of_doses(synthetic.config(("vit_small",), fractions=("f100",)))
    figure = fignaseer_texture_match.draw({"texture_match.csv": table}, config)
    assert not numbers(figure)["series"].str.contains("left out").any()
    assert "left out of N10" not in [text.get_text() for text in figure.legends[0].get_texts()]


RESNET = "resnet_thin/f100/s0"
