"""What the explorer answers, in a browser: to the pointer, to the keyboard, to what is chosen."""

import re

import numpy as np
import pytest

from sightlines.report.explore import explorer
from tests.report.explore_pages import as_the_table, cell, experiment, hostile, page
from tests.report.synthetic_records import HOSTILE
from tests.report.test_browser import CHROMIUM, FLAGS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on the PATH"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
PLACES = re.compile(r"\((\d+)\)")
CKA = re.compile(r"CKA (\S+) ± (\S+) \(standard error\)")


@pytest.fixture(scope="module")
def parts():
    return experiment()


@pytest.fixture(scope="module")
def written(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("explorer")
    (folder / "page.html").write_text(page(explorer.explorer(*parts)))
    (folder / "hostile.html").write_text(page(explorer.explorer(*hostile(*parts))))
    return folder


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, written, request):
    """The page in a window of 1,200 px; errors and requests fail the test that uses it."""
    errors, requests = [], []
    found = browser.new_page(viewport={"width": 1200, "height": 1000})
    found.on("console", lambda message: errors.append(message.text))
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("request", lambda asked: requests.append(asked.url))
    path = written / getattr(request, "param", "page.html")
    found.goto(path.as_uri())
    found.wait_for_selector(".explore-plot")
    yield found
    found.close()
    assert errors == []
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]


def said(opened):
    return opened.inner_text("#explore-said-maps")


def assert_says_the_table(text, tables, a, b):
    i, j = map(int, PLACES.findall(text))
    own, _, control = text.partition("untrained controls: ")
    row = cell(tables, a, b, i, j)
    if np.isnan(row["cka"]):
        assert "undefined: a layer does not vary" in own
    else:
        value, error = CKA.search(own).groups()
        assert as_the_table(float(value.replace("−", "-")), row["cka"])
        assert as_the_table(float(error), row["cka_se"])
    names = tables["layers.csv"].set_index(["model", "layer"])["name"]
    assert names[a.split("/")[0], i] in text and names[b.split("/")[0], j] in text
    return i, j, control


def test_a_cell_tells_names_value_error_and_control(opened, parts):
    _, tables = parts
    slugs = ("vit_small/f100/s0", "resnet_thin/f100/s0")
    for place, slug in enumerate(slugs):
        for x, y in ((0.3, 0.4), (0.7, 0.2), (0.5, 0.8)):
            frame = opened.locator(".explore-maps .explore-plot").nth(place)
            box = frame.bounding_box()
            frame.hover(position={"x": x * box["width"], "y": y * box["height"]})
            i, j, control = assert_says_the_table(said(opened), tables, slug, slug)
            bare = slug.replace("f100", "f000")
            value = CKA.search(control).group(1)
            assert as_the_table(
                float(value.replace("−", "-")), cell(tables, bare, bare, i, j)["cka"]
            )
            assert opened.locator(".explore-tip").is_visible()


def test_arrow_keys_go_from_cell_to_cell(opened, parts):
    frame = opened.locator(".explore-maps .explore-plot").first
    frame.focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "ArrowDown"):
        opened.keyboard.press(key)
    i, j, _ = assert_says_the_table(
        said(opened), parts[1], "vit_small/f100/s0", "vit_small/f100/s0"
    )
    assert (i, j) in ((1, 1), (0, 1))
    opened.keyboard.press("End")
    opened.keyboard.press("PageUp")
    i, j, _ = assert_says_the_table(
        said(opened), parts[1], "vit_small/f100/s0", "vit_small/f100/s0"
    )
    last = (parts[1]["layers.csv"]["model"] == "vit_small").sum() - 1
    assert (i, j) == (last, last)
    assert opened.get_attribute("#explore-said-maps", "aria-live") == "polite"
    assert frame.get_attribute("aria-label").startswith("Map of linear CKA")


def test_a_cell_that_is_clicked_tells_what_else_was_measured(opened, parts):
    _, tables = parts
    opened.select_option("select[name=versus]", label="Resnet thin, 100 %, s0")
    frame = opened.locator(".explore-maps .explore-plot").first
    box = frame.bounding_box()
    frame.click(position={"x": 0.5 * box["width"], "y": 0.5 * box["height"]})
    i, _, _ = assert_says_the_table(
        opened.inner_text(".explore-details > p >> nth=0"),
        tables,
        "vit_small/f100/s0",
        "resnet_thin/f100/s0",
    )
    rows = opened.locator(".explore-details tbody tr").all_inner_texts()
    assert any(row.startswith("Skip ratio") for row in rows)
    assert any(row.startswith("Attention distance") for row in rows)
    diagnostics = tables["diagnostics.csv"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0'"
    )
    shown = next(row for row in rows if row.startswith("First principal component"))
    name = tables["layers.csv"].query("model == 'vit_small'")["name"].iloc[i]
    expected = diagnostics.loc[diagnostics["name"] == name, "top_share"].iloc[0]
    assert as_the_table(float(re.findall(r"0\.\d+", shown)[0]), expected)


def test_a_map_of_two_networks_can_be_asked_either_way_round(opened, parts):
    """The table has a pair in one order; the map of the other order is its transpose."""
    _, tables = parts
    counts = tables["layers.csv"]["model"].value_counts()
    slugs = ("vit_small/f100/s0", "resnet_thin/f100/s0")
    for place, other in ((0, "Resnet thin, 100 %, s0"), (1, "ViT small, 100 %, s0")):
        opened.select_option("select[name=versus]", label=other)
        frame = opened.locator(".explore-maps .explore-plot").nth(place)
        a, b = slugs[place], slugs[1 - place]
        sizes = [counts[slug.split("/")[0]] for slug in (a, b)]
        assert f"{sizes[0]} × {sizes[1]} layers" in frame.get_attribute("aria-label")
        title = opened.locator(".explore-maps figcaption").nth(place).inner_text()
        assert title.endswith(f" × {other}")
        frame.focus()
        for key in ("ArrowUp", "ArrowUp", "ArrowUp", "ArrowRight", "ArrowRight"):
            opened.keyboard.press(key)
        (i, j), text = map(int, PLACES.findall(said(opened))), said(opened)
        row = cell(tables, *slugs, *((i, j) if place == 0 else (j, i)))
        assert i != j and as_the_table(float(CKA.search(text).group(1)), row["cka"])
        frame.blur()


def test_what_is_chosen_is_shown(opened, parts):
    _, tables = parts
    opened.select_option("select[name=fraction]", "f000")
    opened.select_option("select[name=seed]", "s1")
    frame = opened.locator(".explore-maps .explore-plot").first
    frame.hover(position={"x": 100, "y": 100})
    slug = "vit_small/f000/s1"
    _, _, control = assert_says_the_table(said(opened), tables, slug, slug)
    assert control == ""
    opened.select_option("select[name=layers]", "blocks")
    blocks = (tables["layers.csv"].query("model == 'vit_small'")["kind"] == "residual").sum()
    label = opened.locator(".explore-plot").first.get_attribute("aria-label")
    assert f"{blocks} × {blocks} layers" in label
    opened.uncheck("input[name=model] >> nth=1")
    assert opened.locator(".explore-maps figure").count() == 1
    opened.select_option("select[name=fraction]", "f100")
    opened.select_option("select[name=seed]", "s0")
    opened.select_option("select[name=index]", "procrustes")
    frame = opened.locator(".explore-maps .explore-plot").first
    frame.focus()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    row, column = map(int, PLACES.findall(said(opened)))
    procrustes = {
        "cka.parquet": tables["similarity_indices.parquet"].query("index == 'procrustes'")
    }
    own = cell(procrustes, "vit_small/f100/s0", "vit_small/f100/s0", row, column)
    shown = float(re.search(r"Procrustes similarity (\S+);", said(opened)).group(1))
    assert row != column and as_the_table(shown, own["value"])


def test_points_of_lines_tell_value_and_interval(opened, parts):
    _, tables = parts
    assert not opened.locator("select[name=measure]").is_visible()
    opened.locator("summary", has_text="Other measurements").click()
    opened.select_option("select[name=measure]", "skip")
    opened.locator("[aria-label^='Skip ratio, patches by depth']").focus()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    text = opened.inner_text("#explore-said-lines")
    block, kind = re.search(r"block(\d+)\.(\w+)", text).groups()
    own = tables["skip_ratios.parquet"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0' and tokens == 'spatial' and "
        "left_out == -1 and block == @b and branch == @kind",
        local_dict={"b": int(block), "kind": kind},
    )
    shown = float(re.search(r"Skip ratio, patches (\S+)", text).group(1))
    assert abs(shown / own["ratio"].iloc[0] - 1) < 1e-3
    assert "95 % interval" in text and "untrained: " in text


@pytest.mark.parametrize("opened", ["hostile.html"], indirect=True)
def test_hostile_names_stay_text(opened):
    dialogs = []
    opened.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    frame = opened.locator(".explore-maps .explore-plot").first
    frame.hover(position={"x": 100, "y": 100})
    assert said(opened).count(HOSTILE) >= 3
    frame.click(position={"x": 100, "y": 100})
    opened.locator("summary", has_text="Other measurements").click()
    for name in ("versus", "fraction", "seed", "layers", "measure"):
        for place in range(opened.locator(f"select[name={name}] option").count()):
            opened.select_option(f"select[name={name}]", index=place)
    opened.locator("[aria-label*='by depth']").first.hover(position={"x": 200, "y": 150})
    assert opened.locator("script").count() == 1 + len(explorer.scripts())
    assert dialogs == []


def test_without_javascript_the_page_says_so(browser, written):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 400, "height": 800})
    found = context.new_page()
    found.goto((written / "page.html").as_uri())
    assert "needs JavaScript, which is off" in found.inner_text("noscript")
    assert not found.locator("#explore-app").is_visible()
    context.close()


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_its_window_and_can_be_read(browser, written, width, scheme):
    found = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    found.goto((written / "page.html").as_uri())
    found.wait_for_selector(".explore-plot")
    found.locator("summary", has_text="Other measurements").click()
    found.locator(".explore-plot").first.click(position={"x": 100, "y": 100})
    measured = found.evaluate(
        """() => ({
            page: document.documentElement.scrollWidth,
            window: document.documentElement.clientWidth,
            nodes: document.querySelectorAll(".explore-maps svg *").length,
            letters: Math.min(...[...document.querySelectorAll("#explore-app text, #explore-app p")]
                .filter((e) => e.textContent && e.getClientRects().length)
                .map((e) => parseFloat(getComputedStyle(e).fontSize))),
            ink: getComputedStyle(document.querySelector(".explore-tip")).color,
            page_colour: getComputedStyle(document.body).backgroundColor,
        })"""
    )
    assert measured["page"] <= measured["window"]
    assert measured["letters"] >= 12
    assert measured["nodes"] < 200  # images, not a node a cell
    assert measured["ink"] != measured["page_colour"]
    found.close()
