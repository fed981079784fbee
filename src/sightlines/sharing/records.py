"""The records that jobs leave beside their results, read as data: they may be somebody else's.

A record (`results/<experiment>/records/<job>.json`) says what a job read and wrote, by hash, and
with which code, config, versions and hardware. Here is the one place of `sharing` that reads it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightlines.core.errors import ResultError
from sightlines.core.files import read_json
from sightlines.jobs.command import record_path
from sightlines.sharing.paths import is_ours

LARGEST_BYTES = 16_000_000
GROUPS = ("inputs", "outputs")
"""Parts of a record that name files, each with its hash."""

JobRecord = dict[str, Any]


def read_record(path: Path) -> JobRecord:
    """A job's record, checked as far as it names files.

    Raises:
        ResultError: it is damaged, too large, or names a file outside `results/` and `data/`.
    """
    if not path.is_file():
        raise ResultError(f"{path} is a broken link or no file: remove it")
    if path.stat().st_size > LARGEST_BYTES:
        raise ResultError(f"{path} is too large for a record: delete it and run its job again")
    record = read_json(path)
    if not isinstance(record, dict):
        raise ResultError(f"{path} is no record: delete it and run its job again")
    for group in (*(record.get(key) for key in GROUPS), no_longer_written(record)):
        _check(path, group)
    return record


def read_records(folder: Path) -> Iterator[JobRecord]:
    """The records of an experiment's folder, in the order of their paths, each with its ``job``.

    Raises:
        ResultError: one is damaged, too large, or names a file outside `results/` and `data/`.
    """
    for path in sorted((folder / "records").rglob("*.json")):
        yield {"job": path.stem} | read_record(path)


def record_of(log: str) -> JobRecord:
    """The record of the job with this log; empty where there is none that can be believed."""
    with contextlib.suppress(ResultError):
        return read_record(record_path(Path(log)))
    return {}


def no_longer_written(record: JobRecord) -> Any:
    """Hash of what an earlier version of a carried-over job wrote and today's does not, by path."""
    return record.get("no_longer_written", {})


def _check(path: Path, group: Any) -> None:
    if not isinstance(group, dict) or not all(isinstance(h, str) for h in group.values()):
        raise ResultError(f"{path} is no record: delete it and run its job again")
    for name in group:
        if not is_ours(name):
            raise ResultError(
                f"{path} names {name!r}, which is outside results/ and data/: do not use these "
                "results, or delete the record and run its job again"
            )
