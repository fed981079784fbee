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
    sizes, floor, sources = drawn.axes
    for axes in (sizes, floor):
        assert [t.get_text() for t in axes.get_xticklabels()] == ["128 images", "64 images"]
    assert [t.get_text() for t in sources.get_xticklabels()] == ["near"]
    for axes, top in ((sizes, 0.3), (floor, 2)):
        heights = [line.get_ydata().tolist() for c in axes.containers for line in c.lines[:1]]
        assert heights == [rounded([top / 128, top / 64], **DRAWN)] * 3
    assert len(sources.containers) == 3


def test_nothing_that_was_checked_is_said():
    drawn = figure.draw({"estimator.csv": estimator(CONFIG)[:0]}, CONFIG)
    (axes,) = drawn.axes
    assert "too small to be cut" in axes.texts[0].get_text()
