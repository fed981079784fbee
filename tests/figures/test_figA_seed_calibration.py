"""What two seeds are taken for: the curve is the table's, and nothing is drawn as such."""

import numpy as np

from sightlines.figures import figA_seed_calibration as figure
from tests.figures import tables as synthetic
from tests.figures.tables import DRAWN
from tests.figures.verdict_tables import seed_calibration
from tests.rounding import rounded

CONFIG = synthetic.config(vits=("vit_small",), resnets=("resnet_thin",))


def drawn(table):
    return figure.draw({"seed_calibration.csv": table}, CONFIG).axes


def test_curves_and_shares_are_the_tables():
    left, right = drawn(seed_calibration())
    own = left.lines[0].get_xdata()
    assert own.tolist() == rounded([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 1.5], **DRAWN)
    assert left.lines[0].get_ydata()[-1] == 1
    assert left.get_title() == "each seed against the others: ViT small, Resnet thin"
    shares = [container.lines[0].get_ydata()[0] for container in right.containers]
    assert shares == [rounded(1 / 9, **DRAWN), rounded(7 / 9, **DRAWN)]


def test_two_seeds_have_no_interval_over_seeds():
    left, right = drawn(seed_calibration(2).assign(in_intervals=np.nan))
    assert len(right.containers) == 1 and right.texts[0].get_text() == "no\ninterval"
    assert left.get_legend() is not None


def test_a_table_without_rows_is_said():
    left, _ = drawn(seed_calibration()[:0])
    assert "no statistic" in left.texts[0].get_text()
