"""Figure G.1: before against after fine-tuning."""

import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.figures import figG1_finetuning
from sightlines.stats.jackknife import standard_error
from tests.figures import tables as synthetic
from tests.figures.tables import DRAWN
from tests.figures.verdict_tables import finetuning, tuned_accuracy
from tests.rounding import assert_rounded

CONFIG = synthetic.config(fractions=("f100",), seeds=("s0",))
TABLES = synthetic.all_tables(CONFIG, names=figG1_finetuning.READS)
LOOKS = {"in": "-", "out": "--"}


def test_a_line_a_task_holds_the_values_and_their_standard_errors():
    figure = figG1_finetuning.draw(TABLES, CONFIG)
    assert [a.get_title() for a in figure.axes] == ["ViT small", "ViT large", "Resnet thin"]
    table = TABLES["finetuning.parquet"]
    for axes, model in zip(figure.axes, CONFIG["families"], strict=True):
        assert len(axes.containers) == 2
        for bars, task in zip(axes.containers, ("near", "far"), strict=True):
            own = table[(table.model == model) & (table.task == task)]
            line, _, (segments,) = bars.lines
            whole = own[own.left_out == -1]
            np.testing.assert_array_equal(line.get_ydata(), whole.cka)
            np.testing.assert_array_equal(line.get_xdata(), whole.block)
            assert line.get_linestyle() == LOOKS[own.domain.iloc[0]]
            error = standard_error(own.cka.to_numpy().reshape(-1, len(whole)))
            heights = [top[1] - low[1] for low, top in segments.get_segments()]
            assert_rounded(heights, 2 * error, size=1, **DRAWN)


def test_the_legend_names_task_domain_and_accuracy():
    axes = figG1_finetuning.draw(TABLES, CONFIG).axes[0]
    texts = [t.get_text() for t in axes.get_legend().get_texts()]
    assert texts == ["near (in domain): 71 %", "far (out of domain): 51 %"]


def test_a_task_keeps_its_look_where_another_is_missing():
    table = TABLES["finetuning.parquet"]
    without = table[~((table.model == "vit_small") & (table.task == "near"))]
    figure = figG1_finetuning.draw(TABLES | {"finetuning.parquet": without}, CONFIG)
    colours = [
        {c.get_label(): c.lines[0].get_color() for c in axes.containers} for axes in figure.axes
    ]
    assert len(colours[0]) == 1 and len(colours[1]) == 2
    assert colours[0].items() <= colours[1].items()


def test_low_and_undefined_values_stay_in_sight():
    table = TABLES["finetuning.parquet"].copy()
    table.loc[table.block == 4, "cka"] = 0.1
    table.loc[table.block == 3, "cka"] = np.nan
    axes = figG1_finetuning.draw(TABLES | {"finetuning.parquet": table}, CONFIG).axes[0]
    low, high = axes.get_ylim()
    assert -0.3 < low <= 0.05, "below the lowest point there is room for the legend alone"
    assert high >= 1


def test_one_model_of_one_block_is_drawn():
    config = synthetic.config(vits=(), fractions=("f100",), seeds=("s0",))
    own = {
        "finetuning.parquet": finetuning(config, blocks=2).query("block == 0"),
        "tuned_accuracy.csv": tuned_accuracy(config),
    }
    assert len(figG1_finetuning.draw(own, config).axes) == 1


def test_nothing_tuned_is_said_so():
    empty = TABLES | {"finetuning.parquet": TABLES["finetuning.parquet"][:0]}
    with pytest.raises(ResultError, match="no model of this experiment"):
        figG1_finetuning.draw(empty, CONFIG)
