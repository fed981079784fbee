"""Accuracies and verdicts in one small file that `dvc metrics diff` compares between commits."""

import csv
from pathlib import Path
from typing import Any

from sightlines.errors import ResultError
from sightlines.files import write_json


def metrics_path(experiment: str) -> Path:
    """Where an experiment's metrics lie."""
    return Path("results", experiment, "metrics.json")


def write_metrics(experiment: str) -> None:
    """Gather test accuracies and verdicts, where both tables are there.

    Raises:
        ResultError: a table lacks a column.
    """
    tables = Path("results", experiment, "tables")
    accuracy, claims = tables / "accuracy.csv", tables / "claims.csv"
    if not (accuracy.is_file() and claims.is_file()):
        return
    scores = {
        f"{row['model']}/{row['fraction']}/{row['seed']}": float(row["accuracy_test"])
        for row in _rows(accuracy, "model", "fraction", "seed", "accuracy_test")
        if row["accuracy_test"]  # empty where the images' classes are no outputs of a network
    }
    verdicts = {row["claim"]: row["verdict"] for row in _rows(claims, "claim", "verdict")}
    counts: dict[str, int] = {}
    for verdict in verdicts.values():
        counts[verdict] = counts.get(verdict, 0) + 1
    metrics = {"accuracy_test": scores, "verdict": verdicts, "verdicts": counts}
    write_json(metrics_path(experiment), metrics)


def _rows(path: Path, *columns: str) -> list[dict[str, Any]]:
    with open(path, newline="") as handle:
        reader = csv.DictReader(handle)
        if not set(columns) <= set(reader.fieldnames or ()):
            raise ResultError(f"{path} lacks one of the columns {', '.join(columns)}")
        return list(reader)
