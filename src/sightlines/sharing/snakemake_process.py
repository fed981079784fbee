"""What Snakemake's own process does over and over while jobs wait, held to what a job needs.

Snakemake 9.27 does more for each job the more have ended and the more wait:

- A round of its scheduler that leaves a job waiting starts a timer for another round (for
  `--max-jobs-per-timespan`), and each job that ends adds such a round: after n jobs there are n
  rounds a second, each with a thread of its own. Here one timer at a time is pending.
- A round weighs all jobs that are ready, also where no core is free. Here a job is weighed once,
  when it becomes ready, and a round sees the first of each kind of demand: those that the greedy
  scheduler takes of all.
- A job that ends has its inputs read and hashed anew, once for each output. Here a hash is
  remembered as long as the file has the same size, times and inode.
- pandas is imported to ask of each parameter whether it is a data frame. Here none is while nobody
  has imported pandas.

This is the one place that knows how Snakemake's process works. tests/sharing/
test_snakemake_process.py counts each of these in the Snakemake in use, with and without this
module, and fails where a newer one no longer needs it.
"""

import bisect
import functools
import itertools
import sys
import threading
import time
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any

import snakemake.api  # first: `workflow` alone imports itself in a circle
import snakemake.io
import snakemake.workflow
from snakemake.persistence import PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler

from sightlines.core.file_hashes import SETTLED_NS, Stamp, stamp_of

CORES = "_cores"
"""Snakemake's name of processor cores, among the resources that jobs ask for."""
COUNT = "_job_count"
"""Its name of what only the limit over a timespan holds, anew at each selection."""
Demand = tuple[tuple[str, int], ...]
"""What a job takes of each resource that is limited; what it takes nothing of is left out."""


def hold() -> None:
    """Have the Snakemake of this process do no more than is said above; once is enough."""
    snakemake.workflow.JobScheduler = Scheduler
    if not hasattr(snakemake.io._IOFile.checksum, "__wrapped__"):
        snakemake.io._IOFile.checksum = _remembering(snakemake.io._IOFile.checksum)
    if not hasattr(PersistenceBase._serialize_param_pandas, "__wrapped__"):
        PersistenceBase._serialize_param_pandas = _lean(PersistenceBase._serialize_param_pandas)


class Scheduler(JobScheduler):  # type: ignore[misc]
    """Snakemake's scheduler with one pending timer, and only jobs to choose from that can start."""

    def __init__(self, *arguments: Any) -> None:
        """As Snakemake's own."""
        self._is_pending = False
        self._waiting = Waiting()
        super().__init__(*arguments)

    def _schedule_reevalutation(self, delay: float) -> None:
        if self._is_pending:
            return

        def look_again() -> None:
            self._is_pending = False  # before the round, which may ask for the next
            self._open_jobs.release()

        self._is_pending = True
        timer = threading.Timer(delay, look_again)
        timer.daemon = True  # what has ended waits for no round
        timer.start()

    @property
    def open_jobs(self) -> list[Any]:
        """Of the jobs that are ready those that a round may start."""
        is_greedy = self._job_selector.__func__ is self.job_selector_greedy.__func__
        if self.dryrun or not is_greedy:
            return super().open_jobs  # type: ignore[no-any-return]
        ready = self.workflow.dag.ready_jobs
        if new := ready - self._waiting.jobs:
            for job in new:
                job.reset_params_and_resources()  # the DAG knew them before the inputs were there
                self.validate_job(job)
            self.workflow.async_run(self.update_input_sizes(new))
        self._waiting.update(ready, self._weigh)
        if self.running and not self.resources[CORES]:
            return []
        # Where nothing runs and nothing fits it is for Snakemake to say what is wrong.
        return self._waiting.first(self.resources) or ([] if self.running else super().open_jobs)

    @property
    def remaining_jobs(self) -> Any:
        """All jobs that have not run, listed when somebody looks: the greedy scheduler does not."""
        return Later(lambda: JobScheduler.remaining_jobs.fget(self))

    def _weigh(self, job: Any) -> tuple[Demand, tuple[int, ...]]:
        limited = self.resources.keys() - {COUNT}
        takes = job.scheduler_resources.items()
        demand = tuple(sorted((name, n) for name, n in takes if n and name in limited))
        reward = self._greedy_scheduler.job_reward(job, self._input_sizes)
        return demand, reward if isinstance(reward, tuple) else (reward,)


class Waiting:
    """Jobs that are ready, in a line for each demand, in the order in which they are to start."""

    def __init__(self) -> None:
        """Begin with none."""
        self._places: dict[Any, tuple[Demand, tuple[Any, ...]]] = {}
        self._lines: dict[Demand, list[tuple[Any, ...]]] = {}
        self._count = itertools.count()

    @property
    def jobs(self) -> Set[Any]:
        """Those in line."""
        return self._places.keys()

    def update(
        self, ready: Set[Any], weigh: Callable[[Any], tuple[Demand, tuple[int, ...]]]
    ) -> None:
        """Take in who came, and leave out who went.

        Args:
            ready: All that are ready now.
            weigh: Called once for each that came: its demand, and its reward, where more is first;
                of equal ones who came first.
        """
        for job in self._places.keys() - ready:
            demand, place = self._places.pop(job)
            line = self._lines[demand]
            del line[bisect.bisect_left(line, place)]
        for job in ready - self._places.keys():
            demand, reward = weigh(job)
            place = (*(-part for part in reward), next(self._count), job)
            self._places[job] = demand, place
            bisect.insort(self._lines.setdefault(demand, []), place)

    def first(self, free: Mapping[str, int]) -> list[Any]:
        """Of each line as many as could start if nothing else did; what fits never waits behind it.

        Args:
            free: How much of each resource is free.
        """
        found = []
        for demand, line in self._lines.items():
            fit = min((free[name] // amount for name, amount in demand), default=len(line))
            found += [place[-1] for place in line[:fit]]
        return found


class Later:
    """A list that is made when somebody looks at it."""

    def __init__(self, make: Callable[[], list[Any]]) -> None:
        """Remember how."""
        self._make = make

    @functools.cached_property
    def _made(self) -> list[Any]:
        return self._make()

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, index: int) -> Any:
        return self._made[index]


def _remembering(checksum: Callable[..., Any]) -> Callable[..., Any]:
    """Snakemake's `checksum` of a file, which reads no file twice that has not changed."""
    known: dict[Any, tuple[Stamp, str]] = {}

    @functools.wraps(checksum)
    async def remembered(file: Any, *how: Any, **named: Any) -> str | None:
        if file.is_storage:
            found: str | None = await checksum(file, *how, **named)
            return found
        path = Path(file)
        key = (str(path), how, tuple(sorted(named.items())))
        before = stamp_of(path)
        if known.get(key, (None,))[0] == before:
            return known[key][1]
        found = await checksum(file, *how, **named)
        is_settled = time.time_ns() - max(before[1:3]) > SETTLED_NS
        if found is not None and is_settled and stamp_of(path) == before:
            known[key] = before, found
        return found

    return remembered


def _lean(serialize: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Snakemake's text of a parameter, for which pandas is not imported."""

    @functools.wraps(serialize)
    def lean(persistence: Any, value: Any) -> Any:
        if "pandas" in sys.modules:
            return serialize(persistence, value)
        return persistence._serialize_param_builtin(value)

    return lean
