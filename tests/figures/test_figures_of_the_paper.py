"""docs/figures_of_the_paper.md names every figure of the paper, every figure here, every claim."""

import re
from pathlib import Path

import pytest

from sightlines.claims.judge import claims_by_study
from sightlines.plan import registry
from sightlines.plan.studies import FIRST, study_of

PAGE = (Path(__file__).parents[2] / "docs" / "figures_of_the_paper.md").read_text()
ROWS = [
    line.strip("|").split("|")
    for line in PAGE.splitlines()
    if re.match(r"\| (?:[A-H](?:\.\d)?|\d+) \|", line)
]
PAPER = [*map(str, range(1, 14)), "A", "B.1", *(f"C.{n}" for n in range(1, 7))]
PAPER += [*(f"D.{n}" for n in range(1, 5)), "E.1", "E.2", "F.1", "F.2", "F.3", "G.1", "G.2"]
PAPER += ["H.1", "H.2"]
NOT_OF_THE_PAPER = ("", "none")
STUDY_OF = {
    name: study_of(registry.declarations("figures", name)) for name in registry.members("figures")
}
OTHERS = PAGE.partition("## The other studies")[2]


def cells(place):
    return [row[place].strip() for row in ROWS]


def names(text):
    return re.findall(r"`(\w+)`", text)


def numbers(text):
    """Figures of the paper that a figure says it is about: ``C.1`` … of "Figures 6, C.1–C.4"."""
    text = re.sub(r"\(.*?\)", "", text).replace("-", "–")
    found = []
    for first, last in re.findall(r"((?:[A-H]\.)?\d+|\bA\b)(?:–((?:[A-H]\.)?\d+))?", text):
        letter, _, number = first.rpartition(".")
        end = int(last.rpartition(".")[2]) if last else 0
        found += [f"{letter}.{n}" for n in range(int(number), end + 1)] if end else [first]
    return found


def test_every_figure_of_the_paper_has_one_row_in_its_order():
    assert cells(0) == [row for row in PAPER if row in cells(0)] and set(cells(0)) == set(PAPER)


@pytest.mark.parametrize("module", [n for n, study in STUDY_OF.items() if study == FIRST])
def test_every_figure_stands_in_the_rows_that_it_is_about(module):
    paper = registry.declarations("figures", module)["PAPER"]
    rows = [row for row, drawn in zip(cells(0), cells(1), strict=True) if module in names(drawn)]
    if paper in NOT_OF_THE_PAPER:
        (alone,) = re.findall(r"^Ours alone: (.*)\.$", PAGE, re.M)
        assert not rows and module in names(alone)
    else:
        assert set(numbers(paper)) == set(rows)


def test_rows_name_figures_that_there_are():
    shown = {name for drawn in cells(1) for name in names(drawn)}
    assert shown <= set(registry.members("figures")) and all(cells(1))
    assert all(cells(3)), "what is measured is said of every figure"


def test_every_claim_stands_in_a_row_of_the_figure_that_shows_it():
    for claim in claims_by_study()[FIRST]:
        rows = [row for row in ROWS if claim.id in row[2].replace(",", " ").split()]
        assert rows, claim.id
        assert any(claim.drawn in names(row[1]) for row in rows), claim.id
        wanted = numbers(claim.figure.replace("Appendix", ""))
        stated = {re.sub(r"[ab]$", "", n) for n in wanted}
        assert stated & {row[0].strip() for row in rows}, claim.id
    known = {claim.id for claim in claims_by_study()[FIRST]}
    assert {c for row in ROWS for c in re.findall(r"\b[CV]\d+b?\b", row[2])} == known


def test_figures_and_claims_of_the_other_studies_stand_in_their_row():
    rows = [line.strip("|").split("|") for line in OTHERS.splitlines() if line.startswith("| `")]
    for study, claims in claims_by_study().items():
        if study == FIRST:
            continue
        own = [row for row in rows if names(row[0]) == [study]]
        drawn = {name for row in own for name in names(row[1])}
        assert {name for name, of in STUDY_OF.items() if of == study} == drawn, study
        said = {claim for row in own for claim in row[2].replace(",", " ").split()}
        assert {claim.id for claim in claims} == said, study
