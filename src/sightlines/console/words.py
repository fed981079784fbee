"""The console's sentences: what will run and why, how far it is, what failed, what was found."""

import contextlib
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from sightlines.console.run_state import (
    PlannedJob,
    RunningJob,
    RunState,
    by_stage,
    lines_of_level,
    most_said,
    percent_done,
    tail,
)
from sightlines.core.csv_rows import number, read_rows
from sightlines.core.errors import ResultError
from sightlines.results.numbers import bars, interval, level, significant
from sightlines.results.verdict_words import ONE_RUN, of_one_run

MOST_NAMED = 3
LOG_END_BYTES = 64 * 1024
DECIDED = ("learned", "holds", "does not hold", "lost in training", "depends")
"""How verdicts begin that say something about the networks."""
TELLING = 3
"""Claims that the last lines quote."""
WIDTH = 100


def duration(seconds: float) -> str:
    """`48 s`, `12 min`, `3 h 20 min`."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if not hours else f"{hours} h {rest} min"


def plan_rows(jobs: Sequence[PlannedJob]) -> list[tuple[str, str, str, str]]:
    """Stage, jobs, time on one core, and why: one row a stage that has jobs."""
    return [
        (stage, str(number), duration(seconds), most_said(reasons))
        for stage, (number, seconds, reasons) in by_stage(jobs).items()
    ]


def plan_text(jobs: Sequence[PlannedJob], experiment: str, cores: int) -> str:
    """What will be run and why, as a table of plain text."""
    total = sum(job.seconds for job in jobs) / max(cores, 1)
    head = (
        f"{experiment}: {len(jobs)} {'job' if len(jobs) == 1 else 'jobs'} on {cores} "
        f"{'core' if cores == 1 else 'cores'}, about {duration(total)}"
    )
    rows = [("stage", "jobs", "CPU time", "why"), *plan_rows(jobs)]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        f"  {a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}"[: WIDTH + 40]
        for a, b, c, d in rows
    ]
    return "\n".join([head, *lines])


def running_text(job: RunningJob) -> str:
    """A job that runs, and how far it is."""
    done = percent_done(job.log)
    return job.name if done is None else f"{job.name} {done} %"


def progress_text(state: RunState, now: float) -> str:
    """How far a run is, in one line."""
    jobs = list(state.running.values())
    named = ", ".join(map(running_text, jobs[:MOST_NAMED]))
    more = f" and {len(jobs) - MOST_NAMED} more" if len(jobs) > MOST_NAMED else ""
    left = duration(state.seconds_left(now))
    over = int(now - state.began)
    done = f"{state.finished} of {state.total} jobs"
    line = f"[{over // 60:>3}:{over % 60:02}] {done}, about {left} left"
    return line + (f"; running: {named}{more}" if named else "")


def failure_text(job: RunningJob) -> str:
    """What went wrong with a job, where, and what to do: in one block."""
    said = lines_of_level(tail(job.log, LOG_END_BYTES), ("ERROR", "CRITICAL"))
    what = said[-1] if said else _last_words(job)
    lines = [f"FAILED  {job.name}", textwrap.indent(what, "  ")]
    if job.log and job.log not in what:
        lines.append(f"  log: {job.log}")
    lines.append(
        "  Other jobs go on; what is done is kept, so the same command goes on from there."
    )
    return "\n".join(lines)


def _last_words(job: RunningJob) -> str:
    end = [line for line in tail(job.log).splitlines() if line][-3:]
    killed = "It ended without an error message: perhaps it was killed, for want of memory."
    return "\n".join([killed, *(["The last lines of its log:", *end] if end else [])])


def warnings_of(job: RunningJob) -> list[str]:
    """What a job's log warns of, each in one line."""
    return [
        f"warning: [{job.name}] {text.splitlines()[0]}"
        for text in lines_of_level(tail(job.log, LOG_END_BYTES), ("WARNING",))
    ]


def answer_text(folder: Path) -> str:
    """What was found: how many claims have which verdict, the most telling ones, the report."""
    claims: list[dict[str, str]] = []
    with contextlib.suppress(ResultError):  # no claims, or none yet
        claims = read_rows(folder / "tables" / "claims.csv")
    lines = []
    if claims:
        counts: dict[str, int] = {}
        for row in claims:
            counts[row.get("verdict", "")] = counts.get(row.get("verdict", ""), 0) + 1
        alone = of_one_run(r.get("in_this_run", "") for r in claims if r.get("verdict") == ONE_RUN)
        said = ", ".join(
            f"{times} {verdict}" + (f" ({alone})" if verdict == ONE_RUN and alone else "")
            for verdict, times in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        )
        lines.append(f"{len(claims)} claims: {said}.")
        lines += map(_claim_text, _telling(claims))
    report = folder / "report.html"
    if report.is_file():
        lines.append(f"The report: {report.as_posix()}")
    return "\n".join(lines)


def _telling(claims: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The claims that were decided most clearly: by their P value, smallest first."""
    decided = [
        row
        for row in claims
        if row.get("verdict", "").startswith(DECIDED) and math.isfinite(number(row, "value"))
    ]
    decided.sort(key=lambda row: (_or_one(number(row, "p")), row.get("claim", "")))
    return decided[:TELLING]


def _claim_text(row: Mapping[str, str]) -> str:
    value, low, high = (number(row, key) for key in ("value", "low", "high"))
    is_whole = math.isfinite(low) and math.isfinite(high)
    against = bars(row.get("threshold"), row.get("deciding"))
    wide = f", {of}" if (of := level({"level": number(row, "level")})) else ""
    told = interval((value, low, high), against, wide, write=significant, digits=3)
    told = told if is_whole else significant(value)
    said = row.get("title") or row.get("statement", "")
    words = textwrap.shorten(said, WIDTH, placeholder=" …")
    return f"  {row.get('claim', '')} {row.get('verdict', '')} ({told}): {words}"


def _or_one(p: float) -> float:
    return p if math.isfinite(p) else 1.0


def visible(text: str) -> str:
    """Text without what a terminal would obey: names in logs may be somebody else's."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
