"""Claims on the page: one row in the overview, one card in the section of their question."""

import re

import numpy as np
import pandas as pd
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import write_table
from sightlines.report import differences, page, verdicts
from sightlines.report.parts import Row
from sightlines.results.tables import read_checked
from sightlines.results.verdict_words import VERDICTS
from tests.figures.verdict_tables import claim_cases, claims
from tests.report.synthetic_records import HOSTILE
from tests.report.test_page import read

pytestmark = pytest.mark.whole

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


def overview(html):
    return html.split('<div class="forest">')[1].split("</section>")[0]


def card(html, anchor):
    return html.split(f'<details class="claim" id="{anchor}">')[1].split("</details>")[0]


def words(markup):
    return " ".join("".join(read(markup).text).split())


def test_the_answer_comes_first_and_counts_every_claim(html):
    assert html.index('class="answer"') < html.index('<section id="answer"')
    assert (
        "Of 6 claims 3 hold (2 learned in training, 1 true of untrained networks as well), 1 does "
        "not, 1 is undecided and 1 was not run." in html
    )


def test_the_overview_stands_before_all_sections_and_names_them(html):
    nav = html.split("<nav")[1].split("</nav>")[0]
    for anchor in ("explore", "structure", "skips", "measurement", "run", "provenance"):
        assert f'href="#{anchor}"' in nav
        assert html.index('<div class="forest">') < html.index(f'<section id="{anchor}"')


def test_the_legend_has_the_verdicts_that_there_are_with_their_meaning(html):
    found = part()
    assert [(word, count) for word, _, count, _ in found["counts"]] == [
        ("holds, learned", 2),
        ("holds at initialisation", 1),
        ("does not hold", 1),
        ("undecided", 1),
        ("not run", 1),
    ]
    assert set(verdicts.MARKS) == set(verdicts.MEANINGS) == set(VERDICTS)
    assert len(set(verdicts.MARKS.values())) == len(VERDICTS), "told apart without colour"
    assert {*found["absent"], *(word for word, *_ in found["counts"])} == set(VERDICTS)
    legend = words(overview(html).split('<ul class="legend">')[1].split("</ul>")[0])
    for word, mark, count, meaning in found["counts"]:
        assert f"{mark} {word} ({count}) {meaning}" in legend


def test_every_claim_is_a_row_that_links_to_its_card(html):
    rows = overview(html).split('<a class="row" href="#')[1:]
    absent = overview(html).split('<li class="absent">')[1:]
    assert (len(rows), len(absent)) == (5, 1), "what was not run has a link, and no empty row"
    assert 'class="verdict not-run"' in absent[0]
    links = absent[0].split('<a href="#')[1:]
    rows += [f'{link} class="verdict not-run"' for link in links]
    by_anchor = {row.partition('"')[0]: row for row in rows}
    for claim in claims().itertuples():
        row = by_anchor[claim.claim]
        assert f'class="verdict {css(claim.verdict)}"' in row
        assert html.count(f'<details class="claim" id="{claim.claim}">') == 1


def test_cards_stand_in_the_section_of_their_question_and_link_to_figures_that_are_there(html):
    structure = html.split('<section id="structure"')[1].split("</section>")[0]
    assert all(f'<details class="claim" id="C{n}">' in structure for n in range(1, 6))
    assert 'id="C6"' not in structure
    for claim in claims().itertuples():
        links = re.findall(r'href="#([^"]+)"', card(html, claim.claim))
        assert links == (["fig01_cka_within"] if claim.drawn == "fig01_cka_within" else [])
    assert 'id="fig01_cka_within"' in html and "fig_not_drawn" not in html


def test_a_figure_that_is_not_on_the_page_is_not_linked(page_parts):
    config, tables, dataset, figures, records = page_parts
    without = [figure for figure in figures if figure["name"] != "fig01_cka_within"]
    found = read(page.render(config, tables, dataset, without, records))
    assert "#fig01_cka_within" not in found.links
    assert all(link[1:] in found.ids for link in found.links if link.startswith("#"))


TEXTS = [
    *("claim", "study", "figure", "tier", "statement", "because", "statistic", "deciding", "over"),
    *("seeds", "threshold", "reason", "controls", "paper_value", "source", "amended"),
    *("verdict_before", "depends_on", "other_criteria", "stands_under", "drawn"),
]


@pytest.mark.parametrize("hostile", [HOSTILE, "' onmouseover='x'", '"><img src=x>', "</style>"])
def test_hostile_text_is_escaped_in_every_field(page_parts, hostile):
    """Of claims and their readings, of networks, classes, splits, figures and the experiment."""
    config, tables, _, figures, records = page_parts
    table, cases = claims(), claim_cases()
    table[TEXTS] = hostile
    table.loc[0, "claim"] = "C1"  # which the page's answer tells, with what decided
    cases[["case", "criterion", "over", "seeds", "threshold", "outcome"]] = hostile
    cases["claim"] = hostile
    layers = tables["layers.csv"].assign(name=hostile)
    accuracy = tables["accuracy.csv"].assign(class_order=hostile, class_order_note=hostile)
    accuracy["weights_note"] = hostile
    own = config | {
        "experiment": hostile,
        "labels": dict.fromkeys(config["labels"], hostile),
        "families": config["families"],
    }
    told = {
        "kind": hostile,
        "classes": [hostile],
        "counts": {hostile: 3, "test": 1013},
        "size_px": 31,
        "folders": {hostile: hostile},
    }
    described = [
        figure
        | dict.fromkeys(("title", "paper", "caption", "explains", "differs", "alt"), hostile)
        | {"saw": ((hostile, hostile),)}
        for figure in figures
    ]
    more = {"claims.csv": table, "claim_cases.csv": cases, "layers.csv": layers}
    html = page.render(own, tables | more | {"accuracy.csv": accuracy}, told, described, records)
    without = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert hostile not in re.sub(r"<style>.*?</style>", "", without, flags=re.DOTALL)
    found = read(html)
    assert "onmouseover" not in {name for names in found.attributes for name in names}
    assert len(found.ids) == len(set(found.ids))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in found.ids)
    assert all(re.match(r"data:|#|figures/\w+\.(pdf|svg|csv)$", link) for link in found.links)


def test_a_verdict_that_there_is_not_is_refused():
    table = claims()
    table.loc[2, "verdict"] = HOSTILE
    with pytest.raises(ResultError, match=r"has the verdict .*Delete it"):
        part(**{"claims.csv": table})


def test_measured_values_come_with_interval_and_what_decided():
    assert of("C1").measured == "0.61 [0.51, 0.72] (ViT-S: mean CKA)"
    assert of("C1").value == "0.61 [0.51, 0.72]"
    assert (of("C1").control, of("C1").needed) == ("0.31", "mean CKA > 0.5")
    assert of("C1").difference == "0.30 [0.20, 0.40]" and of("C3").difference == ""
    assert (of("C1").over, of("C1").seeds) == ("images and seeds", "3 of ViT-S")
    assert of("C1").discovery == "p = 0.012, q = 0.034" and of("C5").discovery == ""
    assert of("C1").paper == "0.8 [fig]"
    assert of("C3").control == ""
    not_run = of("C5")
    assert not_run.measured == "" and not_run.drawn == "" and not_run.because


def test_an_end_of_an_interval_is_told_apart_from_the_threshold_in_all_places():
    table = claims()
    table.loc[0, ["low", "control"]] = 0.498, 0.504
    row = of("C1", part(**{"claims.csv": table}))
    assert row.value == "0.613 [0.498, 0.719]" and row.control == "0.504"
    assert row.picture.words.startswith(
        "0.613, interval 0.498 to 0.719; needed ≥ 0.5; untrained 0.504"
    )


def test_one_run_is_said_of_intervals_over_images_alone():
    table = claims()
    table.loc[0, "over"] = "images"
    table.loc[2, "over"] = "images and networks"
    told = part(**{"claims.csv": table})
    assert [of(claim, told).one_run for claim in ("C1", "C2", "C3")] == [True, False, False]


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
    assert html.count("stands ") == 1 and f"of similarity: {said}</dd>" in html


def test_the_page_says_what_intervals_run_over_what_tiers_mean_and_the_rate_of_false_ones(html):
    assert "over images and seeds: 3 of ViT-S" in words(card(html, "C2"))
    shown = words(html.split('id="verdicts">')[1].split("</details>")[0])
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
    assert "2026-11-29; by the stricter criteria before: does not hold</dd>" in html
    assert html.count("<dt>Amended</dt>") == 2 and html.count("stricter criteria before") == 1


def test_readings_are_rows_of_text_of_their_claim_and_failures_are_flagged():
    found = {row.claim: row.cases for row in part()["rows"]}
    assert {len(row.cells) for own in found.values() for row in own} == {len(verdicts.CASES_HEAD)}
    assert found["C1"] == [
        Row(
            [
                *("ViT-S", "mean CKA", "0.613", "0.507", "0.719", "images and seeds"),
                *("3 of ViT-S", "> 0.5", "holds", "0.311", "0.30 [0.20, 0.40]"),
            ],
            "",
        )
    ]
    assert found["C2"][0].mark == "flagged" and found["C3"][0].mark == ""
    assert found["C3"][0].cells[2:5] == ["–", "–", "0.700"]
    assert found["C3"][0].cells[-2:] == ["–", "–"] and found["C4"] == []


def test_cases_without_names_are_blank():
    table = claim_cases()
    table.loc[0, ["case", "criterion"]] = None
    assert of("C1", part(**{"claim_cases.csv": table})).cases[0].cells[:2] == ["", ""]


@pytest.mark.parametrize("tables", [{}, {"claims.csv": claims()[:0]}], ids=["absent", "empty"])
def test_without_claims_the_page_has_figures_alone(page_parts, tables):
    config, _, dataset, figures, records = page_parts
    assert verdicts.verdict_part(tables, FIGURES) is None
    found = read(page.render(config, tables, dataset, figures, records))
    assert "verdicts" not in found.ids and "structure" in found.ids
    assert "Every claim" not in " ".join(found.text)


def test_without_cases_the_claims_stand_alone(page_parts):
    config, _, dataset, figures, records = page_parts
    for cases in ({}, {"claim_cases.csv": claim_cases()[:0]}):
        html = page.render(config, {"claims.csv": claims()} | cases, dataset, figures[:1], records)
        assert 'id="C1"' in html and "every reading behind" not in html


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
    assert [row.measured for row in found["rows"]] == ["", ""]
    assert [row.anchor for row in found["rows"]] == ["C5", "C5-2"]


def test_what_is_out_of_reach_is_grouped_by_what_is_lacking():
    table = claims()
    table["verdict"] = "out of reach"
    lacking = "needs a network that learns local heads"
    table["because"] = [
        f"the head looks far: {lacking}; one run, so needs a second seed",
        f"with all images: {lacking}",
        "fails for ViT-S; the claim is about more data than these networks have seen",
        "no ViT-L",
        "no ViT-L; and more",
        "nothing",
    ]
    found = part(**{"claims.csv": table})["out_of_reach"]
    assert [([row.claim for row in rows], why) for rows, why in found] == [
        (["C1", "C2"], lacking),
        (["C3"], "the claim is about more data than these networks have seen"),
        (["C4", "C5"], "no ViT-L"),
        (["C6"], "nothing"),
    ]


def test_differences_stand_with_the_figures_and_for_all(html, page_parts):
    shown = words(html.split('id="differences">')[1].split("</details>")[0])
    for name, sentence in differences.GENERAL:
        assert name in shown and " ".join(sentence.split()) in shown
    told = [figure for figure in page_parts[3] if figure["differs"]]
    assert html.count("Where it differs from the paper: ") == len(told)
    silent = {**page_parts[3][0], "differs": "", "explains": "", "title": "Silent figure"}
    bare = page.render(*page_parts[:3], [silent], page_parts[4])
    assert "Where it differs from the paper" not in bare


def test_sentences_of_a_figure_become_one_paragraph():
    assert page._joined(("One?", "Two.", "Three.")) == "One? Two. Three."
    assert page._joined("One. Two.") == "One. Two."
    assert HOSTILE not in page._joined("")


def test_many_claims_of_one_word_are_counted_once_each():
    table = pd.concat([claims().iloc[[0]]] * 7, ignore_index=True)
    found = part(**{"claims.csv": table})["counts"]
    assert [(word, count) for word, _, count, _ in found] == [("holds, learned", 7)]
