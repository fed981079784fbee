"""Appendix A: the points are the table's, and a config without any check is drawn too."""

from sightlines.figures import figA_estimator as figure
from tests.figures import tables as synthetic
from tests.figures.tables import DRAWN
from tests.figures.verdict_tables import estimator
from tests.rounding import rounded

CONFIG = synthetic.config(vits=("vit", "other"), resnets=("resnet",), fractions=("f000", "f100"))


def test_points_are_the_values_of_all_images():
    table = estimator(CONFIG)
    drawn = figure.draw({"estimator.csv": table}, CONFIG)
    sizes, sources = drawn.axes
    assert [t.get_text() for t in sizes.get_xticklabels()] == ["128 images", "64 images"]
    assert [t.get_text() for t in sources.get_xticklabels()] == ["near"]
    heights = [line.get_ydata().tolist() for c in sizes.containers for line in c.lines[:1]]
    assert heights == [rounded([0.3 / 128, 0.3 / 64], **DRAWN)] * 3
    assert len(sources.containers) == 3


def test_nothing_that_was_checked_is_said():
    drawn = figure.draw({"estimator.csv": estimator(CONFIG)[:0]}, CONFIG)
    (axes,) = drawn.axes
    assert "too small to be cut" in axes.texts[0].get_text()
