"""What the claims declare fits each other, the figures and the measures; see test_judge.py too."""

from collections import Counter
from pathlib import Path

import pytest

from sightlines.claims.judge import all_claims
from sightlines.claims.verdict import OF_SCALE
from sightlines.plan import registry
from sightlines.plan.table_schemas import written

CLAIMS = all_claims()
DOCS = Path(__file__).parents[2] / "docs"
AMENDMENTS = [
    line for line in (DOCS / "amendments.md").read_text().splitlines() if line.startswith("| 20")
]
IDS = [*(f"C{n}" for n in range(1, 34)), "V1", "V2"]
IDS += [f"C{n}b" for n in (5, 6, 16, 17, 20, 30)]
NOT_MEASURED = {"layers.csv"}
"""Tables that are no measure's own."""

SOURCES = ("[text]", "[fig]", "[table]", "[code]", "[notes]", "[none]")
"""How a published value is known; docs/claims.md explains the words."""
FROM_ELSEWHERE = {"C8": ["[other]"]}
"""Claims that the paper only cites."""


def test_every_claim_of_the_paper_is_declared_once():
    found = Counter(own.id for own in CLAIMS)
    assert {own: found[own] for own in IDS} == dict.fromkeys(IDS, 1)


def test_every_table_that_claims_read_is_written_by_a_measure():
    tables = {t for m in registry.members("measures") for t in written("measures", m)}
    for name in registry.members("claims"):
        reads = registry.declarations("claims", name)["READS"]
        assert set(reads) <= tables | NOT_MEASURED, name
        assert len(set(reads)) == len(reads), name


def test_no_two_claims_have_one_title():
    assert max(Counter(own.title for own in CLAIMS).values()) == 1


@pytest.mark.parametrize("own", CLAIMS, ids=lambda own: own.id)
def test_claims_say_one_sentence_and_where_it_is_from(own):
    assert ". " not in own.statement, "one sentence"
    assert own.title[0].isupper() and own.title[-1].isalnum()
    assert len(own.title) <= 60 and "…" not in own.title, "it fits on one line, whole"
    assert own.statement[0].isupper() and own.statement.endswith(".")
    for text in (own.figure, own.statistic, own.reason, own.paper_value, own.controls):
        assert text.strip() == text != ""
    assert own.source in (*SOURCES, *FROM_ELSEWHERE.get(own.id, ()))
    assert own.drawn in registry.members("figures")
    assert all(c.name.strip() == c.name != "" for c in own.criteria)


@pytest.mark.parametrize("own", CLAIMS, ids=lambda own: own.id)
def test_every_amendment_is_dated_in_the_docs(own):
    told = [line for line in AMENDMENTS if own.id in line.split("|")[2].replace(",", " ").split()]
    assert not own.amended or any(line.startswith(f"| {own.amended} |") for line in told)
    words = ("**loosened**", "**restated**")
    assert (own.former is not None) == any(word in line for line in told for word in words)


@pytest.mark.parametrize("own", CLAIMS, ids=lambda own: own.id)
def test_what_may_make_a_failing_claim_out_of_reach_is_dated_in_the_docs(own):
    told = [line for line in AMENDMENTS if own.id in line.split("|")[2].replace(",", " ").split()]
    assert (own.tier in OF_SCALE) == any("(tiers B and C)" in line for line in told)
    assert bool(own.premises) == any("| premises:" in line for line in told)


@pytest.mark.parametrize("own", CLAIMS, ids=lambda own: own.id)
def test_every_criterion_says_what_effect_matters(own):
    assert all(0 < criterion.matters < 5 for criterion in own.criteria)


def test_claims_stand_in_files_that_declare_them():
    for name in registry.members("claims"):
        assert registry.load("claims", name).CLAIMS, name
