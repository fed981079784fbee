"""Which planned dumps share a forward pass, and in what order their jobs begin.

The first job of a pass computes for all (`jobs/passes.py`); one that began beside it would hold a
core and wait. So all but the first give way to every other job that could begin: they run when the
first has ended, or where there is nothing else to do. What fails keeps none of them from running:
then they compute by themselves. On a cluster every dump is recorded by itself.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from sightlines.core.errors import SightlinesError
from sightlines.jobs import passes
from sightlines.plan import registry
from sightlines.sharing.snakemake_settings import ONE_JOB

NAMES = ("dataset", "splits", "weights", "card")
"""What a dump of a network reads, as its rule and its command name it."""
LATER = -1
"""Priority of jobs that others compute for; Snakemake's own is 0."""


def begin(workflow: Any, experiment: str) -> None:
    """Write down the passes of a built DAG, before its jobs run."""
    os.environ.pop(passes.PASSES, None)
    if workflow.dryrun or not workflow.local_exec or os.environ.get(ONE_JOB):
        return
    together = list(planned_passes(workflow.dag))
    parts = [[_part(job) for job in jobs] for jobs in together]
    with contextlib.suppress(SightlinesError, OSError):  # jobs say where nothing can be written
        os.environ[passes.PASSES] = str(passes.plan(experiment, parts))
    for _, *others in together:
        for job in others:
            give_way(workflow.dag, job)


def planned_passes(dag: Any) -> Iterator[list[Any]]:
    """Jobs that share a pass, two or more; first the one that has most to wait for.

    When that one can begin, the inputs of the others are there too.
    """
    groups: dict[tuple[str, ...], list[Any]] = {}
    needed = set(dag.needrun_jobs())
    for job in (job for level in dag.toposorted() for job in level if job in needed):
        kind = job.params.get("kind")
        shared = registry.declarations("dumps", kind).get("PASS") if kind else None
        if shared:
            inputs = (str(job.input.dataset), str(job.input.weights), str(job.input.card))
            groups.setdefault((shared, *inputs), []).append(job)
    for jobs in groups.values():
        if len(jobs) > 1:
            waits = {job: len(_before(dag, job) & needed) for job in jobs}
            yield sorted(jobs, key=lambda job: -waits[job])


def _before(dag: Any, job: Any) -> set[Any]:
    """All jobs that must have ended before a job can begin."""
    found: set[Any] = set()
    left = [job]
    while left:
        new = set(dag.dependencies[left.pop()]) - found
        found |= new
        left += new
    return found


def give_way(dag: Any, job: Any) -> None:
    """Have Snakemake prefer other jobs; one that somebody asked for first stays where it is."""
    if dag.priority(job) == 0:
        dag._priority[job] = LATER


def _part(job: Any) -> passes.Part:
    names = (*NAMES, *registry.declarations("dumps", job.params.kind).get("BESIDE", ()))
    inputs = {n: [str(getattr(job.input, n))] for n in names if hasattr(job.input, n)}
    return passes.Part(job.params.kind, job.params.cfg, job.params.code, inputs)
