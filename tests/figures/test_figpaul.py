"""Figures of corruptions, waves, squares and foreign images show what their tables hold."""

import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.figures import (
    figpaul_backgrounds,
    figpaul_corruption,
    figpaul_cutout,
    figpaul_depth,
    figpaul_foreign,
    figpaul_frequency,
    figpaul_perturbation,
)
from sightlines.plan.networks import Network
from tests.figures import condition_tables
from tests.figures import robustness_tables as made
from tests.figures import tables as synthetic
from tests.figures.test_fignaseer import has_line, value

pytestmark = pytest.mark.whole  # each draws

CONFIG = synthetic.only(synthetic.whole())
VIT = Network("vit_small", "f100", "s0")


def test_accuracy_and_what_is_kept_of_it_by_covered_area():
    table = made.cutout(CONFIG)
    left, right = figpaul_cutout.draw({"cutout.parquet": table}, CONFIG).axes
    for axes, column in ((left, "accuracy"), (right, "retention")):
        black = table[table["condition"].isin(["clean", "cutout_black"])]
        assert has_line(axes, [0, 0.1, 0.2, 0.4], value(black, VIT, column))
        assert has_line(axes, [0.4], value(table, VIT, column, condition="cutout_mean"))
    assert has_line(
        right, figpaul_cutout.COVERED, [(v - 0.1) / 82.9 for v in (83, 82.3, 81.4, 77.9, 60.4)]
    )


def test_rise_by_corruption_and_error_by_severity():
    tables = {
        "corruption.parquet": made.corruption(CONFIG),
        "corruption_error.csv": made.corruption_error(CONFIG),
    }
    above, below = figpaul_corruption.draw(tables, CONFIG).axes
    errors = tables["corruption_error.csv"].assign(left_out=-1)
    drawn = np.concatenate(
        [np.array(line.get_ydata(), float) for line in above.lines if len(line.get_ydata()) > 2]
    )
    assert np.isin(np.round(value(errors, VIT, "excess"), 9), np.round(drawn, 9)).all()
    table = tables["corruption.parquet"]
    means = [1 - value(table, VIT, "accuracy", severity=s).mean() for s in (0.0, *made.SEVERITIES)]
    assert has_line(below, [0, 1, 3, 5], means)
    labels = [t.get_text().replace("\n", " ") for t in above.get_xticklabels()]
    assert labels[0] == "gaussian noise" and labels[-1] == "mean" and len(labels) == 15


@pytest.mark.parametrize("whole", [True, False])
def test_maps_hold_each_wave_twice_and_curves_the_means_of_rings(whole):
    tables = {
        "frequency.parquet": made.frequency(CONFIG, whole=whole),
        "frequency_grid.csv": made.frequency_grid(CONFIG),
    }
    figure = figpaul_frequency.draw(tables, CONFIG)
    first, *_ = figure.axes
    table = tables["frequency.parquet"]
    excess = value(table, VIT, "excess")
    if whole:
        matrix = np.asarray(first.images[0].get_array())
        assert np.allclose(matrix, matrix[::-1, ::-1], equal_nan=True)
        (wave,) = value(table, VIT, "excess", down=-3, right=5)
        assert matrix[16 - 3, 16 + 5] == pytest.approx(wave)
    else:
        assert len(first.collections[0].get_offsets()) == 2 * len(excess)
    curves = figure.axes[-1]
    own = table[(table["of_map"] == 1) & (table["radius"] < 2)]
    near = value(own, VIT, "excess")
    heights = [line.get_ydata()[0] for line in curves.lines]
    assert np.isclose(heights, near.mean()).any()
    assert [circle.radius for circle in first.patches] == [4, 8]


def test_foreign_images_have_a_panel_a_task():
    table = made.foreign(CONFIG)
    panels = figpaul_foreign.draw({"foreign.csv": table}, CONFIG).axes
    assert [axes.get_title() for axes in panels] == ["textures", "sketches"]
    (wanted,) = value(table, VIT, "aupr", task="sketches")
    drawn = [y for line in panels[1].lines for y in np.atleast_1d(line.get_ydata())]
    assert np.isclose(np.array(drawn, float), wanted).any()


def test_a_gap_joins_both_grounds():
    table = made.backgrounds(CONFIG)
    (axes,) = figpaul_backgrounds.draw({"backgrounds.csv": table}, CONFIG).axes
    ends = [value(table, VIT, column)[0] for column in ("same", "other")]
    assert has_line(axes, [0, 0], ends)


def test_without_a_network_on_all_images_there_is_nothing_to_draw():
    table = made.cutout(CONFIG)
    with pytest.raises(ResultError, match=r"cutout\.parquet has no network"):
        figpaul_cutout.draw({"cutout.parquet": table[table["fraction"] == "f000"]}, CONFIG)


def test_corruptions_and_waves_have_a_panel_each_by_depth():
    table = condition_tables.every_depth(CONFIG)
    figure = figpaul_depth.draw({"condition_depth.parquet": table}, CONFIG)
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert titles == ["fog 3", "gaussian noise 5", "Fourier noise, 2 cycles"]
    blocks = table[table["block"] >= 0]
    own = value(blocks, VIT, "cka", condition="gaussian_noise")
    assert has_line(figure.axes[1], [0, 0.25, 0.5, 0.75, 1], own)


def test_energy_is_in_decibels_over_white_noise_and_success_by_budget():
    tables = {
        "perturbation.csv": made.perturbation(CONFIG),
        "perturbation_bands.parquet": made.perturbation_bands(CONFIG),
        "attack.csv": made.attack(CONFIG),
    }
    figure = figpaul_perturbation.draw(tables, CONFIG)
    energy = value(tables["perturbation_bands.parquet"].assign(left_out=-1), VIT, "energy")
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    expected = np.maximum(10 * np.log10(energy.reshape(32, 32) * 32**2), figpaul_perturbation.LOW)
    assert np.allclose(drawn, expected) and figure.axes[0].images[0].origin == "lower"
    left, right = figure.axes[-2:]
    success = value(tables["attack.csv"], VIT, "success")
    assert has_line(left, [2, 4], success) and has_line(left, [2, 4], [0.02, 0.02])
    (share,) = value(tables["perturbation.csv"], VIT, "low_share")
    assert has_line(right, [0], [share])
