"""What was to be shown before there were results: `results/<experiment>/claims.lock`.

An experiment's first real run writes down every claim as the code has it: statement, statistic,
criteria, premises. Nothing in it is ever overwritten. Where a later run judges by other criteria,
they are appended; a verdict by criteria other than those that were registered first says so. Each
entry has its hash, over what it says and over the entry before, and no dates: git has these.

Reading the claims' criteria means to import what judges them. So they are asked for once for each
state of that code, by a process of its own, and remembered in `.cache`.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightlines.core.errors import ShareError
from sightlines.core.files import write_json
from sightlines.sharing.tracked import damaged, read_text

Claims = Mapping[str, Mapping[str, Any]]
"""Number of each claim -> what it says and asks for (`run.criteria`)."""
ABOUT = (
    "What every claim says and asks for, as registered at this experiment's first run; what "
    "changed since is appended. See docs/protocols.md, Pre-registration."
)
REMEMBERED = Path(".cache/sightlines/criteria")
LONGEST = 4_000_000
"""Characters of a file that is read: more than a thousand amendments."""


def lock_path(experiment: str) -> Path:
    """Where an experiment's claims are registered."""
    return Path("results", experiment, "claims.lock")


def today(code: str) -> dict[str, Any]:
    """What every claim says and asks for in this code.

    Args:
        code: Digest of the code that judges.

    Raises:
        ShareError: the claims cannot be read.
    """
    remembered = REMEMBERED / f"{code}.json"
    try:
        known = json.loads(remembered.read_text(encoding="utf-8"))
        if isinstance(known, dict) and known:
            return known
    except (OSError, ValueError):
        pass
    command = [sys.executable, "-m", "sightlines.run.criteria"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ShareError(f"the claims' criteria cannot be read: {last}")
    found: dict[str, Any] = json.loads(done.stdout)
    write_json(remembered, found, is_lasting=False)
    return found


def read_lock(experiment: str) -> list[dict[str, Any]]:
    """The entries of an experiment's lock, the first registration first; none without a file.

    Raises:
        ShareError: it cannot be read, has merge conflicts, or is not as it was written.
    """
    path = lock_path(experiment)
    text = read_text(path)
    if text is None:
        return []
    if len(text) > LONGEST:
        raise damaged(path, f"it has {len(text)} characters")
    try:
        entries = json.loads(text)["entries"]
        before = ""
        for number, entry in enumerate(entries, 1):
            if entry["sha256"] != _hash(before, entry["claims"]) or entry["before"] != before:
                raise damaged(path, f"entry {number} is not what its hash is of")
            before = entry["sha256"]
            for name, claim in entry["claims"].items():
                if claim and claim["sha256"] != fingerprint(claim):
                    raise damaged(path, f"{name} in entry {number} is not what its hash is of")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, f"it is no lock of claims: {str(error)[:200]}") from error
    if not entries:
        raise damaged(path, "it has no entries")
    return list(entries)


def other_criteria(experiment: str, code: str) -> dict[str, str]:
    """Claims that this code judges by other criteria than those that were registered first.

    Args:
        experiment: Its name.
        code: Digest of the code that judges.

    Returns:
        Number of each such claim -> what was registered, in a few words; empty where nothing is
        registered yet, since the first run registers what it judges by.
    """
    entries = read_lock(experiment)
    if not entries:
        return {}
    first = {name: claim for name, claim in entries[0]["claims"].items() if claim}
    now = today(code)
    return {
        name: f"registered with other {_changed(first[name], claim)}"
        if name in first
        else "added after the first run"
        for name, claim in now.items()
        if name not in first or first[name]["sha256"] != fingerprint(claim)
    }


def register(experiment: str, code: str) -> None:
    """Write down what is judged by, if it is not yet: before an experiment's first job runs.

    Raises:
        ShareError: the lock is damaged.
        DiskError: it cannot be written.
    """
    entries, now = read_lock(experiment), today(code)
    known: dict[str, Any] = {}
    for entry in entries:
        known |= entry["claims"]
    claims: dict[str, Any] = {
        name: {**claim, "sha256": fingerprint(claim)}
        for name, claim in now.items()
        if not known.get(name) or known[name]["sha256"] != fingerprint(claim)
    }
    claims |= {name: None for name, claim in known.items() if claim and name not in now}
    if not claims:
        return
    before = entries[-1]["sha256"] if entries else ""
    entries.append({"before": before, "claims": claims, "sha256": _hash(before, claims)})
    write_json(lock_path(experiment), {"about": ABOUT, "entries": entries})


def fingerprint(claim: Mapping[str, Any]) -> str:
    """SHA-256 of what a claim says and asks for."""
    return _sha256({key: value for key, value in claim.items() if key != "sha256"})


def _changed(registered: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    """Which parts of a claim are others than registered, in words."""
    return " and ".join(key for key in claim if registered.get(key) != claim[key])


def _hash(before: str, claims: Any) -> str:
    return _sha256([before, claims])


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
