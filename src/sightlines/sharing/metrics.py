"""Accuracies and verdicts in one small file that `dvc metrics diff` compares between commits."""

from pathlib import Path

from sightlines.core.csv_rows import finite, read_rows
from sightlines.core.files import write_json


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
        f"{row['model']}/{row['fraction']}/{row['seed']}": finite(row, "accuracy_test", accuracy)
        for row in read_rows(accuracy, "model", "fraction", "seed", "accuracy_test")
        if row["accuracy_test"]  # empty where the images' classes are no outputs of a network
    }
    verdicts = {row["claim"]: row["verdict"] for row in read_rows(claims, "claim", "verdict")}
    counts: dict[str, int] = {}
    for verdict in verdicts.values():
        counts[verdict] = counts.get(verdict, 0) + 1
    metrics = {"accuracy_test": scores, "verdict": verdicts, "verdicts": counts}
    write_json(metrics_path(experiment), metrics)
