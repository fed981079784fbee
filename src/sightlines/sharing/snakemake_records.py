"""Snakemake's own records of how a file was made: found, read, and installed.

Snakemake keeps one JSON file an output below `.snakemake/metadata/`, named by the URL-safe base64
of the output's path; paths in it are relative, so records hold in any clone. This is the one
place that knows the form (tests hold it against the Snakemake in use).
"""

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightlines.core.files import atomic

METADATA = Path(".snakemake/metadata")
INCOMPLETE = Path(".snakemake/incomplete")
LOCKS = Path(".snakemake/locks")
FORMAT = 6
"""Version of the records that `install` writes; Snakemake's own must be the same."""
LONGEST_NAME = 254
INVALIDATED = "distrusted by sightlines: "
"""In the place of a rule's text: it is no rule's, so that Snakemake runs the job again."""

Metadata = dict[str, Any]


def record_path(folder: Path, output: str) -> Path:
    """Where Snakemake keeps what it knows of an output; long names are split into folders."""
    text = base64.urlsafe_b64encode(output.encode()).decode()
    pieces = [text[i : i + LONGEST_NAME] for i in range(0, len(text), LONGEST_NAME)]
    return folder.joinpath(*(f"@{piece}" for piece in pieces[:-1]), pieces[-1])


def read_all(prefixes: tuple[str, ...]) -> dict[str, Metadata]:
    """Snakemake's records of outputs below the prefixes; damaged and foreign ones are left out."""
    return {output: record for output, record in _records() if output.startswith(prefixes)}


def read_one(output: str) -> Metadata | None:
    """Snakemake's record of one output, if there is a whole one."""
    try:
        found = json.loads(record_path(METADATA, output).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _records() -> Iterator[tuple[str, Metadata]]:
    for folder, _, names in os.walk(METADATA):
        above = "".join(part.removeprefix("@") for part in Path(folder).relative_to(METADATA).parts)
        for name in names:
            try:
                output = base64.urlsafe_b64decode(above + name).decode()
                record = json.loads(Path(folder, name).read_bytes())
            except (OSError, ValueError):
                continue
            if isinstance(record, dict) and record.get("record_format_version") == FORMAT:
                yield output, record


def install(output: str, record: Metadata) -> None:
    """Make Snakemake believe that it made `output` as the record says."""
    INCOMPLETE.mkdir(parents=True, exist_ok=True)  # else Snakemake takes the folder for an old one
    blank = {"incomplete": False, "external_jobid": None, "job_hash": None}
    text = json.dumps(record | blank | {"record_format_version": FORMAT})
    with atomic(record_path(METADATA, output), is_lasting=False) as handle:
        handle.write(text.encode())
    with contextlib.suppress(OSError):
        record_path(INCOMPLETE, output).unlink()


def invalidate(output: str, why: str) -> None:
    """Make Snakemake run the job of `output` again, whatever it knew of it.

    By a record of another rule's text, and by the mark of an output that is not complete, which
    counts with any choice of `--rerun-triggers`.
    """
    mark = record_path(INCOMPLETE, output)
    if why_invalidated(read_one(output) or {}) == why and mark.exists():
        return
    install(output, {"code": f"{INVALIDATED}{why}"})
    with atomic(mark, is_lasting=False) as handle:
        handle.write(b'{"external_jobid": null}')


def written_ns(output: str) -> int:
    """When Snakemake's record of an output was written; 0 without one."""
    try:
        return record_path(METADATA, output).stat().st_mtime_ns
    except OSError:
        return 0


def why_invalidated(record: Metadata) -> str:
    """The reason in a record that `invalidate` wrote; empty for others."""
    code = str(record.get("code"))
    return code.removeprefix(INVALIDATED) if code.startswith(INVALIDATED) else ""


def being_made() -> set[str]:
    """Outputs that a living Snakemake in this folder has locked."""
    locked: set[str] = set()
    for lock in LOCKS.glob("*.output.lock"):
        with contextlib.suppress(OSError):
            locked.update(lock.read_text().splitlines())
    return locked
