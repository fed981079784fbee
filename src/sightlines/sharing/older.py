"""No network is trained again only because sightlines itself is another version.

Whoever edits the code knows that it makes results anew, and is not asked. Whoever pulled newer
code, or results that older code made, may not know, and would lose hours: a run then stops before
it trains or dumps anything, unless the command has `--config recompute=true`.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sightlines.core.git import git
from sightlines.plan.code_digest import code_parts
from sightlines.plan.registry import PACKAGE
from sightlines.sharing.explain import Codes, changed_files, sides
from sightlines.sharing.provenance import provenance_path
from sightlines.sharing.snakemake_records import read_one
from sightlines.sharing.unpulled import is_heavy

CHECKOUT = PACKAGE.parents[1]
COMMANDS = ("Snakefile", "workflow/rules")
"""Where the commands of rules stand."""


@dataclass(frozen=True)
class Again:
    """Jobs that would run only because the code is another than the one that made their outputs.

    Attributes:
        heavy: Rule -> number of jobs, of those that run networks.
        files: Files of the code that differ, as far as they are known.
        is_unknown: Whether others may differ, too.
    """

    heavy: Mapping[str, int] = field(default_factory=dict)
    files: frozenset[str] = frozenset()
    is_unknown: bool = False

    def is_own_edit(self, edited: Collection[str]) -> bool:
        """Whether changes that are not committed explain it all."""
        return not self.is_unknown and self.files <= set(edited)


@dataclass(frozen=True)
class _Cause:
    files: frozenset[str] = frozenset()
    is_unknown: bool = False

    def __or__(self, other: "_Cause") -> "_Cause":
        return _Cause(self.files | other.files, self.is_unknown or other.is_unknown)


def only_code(dag: Any, codes: Codes) -> Again:
    """What would run again in a built Snakemake DAG only because of other code.

    A job that anything else asks for, such as a changed config, a missing or an altered file, is
    left out, and so is what follows from it.

    Args:
        dag: Snakemake's.
        codes: The modules behind a digest.
    """
    needed = {job for job in dag.needrun_jobs() if not job.rule.norun}
    causes: dict[Any, _Cause] = {}
    for level in dag.toposorted():
        for job in level:
            before = [other for other in dag.dependencies[job] if other in needed]
            if job not in needed or not all(other in causes for other in before):
                continue
            own = _own_cause(dag, job, codes)
            if own is None or (own == _Cause() and not before):
                continue
            for other in before:
                own |= causes[other]
            causes[job] = own
    heavy = {job: cause for job, cause in causes.items() if is_heavy(job.rule.name)}
    whole = _Cause()
    for cause in heavy.values():
        whole |= cause
    return Again(Counter(job.rule.name for job in heavy), whole.files, whole.is_unknown)


def _own_cause(dag: Any, job: Any, codes: Codes) -> _Cause | None:
    """How the code of a job itself changed; None where anything else asks for it."""
    reason = dag.reason(job)
    records = dag.workflow.persistence
    outputs = [str(path) for path in job.output]
    was_never_made = reason.missing_output and not all(map(read_one, outputs))
    if (
        was_never_made
        or reason.forced
        or reason.incomplete_output
        or reason.updated_input
        or reason.software_stack_changed
    ):
        return None
    # Snakemake does not ask for changes where a file is missing.
    params = records.params_changed(job)
    command = any(records.code_changed(job))
    if any(records.input_changed(job)) and not command:
        return None  # the same command on other files: another dataset, for instance
    cause = _Cause()
    if params:
        (old_cuts, old_codes), (new_cuts, new_codes) = sides(params)
        if old_cuts or new_cuts:
            return None
        before = codes(old_codes[0]) if old_codes else {}
        now = code_parts(new_codes[0]) if new_codes else {}
        files = changed_files(before, now) if before and now else []
        cause |= _Cause(frozenset(files), is_unknown=bool(new_codes) and not files)
        command |= not new_codes
    return cause | _Cause(frozenset(COMMANDS)) if command else cause


def edited_files() -> set[str]:
    """Files of the code here with changes that are not committed; COMMANDS where one of those has.

    Empty where git knows nothing of this folder: an edit cannot be told from another version there.
    """
    changed = git("-C", str(CHECKOUT), "diff", "--name-only", "--relative", "HEAD", "--", ".")
    new = git("-C", str(CHECKOUT), "ls-files", "--others", "--exclude-standard")
    files = {*changed.splitlines(), *new.splitlines()}
    return files | (set(COMMANDS) if any(name.startswith(COMMANDS) for name in files) else set())


def advice(experiment: str, again: Again) -> str:
    """What would be made again, and how to make it or to keep what there is."""
    counted = "\n".join(
        f"  {rule}: {number} job{'s' * (number != 1)}" for rule, number in again.heavy.items()
    )
    return "\n".join(
        [
            "Stopped before training or dumping anything again: these results were made by an "
            "older version of sightlines, and nothing shows that this one makes the same bytes.",
            counted,
            "Make them again: the same snakemake command with --config recompute=true",
            f"Or keep them:    {_keep(experiment)}",
        ]
    )


def in_dry_run(again: Again) -> str:
    """What a dry run says, which goes on."""
    number = sum(again.heavy.values())
    counted = "1 job" if number == 1 else f"{number} jobs"
    return (
        f"{counted} that run networks would run again only because these results were made by an "
        "older version of sightlines: a run stops before them without --config recompute=true."
    )


def _keep(experiment: str) -> str:
    """How to get the code that made the results: of the commit that shared them, if they were."""
    path = provenance_path(experiment).as_posix()
    commit = git("log", "-1", "--format=%h", "--", path).strip()
    return f"git checkout {commit}" if commit else "use the commit that made them"
