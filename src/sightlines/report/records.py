"""Provenance out of the records that the jobs left: versions, hardware, times, hashes."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from sightlines.core.files import read_json
from sightlines.report.parts import Row

Record = dict[str, Any]


def read_records(folder: Path, networks: Iterable[str]) -> list[Record]:
    """All records below `folder` of this experiment's jobs, sorted by job.

    Records of networks that are no longer in the config, and of earlier reports, are left out.

    Raises:
        ResultError: a record is damaged.
    """
    wanted = set(networks)
    found = []
    for path in sorted(folder.rglob("*.json")):
        record = read_json(path)
        network = _network(record["job"])
        if record["job"].split("/")[0] != "report" and (network is None or network in wanted):
            found.append(record)
    return found


def _network(job: str) -> str | None:
    parts = job.split("/")
    last = parts[-3:]
    is_network = len(parts) > 3 and last[1][:1] == "f" and last[1][1:].isdigit()
    return "/".join(last) if is_network else None


def provenance(records: list[Record], config: dict[str, Any]) -> dict[str, Any]:
    """Everything that the page's last section shows."""
    return {
        "facts": _facts(records),
        "stages_head": ["Stage", "Jobs", "Wall time", "Processor time", "Largest peak memory"],
        "stages": _stages(records),
        "config": yaml.safe_dump(config, sort_keys=True, allow_unicode=True),
        "hashes": _hashes(records),
    }


def _facts(records: list[Record]) -> list[tuple[str, str]]:
    versions: dict[str, set[str]] = {}
    for record in records:
        versions.setdefault("Python", set()).add(record["python"])
        for package, version in record["packages"].items():
            versions.setdefault(package, set()).add(version)
    hardware = {f"{r['hardware']['processor']}, {r['hardware']['cores']} cores" for r in records}
    devices = {str(r["notes"]["device"]) for r in records if r["notes"].get("device")}
    text = ", ".join(f"{name} {' and '.join(sorted(v))}" for name, v in versions.items())
    facts = [
        ("Versions", text),
        ("Machine", "; ".join(sorted(hardware))),
        ("Networks ran on", ", ".join(sorted(devices))),
        ("Trained in", _formats(records)),
        ("Jobs recorded", str(len(records))),
    ]
    return [(name, value) for name, value in facts if value]


def _formats(records: list[Record]) -> str:
    """Number formats of the trainings with their reasons; how many of each, if there are several.

    Everything but training computes in float32.
    """
    told = [r["notes"] for r in records if r["notes"].get("precision_why")]
    counts = Counter(f"{n.get('precision')} ({n['precision_why']})" for n in told)
    if len(counts) == 1:
        return next(iter(counts))
    parts = (f"{k}: {n} network{'s' * (n > 1)}" for k, n in sorted(counts.items()))
    return "; ".join(parts)


def _stages(records: list[Record]) -> list[Row]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        parts = record["job"].split("/")
        name = parts[0] if _network(record["job"]) is None else "/".join(parts[:-3])
        groups.setdefault(name, []).append(record)
    rows = [_stage_row(name, own) for name, own in sorted(groups.items())]
    return [*rows, _stage_row("all", records)] if records else []


def _stage_row(name: str, records: list[Record]) -> Row:
    wall, cpu = (sum(r[key] for r in records) for key in ("wall_s", "cpu_s"))
    peak = max(r["peak_memory_bytes"] for r in records)
    cells = [name, str(len(records)), duration(wall), duration(cpu), f"{peak / 1e6:,.0f} MB"]
    return Row(cells)


def duration(seconds: float) -> str:
    """A time that people read: seconds below two minutes, then minutes, then hours."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _hashes(records: list[Record]) -> list[Row]:
    outputs = {path: digest for r in records for path, digest in r["outputs"].items()}
    return [Row([path, digest]) for path, digest in sorted(outputs.items())]
