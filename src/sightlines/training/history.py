"""A network's history: how loss and accuracy went while it was trained, one row an evaluation."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sightlines.core.files import atomic

COLUMNS = ("step", "split", "loss", "accuracy", "learning_rate")


def write_history(path: Path, rows: Iterable[Mapping[str, Any]] = ()) -> None:
    """Write history.csv, without a row for a network that was not trained here.

    Raises:
        DiskError: the file cannot be written.
    """
    lines = [",".join(COLUMNS)]
    for row in rows:
        cells = (row[column] for column in COLUMNS)
        lines.append(",".join(f"{c:.9g}" if isinstance(c, float) else str(c) for c in cells))
    with atomic(path) as handle:
        handle.write(("\n".join(lines) + "\n").encode())
