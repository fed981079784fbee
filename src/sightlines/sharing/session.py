"""What sharing does around one call of Snakemake: before it looks, before it runs, after it ran."""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sightlines.core.errors import DiskError, SightlinesError
from sightlines.jobs import liveness, passes
from sightlines.jobs.shown import PLAN_EVENT, is_shown
from sightlines.plan.code_digest import code_parts, keep_parts
from sightlines.sharing import (
    estimates,
    explain,
    older,
    one_pass,
    registration,
    restoring,
    snakemake_process,
)
from sightlines.sharing.adopt import Adoption, adopt, carry_over
from sightlines.sharing.asked import Asked, commands, list_jobs
from sightlines.sharing.dvc import is_shared
from sightlines.sharing.explain import Watch, planned_jobs, say, table
from sightlines.sharing.metrics import write_metrics
from sightlines.sharing.provenance import read_codes, write_provenance
from sightlines.sharing.room import DumpBytes, room
from sightlines.sharing.snakemake_settings import ONE_JOB, set_right
from sightlines.sharing.unpulled import (
    advice,
    committed,
    files_to_pull,
    is_heavy,
    only_missing,
    only_not_pulled,
)

LOCKED = "Directory cannot be locked"
TOUCHED = (
    "--touch would declare results as made by today's code and config whatever made them. Run "
    "snakemake without it: what is as recorded is not made again."
)


def begin(
    workflow: Any,
    experiment: str,
    may_recompute: bool,
    dump_bytes: DumpBytes | None = None,
    remember: Callable[[], None] = lambda: None,
    judged_by: str = "",
) -> None:
    """Adopt what is here, and arrange that the plan is told before anything runs.

    Args:
        workflow: Snakemake's.
        experiment: Its name.
        may_recompute: Whether shared results may be made again where they were not pulled.
        dump_bytes: Rule and model -> bytes of a dump, as far as the config tells.
        remember: Called where nothing was to be done, all is here, and there was nothing to say.
        judged_by: Digest of the code that judges claims, which are registered before the first job.

    Raises:
        ResultError: provenance or results are damaged or hostile.
        ShareError: what says which results were shared cannot be read or has merge conflicts.
        SystemExit: the command asks for a setting with which results would be others.
    """
    say(set_right(workflow))
    snakemake_process.hold()
    may_pull = not may_recompute and is_shared(experiment)
    # A folder of one job has its inputs without any record, and makes none of them.
    adoption = Adoption() if os.environ.get(ONE_JOB) else adopt(experiment)
    say(adoption.summary())
    acts = {
        "workflow_started": lambda: _before_planning(workflow, experiment, adoption),
        "run_info": lambda: _before_running(
            workflow, experiment, adoption, may_pull, may_recompute, dump_bytes, judged_by
        ),
    }
    acts = {event: functools.partial(_in_one_line, act) for event, act in acts.items()}

    from snakemake.dag import DAG
    from snakemake.logging import logger

    restoring.hold(
        DAG, lambda: adoption.absent and restoring.restorable(adoption.accounts, adoption.absent)
    )
    in_place_of = {LOCKED: liveness.who_else}

    def when_idle() -> None:
        _when_idle(workflow, experiment)
        if not adoption.absent and not watch.has_warned and not explain.said:
            remember()

    watch = Watch(acts, in_place_of, when_idle)
    logger.addFilter(watch)


def _in_one_line(act: Callable[[], None]) -> None:
    """Do what is to be done inside Snakemake, and say without a traceback why it cannot be."""
    try:
        act()
    except SightlinesError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error


def _before_planning(workflow: Any, experiment: str, adoption: Adoption) -> None:
    say(set_right(workflow))
    carried = carry_over(experiment, adoption.accounts, commands(workflow))
    if carried:
        say(
            f"Carried over {len(carried)} results of an older version of sightlines: this one is "
            "shown to make the same bytes."
        )


def _when_idle(workflow: Any, experiment: str) -> None:
    """Nothing is to be made: what is staged for a pass, nobody will take."""
    list_jobs(_jobs(workflow.dag))
    with contextlib.suppress(DiskError):  # then the next start follows the code again
        keep_parts()
    if not workflow.dryrun:
        passes.clear(experiment)


def _jobs(dag: Any) -> Iterator[Asked]:
    """All jobs of a built DAG, whether or not they run."""
    for job in (job for level in dag.toposorted() for job in level):
        if not job.rule.norun:
            code = job.params.code
            outputs = [str(path) for path in job.output]
            yield Asked(job.rule.name, outputs, json.loads(job.params.cfg), code, code_parts(code))


def _before_running(
    workflow: Any,
    experiment: str,
    adoption: Adoption,
    may_pull: bool,
    may_recompute: bool,
    dump_bytes: DumpBytes | None,
    judged_by: str,
) -> None:
    if workflow.touch:
        raise SystemExit(TOUCHED)
    dag = workflow.dag
    list_jobs(_jobs(dag))
    keep_parts()
    absent = committed(experiment, adoption.absent) if may_pull else {}
    idle = only_missing(dag, absent) if may_pull else set()
    shared = read_codes(experiment)

    def codes(digest: str) -> Mapping[str, str]:
        return shared.get(digest) or code_parts(digest)

    planned = planned_jobs(dag, codes, idle)
    if not is_shown():  # the console has a table of its own
        say(table(planned))
    _tell_console(experiment, planned)
    say(only_not_pulled(len(idle)))
    say(room(dag, idle, adoption.absent, dump_bytes))
    again = older.only_code(dag, codes)
    if again.heavy and not may_recompute and not again.is_own_edit(older.edited_files()):
        if not workflow.dryrun:
            raise SystemExit(older.advice(experiment, again))
        say(older.in_dry_run(again))
    files = files_to_pull(dag, idle)
    if files and any(is_heavy(job.rule.name) for job in idle):
        raise SystemExit(advice(experiment, files, absent))
    if judged_by and not workflow.dryrun and not os.environ.get(ONE_JOB):
        registration.register(experiment, judged_by)
    one_pass.begin(workflow, experiment)


def _tell_console(experiment: str, planned: list[explain.Planned]) -> None:
    """Hand the plan to whoever shows the run: a record of Snakemake's log without any text."""
    from snakemake.logging import logger

    jobs = [(job.rule, job.why, estimates.seconds(job.log, job.settings)) for job in planned]
    logger.info("", extra={"event": PLAN_EVENT, "experiment": experiment, "jobs": jobs})


def end(experiment: str) -> None:
    """Write down how the results were made; a failure is said and changes no result."""
    try:
        if Path("results", experiment).is_dir():
            write_provenance(experiment)
            write_metrics(experiment)
    except SightlinesError as error:
        say(f"{type(error).__name__}: {error}")
