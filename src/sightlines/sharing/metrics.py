"""Accuracies and verdicts in one small file that `dvc metrics diff` compares between commits."""

import csv
import math
from pathlib import Path
from typing import Any

from sightlines.core.errors import ResultError
from sightlines.core.files import write_json

AGAIN = "run snakemake again, or pull it again"


def metrics_path(experiment: str) -> Path:
    """Where an experiment's metrics lie."""
    return Path("results", experiment, "metrics.json")


def write_metrics(experiment: str) -> None:
    """Gather test accuracies and verdicts, where both tables are there.

    Raises:
        ResultError: a table lacks a column, has a line cut short, or text for a number.
    """
    tables = Path("results", experiment, "tables")
    accuracy, claims = tables / "accuracy.csv", tables / "claims.csv"
    if not (accuracy.is_file() and claims.is_file()):
        return
    scores = {
        f"{row['model']}/{row['fraction']}/{row['seed']}": _number(row["accuracy_test"], accuracy)
        for row in _rows(accuracy, "model", "fraction", "seed", "accuracy_test")
        if row["accuracy_test"]  # empty where the images' classes are no outputs of a network
    }
    verdicts = {row["claim"]: row["verdict"] for row in _rows(claims, "claim", "verdict")}
    counts: dict[str, int] = {}
    for verdict in verdicts.values():
        counts[verdict] = counts.get(verdict, 0) + 1
    metrics = {"accuracy_test": scores, "verdict": verdicts, "verdicts": counts}
    write_json(metrics_path(experiment), metrics)


def _number(text: str, path: Path) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ResultError(f"{path} has {text!r} where a number should be: {AGAIN}")
    return number


def _rows(path: Path, *columns: str) -> list[dict[str, Any]]:
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle)
            lacking = set(columns) - set(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise ResultError(f"cannot read {path}: {error}: {AGAIN}") from error
    if lacking:
        raise ResultError(f"{path} lacks one of the columns {', '.join(columns)}: {AGAIN}")
    if any(row[column] is None for row in rows for column in columns):
        raise ResultError(f"{path} has a line that is cut short: {AGAIN}")
    return rows
