"""What must run and why, in words, above Snakemake's own table; and when not to begin at all.

Snakemake says "Params have changed" and prints digests. Here the same decision is told as what
somebody changed: a function, a key of the config, a result that is not as recorded.
"""

import ast
import json
import logging
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sightlines.plan.code_digest import code_parts
from sightlines.sharing.snakemake_records import read_one, why_invalidated

Codes = Callable[[str], Mapping[str, str]]
"""Digest of a job's code -> digests of its definitions, by ``module:name``; none: not known."""
MOST_NAMED = 3
"""Of changed definitions, keys and files, before the others are counted."""
BRIEF = 40
"""Characters of a value that is shown whole."""
PLAIN = re.compile(r"[\w ,./-]*")
"""Text that any shell takes as it stands between double quotes."""
NOTHING = "Nothing to be done"
"""How Snakemake says that all is up to date."""
DEFAULT = "workflow/config/default.yaml"
"""The config of a plain `make run`."""
NOT_MADE = "not made yet"
MISSING = "missing"
FORCED = "asked for"


@dataclass
class Planned:
    """One job that Snakemake is about to run.

    Attributes:
        rule: Its rule.
        reasons: Why, in words, without what only follows from other jobs.
        follows: Rules of the planned jobs that make its inputs.
        log: Its log.
        settings: Its slice of the config, as JSON.
    """

    rule: str
    reasons: list[str] = field(default_factory=list)
    follows: list[str] = field(default_factory=list)
    log: str = ""
    settings: str = "{}"

    @property
    def why(self) -> str:
        """Its reasons in one line."""
        return "; ".join(self.reasons) or f"follows from {_some(self.follows)}"


def planned_jobs(dag: Any, codes: Codes, idle: Collection[Any]) -> list[Planned]:
    """The jobs of a built Snakemake DAG that must run, each with its reasons, in running order.

    Args:
        dag: Snakemake's.
        codes: The definitions behind a digest.
        idle: Jobs that are neither listed nor what others follow from.
    """
    needed = set(dag.needrun_jobs()).difference(idle)
    ordered = [job for level in dag.toposorted() for job in level if job in needed]
    return [_planned(dag, job, needed, codes) for job in ordered if not job.rule.norun]


def _planned(dag: Any, job: Any, needed: set[Any], codes: Codes) -> Planned:
    reason = dag.reason(job)
    outputs = [str(path) for path in job.output]
    before = [other for other in dag.dependencies[job] if other in needed]
    records = [record for path in outputs if (record := read_one(path))]
    params = reason.params_changed
    if reason.missing_output:  # then Snakemake has not asked
        params = dag.workflow.persistence.params_changed(job)
    told = list(dict.fromkeys(_reasons(job, reason, params, records, codes)))
    if reason.missing_output and not told and not (records and before):
        told = [MISSING if records else NOT_MADE]
    return Planned(
        rule=job.rule.name,
        reasons=told,
        follows=sorted({other.rule.name for other in before}),
        log=next((str(path) for path in job.log), ""),
        settings=str(job.params.get("cfg", "{}")),
    )


def _reasons(
    job: Any,
    reason: Any,
    params: Any,
    records: list[dict[str, Any]],
    codes: Codes,
) -> Iterator[str]:
    if reason.forced:
        yield FORCED
    if reason.incomplete_output:
        yield "it was stopped before its end"
    invalidated = [why for record in records if (why := why_invalidated(record))]
    if invalidated:
        yield invalidated[0]
        return
    if params:
        yield from _params(params, codes)
    if reason.code_changed:
        yield "the command of its rule changed"
    if reason.input_changed:
        yield _inputs(records, {str(path) for path in job.input})
    if reason.updated_input:
        yield f"changed: {_some(sorted(str(path) for path in reason.updated_input))}"
    if reason.software_stack_changed:
        yield "the software deployment changed"


def _params(change: Any, codes: Codes) -> Iterator[str]:
    (old_cuts, old_codes), (new_cuts, new_codes) = sides(change)
    if old_cuts and new_cuts:
        yield config_changes(old_cuts[0], new_cuts[0])
    if new_codes:
        before = codes(old_codes[0]) if old_codes else {}
        yield changed_code(before, code_parts(new_codes[0]))
    if not new_cuts and not new_codes:
        yield "what it is called with changed"


def sides(change: Any) -> list[tuple[list[dict[str, Any]], list[str]]]:
    """Config slices and code digests of the parameters that the record alone and the job alone has.

    Args:
        change: Snakemake's account of how they differ.
    """
    texts = ([_literal(text) for text in side] for side in (change.only_old, change.only_new))
    return [
        ([cut for cut in map(_cut, side) if cut is not None], [c for c in side if _is_digest(c)])
        for side in texts
    ]


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _cut(value: Any) -> dict[str, Any] | None:
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 16 and set(value) <= set("0123456789abcdef")


def config_changes(before: Any, now: Any) -> str:
    """Which keys of the config changed."""
    return f"config changed: {_some(list(differences(before, now)))}"


def changed_code(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Which definitions changed, by their files."""
    named = [
        f"{file} ({_some(names)})" if names else file
        for file, names in _changed(before, now).items()
    ]
    return f"code changed: {_some(named)}" if named else "its code changed"


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Files that differ between two digests.

    None where either is not known, or known by modules alone, as an older version wrote them.
    """
    return list(_changed(before, now))


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, list[str]]:
    """Files that differ, each with the definitions that do; other statements have no name."""
    if not before or not all(":" in part for part in before):
        return {}
    files: dict[str, list[str]] = {}
    for part in sorted({*before, *now}):
        if before.get(part) != now.get(part):
            module, _, name = part.partition(":")
            names = files.setdefault(f"src/{module.replace('.', '/')}.py", [])
            names += [name] if name else []
    return files


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Keys whose values differ, as `train.steps 12 → 13` or `networks with vit/f010/s0`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = f"{where}.{key}" if where else key
            if key not in old:
                yield f"{inner} added"
            elif key not in new:
                yield f"{inner} removed"
            else:
                yield from differences(old[key], new[key], inner)
    elif old == new:
        return
    elif isinstance(old, list) and isinstance(new, list) and len(json.dumps(old + new)) > BRIEF:
        come, gone = ([str(x) for x in a if x not in b] for a, b in ((new, old), (old, new)))
        parts = [come and f"with {_some(come)}", gone and f"without {_some(gone)}"]
        yield f"{where} {' and '.join(p for p in parts if p) or 'in another order'}"
    else:
        yield f"{where} {_brief(old)} → {_brief(new)}"


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= BRIEF else f"{text[: BRIEF - 3]}…"


def _inputs(records: list[dict[str, Any]], now: set[str]) -> str:
    before = {path for record in records for path in record.get("input") or ()}
    parts = []
    if now - before:
        parts.append(f"also reads {_some(sorted(now - before))}")
    if before - now:
        parts.append(f"no longer reads {_some(sorted(before - now))}")
    return "; ".join(parts) or "it reads other files"


def _some(names: list[str]) -> str:
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def table(planned: Iterable[Planned]) -> str:
    """One line for each rule and reason, with the number of jobs."""
    counts: dict[tuple[str, str], int] = {}
    for job in planned:
        counts[job.rule, job.why] = counts.get((job.rule, job.why), 0) + 1
    if not counts:
        return ""
    if {why for _, why in counts} == {NOT_MADE}:
        return f"Nothing of this is made yet: {sum(counts.values())} jobs."
    width = max(len(rule) for rule, _ in counts)
    lines = ["What must run, and why:"]
    lines += [
        f"  {rule:<{width}}  {count:>3} {'job ' if count == 1 else 'jobs'}  {why}"
        for (rule, why), count in counts.items()
    ]
    return "\n".join(lines)


class Watch(logging.Filter):
    """Acts when Snakemake has come to a point, also in a dry run: once each.

    Snakemake has no hooks before it plans and before it runs; but it logs that it begins, and its
    table of jobs, and a filter of its logger sees that. What an act raises ends the call.
    """

    def __init__(
        self,
        acts: Mapping[str, Callable[[], None]],
        in_place_of: Mapping[str, Callable[[], str]],
        when_idle: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            acts: Event of Snakemake's log -> what to do then: ``workflow_started``, before it
                decides what to run; ``run_info``, when it has decided and nothing has run.
            in_place_of: Beginning of a message of Snakemake's -> what to say instead.
            when_idle: Called instead where nothing is to be done.
        """
        super().__init__()
        self.has_warned = False
        self._acts = dict(acts)
        self._when_idle = when_idle
        self._in_place_of = in_place_of

    def filter(self, record: logging.LogRecord) -> bool:
        """Look at one record on its way to the terminal; all pass."""
        self.has_warned |= record.levelno >= logging.WARNING
        event = getattr(record, "event", None)
        act = self._acts.pop(str(getattr(event, "value", event)), None)
        if act is not None:
            act()
        if isinstance(record.msg, str) and record.msg.startswith(NOTHING):
            self._when_idle()
        for beginning, say in self._in_place_of.items():
            if isinstance(record.msg, str) and beginning in record.msg:
                record.msg, record.args = say(), ()
        return True


def make_argument(name: str, value: str) -> str:
    """A variable of `make` as it is typed in a shell: neither may read more into it."""
    return f"{name}={shlex.quote(value.replace('$', '$$'))}"


def of_experiment(config: str) -> str:
    """What follows a target of `make` that is meant for an experiment; nothing for the default."""
    return "" if config == DEFAULT else f" {make_argument('CONFIG', config)}"


def in_quotes(text: str) -> str:
    """Text between quotes in which a shell reads nothing more into it."""
    return f'"{text}"' if PLAIN.fullmatch(text) else shlex.quote(text)


said: list[str] = []
"""All that this process had to say."""


def say(text: str) -> None:
    """Print for a person, beside Snakemake's own lines."""
    if text:
        said.append(text)
        print(text, file=sys.stderr, flush=True)
