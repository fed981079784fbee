"""Every claim and figure has one place on the page."""

import pytest

from sightlines.claims.judge import claims_by_study
from sightlines.plan import registry
from sightlines.plan.code_roots import stage_roots
from sightlines.plan.studies import FIRST
from sightlines.report import questions
from sightlines.report.paper_figures import SAW


def test_every_claim_is_found_in_the_source_of_its_module():
    """Without importing it; a module that made up numbers while it runs would be missing here."""
    known = questions.claim_questions()
    assert set(known) == {claim.id for own in claims_by_study().values() for claim in own}


def test_claims_of_the_paper_have_a_question_and_those_of_other_works_their_section():
    keys = {question.key for question in questions.all_questions()}
    for study, own in claims_by_study().items():
        for claim in own:
            key = questions.claim_question(claim.id, study)
            assert key in keys
            assert (key == study) == (study != FIRST), claim.id


@pytest.mark.parametrize("name", registry.members("figures"))
def test_every_figure_has_a_section(name):
    assert questions.figure_question(name) in {q.key for q in questions.all_questions()}


def test_figures_that_are_seen_at_once_are_of_their_question():
    for question in (*questions.QUESTIONS, questions.LAST):
        assert question.figures
        assert {questions.figure_question(name) for name in question.figures} == {question.key}


def test_a_claim_that_no_module_declares_stands_with_its_figure_or_last():
    assert questions.claim_question("X1", drawn="fig07_skip_ratios") == "skips"
    assert questions.claim_question("X1") == questions.LAST.key
    assert questions.claim_question("X1", "caron2021") == "caron2021"


def test_a_question_that_there_is_not_is_named():
    with pytest.raises(KeyError, match="no question 'colour'; QUESTION is one of structure"):
        questions._key({"QUESTION": "colour"})


def test_questions_are_used_in_their_order():
    found = questions.used(["places", "caron2021", "measurement", "structure", "nothing"])
    assert [q.key for q in found] == ["structure", "places", "caron2021", "measurement"]


@pytest.mark.whole
def test_where_things_stand_is_part_of_the_pages_code():
    roots = stage_roots("report.page", figures=["fig07_skip_ratios"])
    assert "sightlines.figures.fig07_skip_ratios:QUESTION" in roots
    assert "sightlines.claims.fig07_skips:QUESTION" in roots
    assert not any(":QUESTION" in root for root in stage_roots("figures.fig07_skip_ratios"))


def test_what_the_paper_shows_is_told_of_figures_that_there_are():
    assert set(SAW) <= set(registry.members("figures"))
