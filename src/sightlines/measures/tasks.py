"""Whose a result of another task is, by where it lies."""

from pathlib import Path


def task_of(path: Path) -> tuple[str, str]:
    """Task and network's slug from `…/<task>/<what>/<model>/<fraction>/<seed>`."""
    *_, task, _, model, fraction, seed = path.parts
    return task, "/".join((model, fraction, seed))
