import functools
import re
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib import _pylab_helpers
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from sightlines.claims.statistics import monotone_path
from sightlines.core.errors import ResultError
from sightlines.figures import (
    accuracy_by_fraction,
    drawn,
    fig01_cka_within,
    fig02_cka_across,
    fig03_attention_distance,
    fig04_attention_distance_less_data,
    fig12_data_fractions,
    style,
    training_curves,
)
from sightlines.plan import registry
from sightlines.plan.checks import unmet_needs
from sightlines.plan.config import FOLDER, load
from sightlines.plan.config_types import (
    CONFLICTING,
    Conditions,
    Conflict,
    Corruption,
    Foreign,
    Frequency,
    Model,
    Perturbation,
    Run,
    Splits,
    Task,
    Train,
)
from sightlines.plan.experiment import FIGURE_FILES
from sightlines.plan.table_schemas import schemas
from sightlines.results import selecting
from sightlines.results.tables import required
from tests.figures import tables as synthetic
from tests.figures import verdict_tables
from tests.figures.tables import DRAWN
from tests.rounding import rounded

FULL_IN = 6.8
"""Width of a figure across a page's columns, as the package's style has it."""
CONFIG = synthetic.config()
WHOLE = synthetic.whole()
SMALL = synthetic.config(vits=("vit_small",), fractions=("f000", "f003", "f100"), seeds=("s0",))
ALONE = synthetic.config(vits=("vit_tiny",), resnets=(), fractions=("f100",), seeds=("s0",))
NAMES = registry.members("figures")
TABLES = {name for name in schemas() if required(name)}
TWO = synthetic.config(vits=("vit_small",), resnets=(), fractions=("f000", "f100"), seeds=("s0",))
RENDERED = (TWO, SMALL, WHOLE, CONFIG)
"""Each figure is rendered of the first experiment that has the networks that it needs."""
QUICK = ("accuracy_by_fraction", "fig13_probes_by_depth")
"""Rendered twice in `make test-fast` too, as every file; of all others it is a whole test."""
LOOKED_AT = (
    accuracy_by_fraction,
    fig01_cka_within,
    fig02_cka_across,
    fig03_attention_distance,
    fig04_attention_distance_less_data,
    fig12_data_fractions,
    training_curves,
)


@pytest.fixture(scope="module")
def tables():
    """Those of the figures that are looked at more closely here."""
    names = {name for module in LOOKED_AT for name in module.READS}
    return synthetic.all_tables(CONFIG, degenerate=("vit_small", 7), names=names)


@pytest.fixture(scope="module")
def every_table():
    return synthetic.all_tables(WHOLE)


def tables_of(config, module):
    return synthetic.all_tables(config, names=module.READS)


def shown_texts(figure):
    return {t.get_text() for legend in figure.legends for t in legend.get_texts()}


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_declares_what_the_report_and_the_planner_need(name):
    declared = registry.declarations("figures", name)
    assert {"TITLE", "PAPER", "CAPTION", "READS", "NEEDS", "EXPLAINS", "DIFFERS"} <= declared.keys()
    assert "Look for:" in declared["CAPTION"]
    assert all(required(read) for read in declared["READS"])
    assert sentences(declared["EXPLAINS"]) == 3


def sentences(text):
    """How many sentences a text has; a tuple has one each."""
    if not isinstance(text, str):
        assert all(sentences(part) == 1 for part in text), text
        return len(text)
    return len(re.findall(r"[.?!](?=\s+[A-Z]|$)", text))


@pytest.mark.whole
def test_synthetic_tables_have_the_columns_of_real_ones(every_table):
    of_claims = {f"{own}.parquet" for own in ("probe_replicates", "token_probe_replicates")}
    of_claims |= {"localisation_margins.parquet", "finetuning_indices.parquet"}
    of_claims |= {"branch_indices.parquet", "head_subset_indices.parquet"}
    of_claims |= {f"{own}.parquet" for own in ("few_shot_replicates", "few_shot_token_replicates")}
    of_claims |= {f"{own}.parquet" for own in ("probe_halves", "token_probe_halves", "knn_halves")}
    not_drawn = {"history.csv", "class_scores.csv", "confusion.parquet", "calibration.csv"}
    not_drawn |= {"knn_replicates.parquet", "segmentation.parquet"}
    not_drawn |= {"rollout_own.csv"}
    not_drawn |= {"condition_turns.csv", "stored_corruption.csv"}
    assert set(every_table) == TABLES - of_claims - not_drawn
    for name, table in every_table.items():
        assert set(required(name)) <= set(table.columns), name
        assert len(table) or name == "cka_degenerate.csv", name


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.whole) for n in NAMES]
)
def test_two_renders_are_equal_byte_for_byte(name, tmp_path):
    # Windows and pyramids are of imported families, which no such experiment has.
    config = next((c for c, e in rendered() if not unmet_needs("figures", name, e)), WHOLE)
    module = registry.load("figures", name)
    reads = tables_of(config, module)
    again = FIGURE_FILES if name in QUICK else ("svg", "csv")  # all are made of one drawing
    for turn, endings in (("a", FIGURE_FILES), ("b", again)):
        files = {ending: tmp_path / f"{turn}.{ending}" for ending in endings}
        style.save(module.draw(reads, config), files)
    for ending in FIGURE_FILES:
        first = (tmp_path / f"a.{ending}").read_bytes()
        assert ending not in again or first == (tmp_path / f"b.{ending}").read_bytes()
        assert b"Matplotlib" not in first and b"/CreationDate" not in first
    document = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in document and b"/Type3" not in document


@pytest.mark.whole
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_draws_plain_labels_and_leaves_all_as_it_was(name, every_table):
    """Tables, settings and pyplot are untouched; labels are no mathematics; axes have names."""
    module = registry.load("figures", name)
    reads = {table: every_table[table].copy() for table in module.READS}
    before = dict(matplotlib.rcParams)
    config = WHOLE | {"labels": {m: f"cost $1_2 & {m}" for m in WHOLE["families"]}}
    figure = module.draw(reads, config)
    assert isinstance(figure, Figure) and figure.get_figwidth() <= FULL_IN + 0.01
    assert dict(matplotlib.rcParams) == before
    assert not _pylab_helpers.Gcf.figs
    for table in module.READS:
        assert reads[table].equals(every_table[table])
    assert [a for a in figure.axes if a.get_ylabel() or a.images]
    bottom = [a for a in figure.axes if a.axison and a.get_subplotspec() and not a.images]
    assert all(a.get_xlabel() for a in bottom if a.get_subplotspec().is_last_row() and a.lines)
    assert_numbers(drawn.numbers(figure))
    sizes = {round(t.get_fontsize(), 2) for t in figure.findobj(Text) if t.get_text().strip()}
    assert min(sizes) >= 6.99 and max(sizes) <= 9
    named = [text for text in figure.findobj(Text) if "$1_2" in text.get_text()]
    assert named and not any(text.get_parse_math() for text in named)


def assert_numbers(table):
    """Every series has a name, which it shares with no other in its panel; every panel an axis."""
    assert list(table.columns) == list(drawn.COLUMNS) and len(table)
    assert table[["x", "y"]].notna().any(axis=1).all()
    points = table[table["value"].isna()]
    unnamed = points[points["series"] == ""]
    assert unnamed.empty, unnamed.to_string()
    known = points[points["low"].notna()]
    assert (known["low"] <= known["high"]).all()


PLANNED = {
    "one ViT": {"vits": ("a",), "resnets": ()},
    "a pooled ViT and a ResNet": {"vits": (), "pooled": ("gap",)},
    "a ViT and its pooled twin": {"vits": ("a",), "resnets": (), "pooled": ("gap",)},
    "a ViT and a Mixer": {"vits": ("a",), "resnets": (), "mixers": ("mixer",)},
    "Mixers alone": {"vits": (), "resnets": (), "mixers": ("mixer", "other")},
    "FNets alone": {"vits": (), "resnets": (), "fnets": ("fnet", "fnet_random")},
    "a ResNet alone": {"vits": ()},
    "a ViT and an FNet": {"vits": ("a",), "resnets": (), "fnets": ("fnet_hybrid", "fnet")},
    "a ResNet, a Mixer and FNets": {"vits": (), "mixers": ("mixer",), "fnets": ("fnet_random",)},
    "only a ViT without skips": {"vits": (), "resnets": (), "skipless": ("bare",)},
}


class Counting(ConstrainedLayoutEngine):
    """Counts how often it places what a figure holds."""

    times = 0

    def execute(self, fig):
        self.times += 1
        return super().execute(fig)


def test_panels_are_placed_once_and_alike_in_both_files(tmp_path):
    engine = Counting()
    figure = Figure(figsize=(4, 2), dpi=100, layout=engine)
    panels = figure.subplots(1, 2)
    panels[0].set_ylabel("a label that takes room")
    places = []
    figure.canvas.mpl_connect("draw_event", lambda _: places.append(place(panels)))
    style.save(figure, {ending: tmp_path / f"a.{ending}" for ending in FIGURE_FILES})
    assert engine.times == 1 and len(places) == 3 and places[0] == places[1] == places[2]
    assert places[0] != place(Figure(figsize=(4, 2)).subplots(1, 2))
    assert figure.get_layout_engine() is engine and figure.dpi == 100


def place(panels):
    """Where panels lie, as shares of the figure."""
    return [panel.get_position().bounds for panel in panels]


@pytest.mark.whole
@pytest.mark.parametrize("kinds", PLANNED.values(), ids=PLANNED)
def test_whatever_the_planner_finds_possible_can_be_drawn(kinds):
    """`figures: auto` plans by NEEDS; no figure that it plans may find nothing to draw."""
    config = synthetic.config(fractions=("f010", "f100"), seeds=("s0",), **kinds)
    experiment = as_planned(config)
    planned = [name for name in NAMES if not unmet_needs("figures", name, experiment)]
    assert ("fig01_cka_within" in planned) == ("skipless" not in kinds)
    tables = synthetic.all_tables(
        config,
        names={read for n in planned for read in registry.declarations("figures", n)["READS"]},
    )
    for name in planned:
        module = registry.load("figures", name)
        assert module.draw({read: tables[read] for read in module.READS}, config).axes, name


@functools.cache
def rendered():
    """Experiments that figures are rendered of, and what the planner knows of each."""
    return [(config, as_planned(config)) for config in RENDERED]


def as_planned(config):
    """What the planner knows of such an experiment, with probes and a task for fine-tuning."""
    networks = [slug.split("/") for slug in config["networks"]]
    tunable = {n.model for n in verdict_tables.tuned_networks(synthetic.only(config))}
    tunable -= {m for m, family in config["families"].items() if family in ("mixer", "fnet")}
    task = Task(dataset={}, domain="in", finetune=tuple(sorted(tunable)))
    recipe = Train(steps=1)
    known = config["architectures"].items()
    changes = Conditions(
        corruption=Corruption(severities=(5,), depth=("fog:3",)),
        frequency=Frequency(frequencies="all"),
        foreign=Foreign(images=97),
        conflict=Conflict(depth=CONFLICTING),
        perturbation=Perturbation(images=97),
    )
    smoke = load(FOLDER / "smoke.yaml")
    dataset = {**smoke.dataset, "n_mixed": 97}
    doses = {
        f"match_{tenths}": replace(task, dataset={**dataset, "texture_match": tenths / 10})
        for tenths in (1, 4, 7, 10)
    }
    return replace(
        smoke,
        dataset=dataset,
        conditions=changes,
        models={name: Model(settings=own, train=recipe) for name, own in known},
        runs=tuple(Run(models=(m,), fractions=(f,), seeds=(s,)) for m, f, s in networks),
        splits=Splits(probe_test=97),
        transfer={"near": task, "far": Task(dataset={}, domain="out"), **doses},
    )


@pytest.mark.whole
def test_within_shows_the_tables_values_with_rows_upwards(tables):
    figure = fig01_cka_within.draw(tables, CONFIG)
    images = [a.images[0] for a in figure.axes if a.images]
    assert len(images) == 9
    vit_large = tables["cka.parquet"].query(
        "model_a == model_b == 'vit_large' and fraction_a == fraction_b == 'f100'"
        " and seed_a == seed_b == 's0' and layer_a == 3 and layer_b == 11"
    )
    assert images[1].origin == "lower"
    assert images[1].get_array()[3, 11] == vit_large["cka"].item()
    blocks = synthetic.layers(CONFIG).query("model == 'vit_large' and kind == 'residual'")
    assert images[4].get_array().shape == (len(blocks), len(blocks))
    assert {image.get_clim() for image in images} == {(0.0, 1.0)}


@pytest.mark.whole
def test_undefined_cells_are_grey_and_explained(tables):
    figure = fig01_cka_within.draw(tables, CONFIG)
    image = figure.axes[0].images[0]
    assert image.get_array().mask[7].all() and not image.get_array().mask[6, 6]
    assert any("does not vary" in text for text in shown_texts(figure))
    whole = tables_of(ALONE, fig01_cka_within)
    assert not fig01_cka_within.draw(whole, ALONE).legends


@pytest.mark.whole
def test_within_works_for_one_model_without_untrained_control():
    figure = fig01_cka_within.draw(tables_of(ALONE, fig01_cka_within), ALONE)
    assert sum(bool(a.images) for a in figure.axes) == 2


@pytest.mark.whole
def test_within_wraps_many_models_at_the_papers_width():
    names = [f"vit_{i}" for i in range(7)]
    many = synthetic.config(vits=names, resnets=(), fractions=("f000", "f100"), seeds=("s0",))
    tables = tables_of(many, fig01_cka_within)
    figure = fig01_cka_within.draw(tables, many)
    assert sum(bool(a.images) for a in figure.axes) == 21
    assert figure.get_figwidth() <= FULL_IN + 0.01
    fewer = [slug for slug in many["networks"] if slug.split("/")[0] in names[:5]]
    of_five = fig01_cka_within.draw(tables, many | {"networks": fewer})
    assert sum(bool(a.images) for a in of_five.axes) == 15
    assert of_five.get_figheight() == figure.get_figheight(), "two bands, as high with larger maps"


def test_across_pairs_every_vit_with_the_resnet(tables):
    assert selecting.pairs_across(CONFIG) == [
        ("vit_small", "resnet_thin"),
        ("vit_large", "resnet_thin"),
    ]
    reordered = synthetic.config()
    reordered["networks"] = reordered["networks"][::-1]
    assert selecting.pairs_across(reordered)[0] == ("vit_large", "resnet_thin")
    figure = fig02_cka_across.draw(tables, CONFIG)
    maps = [a for a in figure.axes if a.images]
    assert len(maps) == 6
    names = ("vit_small", "vit_large")
    for place, axes in enumerate(maps):
        matrix = np.ma.filled(axes.images[0].get_array(), np.nan)
        path = axes.lines[0].get_ydata()
        rows = path[~np.isnan(path)].astype(int)
        assert (np.diff(rows) >= 0).all() and len(rows)
        shown = matrix[rows, np.flatnonzero(~np.isnan(path))].mean()
        if place % 3 != 1:  # sub-layers, of which embeddings are left out
            own = synthetic.layers(CONFIG)
            own = own[own["model"] == names[place // 3]]
            matrix = matrix[(own["kind"] != "embed").to_numpy()]
        best = monotone_path(matrix)[1]
        assert shown == rounded(best, **DRAWN)


@pytest.mark.whole
def test_many_pairs_fit_on_a_page_bring_every_model_in_and_count_what_is_left_out():
    vits = tuple(f"vit_{place}" for place in range(6))
    many = synthetic.config(vits, ("resnet_a", "resnet_b"), ("f000", "f100"), ("s0",))
    layers = synthetic.layers(many)
    tables = {"layers.csv": layers, "cka.parquet": synthetic.cka(many, layers)}
    figure = fig02_cka_across.draw(tables, many)
    maps = [a for a in figure.axes if a.images]
    assert len(maps) == 2 * 10
    assert figure.get_figheight() < 10
    named = " ".join(a.get_xlabel() + a.get_ylabel() for a in maps).replace("\n", " ")
    assert all(text in named for text in many["labels"].values())
    assert figure.get_supxlabel().startswith("2 more pairs")
    trained, untrained = (a.images[0].get_array() for a in maps[:2])
    assert (trained != untrained).any()


def test_across_needs_a_pair():
    with pytest.raises(ResultError, match="no pair of networks"):
        fig02_cka_across.draw(tables_of(ALONE, fig02_cka_across), ALONE)


def test_attention_lines_are_the_sorted_heads_of_the_outer_blocks(tables):
    table = tables["attention_distance.csv"]
    figure = fig03_attention_distance.draw(tables, CONFIG)
    axes = next(a for a in figure.axes if "trained\n" in a.get_ylabel())
    lines = {line.get_label(): line for line in axes.lines}
    own = table.query("model == 'vit_small' and fraction == 'f100' and seed == 's0'")
    for block in (0, 1, 5, 6):
        expected = np.sort(own.loc[own.block == block, "distance_px"])
        assert (lines[f"block {block}"].get_ydata() == expected).all()
    assert [16.5, 16.5] in [list(line.get_ydata()) for line in axes.lines]
    assert "(px)" in axes.get_ylabel()
    top = axes.get_ylim()[1]
    assert top >= (own["distance_px"] + own["distance_std_px"]).max()


def test_attention_without_prefix_token_or_untrained_network():
    lone = tables_of(ALONE, fig03_attention_distance)
    lone["attention_distance.csv"] = synthetic.attention_distance(ALONE, blocks=3, prefix=False)
    figure = fig03_attention_distance.draw(lone, ALONE)
    texts = {t.get_text() for a in figure.axes for t in a.texts}
    assert {"no CLS token", "no untrained network here"} <= texts
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert [text for text in labels if text.startswith("block")] == [
        "block 0",
        "block 1",
        "block 2",
    ]


def test_attention_needs_one_uniform_value_a_network(tables):
    damaged = {"attention_distance.csv": tables["attention_distance.csv"].copy()}
    damaged["attention_distance.csv"].loc[0, "uniform_px"] = 3.0
    config = CONFIG | {"networks": [s for s in CONFIG["networks"] if "/f000/" not in s]}
    fig03_attention_distance.draw(damaged, config)
    damaged["attention_distance.csv"]["uniform_px"] = np.arange(
        len(damaged["attention_distance.csv"])
    )
    with pytest.raises(ResultError, match="one network with uniform_px"):
        fig03_attention_distance.draw(damaged, config)


def test_less_data_has_one_column_a_fraction_and_needs_two(tables):
    figure = fig04_attention_distance_less_data.draw(tables, CONFIG)
    titles = [a.get_title() for a in figure.axes if a.get_title()]
    assert titles == ["untrained", "3 % of the images", "30 % of the images", "all images"]
    assert len([a for a in figure.axes if a.lines]) == 8
    with pytest.raises(ResultError, match="two fractions"):
        less_data = fig04_attention_distance_less_data
        less_data.draw(tables_of(ALONE, less_data), ALONE)


def test_fractions_have_error_bars_ceiling_and_floor(tables):
    table = tables["data_fractions.csv"]
    figure = fig12_data_fractions.draw(tables, CONFIG)
    assert [a.get_title() for a in figure.axes] == ["ViT small", "ViT large", "Resnet thin"]
    bars = {c.lines[0].get_linestyle(): c for c in figure.axes[0].containers}
    own = table.query("model == 'vit_small' and kind == 'ceiling'")
    assert (bars["--"].lines[0].get_ydata() == own["cka"]).all()
    segments = bars["--"].lines[2][0].get_segments()
    height = segments[0][1][1] - segments[0][0][1]
    assert height == rounded(2 * own["cka_se"].iloc[0], size=1, **DRAWN)
    texts = shown_texts(figure)
    assert {"untrained (floor)", "all images, another seed (ceiling)"} <= texts
    only = {"data_fractions.csv": table[table["kind"] == "fraction"]}
    assert not any("seed" in text for text in shown_texts(fig12_data_fractions.draw(only, CONFIG)))


def test_curves_hold_the_history_and_leave_out_gaps(tables):
    history = tables["curves.csv"].copy()
    is_first = (history.model == "vit_small") & (history.fraction == "f003") & (history.step == 500)
    history.loc[is_first & (history.split == "train"), "accuracy"] = np.nan
    figure = training_curves.draw({"curves.csv": history}, CONFIG)
    assert len(figure.axes) == 6
    loss, accuracy = figure.axes[0], figure.axes[3]
    assert len(loss.lines) == 3 * 2 * 2
    assert len(accuracy.lines[0].get_xdata()) == len(loss.lines[0].get_xdata()) - 1
    assert loss.get_ylabel() == "loss (nats per image)"
    own = history.query(
        "model == 'vit_small' and fraction == 'f003' and seed == 's0' and split == 'train'"
    )
    assert (loss.lines[0].get_ydata() == own["loss"]).all()


def test_accuracy_shows_seeds_means_and_chance(tables):
    figure = accuracy_by_fraction.draw(tables, CONFIG)
    (axes,) = figure.axes
    levels = [line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1]
    assert any(level == rounded(10, **DRAWN) for level in levels)
    best = tables["accuracy.csv"].query("fraction == 'f100'")["accuracy_test"].max()
    needed = 10 + 100 * max(best - 0.1, 0.45) / 4
    assert any(level == rounded(needed, **DRAWN) for level in levels)
    own = tables["accuracy.csv"].query("model == 'vit_small' and fraction == 'f100'")
    mean = axes.lines[0].get_ydata()[-1]
    assert mean == rounded(100 * own["accuracy_test"].mean(), **DRAWN)
    assert axes.get_xscale() == "log" and "(%)" in axes.get_ylabel()
    ticks = [t.get_text() for t in axes.get_xticklabels()]
    assert ticks == ["untrained", "237", "2,375", "7,919"]


def test_accuracy_of_two_classes_has_no_line_at_150_per_cent(tables):
    table = tables["accuracy.csv"].assign(chance=0.5)
    (axes,) = accuracy_by_fraction.draw({"accuracy.csv": table}, CONFIG).axes
    levels = [line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1]
    assert 50 < max(levels) < 100


@pytest.mark.parametrize("module", [fig01_cka_within, fig03_attention_distance, training_curves])
def test_nothing_trained_is_said_so(module, tables):
    bare = synthetic.config(fractions=("f000",))
    with pytest.raises(ResultError, match="none of the networks is trained"):
        module.draw(tables, bare)
