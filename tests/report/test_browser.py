import shutil

import pytest

from sightlines.report import page

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


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_offline_without_errors_or_overflow(browser, report, width, scheme):
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    requests, errors = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("console", lambda message: errors.append(message.text))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(report.as_uri(), wait_until="load")
    assert errors == []
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    measured = opened.evaluate(
        """() => ({
            page: document.documentElement.scrollWidth,
            window: document.documentElement.clientWidth,
            broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).length,
            least: Math.min(...[...document.images].map(i => i.clientWidth)),
            font: parseFloat(getComputedStyle(document.body).fontSize),
        })"""
    )
    assert measured["page"] <= measured["window"]
    assert measured["broken"] == 0
    assert measured["least"] >= 340
    assert measured["font"] >= 16
    opened.close()
