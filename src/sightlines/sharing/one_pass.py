"""Which planned dumps share a forward pass, and in what order their jobs begin.

Jobs that would wait for one another hold a core for nothing. So where Snakemake runs the jobs
itself, one job of each pass is ready first, and the others when it has ended: then what they want
is staged (`jobs/passes.py`). With --keep-going they wait for it by themselves, since there a job that
failed must not keep others from running. On a cluster every dump is recorded by itself.
"""

import os
from collections.abc import Iterator
from typing import Any

from sightlines.jobs import passes
from sightlines.plan import registry
from sightlines.sharing.snakemake_settings import ONE_JOB

NAMES = ("dataset", "splits", "weights", "card")
"""What a dump of a network reads, as its rule and its command name it."""


def begin(workflow: Any, experiment: str) -> None:
    """Write down the passes of a built DAG, before its jobs run."""
    os.environ.pop(passes.PASSES, None)
    if workflow.dryrun or not workflow.local_exec or os.environ.get(ONE_JOB):
        return
    together = list(planned_passes(workflow.dag))
    parts = [[_part(job) for job in jobs] for jobs in together]
    os.environ[passes.PASSES] = str(passes.plan(experiment, parts))
    if not workflow.execution_settings.keep_going:
        for first, *others in together:
            for job in others:
                begin_after(workflow.dag, job, first)


def planned_passes(dag: Any) -> Iterator[list[Any]]:
    """Jobs that share a pass, two or more; the first of them has all its inputs last."""
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
            waits = {job: len(needed.intersection(dag.dependencies[job])) for job in jobs}
            yield sorted(jobs, key=lambda job: -waits[job])


def begin_after(dag: Any, job: Any, first: Any) -> None:
    """Have Snakemake begin a job only when another has ended well.

    It is as if one made a file that the other reads, but no reason to run again: what must run is
    decided. Snakemake counts for each job what it still waits for.
    """
    dag.depending[first].setdefault(job, set())
    dag._n_until_ready[job] += 1
    dag._ready_jobs.discard(job)


def _part(job: Any) -> passes.Part:
    inputs = {name: [str(getattr(job.input, name))] for name in NAMES}
    return passes.Part(job.params.kind, job.params.cfg, job.params.code, inputs)
