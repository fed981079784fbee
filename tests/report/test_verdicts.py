"""The claims at the top of the page: badges, links to figures, and nothing believed blindly."""

import re

import numpy as np
import pandas as pd
import pytest

from sightlines.core.files import write_table
from sightlines.report import differences, page, verdicts
from sightlines.report.parts import Row
from sightlines.results.tables import read_checked
from sightlines.results.verdict_words import VERDICTS
from tests.figures.verdict_tables import claim_cases, claims
from tests.report.synthetic_records import HOSTILE
from tests.report.test_page import read

FIGURES = ["fig01_cka_within", "fig02_cka_across"]


def part(**changed):
    tables = {"claims.csv": claims(), "claim_cases.csv": claim_cases()}
    return verdicts.verdict_part(tables | changed, FIGURES)


def of(claim, found=None):
    return next(row for row in (found or part())["rows"] if row.claim == claim)


@pytest.fixture(scope="module")
def html(page_parts):
    return page.render(*page_parts)


def css(word):
    return word.replace(",", "").replace(" ", "-")


def section(html, name):
    return html.split(f'<section id="{name}">')[1].split("</section>")[0]


def test_claims_come_first_and_are_named_in_the_navigation(html):
    assert html.index('<section id="verdicts">') < html.index('<section id="run">')
    nav = html.split("<nav")[1].split("</nav>")[0]
    assert nav.index("#verdicts") < nav.index("#run")
    assert 'href="#differences"' in nav


def test_every_verdict_is_counted_with_its_meaning(html):
    found = part()
    assert [word for word, *_ in found["counts"]] == list(VERDICTS)
    assert [count for _, _, count, _ in found["counts"]] == [2, 1, 0, 0, 0, 1, 1, 0, 0, 1]
    assert set(verdicts.MARKS) == set(verdicts.MEANINGS) == set(VERDICTS)
    assert len(set(verdicts.MARKS.values())) == len(VERDICTS), (
        "badges are told apart without colour"
    )
    shown = section(html, "verdicts")
    for word, mark, count, meaning in found["counts"]:
        assert f'<span class="verdict {css(word)}">{mark} {count} {word}</span>' in shown
        assert meaning in shown


def test_every_claim_has_a_badge_and_a_link_to_a_figure_that_is_there(html):
    shown = section(html, "verdicts")
    body = shown.split('<table class="claims">')[1].split("</table>")[0]
    rows = body.split("<tbody>")[1].split("<tr>")[1:]
    assert len(rows) == 6
    for row, (_, claim) in zip(rows, claims().iterrows(), strict=True):
        assert f'class="verdict {css(claim.verdict)}"' in row
        links = re.findall(r'href="#([^"]+)"', row)
        expected = ["fig01_cka_within"] if claim.drawn == "fig01_cka_within" else []
        assert links == expected
    assert 'id="fig01_cka_within"' in html and "fig_not_drawn" not in html


def test_a_figure_that_is_not_on_the_page_is_not_linked(page_parts):
    config, tables, dataset, figures, records = page_parts
    without = [figure for figure in figures if figure["name"] != "fig01_cka_within"]
    html = page.render(config, tables, dataset, without, records)
    found = read(html)
    assert "#fig01_cka_within" not in found.links
    assert all(link[1:] in found.ids for link in found.links if link.startswith("#"))


def test_hostile_text_is_escaped_in_every_cell(html):
    shown = section(html, "verdicts")
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;alert(") == 4
    assert shown.count("</table>") == 2


def test_measured_values_come_with_interval_and_what_decided():
    assert of("C1").measured == "0.61 [0.51, 0.72] (ViT-S: mean CKA)"
    assert (of("C1").control, of("C1").needed) == ("0.31", "mean CKA > 0.5")
    assert of("C1").difference == "0.30 [0.20, 0.40]" and of("C3").difference == ""
    assert (of("C1").over, of("C1").seeds) == ("images and seeds", "3 of ViT-S")
    assert of("C1").discovery == "p = 0.012, q = 0.034" and of("C5").discovery == ""
    assert of("C1").paper == "0.8 [fig]"
    assert of("C3").control == ""
    not_run = of("C5")
    assert not_run.measured == "" and not_run.drawn == "" and not_run.because


def test_undefined_ends_and_missing_words_are_dashes_and_blanks():
    table = claims()
    table.loc[0, ["low", "high"]] = np.nan
    table.loc[0, ["because", "deciding", "threshold", "paper_value", "stands_under"]] = None
    row = of("C1", part(**{"claims.csv": table}))
    assert row.measured == "0.61 [–, –]"
    assert (row.because, row.needed, row.paper, row.opinions) == ("", "", "[fig]", "")
    assert "nan" not in " ".join(map(str, row)).lower()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("linear, rbf; not under procrustes", "stands under linear, rbf; not under procrustes"),
        ("linear", "stands under linear"),
        ("not under rbf", "stands not under rbf"),
    ],
)
def test_second_opinions_are_a_sentence(page_parts, told, said):
    config, _, dataset, figures, records = page_parts
    table = claims()
    table["stands_under"] = [told, *[""] * 5]
    html = page.render(config, {"claims.csv": table}, dataset, figures[:1], records)
    assert html.count("stands ") == 1 and f"of similarity: {said}</span>" in html


def test_the_page_says_what_intervals_run_over_what_tiers_mean_and_the_rate_of_false_ones(html):
    shown = " ".join(section(html, "verdicts").split())
    assert "Over images and seeds: 3 of ViT-S" in shown
    assert "over these images and these seeds" in shown
    for tier, meaning in verdicts.TIERS:
        assert f"{tier}, {meaning}" in shown
    assert "Of 4 decisive verdicts 1 are taken at a false discovery rate of 0.05" in shown


def test_an_amended_claim_says_when_and_what_it_was_by_the_stricter_criteria(page_parts):
    config, _, dataset, figures, records = page_parts
    table = claims()
    table["amended"] = ["2026-11-29", "2026-11-29", *[""] * 4]
    table["verdict_before"] = ["does not hold", *[""] * 5]
    html = page.render(config, {"claims.csv": table}, dataset, figures[:1], records)
    assert "Amended 2026-11-29; by the stricter criteria before: does not hold</span>" in html
    assert html.count("Amended 2026-11-29") == 2 and html.count("stricter criteria before") == 1


def test_cases_are_rows_of_text_and_failures_are_flagged():
    cases = part()["cases"]
    assert all(isinstance(cell, str) for row in cases for cell in row.cells)
    assert {len(row.cells) for row in cases} == {len(verdicts.CASES_HEAD)}
    assert cases[0] == Row(
        [
            *("C1", "ViT-S", "mean CKA", "0.613", "0.507", "0.719", "images and seeds"),
            *("3 of ViT-S", "> 0.5", "holds", "0.311", "0.30 [0.20, 0.40]"),
        ],
        "",
    )
    assert [row.mark for row in cases] == ["", "flagged", ""]
    assert cases[2].cells[3:6] == ["–", "–", "0.700"] and cases[2].cells[-2:] == ["–", "–"]


def test_cases_without_names_are_blank():
    table = claim_cases()
    table.loc[0, ["case", "criterion"]] = None
    assert part(**{"claim_cases.csv": table})["cases"][0].cells[1:3] == ["", ""]


@pytest.mark.parametrize("tables", [{}, {"claims.csv": claims()[:0]}], ids=["absent", "empty"])
def test_without_claims_the_page_has_no_such_section(page_parts, tables):
    config, _, dataset, figures, records = page_parts
    assert verdicts.verdict_part(tables, FIGURES) is None
    html = page.render(config, tables, dataset, figures[:1], records)
    assert "verdicts" not in read(html).ids and 'href="#verdicts"' not in html


def test_without_cases_the_claims_stand_alone(page_parts):
    config, _, dataset, figures, records = page_parts
    for cases in ({}, {"claim_cases.csv": claim_cases()[:0]}):
        html = page.render(config, {"claims.csv": claims()} | cases, dataset, figures[:1], records)
        assert "verdicts" in read(html).ids and "Every reading behind" not in html


def test_tables_read_from_files_give_the_same_page(tmp_path):
    """Blanks come back as NaN, numbers as numbers."""
    tables = {"claims.csv": claims(), "claim_cases.csv": claim_cases()}
    for name, table in tables.items():
        write_table(tmp_path / name, table)
    again = {name: read_checked(tmp_path / name, name) for name in tables}
    assert verdicts.verdict_part(again, FIGURES) == verdicts.verdict_part(tables, FIGURES)


def test_all_claims_not_run_is_a_page_too(tmp_path):
    table = claims().iloc[[4, 4]]
    write_table(tmp_path / "claims.csv", table)
    read_back = read_checked(tmp_path / "claims.csv", "claims.csv")
    found = part(**{"claims.csv": read_back, "claim_cases.csv": claim_cases()[:0]})
    assert [row.measured for row in found["rows"]] == ["", ""] and found["cases"] == []


def test_differences_name_what_the_figures_declare(html, page_parts):
    shown = section(html, "differences")
    text = "".join(read(shown).text)
    for name, sentence in differences.GENERAL:
        assert name in text and " ".join(sentence.split()) in " ".join(text.split())
    told = [figure for figure in page_parts[3] if figure["differs"]]
    assert shown.count("<dt>") == len(differences.GENERAL) + len(told)
    silent = {**page_parts[3][0], "differs": "", "title": "Silent figure"}
    bare = page.render(*page_parts[:3], [silent], page_parts[4])
    assert "Silent figure" not in section(bare, "differences")


def test_sentences_of_a_figure_become_one_paragraph():
    assert page._joined(("One?", "Two.", "Three.")) == "One? Two. Three."
    assert page._joined("One. Two.") == "One. Two."
    assert HOSTILE not in page._joined("")


def test_many_claims_of_one_word_are_counted_once_each():
    table = pd.concat([claims().iloc[[0]]] * 7, ignore_index=True)
    counts = {word: count for word, _, count, _ in part(**{"claims.csv": table})["counts"]}
    assert counts == dict.fromkeys(VERDICTS, 0) | {"holds, learned": 7}
