"""Nothing expensive starts because a file was not pulled: say what to pull instead."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sightlines.core.git import git
from sightlines.sharing.dvc import IMAGES
from sightlines.sharing.explain import in_quotes, make_argument
from sightlines.sharing.provenance import provenance_path, read_removed
from sightlines.sharing.tracked import recorded_outputs

HEAVY = ("train_", "finetune_", "make_control", "dump_")
"""Beginnings of the names of rules that run networks."""
LIGHT = ("dump_pixels",)
"""Those of them that run none."""


def is_heavy(rule: str) -> bool:
    """Whether a rule runs networks."""
    return rule.startswith(HEAVY) and rule not in LIGHT


def committed(experiment: str, absent: Mapping[str, int]) -> dict[str, int]:
    """Of recorded files that are not here those that the last commit shares: they can be pulled."""
    path = provenance_path(experiment).as_posix()
    shared = recorded_outputs(git("show", f"HEAD:./{path}"))
    if shared is None:
        removed = read_removed(experiment)
        return {path: size for path, size in absent.items() if path not in removed}
    return {path: size for path, size in absent.items() if path in shared}


def only_missing(dag: Any, absent: Mapping[str, int]) -> set[Any]:
    """Jobs that would run for no other reason than that recorded files are not here.

    Also what follows from such jobs: Snakemake trains again when images are made again.
    """
    needed = {job for job in dag.needrun_jobs() if not job.rule.norun}
    idle: set[Any] = set()
    for level in dag.toposorted():
        for job in level:
            if job in needed and _is_only_missing(dag, job, needed - idle, absent):
                idle.add(job)
    return idle


def _is_only_missing(dag: Any, job: Any, changing: set[Any], absent: Mapping[str, int]) -> bool:
    reason = dag.reason(job)
    missing = {str(path) for path in reason.missing_output}
    records = dag.workflow.persistence
    others = (
        reason.forced,
        reason.incomplete_output,
        reason.is_provenance_triggered(),
        reason.updated_input,
        any(before in changing for before in dag.dependencies[job]),
        # Snakemake does not ask these where a target's file is missing.
        records.params_changed(job),
        any(records.code_changed(job)),
    )
    return missing <= absent.keys() and not any(others)


def only_not_pulled(jobs: int) -> str:
    """How many jobs the plan does not list; empty where it lists all."""
    if not jobs:
        return ""
    counted = "1 job would run" if jobs == 1 else f"{jobs} jobs would run"
    return f"{counted} again only because their results were not pulled here."


def files_to_pull(dag: Any, idle: Iterable[Any]) -> list[str]:
    """Of what such jobs would make, the files that others, or the user, ask for."""
    idle = set(idle)
    needed = set(dag.needrun_jobs())
    files: set[str] = set()
    for job in idle:
        consumers = [(c, wanted) for c, wanted in dag.depending[job].items() if c in needed]
        missing = {str(path) for path in dag.reason(job).missing_output}
        asked = {str(p) for c, wanted in consumers if c not in idle for p in wanted}
        files |= missing & asked if consumers else missing
    return sorted(files)


def advice(experiment: str, files: list[str], absent: Mapping[str, int]) -> str:
    """What to pull, how large it is, and how to do without.

    Dumps are pulled by their kind and other parts whole: the sizes are those of all that comes.

    Args:
        experiment: Its name.
        files: Those that are needed.
        absent: Bytes of all that could be pulled.
    """
    needed = Counter(map(_part, files))
    lines = []
    for name in sorted(needed):
        sizes = [size for path, size in absent.items() if _part(path) == name]
        size_mb = f"{sum(sizes) / 1e6:,.1f} MB"
        lines.append(f"  {name}: {len(sizes)} files, {size_mb}; needed now: {needed[name]}")
    what = " ".join(sorted(needed))
    config = make_argument("CONFIG", f"workflow/config/{experiment}.yaml")
    return "\n".join(
        [
            "Stopped before training or dumping anything again: these results were shared, and are "
            "not here.",
            *lines,
            f"Pull them:         make pull {config} WHAT={in_quotes(what.replace('$', '$$'))}",
            "Or make them here: the same snakemake command with --config recompute=true",
        ]
    )


def _part(path: str) -> str:
    """The word by which `make pull` fetches a file."""
    parts = path.split("/")
    if parts[0] == "data":
        return IMAGES
    return "/".join(parts[2:4]) if parts[2] == "dumps" else parts[2]
