"""The page's question is answered out of verdicts: what is shown, what not, and what is open."""

import pandas as pd
import pytest

from sightlines.claims.judge import all_claims
from sightlines.report.headline import DIFFERENCES, HELD, NOTE, NUMBERS, headline
from sightlines.report.verdicts import MARKS, SHORT
from sightlines.results.verdict_words import NOT_RUN, ONE_RUN, VERDICTS


def claims(**verdicts):
    blank = {"value": 0.61, "low": 0.507, "high": 0.719, "level": 0.95}
    blank |= {"deciding": "mean of 2: gap", "threshold": "gap ≥ 0.5"}
    return pd.DataFrame([blank | {"claim": c, "verdict": v} for c, v in verdicts.items()])


def test_its_differences_are_claims_that_there_are():
    assert set(DIFFERENCES) <= {claim.id for claim in all_claims()}
    assert set(HELD) < set(VERDICTS)


def test_all_that_holds_is_a_plain_no_with_numbers():
    verdicts = dict.fromkeys(DIFFERENCES, "holds") | {"C15": "holds, learned"}
    found = headline(claims(**verdicts))
    assert (
        found.answer
        == "No, they differ: all of the paper’s 4 main differences show in these networks."
    )
    assert [respect.claim for respect in found.respects] == ["C15", "C1", "C6", "C20b"]
    assert {respect.measured for respect in found.respects} == {
        "gap: 0.61 [0.51, 0.72], needed ≥\N{NO-BREAK SPACE}0.5"
    }
    assert found.note == NOTE


def test_every_number_that_may_decide_is_told_in_words():
    shorts = tuple(NUMBERS)
    for claim in all_claims():
        if claim.id in DIFFERENCES:
            for criterion in claim.criteria:
                own = claims(**{claim.id: "holds"}).assign(
                    deciding=f"ViT: {criterion.name}", threshold=f"{criterion.name} {criterion}"
                )
                (respect,) = headline(own).respects
                assert criterion.name.startswith(shorts)
                assert not respect.measured.startswith(criterion.name)
                assert respect.measured.replace("\N{NO-BREAK SPACE}", " ").endswith(
                    f"needed {criterion}".replace("-", "−")
                )
    decided = "mean of 2: LH(ViT) − LH(ResNet), block outputs"
    (respect,) = headline(claims(C1="holds").assign(deciding=decided)).respects
    assert respect.measured == (
        "CKA of the lowest with the highest quarter of layers, ViT − ResNet, block outputs: 0.61 "
        "[0.51, 0.72]"
    )


def test_what_holds_comes_first_and_every_respect_has_its_verdict():
    found = headline(claims(C1="undecided", C6="out of reach", C15="does not hold", C20b="holds"))
    assert found.answer == (
        "No, they differ: 1 of the paper’s 4 main differences shows in these networks."
    )
    told = [(respect.claim, respect.verdict) for respect in found.respects]
    assert told == [
        ("C20b", "holds"),
        ("C15", "does not hold"),
        ("C1", "undecided"),
        ("C6", "out of reach"),
    ]
    for respect in found.respects:
        assert respect.says == DIFFERENCES[respect.claim]
        assert respect.mark == MARKS[respect.verdict]
        assert respect.short == SHORT.get(respect.verdict, respect.verdict)
    two = headline(claims(C1="holds", C6="holds", C15="undecided"))
    assert (
        two.answer == "No, they differ: 2 of 3 main differences looked at show in these networks."
    )


def test_what_networks_of_one_run_show_is_told_of_these_alone():
    rows = claims(C1="one run", C6="one run").assign(in_this_run=["holds", "fails"])
    found = headline(rows)
    assert found.answer == "Open for such networks in general: there is one run of each."
    assert [respect.here for respect in found.respects] == ["holds", "fails"]
    older = headline(claims(C1="one run"))  # results of before the column
    assert older.respects[0].here == ""
    mixed = headline(claims(C1="one run", C6="holds").assign(in_this_run=["holds", ""]))
    assert mixed.answer.startswith("No, they differ: 1 of 2 main differences looked at shows")
    assert [respect.here for respect in mixed.respects] == ["", "holds"]


@pytest.mark.parametrize("verdict", sorted(set(VERDICTS) - {*HELD, NOT_RUN, ONE_RUN}))
def test_where_nothing_holds_nothing_is_said_to_be_shown(verdict):
    found = headline(claims(C1=verdict, C6=verdict))
    assert found.answer == (
        "Not shown: of 2 main differences looked at none is sure in these networks."
    )
    assert {respect.verdict for respect in found.respects} == {verdict}


@pytest.mark.parametrize("rows", [{}, {"C1": "not run"}, {"C2": "holds"}])
def test_without_any_of_its_claims_it_says_so(rows):
    found = headline(claims(**rows) if rows else claims(C1="holds")[:0])
    assert found.answer == (
        "These runs cannot say: none of the comparisons that would answer was made."
    )
    assert (found.respects, found.note) == ([], "")


def test_one_respect_alone():
    assert headline(claims(C1="undecided")).answer == "Not shown: not in the one way looked at."
    assert headline(claims(C1="holds")).answer == (
        "No, they differ: the one difference looked at shows in these networks."
    )


def test_a_claim_without_a_number_or_an_interval_and_one_of_another_level():
    (respect,) = headline(claims(C1="holds").assign(value=None)).respects
    assert respect.measured == ""
    bare = headline(claims(C1="holds").assign(low=None, high=None))
    assert (
        bare.respects[0].measured == "gap: 0.61, needed ≥\N{NO-BREAK SPACE}0.5" and bare.note == ""
    )
    (respect,) = headline(claims(C1="does not hold").assign(level=1 - 0.05 / 3)).respects
    assert respect.measured == "gap: 0.61 [0.51, 0.72, 98.3 %], needed ≥\N{NO-BREAK SPACE}0.5"
