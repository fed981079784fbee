"""Rows of the picture of all claims: what fulfils a claim lies right of the threshold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sightlines.claims.judge import all_claims
from sightlines.report import forest
from sightlines.report.paper_figures import MARKS
from sightlines.results.verdict_words import (
    DECISIVE,
    DEPENDS,
    FAILS,
    LOST,
    NOT_RUN,
    ONE_RUN,
    OUT_OF_REACH,
    UNDECIDED,
)
from tests.figures.verdict_tables import claims


def row(**changed):
    own = claims().to_dict("records")[0] | {"threshold": "mean CKA ≥ 0.5"}
    return own | changed


def test_value_interval_and_control_stand_on_one_scale_around_the_threshold():
    found = forest.drawn(row())
    scale = 0.719 - 0.5  # the farthest end of the interval, at the edge
    assert found.high == 96 and found.value.at == pytest.approx(50 + 46 * 0.113 / scale, abs=0.06)
    assert found.low == pytest.approx(50 + 46 * 0.007 / scale, abs=0.06)
    assert found.control.at == pytest.approx(50 - 46 * 0.189 / scale, abs=0.06)
    assert found.control.beyond == 0 and found.shape == "disc"
    assert found.words == "0.61, interval 0.51 to 0.72; needed ≥ 0.5; untrained 0.31"


def test_another_level_than_95_percent_is_told():
    told = forest.drawn(row(level=1 - 0.05 / 3)).words
    assert told.startswith("0.61, 98.3 % interval 0.51 to 0.72; needed")


REFERENCES = sorted(Path(__file__).parents[2].glob("results/reference/*/claims.csv"))


@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.parent.name)
def test_no_interval_of_a_real_run_contradicts_the_verdict_beside_it(path):
    """Drawn of what decided: decisive ones lie on their side, undecided ones reach the middle."""
    rows = pd.read_csv(path).to_dict("records")
    seen = 0
    for own in rows:
        found, word = forest.drawn(own), own["verdict"]
        if found is None or found.low is None or word not in (*DECISIVE, UNDECIDED):
            continue
        seen += 1
        if word == UNDECIDED:
            assert found.low <= 50 <= found.high, own["claim"]
        elif word in (FAILS, LOST, DEPENDS):
            assert found.high < 50, own["claim"]
        else:
            assert found.low >= 50, own["claim"]
    assert seen or all(own["verdict"] in (ONE_RUN, OUT_OF_REACH, NOT_RUN) for own in rows)


def test_where_less_is_asked_for_less_lies_to_the_right():
    more = forest.drawn(row())
    less = forest.drawn(row(threshold="mean CKA ≤ 0.5"))
    assert less.value.at == pytest.approx(100 - more.value.at, abs=0.11)
    assert (less.low, less.high) == pytest.approx((100 - more.high, 100 - more.low), abs=0.11)


def test_what_is_much_farther_than_the_interval_is_an_arrow_at_the_edge():
    found = forest.drawn(row(control=-9.0))
    assert (found.control.at, found.control.beyond) == (4, -1)
    assert found.high == 96, "the interval keeps its size"


@pytest.mark.parametrize(
    ("verdict", "shape"),
    [("holds", "disc"), ("lost in training", "square"), ("one run", "ring"), ("undecided", "ring")],
)
def test_marks_are_told_apart_without_colour(verdict, shape):
    assert forest.drawn(row(verdict=verdict)).shape == shape


@pytest.mark.parametrize(
    "changed",
    [
        {"value": None},
        {"value": np.nan},
        {"value": np.inf},
        {"deciding": "ViT-S: another"},
        {"threshold": ""},
        {"threshold": "mean CKA ≥ a lot"},
    ],
)
def test_without_value_or_threshold_there_is_no_picture(changed):
    assert forest.drawn(row(**changed)) is None


def test_an_interval_without_ends_and_a_missing_control_are_left_out():
    found = forest.drawn(row(low=np.nan, control=np.nan))
    assert (found.low, found.high, found.control) == (None, None, None)
    assert found.value.at == 96


def test_a_value_at_its_threshold_is_in_the_middle():
    exact = row(value=0.5, low=0.5, high=0.5, control=None)
    assert forest.drawn(exact).value.at == 50


def test_of_two_thresholds_of_one_statistic_the_nearer_one_counts():
    needed = "CLS;CLS − GAP;GAP ≥ -0.05; CLS;CLS − GAP;GAP ≤ 0.05"
    deciding = "ViT-S × ViT-S GAP: CLS;CLS − GAP;GAP"
    assert forest.threshold(needed, deciding, 0.1) == ("≤", 0.05)
    assert forest.threshold(needed, deciding, -0.1) == ("≥", -0.05)


def test_every_criterion_has_a_threshold_that_is_found():
    """As claims.csv writes them."""
    for claim in all_claims():
        needed = "; ".join(f"{c.name} {c}" for c in claim.criteria)
        for criterion in claim.criteria:
            found = forest.threshold(needed, f"ViT: {criterion.name}", criterion.threshold)
            assert found is not None, (claim.id, criterion.name)


def test_the_papers_values_are_of_criteria_that_there_are_and_fulfil_them():
    known = {
        (claim.id, criterion.name): criterion
        for claim in all_claims()
        for criterion in claim.criteria
    }
    for key, (low, high) in MARKS.items():
        assert known[key].admits(low) and known[key].admits(high), key
        assert low <= high


def test_the_papers_value_is_a_mark_of_the_criterion_that_decided():
    own = row(claim="C6", deciding="ViT-S: most local head", threshold="most local head ≤ 0.5")
    found = forest.drawn(own | {"value": 0.86, "low": 0.8, "high": 0.9, "control": None})
    assert len(found.paper) == 2 and all(mark.at > 50 for mark in found.paper)
    assert "Raghu et al. 0.05 to 0.17" in found.words
    other = forest.drawn(own | {"deciding": "ViT-S: x", "threshold": "x ≤ 0.5", "value": 0.4})
    assert other.paper == ()


def test_all_rows_of_a_table_are_drawn_within_the_width():
    for own in claims().to_dict("records"):
        found = forest.drawn({k: None if pd.isna(v) else v for k, v in own.items()})
        if found:
            assert 4 <= found.value.at <= 96 and 4 <= found.low <= found.high <= 96
