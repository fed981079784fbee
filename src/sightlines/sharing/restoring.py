"""A file that was removed, or not pulled, is made again for one job: no other job follows from it.

Snakemake makes a missing input again when a job needs it, and then runs whatever else reads it,
and makes what *that* reads again, and so on: one changed measure of Grams would bring back every
dump. But the same command on the same machine writes the same bytes, from which all others were
made already. So a job that makes such a file again counts as no change.

That is decided where Snakemake has decided, and before it counts: its `DAG.update_needrun` is
the place; it has no hook there. Where other hardware or other versions would write other bytes,
all that reads them runs, as Snakemake says. And if the bytes differ in spite of it, the next start
sees that tables were made from another version of a file, and makes them again (`adopt.py`).
"""

import functools
import platform
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sightlines.core.hardware import describe_hardware
from sightlines.jobs.command import versions
from sightlines.sharing.provenance import Provenance
from sightlines.sharing.unpulled import only_missing

_DECIDES = "update_needrun"


def restorable(accounts: Iterable[Provenance], absent: Mapping[str, int]) -> dict[str, int]:
    """Of outputs that are not here those that this machine would make again byte for byte.

    Args:
        accounts: Of all that is trusted, and of what is not here.
        absent: Bytes of what is not here, by path.
    """
    now = {
        "hardware": describe_hardware(),
        "packages": versions(),
        "python": platform.python_version(),
    }
    alike = (job for job in accounts if all(job.record.get(k) == v for k, v in now.items()))
    return {path: absent[path] for job in alike for path in job.outputs if path in absent}


def hold(dag: type[Any], absent: Callable[[], Mapping[str, int]]) -> None:
    """From now on, leave jobs out of Snakemake's plans that only follow from what is restored.

    Called again, it replaces what it was told before.

    Args:
        dag: Snakemake's class.
        absent: What is not here and would be made again as it was.
    """
    decide = getattr(dag, _DECIDES)
    decide = getattr(decide, "__wrapped__", decide)

    @functools.wraps(decide)
    async def decide_and_leave_out(self: Any, *args: Any, **kwargs: Any) -> None:
        await decide(self, *args, **kwargs)
        if found := absent():
            leave_out(self, needless(self, found))

    setattr(dag, _DECIDES, decide_and_leave_out)


def needless(dag: Any, absent: Mapping[str, int]) -> set[Any]:
    """Planned jobs that nothing asks for but the making again of files that were as recorded."""
    planned = set(dag.needrun_jobs())
    idle = only_missing(dag, absent)
    kept = [job for job in planned - idle if not job.rule.norun]
    kept += [job for job in idle if job in dag.targetjobs and dag.reason(job).missing_output]
    aims = [job for job in planned if job.rule.norun]  # such as `all`: they run nothing
    wanted = set(kept)
    ahead = [*kept, *aims]
    while ahead:
        job = ahead.pop()
        for before, files in dag.dependencies[job].items():
            missing = {str(path) for path in dag.reason(before).missing_output}
            if before in planned - wanted and missing & {str(path) for path in files}:
                wanted.add(before)
                ahead.append(before)
    left = {aim for aim in aims if wanted & set(dag.dependencies[aim])}
    return planned - wanted - left


def leave_out(dag: Any, jobs: Iterable[Any]) -> None:
    """Take jobs out of a plan of Snakemake's that was just made."""
    jobs = set(jobs)
    if not jobs:
        return
    for job in jobs:
        dag.reason(job).clear()
    dag._needrun -= jobs
    dag._n_until_ready.clear()
    for job in dag._needrun:
        before = dag.dependencies[job]
        dag._n_until_ready[job] = sum(1 for other in before if other in dag._needrun)
    dag._len = len(dag._finished | dag._needrun)
