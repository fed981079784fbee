"""Rows of small CSV files as text, and numbers in them, where loading pandas would take longer."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from sightlines.core.errors import ResultError

AGAIN = "run snakemake again, or pull it again"


def read_rows(path: Path, *columns: str) -> list[dict[str, str]]:
    """All rows, each by column; a cell that is empty is "".

    Args:
        path: The file, UTF-8.
        columns: Those that it must have.

    Raises:
        ResultError: the file is missing, is no table, lacks a column, or has a line cut short.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            lacking = set(columns) - set(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ResultError(f"cannot read {path}: {why}: {AGAIN}") from error
    if lacking:
        raise ResultError(f"{path} lacks one of the columns {', '.join(columns)}: {AGAIN}")
    if any(None in row or None in row.values() for row in rows):
        raise ResultError(f"{path} has a line that is cut short, or too long: {AGAIN}")
    return rows


def number(row: Mapping[str, str], column: str) -> float:
    """A cell as a number; not a number where it is empty, is none, or there is no such column."""
    try:
        return float(row.get(column) or "nan")
    except ValueError:
        return math.nan


def finite(row: Mapping[str, str], column: str, path: Path) -> float:
    """A cell as a finite number.

    Raises:
        ResultError: it is none.
    """
    found = number(row, column)
    if not math.isfinite(found):
        text = row.get(column, "")
        raise ResultError(f"{path} has {text!r} where a number should be ({column}): {AGAIN}")
    return found
