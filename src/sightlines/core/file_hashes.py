"""SHA-256 of many files, remembered by size, modification and change time, and inode.

Snakemake asks at every start whether the photographs are still the same; only files whose size or
times changed are read again, or whose link leads to another file. A file that was touched in the
last seconds is not remembered: a second edit might leave the same times.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sightlines.core.files import sha256, write_json

CACHE = Path(".cache/sightlines/hashes")
SETTLED_NS = 2_000_000_000
UNREADABLE = "unreadable"
"""In the place of a hash."""

Stamp = tuple[int, int, int, int]
"""Size, modification and change time in ns, inode; of a link's target."""


def hash_files(root: Path, paths: Sequence[str]) -> list[str]:
    """Hash of each file below `root`, in order; UNREADABLE where it cannot be read."""
    memory = CACHE / f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json"
    known = _recall(memory)
    now = time.time_ns()
    stamps = [stamp_of(root / path) for path in paths]
    stale = [i for i, path in enumerate(paths) if known.get(path, [None])[:-1] != list(stamps[i])]
    with ThreadPoolExecutor(min(8, len(os.sched_getaffinity(0)))) as pool:
        fresh = pool.map(lambda i: _hash(root / paths[i]), stale)
        hashes = {paths[i]: digest for i, digest in zip(stale, fresh, strict=True)}
    result = [hashes.get(path) or known[path][-1] for path in paths]
    asked = set(paths)
    kept = {p: known[p] for p in known if p not in asked and (root / p).is_file()}
    kept |= {
        path: [*stamp, digest]
        for path, stamp, digest in zip(paths, stamps, result, strict=True)
        if digest != UNREADABLE and now - max(stamp[1:3]) > SETTLED_NS
    }
    if kept != known:
        write_json(memory, kept)
    return result


def _recall(memory: Path) -> dict[str, list[Any]]:
    try:
        found = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def stamp_of(path: Path) -> Stamp:
    """What changes with a file's content; of what is no readable file one that no file has."""
    try:
        status = path.stat()
    except OSError:
        return (-1, 0, 0, 0)
    if not stat.S_ISREG(status.st_mode):
        return (-1, 0, 0, 0)
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _hash(path: Path) -> str:
    try:
        return sha256(path) if path.is_file() else UNREADABLE
    except OSError:
        return UNREADABLE
