import re

import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.figures import (
    attention_panels,
    fig03_attention_distance,
    fig03_attention_offsets,
    fig04_attention_distance_less_data,
    fig05_head_subsets,
)
from tests.figures import attention_tables
from tests.figures import tables as synthetic
from tests.figures.tables import DRAWN
from tests.rounding import assert_rounded, rounded

CONFIG = synthetic.config(fractions=("f000", "f030", "f100"), seeds=("s0",))
MODULES = [
    fig03_attention_distance,
    fig03_attention_offsets,
    fig04_attention_distance_less_data,
    fig05_head_subsets,
]


def make_tables(config, heads=6, blocks=7):
    return {
        "head_subsets.parquet": attention_tables.head_subsets(config, heads=heads),
        "attention_offsets.parquet": attention_tables.attention_offsets(config, blocks=blocks),
        "attention_distance.csv": synthetic.attention_distance(config, blocks=blocks),
    }


@pytest.fixture(scope="module")
def tables():
    return make_tables(CONFIG)


def texts(figure):
    return [t.get_text() for legend in figure.legends for t in legend.get_texts()]


def titles(figure):
    return [a.get_title() for a in figure.axes if a.get_title()]


def windows(table, fraction="f100", model="vit_small", rank=0):
    chosen = table.query("subset_kind == 'window' and left_out == -1 and seed == 's0'")
    chosen = chosen[(chosen.fraction == fraction) & (chosen.model == model)]
    return chosen[chosen.unit_rank == rank].sort_values("distance_px")


def test_a_line_a_unit_shows_windows_by_distance_trained_above_untrained(tables):
    figure = fig05_head_subsets.draw(tables, CONFIG)
    assert titles(figure) == ["ViT small × Resnet thin", "ViT large × Resnet thin"]
    upper, lower = figure.axes[0], figure.axes[2]
    assert "untrained" not in upper.get_ylabel() and "untrained" in lower.get_ylabel()
    for axes, fraction in ((upper, "f100"), (lower, "f000")):
        assert len(axes.containers) == 4
        for bars, rank in zip(axes.containers, (0, 1, 3, 4), strict=True):
            own = windows(tables["head_subsets.parquet"], fraction, rank=rank)
            assert (bars.lines[0].get_xdata() == own["distance_px"]).all()
            assert (bars.lines[0].get_ydata() == own["cka"]).all()
    assert upper.get_xlim()[0] < 0.3 * 16.5 and upper.get_xlim()[1] > 16.5
    assert "(px)" in lower.get_xlabel()
    legend = ["stage 1, unit 1", "stage 1, unit 2", "stage 2, unit 1"]
    legend += ["stage 2, unit 2", "single heads", "random subsets", "uniform attention"]
    legend += ["Raghu et al., ViT-L/16 × ResNet-50"]
    assert texts(figure) == legend


def test_error_bars_are_the_jackknife_standard_error(tables):
    figure = fig05_head_subsets.draw(tables, CONFIG)
    table = tables["head_subsets.parquet"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0' and unit_rank == 3"
        " and subset_kind == 'window' and subset == 0"
    )
    left_out = table.loc[table.left_out >= 0, "cka"].to_numpy()
    error = np.sqrt(2 / 3 * np.square(left_out - left_out.mean()).sum())
    ends = figure.axes[0].containers[2].lines[2][0].get_segments()[0]
    assert ends[1][1] - ends[0][1] == rounded(2 * error, size=1, **DRAWN)


def test_windows_of_one_head_are_not_drawn_three_times(tables):
    figure = fig05_head_subsets.draw(make_tables(CONFIG, heads=4), CONFIG)
    assert not {"single heads", "random subsets"} & set(texts(figure))
    assert len(figure.axes[0].containers) == 4


def test_heads_that_all_look_everywhere_are_not_magnified(tables):
    table = attention_tables.head_subsets(CONFIG, local=0.001)
    figure = fig05_head_subsets.draw({"head_subsets.parquet": table}, CONFIG)
    low, high = figure.axes[0].get_xlim()
    assert low < 0.9 * 16.5 and high - low > 0.1 * 16.5


def test_without_an_untrained_network_or_a_trained_one(tables):
    config = CONFIG | {"networks": [s for s in CONFIG["networks"] if "/f000/" not in s]}
    figure = fig05_head_subsets.draw(tables, config)
    assert "no untrained network here" in {t.get_text() for a in figure.axes for t in a.texts}
    with pytest.raises(ResultError, match="no trained ViT"):
        empty = {"head_subsets.parquet": tables["head_subsets.parquet"].iloc[:0]}
        fig05_head_subsets.draw(empty, CONFIG)


def test_uniform_attention_is_one_everywhere():
    config = synthetic.config(vits=("vit",), resnets=(), fractions=("f000",), seeds=("s0",))
    table = attention_tables.attention_offsets(config)
    own = table[(table.block == 0) & (table["head"] == 4)]
    assert_rounded(fig03_attention_offsets.over_uniform(own), 1, **DRAWN)


def test_tiles_are_heads_by_distance_and_blocks_downwards(tables):
    figure = fig03_attention_offsets.draw(tables, CONFIG)
    (small, _) = (a for a in figure.axes if a.get_title())
    names = [label.get_text() for label in small.get_yticklabels()]
    assert names == ["0", "1", "5", "6", "untrained\n0"]
    canvas = small.images[0].get_array()
    assert canvas.shape == (5 * 8 - 1, 5 * 8 - 1) and canvas.mask[7].all()
    table, distances = tables["attention_offsets.parquet"], tables["attention_distance.csv"]
    key = "model == 'vit_small' and fraction == 'f100' and seed == 's0' and block == 1"
    nearest = distances.query(key).sort_values("distance_px")["head"].iloc[0]
    own = table.query(key).query(f"head == {nearest}")
    middle = own.query("row == 0 and column == 0").mass.item() * 4**4 / 16
    assert canvas[8 + 3, 3] == rounded(middle, **DRAWN)
    corner = own.query("row == -3 and column == 3").mass.item() * 4**4
    assert canvas[8, 6] == rounded(corner, **DRAWN)
    assert small.images[0].origin == "upper"
    low, high = small.images[0].get_clim()
    assert low * high == rounded(1, **DRAWN) and high >= middle


def test_skipless_and_pooling_variants_are_left_out_where_the_plain_one_is(tables):
    variants = {"a": {}, "b": {"pool": "gap"}, "c": {"pool": "cls", "skipless_block": 2}}
    config = {"architectures": variants}
    assert attention_panels.plain_vits(config, ["a", "b", "c"]) == ["a"]
    assert attention_panels.plain_vits(config, ["b", "c"]) == ["b"]
    assert attention_panels.plain_vits({}, ["b", "c"]) == ["b", "c"]
    small = {"architectures": {"vit_large": {"skipless_block": 3}}}
    for module in MODULES:
        figure = module.draw(tables, CONFIG | small)
        shown = " ".join([*titles(figure), *(a.get_ylabel() for a in figure.axes)])
        assert "ViT small" in shown and "ViT large" not in shown


@pytest.mark.parametrize(("blocks", "names"), [(2, 2), (3, 3), (9, 4)])
def test_the_legend_names_as_many_blocks_as_are_drawn(blocks, names):
    config = CONFIG | {"networks": [s for s in CONFIG["networks"] if "small" in s]}
    own = make_tables(config, blocks=blocks)
    for module in (fig03_attention_distance, fig04_attention_distance_less_data):
        figure = module.draw(own, config)
        shown = [text for text in texts(figure) if "lowest" in text or "highest" in text]
        assert len(shown) == names and shown[0] == "lowest block"
        colours = {line.get_color() for line in figure.axes[0].lines if line.get_marker() != "None"}
        handles = figure.legends[0].legend_handles[:names]
        assert colours == {handle.get_color() for handle in handles}


def test_a_fraction_that_a_model_lacks_is_said(tables):
    networks = [s for s in CONFIG["networks"] if not s.startswith("vit_small/f000")]
    figure = fig04_attention_distance_less_data.draw(tables, CONFIG | {"networks": networks})
    assert "not trained here" in {t.get_text() for a in figure.axes for t in a.texts}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__[-12:])
def test_the_report_finds_three_sentences_and_what_differs(module):
    assert "Look for:" in module.CAPTION and module.DIFFERS
    assert len(re.split(r"(?<=[.?]) (?=[A-Z])", module.EXPLAINS)) == 3
