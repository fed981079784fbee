"""Sentences that say what was found: numbers of the tables, with their intervals."""

import pandas as pd
import pytest

from sightlines.claims.judge import all_claims
from sightlines.report import findings
from sightlines.report.questions import QUESTIONS
from sightlines.results.tables import required
from sightlines.results.verdict_words import VERDICTS
from tests.figures.verdict_tables import claims


def cases(*rows):
    blank = dict.fromkeys(required("claim_cases.csv"))
    own = {"claim": "C6", "criterion": "most local head", "over": "images and seeds"}
    return pd.DataFrame([blank | own | row for row in rows])


def told(*rows):
    return findings.found("local_and_global", claims()[:0], cases(*rows))


ONE = {"case": "ViT-S", "value": 0.613, "low": 0.507, "high": 0.719, "control": 0.94}


def test_a_number_comes_with_its_interval_what_it_is_of_and_its_control():
    (sentence,) = told(ONE)
    assert "looks 0.61 [0.51, 0.72] (ViT-S; untrained 0.94) as far" in sentence


def test_an_interval_over_images_of_one_run_says_so():
    (sentence,) = told(ONE | {"over": "images", "control": None})
    assert "0.61 [0.51, 0.72, one run] (ViT-S)" in sentence


def test_the_level_of_an_interval_is_told_where_it_is_not_95_percent():
    own = claims()[2:3].assign(claim="N1", level=1 - 0.05 / 3)
    assert "[0.51, 0.72, 98.3 %]" in findings.found("naseer2021", own, None)[0]
    assert "[0.51, 0.72]" in findings.found("naseer2021", own.assign(level=0.95), None)[0]


def test_two_are_named_and_of_more_the_range_is_told():
    other = ONE | {"case": "ViT-L", "value": 0.4, "low": None, "control": None}
    assert "(ViT-S; untrained 0.94) and 0.40 (ViT-L)" in told(ONE, other)[0]
    third = ONE | {"case": "ViT-H", "value": 0.9, "control": 0.2}
    assert "0.40 to 0.90 over 3 cases (untrained 0.20 to 0.94)" in told(ONE, other, third)[0]


def test_a_mean_stands_for_what_it_is_the_mean_of():
    (sentence,) = told(ONE, ONE | {"case": "ViT-L"}, ONE | {"case": "mean of 2", "value": 0.5})
    assert "0.50 [0.51, 0.72] (mean of 2; untrained 0.94)" in sentence and "ViT-L" not in sentence


def test_where_each_decided_by_itself_each_is_told_and_not_their_mean():
    rows = ONE, ONE | {"case": "ViT-L"}, ONE | {"case": "mean of 2", "value": 0.5}
    own = claims()[:1].assign(claim="C6", verdict="holds", deciding="ViT-L: most local head")
    sentence = findings.found("local_and_global", own, cases(*rows))[0]
    assert "(ViT-S; untrained 0.94) and 0.61" in sentence and "mean of" not in sentence
    by_mean = own.assign(deciding="mean of 2: most local head")
    assert "(mean of 2; " in findings.found("local_and_global", by_mean, cases(*rows))[0]
    is_open = own.assign(verdict="undecided")
    assert "(mean of 2; " in findings.found("local_and_global", is_open, cases(*rows))[0]


def test_a_value_that_is_held_against_two_thresholds_is_told_once():
    assert told(ONE, ONE)[0].count("0.61") == 1


def test_what_was_not_measured_is_not_told():
    assert told(ONE | {"value": None}) == []
    assert findings.found("local_and_global", claims()[:0], None) == []


def test_a_question_without_sentences_of_its_own_tells_its_surest_claims():
    sentences = findings.found("naseer2021", claims(), None)
    first = (
        "Statement number 1: holds, learned, mean CKA 0.61 [0.51, 0.72] (ViT-S; untrained 0.31)."
    )
    assert sentences[0] == first and len(sentences) == 3
    assert sentences[-1] == findings.tally(claims())


def test_sentences_are_of_criteria_that_there_are():
    known = {(c.id, criterion.name) for c in all_claims() for criterion in c.criteria}
    keys = {question.key for question in QUESTIONS} | {"measurement"}
    assert set(findings.TOLD) == keys
    for own in findings.TOLD.values():
        for claim, criterion, sentence in own:
            assert (claim, criterion) in known and sentence.count("{}") == 1


@pytest.mark.parametrize("word", VERDICTS)
def test_every_verdict_is_counted(word):
    both = pd.DataFrame({"verdict": [word, word]})
    said = findings.tally(both)
    assert said.startswith("Of 2 claims 2 ") and said.endswith(".")
    assert findings.tally(both[:1]).startswith("Its one claim ")


def test_verdicts_are_told_in_one_sentence():
    words = ["holds, learned", "holds", "holds at initialisation", "lost in training", "one run"]
    assert findings.tally(pd.DataFrame({"verdict": [*words, "undecided"]})) == (
        "Of 6 claims 3 hold (1 learned in training, 1 true of untrained networks as well, 1 not "
        "known to be either), 1 does not, 1 is undecided and 1 rests on one run."
    )


def test_each_sentence_about_verdicts_can_be_read():
    def said(*words, shown=()):
        own = [*shown, *[""] * (len(words) - len(shown))]
        return findings.tally(pd.DataFrame({"verdict": [*words], "in_this_run": own}))

    assert said("one run", "one run", "one run", "holds", shown=("holds", "fails", "holds")) == (
        "Of 4 claims 1 holds and 3 rest on one run each (2 hold in it, 1 fails in it)."
    )
    assert said("one run", "not run", shown=("unclear",)) == (
        "Of 2 claims 1 rests on one run (1 is unclear even so) and 1 was not run."
    )
    assert said("out of reach", "not run", "not run") == (
        "Of 3 claims 1 is out of reach of these networks and 2 were not run."
    )


def test_a_folded_group_says_in_few_words_how_its_claims_came_out():
    words = ["holds", "holds, learned", "lost in training", "one run", "undecided", "not run"]
    assert findings.short_tally(words) == "2 hold, 1 does not, 1 open, 1 of one run, 1 not tested"
    assert findings.short_tally(["holds"]) == "1 holds"
    assert sum(int(findings.short_tally([word])[0]) for word in VERDICTS) == len(VERDICTS)
