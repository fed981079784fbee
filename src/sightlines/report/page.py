"""The results page: one HTML file that opens offline and asks no other host for anything."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from sightlines.core.errors import ResultError
from sightlines.plan import registry
from sightlines.plan.studies import FIRST, study_of
from sightlines.report import findings, overview
from sightlines.report.controls import control_parts
from sightlines.report.differences import GENERAL
from sightlines.report.explore import explorer
from sightlines.report.headline import headline
from sightlines.report.paper_figures import SAW
from sightlines.report.parts import (
    accuracy_table,
    dataset_facts,
    layer_table,
    model_table,
    text_columns,
)
from sightlines.report.pictures import figure_picture
from sightlines.report.questions import Question, figure_question, used
from sightlines.report.records import provenance
from sightlines.report.style import CSS
from sightlines.report.template import PAGE
from sightlines.report.verdicts import ClaimRow, verdict_part

SHOWN = tuple(
    sorted(
        {
            *("accuracy.csv", "attention_distance.csv", "claim_cases.csv", "claims.csv"),
            *("cka.parquet", "cka_degenerate.csv", "cka_shuffled.parquet", "data_fractions.csv"),
            *("layers.csv", "seed_calibration.csv"),
            *explorer.READS,
        }
    )
)
"""Tables that the page reads, where the experiment has them."""
REDUCED = 0.75
"""How much smaller than in print an unfolded figure may be before it scrolls: letters must stay
readable."""
FILES = {"pdf": "PDF", "svg": "SVG", "csv": "numbers (CSV)"}
"""Files of a figure that the page links to: they lie beside it."""
SEEN = 2
"""Figures of a section that are seen at once where its question names none that there are."""


class Section(NamedTuple):
    """One question: what was found, its figures and its claims."""

    question: Question
    found: list[str]
    figures: list[dict[str, Any]]
    more: list[dict[str, Any]]
    claims: list[ClaimRow]


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
    verdicts = verdict_part(tables, [figure["name"] for figure in figures])
    explored = explorer.explorer(config, tables)
    page = {
        "experiment": config["experiment"],
        "head": headline(tables["claims.csv"]) if verdicts else None,
        "networks": overview.networks_line(config),
        "images": overview.images_line(config, dataset),
        "maps": overview.maps(config, tables),
        "learned": overview.learned(config, accuracy),
        "facts": dataset_facts(config, dataset),
        "models": model_table(config, accuracy),
        "accuracy": accuracy_table(config, accuracy, tests, dataset.get("classes") != []),
        "controls": control_parts(config, tables),
        "verdicts": verdicts,
        "explorer": explored,
        "scripts": explorer.script_sources() if explored else "",
        "differences": GENERAL,
        "layers": layer_table(config, tables.get("layers.csv")),
        "provenance": provenance(records, config.get("config", {})),
        "css": Markup(CSS),
    }
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["text_columns"] = text_columns
    environment.globals["short_tally"] = findings.short_tally
    sections = _sections(figures, tables, verdicts["rows"] if verdicts else [])
    return environment.from_string(PAGE).render(page, sections=sections)


def _sections(
    figures: list[dict[str, Any]], tables: dict[str, pd.DataFrame], rows: list[ClaimRow]
) -> list[Section]:
    """The questions that a figure or a claim is about, in their order."""
    placed = [figure_question(figure["name"]) for figure in figures]
    found = []
    for question in used([*placed, *(row.question for row in rows)]):
        own = [f for f, key in zip(figures, placed, strict=True) if key == question.key]
        seen = [f for name in question.figures for f in own if f["name"] == name] or own[:SEEN]
        claims = [row for row in rows if row.question == question.key]
        table = tables.get("claims.csv", pd.DataFrame())
        if len(claims):
            table = table[table["claim"].astype(str).isin([row.claim for row in claims])]
        told = findings.found(question.key, table, tables.get("claim_cases.csv")) if claims else []
        more = [f for f in own if f not in seen]
        found.append(Section(question, told, seen, more, claims))
    return found


def read_figures(names: list[str], paths: list[Path]) -> list[dict[str, Any]]:
    """Figures with title, caption and picture (inside the page), in the order of `names`.

    Args:
        names: Of the figures.
        paths: Their PNG files.

    Raises:
        ResultError: a figure's file is missing, or is no PNG.
    """
    if len(names) != len(paths):
        raise ResultError(f"the report got {len(paths)} PNG files for {len(names)} figures")
    return [_figure(name, path) for name, path in zip(names, paths, strict=True)]


def _joined(text: str | tuple[str, ...]) -> str:
    """One paragraph from a text, or from its sentences."""
    return text if isinstance(text, str) else " ".join(text)


def _after(paper: str, study: str) -> str:
    """Which figure one is like: the paper's, or one of the work that its section names."""
    return f"after {'the paper’s' if study == FIRST else 'their'} {paper}"


def _figure(name: str, path: Path) -> dict[str, Any]:
    declared = registry.declarations("figures", name)
    picture = figure_picture(path)
    paper = declared.get("PAPER", "")
    return picture | {
        "name": name,
        "title": declared["TITLE"],
        "paper": _after(paper, study_of(declared)) if paper.startswith("Figure") else "",
        "caption": declared["CAPTION"],
        "explains": _joined(declared.get("EXPLAINS", "")),
        "differs": _joined(declared.get("DIFFERS", "")),
        "saw": SAW.get(name, ()),
        "files": [(name_of, f"figures/{name}.{end}") for end, name_of in FILES.items()],
        "alt": f"{declared['TITLE']}. {declared['CAPTION'].split('Look for:')[0].strip()}",
        "least": round(REDUCED * picture["width"]),
    }
