"""What dumps a run will write and what the disk has left, said before anything runs.

Sizes of dumps of models that are built here follow from the config (`plan/dump_sizes.py`; headers
are not counted); of others, from the file that is there or was recorded. Everything else that a
run writes is small beside them.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

DumpBytes = Callable[[str, str], int | None]
"""Rule and model -> bytes of a dump; None where that is not known."""
RULES = "dump_"
"""Beginning of the names of rules that write dumps."""
MOST_NAMED = 3


def room(
    dag: Any, idle: Collection[Any], recorded: Mapping[str, int], dump_bytes: DumpBytes | None
) -> str:
    """A line about the dumps that a plan writes; empty where it writes none.

    Args:
        dag: Snakemake's, built.
        idle: Planned jobs that do not count.
        recorded: Bytes of what is recorded and not here, by path.
        dump_bytes: Sizes by the config.
    """
    sizes: Counter[str] = Counter()
    files = unknown = in_place = 0
    for job in set(dag.needrun_jobs()) - set(idle):
        if not job.rule.name.startswith(RULES):
            continue
        model = getattr(job.wildcards, "model", "")
        path = Path(str(job.output[0]))
        here = path.stat().st_size if path.is_file() else 0
        size = dump_bytes(job.rule.name, model) if dump_bytes else None
        size = size if size is not None else here or recorded.get(str(path))
        files, unknown, in_place = files + 1, unknown + (size is None), in_place + here
        sizes[job.rule.name.removeprefix(RULES)] += size or 0
    return describe(sizes, files, unknown, in_place, shutil.disk_usage(Path()).free)


def describe(
    sizes: Mapping[str, int], files: int, unknown: int, in_place: int, free_bytes: int
) -> str:
    """The line, from bytes by kind.

    Args:
        sizes: Bytes of what is written, by kind.
        files: Number of dumps.
        unknown: Of them those whose size is not known.
        in_place: Bytes of the files that they replace.
        free_bytes: What the disk has.
    """
    if not files:
        return ""
    total = sum(sizes.values())
    largest = sorted(sizes.items(), key=lambda item: -item[1])
    named = ", ".join(f"{kind} {megabytes(size)}" for kind, size in largest[:MOST_NAMED] if size)
    counted = "1 dump" if files == 1 else f"{files} dumps"
    most = "" if len(largest) <= MOST_NAMED else "most of it: "
    parts = [f"{counted}, about {megabytes(total)}" + (f" ({most}{named})" if named else "")]
    if unknown:
        parts.append(f"how large {unknown} of them get is not known before the first time")
    if in_place:
        parts.append(f"in place of {megabytes(in_place)}")
    told = f"To write: {'; '.join(parts)}. The disk has {megabytes(free_bytes)} free."
    if total - in_place > free_bytes:
        told += (
            "\nThat is not enough: free some space (`make clean-dumps CONFIG=…` removes an "
            "experiment's dumps that are no longer needed), or keep fewer images."
        )
    return told


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:,.1f} MB" if size < 1e7 else f"{size / 1e6:,.0f} MB"
