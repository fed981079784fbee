"""Which planned dumps share a forward pass, and in what order their jobs begin.

The first job of a pass computes for all (`jobs/passes.py`); one that began beside it would hold a
core and wait. So all but the first give way to every other job that could begin: they run when the
first has ended, or where there is nothing else to do. What fails keeps none of them from running:
then they compute by themselves.

On a cluster jobs that share a pass must run on one node. So the dumps of a network are one group,
which Snakemake submits as one job: its jobs run one after the other there. Those that are in no
group together are recorded by themselves.
"""

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from sightlines.core.errors import SightlinesError
from sightlines.jobs import passes
from sightlines.plan import registry
from sightlines.plan.recordings import Recording
from sightlines.sharing.snakemake_settings import ONE_JOB

NAMES = ("dataset", "splits", "weights", "card")
"""What a dump of a network reads, as its rule and its command name it."""
LATER = -1
"""Priority of jobs that others compute for; Snakemake's own is 0."""
GROUP = "dumps_of_"
"""How the names of our groups begin."""
TURN = "turn"
"""A resource of which a group has one, and each of its dumps takes it: what a group asks a cluster
for (memory, processors, GPUs) is then what its largest job needs, not the sum."""
MINUTES, MINUTES_LATER = 60, 5
"""Asked of a cluster for a dump, and for one that another job of the group computes."""

_later: set[str] = set()


class Components(dict[str, int]):
    """How many jobs that do not depend on each other are one group: of ours, all."""

    def get(self, name: str, default: Any = None) -> Any:
        """That number for a group, else the default."""
        is_ours = name not in self and name.startswith(GROUP)
        return sys.maxsize if is_ours else super().get(name, default)


def group_of(workflow: Any, recording: Recording) -> Callable[[Any], str | None]:
    """Gives the group of a dump's job by its wildcards; None on this machine, where it has none.

    A process of Snakemake on a cluster's node asks it, too: it has the same groups.
    """
    shares = bool(registry.declarations("dumps", recording.kind).get("PASS"))
    tasks = {"shown": recording.shown, "tuned_on": recording.tuned}
    places = [f"{word}_{task}" for word, task in tasks.items() if task]

    def group(wildcards: Any) -> str | None:
        if not shares or workflow.local_exec:
            return None
        settings = workflow.group_settings  # there when the first job asks, not when rules are read
        if not isinstance(settings.group_components, Components):
            settings.group_components = Components(settings.group_components)
        return GROUP + "_".join([*wildcards, *places])

    return group


def turn_of(workflow: Any) -> Callable[[Any], int]:
    """Gives what a dump takes of TURN: nothing on this machine, where a lock makes it wait."""
    return lambda _: int(not workflow.local_exec)


def minutes_of(output: str) -> Callable[[Any, int], int]:
    """Gives the minutes that a dump asks a cluster for, by its wildcards and the attempt.

    Args:
        output: Its file, with wildcards.
    """

    def minutes(wildcards: Any, attempt: int) -> int:
        is_later = output.format(**dict(wildcards.items())) in _later
        return attempt * (MINUTES_LATER if is_later else MINUTES)

    return minutes


def begin(workflow: Any, experiment: str) -> None:
    """Write down the passes of a built DAG, before its jobs run."""
    os.environ.pop(passes.PASSES, None)
    if workflow.dryrun or os.environ.get(ONE_JOB):
        return
    together = list(planned_passes(workflow.dag, workflow.local_exec))
    parts = [[_part(job) for job in jobs] for jobs in together]
    try:
        os.environ[passes.PASSES] = str(passes.plan(experiment, parts))
    except (SightlinesError, OSError):  # jobs say where nothing can be written
        return
    for _, *others in together:
        for job in others:
            if workflow.local_exec:
                give_way(workflow.dag, job)
            else:
                _later.update(map(str, job.output))


def planned_passes(dag: Any, is_local: bool = True) -> Iterator[list[Any]]:
    """Jobs that share a pass, two or more; first the one that has most to wait for.

    When that one can begin, the inputs of the others are there too.

    Args:
        dag: Snakemake's.
        is_local: Whether all jobs run on this machine; else only those of one group share.
    """
    groups: dict[Any, list[Any]] = {}
    needed = set(dag.needrun_jobs())
    for job in (job for level in dag.toposorted() for job in level if job in needed):
        kind = job.params.get("kind")
        shared = registry.declarations("dumps", kind).get("PASS") if kind else None
        submitted = None if is_local else dag.get_job_group(job)
        if shared and (is_local or submitted):
            inputs = (str(job.input.dataset), str(job.input.weights), str(job.input.card))
            groups.setdefault((shared, submitted, *inputs), []).append(job)
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
