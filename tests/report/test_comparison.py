import math
import re

import numpy as np
import pandas as pd
import pytest

from sightlines.report.explore import comparison
from sightlines.report.explore.comparison import Side
from tests.figures import verdict_tables
from tests.report.explore_pages import as_the_table, cell, experiment, hostile
from tests.report.synthetic_records import HOSTILE
from tests.report.test_browser import CHROMIUM, FLAGS
from tests.report.test_page import read
from tests.rounding import rounded


def side(name, seed=0.0, steps=900):
    config, tables = experiment(name, seed)
    claims, cases = verdict_tables.claims(), verdict_tables.claim_cases()
    accuracy = pd.DataFrame(
        [[*slug.split("/"), 0.5 + seed / 4] for slug in config["networks"]],
        columns=["model", "fraction", "seed", "accuracy_test"],
    )
    tables |= {"claims.csv": claims, "claim_cases.csv": cases, "accuracy.csv": accuracy}
    config = config | {"config": {"train": {"steps": steps, "batch_size": 32}}}
    return Side(name, config, tables, {"torch": f"2.{steps}"})


@pytest.fixture(scope="module")
def sides():
    one, other = side("one"), side("other", seed=0.5, steps=1200)
    claims = other.tables["claims.csv"].copy()
    claims.loc[1, "verdict"] = (
        "does not hold" if claims["verdict"][1] != "does not hold" else "holds"
    )
    cases = other.tables["claim_cases.csv"].copy()
    cases[["value", "low", "high"]] += 0.25
    return one, other._replace(
        tables=other.tables | {"claims.csv": claims, "claim_cases.csv": cases}
    )


def test_verdicts_that_turned_come_first(sides):
    html = comparison.render(*sides)
    found = read(html)
    claims = sides[0].tables["claims.csv"]
    turned = html.split('<section id="turned">')[1].split("</section>")[0]
    assert f"<strong>{claims['claim'][1]}</strong>" in turned
    assert turned.count("<strong>") - turned.count("<strong>clear") == 1
    assert html.index('id="turned"') < html.index('id="settings"') < html.index('id="claims"')
    text = " ".join("".join(found.text).split())
    assert f"1 of {len(claims)} verdicts differ" in text


def test_settings_versions_and_accuracies_that_differ_are_told(sides):
    html = comparison.render(*sides)
    text = "".join(read(html).text)
    assert "train.steps" in text and "train.batch_size" not in text
    assert "2.900" in text and "2.1200" in text
    assert "+12.5" in text and "50.0 %" in text and "62.5 %" in text


def test_a_difference_has_the_interval_of_two_independent_values():
    one, other = (0.5, 0.4, 0.7), (0.8, 0.77, 0.84)
    value, low, high = comparison._difference(one, other)
    assert value == rounded(0.3, terms=1)
    assert low == rounded(0.3 - math.hypot(0.03, 0.2), terms=4)
    assert high == rounded(0.3 + math.hypot(0.04, 0.1), terms=4)
    assert np.isnan(comparison._difference((0.5, np.nan, np.nan), other)[1])


def test_the_interval_of_a_difference_covers_as_often_as_it_says():
    """Of means of independent draws, 19 times in 20."""
    rng = np.random.default_rng(0)
    spread = np.array([0.2, 0.3])
    covered = 0
    for _ in range(2000):
        means = np.array([1.0, 1.5]) + spread * rng.standard_normal(2)
        both = [(m, m - 1.96 * s, m + 1.96 * s) for m, s in zip(means, spread, strict=True)]
        _, low, high = comparison._difference(*both)
        covered += low <= 0.5 <= high
    assert 0.93 < covered / 2000 < 0.97


def test_readings_are_of_the_same_case_and_criterion(sides):
    rows = comparison._readings(list(sides))
    cases = sides[0].tables["claim_cases.csv"]
    known = cases[np.isfinite(cases["value"])]
    assert {(r["claim"], r["case"], r["criterion"]) for r in rows} <= set(
        known[comparison.CASE].itertuples(index=False, name=None)
    )
    assert rows and all(r["difference"].startswith("0.250") for r in rows)
    for row in rows:
        places = [p for s in row["strip"]["sides"] for p in (s["at"], *s["ends"])]
        assert all(0 <= place <= 100 for place in places)


def test_equal_results_differ_in_nothing(sides):
    html = comparison.render(sides[0], sides[0]._replace(name="again"))
    text = " ".join("".join(read(html).text).split())
    assert "0 of" in text and "No setting of their configs." in text
    assert html == comparison.render(sides[0], sides[0]._replace(name="again"))


def test_what_one_of_them_lacks_is_left_out(sides):
    bare = Side("bare", {"networks": ["vit_small/f100/s0", "x/f100/s0"]}, {}, {})
    found = read(comparison.render(bare, sides[1]))
    text = "".join(found.text)
    assert "No verdicts to compare" in text and "explore" not in found.ids
    assert "Networks of bare alone: x/f100/s0" in text


def test_nothing_of_either_is_trusted(sides):
    one, other = sides
    config, tables = hostile(one.config, one.tables)
    for name, columns in (
        ("claims.csv", ["title", "statement", "because"]),
        ("claim_cases.csv", ["over"]),
    ):
        tables[name] = tables[name].assign(**dict.fromkeys(columns, HOSTILE))
    verdicts = tables["claims.csv"].assign(verdict=f'"{HOSTILE}')
    tables["claims.csv"] = verdicts
    config["config"] = {HOSTILE: HOSTILE}
    config["networks"] = [*config["networks"], f"{HOSTILE}/f100/s0".replace("</", "<")]
    bad = Side(HOSTILE, config, tables, {HOSTILE: HOSTILE})
    html = comparison.render(bad, other)
    assert "<script>alert" not in html
    again = comparison.render(bad, bad._replace(name=f"{HOSTILE}2"))
    assert "<script>alert" not in again and "explore-data" in again


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on the PATH")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("width", [400, 1400])
def test_maps_are_differences_of_both(sides, tmp_path, width):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    (tmp_path / "page.html").write_text(comparison.render(*sides))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 900})
        errors = []
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_selector(".explore-plot")
        page.locator(".explore-maps .explore-plot").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        said = page.inner_text("#explore-said-maps")
        sizes = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        browser.close()
    assert errors == [] and sizes[0] <= sizes[1]
    row, column = map(int, re.findall(r"\((\d+)\)", said))
    slug = "vit_small/f100/s0"
    value = cell(sides[0].tables, slug, slug, row, column)["cka"]
    shown = [float(v.replace("−", "-")) for v in re.findall(r"−?\d\.\d{4}(?= ±)", said)]
    assert (row, column) != (0, 0) and len(shown) == 3
    assert as_the_table(shown[0], value) and as_the_table(shown[1], value / 2)
    assert abs(shown[2] + value / 2) < 2e-4


@pytest.mark.whole
def test_the_command_writes_the_page(sides, tmp_path):
    from sightlines import cli

    for name, own in zip("ab", sides, strict=True):
        tables = tmp_path / name / "tables"
        tables.mkdir(parents=True)
        for file, table in own.tables.items():
            write = table.to_csv if file.endswith(".csv") else table.to_parquet
            write(tables / file, index=False)
        (tmp_path / name / "models").mkdir()
    page = tmp_path / "compare.html"
    found = []
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--page", str(page)])
        assert ended.value.code == 0
        found.append(page.read_bytes())
    assert found[0] == found[1] and b'id="explore-data"' in found[0]
    assert b"Localisation" in found[0]
    older = pd.read_parquet(tmp_path / "a" / "tables" / "localisation.parquet")
    older.drop(columns="effect").to_parquet(tmp_path / "a" / "tables" / "localisation.parquet")
    with pytest.raises(SystemExit) as ended:
        cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--page", str(page)])
    assert ended.value.code == 0 and b"Localisation" not in page.read_bytes()
