"""How soon is the explorer's hardest page there, and how soon does it answer?

    python benchmarks/page.py [--layers 150] [--networks 8] [--tries 5] [--keep page.html]

Makes a page of that many networks whose maps have that many layers a side, opens it in Chromium and
prints, as medians over tries: the first paint (aim 1 s), when the first maps are drawn, and how
long a hover takes from the pointer's event to the frame that shows the answer (aim 50 ms), with
the CPU time of the page's main thread for each. Chromium comes from the PATH.
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sightlines.report.explore import explorer
from sightlines.report.style import CSS

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>benchmark</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; script-src {sources}"><link rel="icon" href="data:,">
<style>{css}</style></head><body><h1>A page of maps</h1><main>{body}</main></body></html>"""
WATCH = """() => { window.answers = []; addEventListener("pointermove", (e) => {
  const began = e.timeStamp;
  requestAnimationFrame(() => setTimeout(() => answers.push(performance.now() - began), 0));
}, true); }"""
DRAWN = """() => new Promise((resolve) => { const look = () => {
  if (document.querySelectorAll(".explore-maps image").length) resolve(performance.now());
  else requestAnimationFrame(look); }; look(); })"""


def experiment(networks: int, layers: int) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Config and tables of untrained and trained networks, every pair with every layer."""
    models = [f"network_{i}" for i in range(networks)]
    slugs = [f"{model}/f100/s0" for model in models]
    rows: dict[str, Any] = {"layer": range(layers)}
    rows["name"] = [f"block{i:03}.out" for i in range(layers)]
    rows |= {"kind": ["residual" if i % 8 == 7 else "mlp" for i in range(layers)]}
    rows |= {"block": [i // 8 for i in range(layers)], "depth": np.linspace(0, 1, layers)}
    own = pd.concat([pd.DataFrame(rows).assign(model=model) for model in models])
    rng, depth = np.random.default_rng(0), np.linspace(0, 1, layers)
    parts = []
    for i, a in enumerate(models):
        for j, b in enumerate(models[i:], i):
            cka = np.exp(-(3 + i + j) * np.square(depth[:, None] - depth))
            cka = np.clip(cka + 0.02 * rng.standard_normal(cka.shape), 0, 1)
            cka = (cka + cka.T) / 2
            places = np.indices(cka.shape).reshape(2, -1)
            part = pd.DataFrame({"layer_a": places[0], "layer_b": places[1], "cka": cka.ravel()})
            for side, model in (("a", a), ("b", b)):
                names = {f"model_{side}": model, f"fraction_{side}": "f100", f"seed_{side}": "s0"}
                part = part.assign(**names)
            parts.append(part.assign(cka_se=0.01))
    config = {"experiment": "benchmark", "networks": slugs, "labels": {}}
    return config, {"layers.csv": own, "cka.parquet": pd.concat(parts, ignore_index=True)}


def measure(browser: Any, path: Path, networks: int) -> dict[str, float]:
    """Times of one visit, in milliseconds."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable")

    def processor_ms() -> float:
        found = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
        return 1000 * float(found["TaskDuration"])

    page.goto(path.as_uri())
    drawn = page.evaluate(DRAWN)
    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.wait_for_timeout(300)
    loaded = processor_ms()
    for place in range(networks):  # those that are not chosen at first
        box = page.locator("input[name=model]").nth(place)
        if not box.is_checked():
            box.check()
    page.wait_for_timeout(300)
    chosen = processor_ms()
    page.select_option("select[name=layers]", "all")
    page.evaluate(WATCH)
    plots = page.locator(".explore-maps .explore-plot")
    moves = 0
    for place in range(networks):
        plots.nth(place).scroll_into_view_if_needed()
        box = plots.nth(place).bounding_box()
        for step in range(5):
            page.mouse.move(box["x"] + 60 + 31 * step, box["y"] + 40 + 23 * step)
            page.wait_for_timeout(60)
            moves += 1
    hovered = processor_ms()
    answers = page.evaluate("answers")
    maps = page.locator(".explore-maps image").count()
    assert maps == networks, f"{maps} maps of {networks} are drawn"
    context.close()
    return {
        "first paint": first,
        "maps drawn": drawn,
        "processor, to there": loaded,
        "processor, choosing all networks": chosen - loaded,
        "answer to a hover": statistics.median(answers),
        "slowest answer": max(answers),
        "processor, a hover": (hovered - chosen) / moves,
    }


def main() -> None:
    """Print the medians."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--layers", type=int, default=150)
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="keep the page in this file")
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no chromium or google-chrome on the PATH")
    body = explorer.explorer(*experiment(given.networks, given.layers))
    text = PAGE.format(sources=explorer.script_sources(), css=CSS, body=body)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        path = given.keep or Path(name) / "page.html"
        path.write_text(text)
        size = f"{given.layers} × {given.layers}"
        print(f"{given.networks} maps of {size}, page {len(text.encode()):,} bytes")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        tries = [measure(browser, path.resolve(), given.networks) for _ in range(given.tries)]
        browser.close()
    for key in tries[0]:
        print(f"{key:<34}{statistics.median(each[key] for each in tries):8.1f} ms")


if __name__ == "__main__":
    main()
