"""The page's question is answered out of verdicts: what is shown, what not, and what is open."""

import pandas as pd
import pytest

from sightlines.claims.judge import all_claims
from sightlines.report.headline import BRACKETS, DIFFERENCES, HELD, NUMBERS, OPEN, headline
from sightlines.results.verdict_words import FAILS, LOST, NOT_RUN, ONE_RUN, VERDICTS


def claims(**verdicts):
    blank = {"value": 0.61, "low": 0.507, "high": 0.719, "deciding": "mean of 2: gap"}
    return pd.DataFrame([blank | {"claim": c, "verdict": v} for c, v in verdicts.items()])


def told(**verdicts):
    return " ".join(headline(claims(**verdicts)))


def test_its_differences_are_claims_that_there_are_and_every_verdict_has_words():
    assert set(DIFFERENCES) <= {claim.id for claim in all_claims()}
    assert {*HELD, *OPEN, FAILS, LOST, NOT_RUN, ONE_RUN} == set(VERDICTS)


def test_all_that_holds_is_a_plain_no_with_numbers():
    said = told(C1="holds", C15="holds, learned", C20b="holds at initialisation", C6="holds")
    assert said.startswith("No: a ViT’s lowest and highest layers are more alike than a ResNet’s")
    assert "than a ResNet’s (gap: 0.61 [0.51, 0.72]), a ViT’s lowest blocks" in said
    assert "(gap: 0.61 [0.51, 0.72]; learned)" in said
    assert "(gap: 0.61 [0.51, 0.72]; untrained networks as well)." in said
    assert said.endswith(BRACKETS)


def test_every_number_that_may_decide_is_told_in_words():
    shorts = tuple(NUMBERS)
    for claim in all_claims():
        if claim.id in DIFFERENCES:
            for criterion in claim.criteria:
                said = headline(claims(**{claim.id: "holds"}).assign(deciding=criterion.name))[0]
                assert criterion.name.startswith(shorts) and f"({criterion.name}" not in said
    decided = "mean of 2: LH(ViT) − LH(ResNet), block outputs"
    said = headline(claims(C1="holds").assign(deciding=decided))[0]
    assert "(CKA of the lowest with the highest quarter of layers, ViT − ResNet, block out" in said


def test_what_holds_what_fails_and_what_is_open_are_told_apart():
    first, *rest = headline(claims(C1="holds", C6="out of reach", C15="does not hold"))
    assert first.startswith("No, in 1 of 3 respects: a ViT’s lowest and highest layers")
    assert rest[0].startswith("It does not hold that more comes over a ViT’s skips")
    assert rest[1].startswith("Out of reach of these networks is whether a ViT’s lowest blocks")


def test_what_networks_of_one_run_show_is_told_of_these_alone():
    rows = claims(C1="one run", C6="one run", C15="one run", C20b="one run")
    first, second, _ = headline(rows.assign(in_this_run=["holds", "fails", "unclear", "holds"]))
    assert first == "Open for such networks in general: there is one run of each."
    assert second.startswith("Of these networks alone, one run each, it holds that a ViT’s lowest")
    assert "and that a ViT’s tokens keep their places" in second
    assert "; it does not hold that a ViT’s lowest blocks hold" in second
    assert "; it is unclear whether more comes over" in second
    older = headline(claims(C1="one run"))  # results of before the column
    assert "it is unclear whether a ViT’s lowest" in older[1]
    mixed = headline(claims(C1="one run", C6="holds"))
    assert mixed[0].startswith("No, in 1 of 2 respects") and "one run each" in mixed[1]


@pytest.mark.parametrize("verdict", sorted(set(VERDICTS) - {*HELD, NOT_RUN, ONE_RUN}))
def test_where_nothing_holds_nothing_is_said_to_be_shown(verdict):
    first, second, *_ = headline(claims(C1=verdict, C6=verdict))
    assert first.startswith("Not shown: in none of 2 respects")
    expected = OPEN.get(verdict, "It does not hold that")
    assert second.startswith(expected) and "more alike than a ResNet’s" in second
    assert ("though it does in untrained networks" in second) == (verdict == LOST)


@pytest.mark.parametrize("rows", [{}, {"C1": "not run"}, {"C2": "holds"}])
def test_without_any_of_its_claims_it_says_so(rows):
    table = claims(**rows) if rows else claims(C1="holds")[:0]
    assert headline(table) == [
        "These runs cannot say: none of the comparisons that would answer was made."
    ]


def test_one_respect_and_a_claim_without_a_number():
    assert told(C1="undecided").startswith("Not shown: not in the one respect measured do")
    table = claims(C1="holds").assign(value=None)
    assert headline(table) == [f"No: {DIFFERENCES['C1']}."]
    table = claims(C1="holds").assign(low=None, high=None)
    assert headline(table) == [f"No: {DIFFERENCES['C1']} (gap: 0.61)."]
