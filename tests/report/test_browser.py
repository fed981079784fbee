"""The page in Chromium: at 400 and 1,400 px, by keyboard, in print, without scripts, for all."""

import shutil

import pandas as pd
import pytest

from sightlines.claims.judge import all_claims
from sightlines.report import page
from tests.figures.verdict_tables import claims

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on the PATH"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")
def report(tmp_path_factory, page_parts):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page.render(*page_parts))
    return path


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


WIDE, NARROW = 1400, 400
HEIGHT = 12_000
"""Of the whole page at 1,400 px before anything is unfolded, at most, in px."""
BYTES = 8_000_000
PICTURES = 3_000_000
"""Characters of all pictures."""
SERIOUS = ("serious", "critical")


@pytest.fixture
def opened(browser, report, request):
    """The page; errors and requests for anything but itself fail the test that uses it."""
    options = {"viewport": {"width": WIDE, "height": 900}} | getattr(request, "param", {})
    found, requests, errors = browser.new_page(**options), [], []
    found.on("request", lambda asked: requests.append(asked.url))
    found.on("console", lambda message: errors.append(message.text))
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.goto(report.as_uri(), wait_until="load")
    yield found
    found.close()
    assert errors == []
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]


def window(width=WIDE, scheme="light", **more):
    return {"viewport": {"width": width, "height": 900}, "color_scheme": scheme} | more


LOOKS = [window(w, s) for w in (NARROW, WIDE) for s in ("light", "dark")]


@pytest.mark.parametrize("opened", LOOKS, indirect=True)
@pytest.mark.parametrize("is_unfolded", [False, True])
def test_nothing_runs_over_the_edge_and_letters_can_be_read(opened, is_unfolded):
    if is_unfolded:
        opened.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    measured = opened.evaluate(
        """() => ({
            page: document.documentElement.scrollWidth,
            window: document.documentElement.clientWidth,
            broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).length,
            least: Math.min(...[...document.querySelectorAll("figure[id] img")]
              .filter(i => i.checkVisibility()).map(i => i.clientWidth)),
            font: parseFloat(getComputedStyle(document.body).fontSize),
        })"""
    )
    assert measured["page"] <= measured["window"]
    assert measured["broken"] == 0
    assert measured["least"] >= 340
    assert measured["font"] >= 16


@pytest.mark.parametrize("opened", LOOKS, indirect=True)
@pytest.mark.parametrize("is_unfolded", [False, True])
def test_axe_finds_no_serious_fault(opened, is_unfolded):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core here")
    if is_unfolded:
        opened.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    found = axe.Axe().run(opened).response["violations"]
    faults = [
        (fault["id"], node["html"][:200], node["failureSummary"])
        for fault in found
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]
    assert faults == []


def test_the_page_is_short_and_small(opened, report):
    assert opened.evaluate("document.documentElement.scrollHeight") <= HEIGHT
    bottom = opened.evaluate("document.querySelector('#answer').getBoundingClientRect().bottom")
    assert bottom <= 3 * 900, "the overview is three screens at most"
    text = report.read_text()
    assert len(text.encode()) <= BYTES
    sources = opened.evaluate("[...document.images].map(i => i.src.length)")
    assert sum(sources) <= PICTURES


@pytest.mark.parametrize("opened", [window(NARROW), window()], indirect=True)
def test_every_verdict_is_seen_without_scrolling_sideways(opened):
    opened.evaluate("document.querySelectorAll('.group').forEach(d => { d.open = true; })")
    for row in opened.locator(".forest .row").all():
        box, badge = row.bounding_box(), row.locator(".verdict").bounding_box()
        assert badge["width"] > 20 and badge["x"] + badge["width"] <= box["x"] + box["width"] + 1
        assert box["x"] + box["width"] <= opened.viewport_size["width"]
        assert row.locator(".verdict").inner_text().strip()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, page_parts):
    """The page of an experiment of which every claim was judged, or was not run."""
    config, tables, dataset, figures, records = page_parts
    told, every = claims().to_dict("records"), all_claims()
    own = pd.DataFrame(
        told[place % len(told)]
        | {"claim": claim.id, "title": claim.title, "statement": claim.statement}
        for place, claim in enumerate(every)
    )
    path = tmp_path_factory.mktemp("whole") / "report.html"
    path.write_text(page.render(config, {**tables, "claims.csv": own}, dataset, figures, records))
    return path, own


def test_with_every_claim_it_is_still_short(browser, whole):
    path, own = whole
    found = browser.new_page(viewport={"width": WIDE, "height": 900})
    found.goto(path.as_uri())
    assert found.evaluate("document.documentElement.scrollHeight") <= HEIGHT
    seen = [row.is_visible() for row in found.locator(".forest .row").all()]
    assert all(seen) and len(seen) == (own["verdict"] != "not run").sum()
    assert not found.locator(".group > summary").first.is_visible()
    assert found.evaluate("document.querySelector('#answer').offsetHeight") <= 3 * 900
    found.close()


def test_on_a_phone_groups_are_folded_and_say_how_their_claims_came_out(browser, whole):
    path, _ = whole
    found = browser.new_page(viewport={"width": NARROW, "height": 900})
    found.goto(path.as_uri())
    assert found.evaluate("document.querySelector('#answer').offsetHeight") <= 3 * 900
    group = found.locator(".group").first
    assert not group.locator(".row").first.is_visible()
    assert "hold" in group.locator("summary").inner_text()
    group.locator("summary").focus()
    found.keyboard.press("Enter")
    assert group.locator(".row").first.is_visible()
    found.close()


def test_claims_are_reached_and_unfolded_by_the_keyboard(opened):
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.className") == "skip"
    link = opened.locator(".forest .row").first
    link.focus()
    opened.keyboard.press("Enter")
    card = opened.locator("#C1")
    assert card.locator("dl").is_visible(), "the card that a link names is open"
    assert card.evaluate("e => e.getBoundingClientRect().top") < 900
    other = opened.locator("#C2 > summary")
    other.focus()
    opened.keyboard.press("Enter")
    assert opened.locator("#C2 dl").is_visible()


def test_a_figure_is_cut_until_it_is_asked_for(opened):
    summary = opened.locator("#fig01_cka_within summary")
    picture = summary.locator("img")
    folded = picture.bounding_box()
    assert folded["height"] <= 340
    summary.focus()
    opened.keyboard.press("Enter")
    whole = picture.bounding_box()
    ratio = picture.evaluate("i => i.naturalHeight / i.naturalWidth")
    assert whole["height"] == pytest.approx(ratio * whole["width"], rel=0.02)
    assert whole["height"] > folded["height"]
    assert opened.locator("#fig01_cka_within figcaption").is_visible()


@pytest.mark.parametrize("opened", [window(java_script_enabled=False)], indirect=True)
def test_without_scripts_all_but_the_explorer_is_there(opened):
    assert opened.locator("#explore noscript").inner_text().startswith("This part")
    assert opened.locator(".forest .row").count() == (claims()["verdict"] != "not run").sum()
    assert opened.locator("#fig01_cka_within img").is_visible()


@pytest.mark.parametrize("opened", [window(718)], indirect=True)
def test_in_print_figures_and_claims_are_unfolded_and_the_explorer_is_not_there(opened):
    opened.emulate_media(media="print")
    for what in ("#fig01_cka_within figcaption", "#fig02_tokens img", "#C1 dl", ".forest .row"):
        what = opened.locator(what).first
        assert what.is_visible(), what
    assert not opened.locator("#explore").is_visible()
    assert not opened.locator("nav").is_visible()
    assert len(opened.pdf(format="A4")) > 100_000


def test_colours_follow_the_scheme(browser, report):
    shades = []
    for scheme in ("light", "dark"):
        found = browser.new_page(color_scheme=scheme)
        found.goto(report.as_uri())
        shades.append(found.evaluate("getComputedStyle(document.body).backgroundColor"))
        picture = found.locator("#fig01_cka_within img")
        assert picture.evaluate("i => getComputedStyle(i).backgroundColor") == "rgb(255, 255, 255)"
        found.close()
    assert shades[0] == "rgb(255, 255, 255)" and shades[1] != shades[0]
