"""The results page: one HTML file that opens offline and asks no other host for anything."""

import base64
import re
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from sightlines.core.errors import ResultError
from sightlines.plan import registry
from sightlines.report.controls import control_parts
from sightlines.report.differences import GENERAL
from sightlines.report.parts import (
    accuracy_table,
    dataset_facts,
    layer_table,
    model_table,
    summarise,
    text_columns,
)
from sightlines.report.records import provenance
from sightlines.report.template import CSS, PAGE
from sightlines.report.verdicts import verdict_part

SHOWN = (
    "accuracy.csv",
    "attention_distance.csv",
    "claim_cases.csv",
    "claims.csv",
    "cka.parquet",
    "cka_degenerate.csv",
    "cka_shuffled.parquet",
    "data_fractions.csv",
    "layers.csv",
    "seed_calibration.csv",
)
"""Tables that the page reads, where the experiment has them."""
ENLARGED = 1.35
"""How much larger than in print a figure may be shown on a wide screen."""
REDUCED = 0.75
"""How much smaller on a narrow one, before it scrolls: its letters must stay readable."""


def render(
    config: dict[str, Any],
    tables: dict[str, pd.DataFrame],
    dataset: dict[str, Any],
    figures: list[dict[str, Any]],
    records: list[dict[str, Any]],
) -> str:
    """The page as text. Everything before its provenance section depends on results alone.

    Args:
        config: `experiment`, `networks`, `labels`, `families`, `figures`, and the whole `config`.
        tables: Tables by file name; parts of the page whose table is missing are left out.
        dataset: What `dataset.json` holds.
        figures: As `read_figures` returns them.
        records: As `read_records` returns them.
    """
    accuracy = tables.get("accuracy.csv")
    tests = int(dataset.get("counts", {}).get("test", 0))
    page = {
        "experiment": config["experiment"],
        "summary": summarise(config, dataset),
        "facts": dataset_facts(config, dataset),
        "models": model_table(config, accuracy),
        "accuracy": accuracy_table(config, accuracy, tests, dataset.get("classes") != []),
        "controls": control_parts(config, tables),
        "figures": figures,
        "verdicts": verdict_part(tables, [figure["name"] for figure in figures]),
        "differences": [*GENERAL, *((f["title"], f["differs"]) for f in figures if f["differs"])],
        "layers": layer_table(config, tables.get("layers.csv")),
        "provenance": provenance(records, config.get("config", {})),
        "css": Markup(CSS),
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals["text_columns"] = text_columns
    return environment.from_string(PAGE).render(page, sections=_sections(page))


def _sections(page: dict[str, Any]) -> list[tuple[str, str]]:
    names = {
        "verdicts": "Claims",
        "run": "What was run",
        "accuracy": "Accuracy",
        "controls": "Controls",
        "figures": "Figures",
        "differences": "Differences",
        "layers": "Layers",
        "provenance": "Provenance",
    }
    return [(name, text) for name, text in names.items() if name == "run" or page[name]]


def read_figures(names: list[str], paths: list[Path]) -> list[dict[str, Any]]:
    """Figures with title, caption and picture (an SVG inside the page), in the order of `names`.

    Raises:
        ResultError: a figure's file is missing, or is not an SVG.
    """
    if len(names) != len(paths):
        raise ResultError(f"the report got {len(paths)} SVG files for {len(names)} figures")
    return [_figure(name, path) for name, path in zip(names, paths, strict=True)]


def _joined(text: str | tuple[str, ...]) -> str:
    """One paragraph from a text, or from its sentences."""
    return text if isinstance(text, str) else " ".join(text)


def _figure(name: str, path: Path) -> dict[str, Any]:
    declared = registry.declarations("figures", name)
    try:
        svg = path.read_bytes()
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror}; run snakemake again") from error
    match = re.search(rb'<svg [^>]*?width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    if not match or not svg.rstrip().endswith(b"</svg>"):
        raise ResultError(
            f"{path} is not a whole SVG of sightlines. Delete it and run snakemake again."
        )
    px = [round(float(points) * 96 / 72) for points in match.groups()]
    paper = declared.get("PAPER", "")
    return {
        "name": name,
        "title": declared["TITLE"],
        "paper": f"after the paper’s {paper}" if paper.startswith("Figure") else "",
        "caption": declared["CAPTION"],
        "explains": _joined(declared.get("EXPLAINS", "")),
        "differs": _joined(declared.get("DIFFERS", "")),
        "alt": f"{declared['TITLE']}. {declared['CAPTION'].split('Look for:')[0].strip()}",
        "source": "data:image/svg+xml;base64," + base64.b64encode(svg).decode(),
        "width": px[0],
        "height": px[1],
        "most": round(ENLARGED * px[0]),
        "least": round(REDUCED * px[0]),
    }
