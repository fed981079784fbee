"""What a run has done, does and has yet to do: told by Snakemake's log, asked by the console.

Nothing here prints, and nothing knows what a terminal is.
"""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sightlines.jobs.command import job_name

STAGES = ("data", "train", "dumps", "measures", "claims", "figures", "report")
"""In the order in which a run comes to them."""
BEGINNINGS = {
    "prepare_": "data",
    "describe_": "data",
    "split_": "data",
    "dump_pixels": "data",
    "train_": "train",
    "finetune_": "train",
    "make_control": "train",
    "import_": "train",
    "dump_": "dumps",
    "measure_": "measures",
    "judge_": "claims",
    "draw_": "figures",
}
"""Beginning of a rule's name -> its stage; the first that fits. What has none is of the report."""
TAIL_BYTES = 4096
"""How much of a log's end is read to find how far its job is."""
PROGRESS = re.compile(r"\((\d{1,3})%\), .* ([\d.]+|inf) s left")
"""As `core.progress` writes it."""
LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (\w+) ")
"""How a line of a job's log begins; group 1: its level."""


def stage_of(rule: str) -> str:
    """The stage that a rule belongs to."""
    return next((stage for start, stage in BEGINNINGS.items() if rule.startswith(start)), "report")


def name_of(log: str, rule: str) -> str:
    """A job's name: its log's path below `logs/`, or its rule."""
    path = Path(log)
    return job_name(path) if "logs" in path.parts else rule


@dataclass(frozen=True)
class PlannedJob:
    """One job that is to run.

    Attributes:
        rule: Its rule.
        why: Why it must run, in words.
        seconds: How long it will take alone, about.
    """

    rule: str
    why: str
    seconds: float


@dataclass
class RunningJob:
    """One job that runs.

    Attributes:
        name: For example ``train/vit_small/f100/s0``.
        rule: Its rule.
        log: Its log.
        began: When, in seconds of the clock that `RunState` was given.
    """

    name: str
    rule: str
    log: str
    began: float


@dataclass
class RunState:
    """A run, as far as Snakemake has told.

    Attributes:
        cores: Jobs of one core that run side by side.
        planned: Jobs that are to run, by stage.
        seconds: Rule -> seconds that each of its planned jobs will take, about.
    """

    cores: int = 1
    began: float = field(default_factory=time.monotonic)
    planned: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    running: dict[int, RunningJob] = field(default_factory=dict)
    last: str = ""
    _waiting: dict[str, list[float]] = field(default_factory=dict)
    _known: dict[int, RunningJob] = field(default_factory=dict)
    _expected_s: float = 0.0
    _taken_s: float = 0.0

    def plan(self, jobs: Iterable[PlannedJob]) -> None:
        """Take note of all that is to run."""
        for job in jobs:
            stage = stage_of(job.rule)
            self.planned[stage] = self.planned.get(stage, 0) + 1
            self._waiting.setdefault(job.rule, []).append(job.seconds)

    def tell(self, job: int, rule: str, log: str) -> None:
        """What a job is: Snakemake says so just before or just after it starts it."""
        known = self._known.setdefault(job, RunningJob("", "", "", 0.0))
        known.name, known.rule, known.log = name_of(log, rule), rule, log

    def start(self, jobs: Iterable[int], now: float) -> None:
        """Snakemake has started some jobs."""
        for job in jobs:
            self.running[job] = self._known.setdefault(job, RunningJob("", "", "", 0.0))
            self.running[job].began = now

    def finish(self, job: int, now: float) -> RunningJob | None:
        """A job has ended well; what is known of it."""
        ended = self.running.pop(job, None)
        if ended is None:
            return None
        stage = stage_of(ended.rule)
        self.done[stage] = self.done.get(stage, 0) + 1
        self.last = ended.name
        self._expected_s += self._take(ended.rule)
        self._taken_s += now - ended.began
        return ended

    def fail(self, job: int, rule: str) -> RunningJob | None:
        """A job has failed; what is known of it, or None where that was told before."""
        if job in self.failed:
            return None
        ended = self.running.pop(job, None) or self._known.get(job)
        ended = ended or RunningJob(rule, rule, "", 0.0)
        self.failed[job] = ended.name
        self._take(ended.rule)
        return ended

    @property
    def total(self) -> int:
        """Jobs that were planned."""
        return sum(self.planned.values())

    @property
    def finished(self) -> int:
        """Jobs that have ended well."""
        return sum(self.done.values())

    def seconds_left(self, now: float) -> float:
        """How long the rest will take, about.

        Estimates are corrected by how long the jobs took that have ended: all are off alike on a
        slower machine, or beside other work.
        """
        rest = sum(map(sum, self._waiting.values()))
        spent = 0.0
        for job in self.running.values():
            expected = self._waiting.get(job.rule) or [0.0]
            spent += min((now - job.began) / self.pace, expected[0])
        return max(rest - spent, 0.0) * self.pace / max(self.cores, 1)

    @property
    def pace(self) -> float:
        """How much longer than estimated the jobs took that have ended."""
        few = 20.0  # seconds of jobs before their times are believed more than the estimates
        return (self._taken_s + few) / (self._expected_s + few)

    def share_done(self, now: float) -> float:
        """How much of the run's time is over, from 0 to 1."""
        over, left = now - self.began, self.seconds_left(now)
        return over / (over + left) if over + left > 0 else 1.0

    def _take(self, rule: str) -> float:
        waiting = self._waiting.get(rule)
        return waiting.pop(0) if waiting else 0.0


def percent_done(log: str) -> int | None:
    """How far a job is, by the last lines of its log; None where it does not say."""
    found = PROGRESS.findall(tail(log))
    return int(found[-1][0]) if found else None


def tail(log: str, most: int = TAIL_BYTES) -> str:
    """The end of a log; empty where there is none to be read."""
    try:
        with open(log, "rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - most, 0))
            return file.read().decode(errors="replace")
    except (OSError, ValueError):
        return ""


def lines_of_level(text: str, levels: Iterable[str]) -> list[str]:
    """What a job's log says at some levels: each message whole, without time and level."""
    wanted, found, takes = set(levels), [], False
    for line in text.splitlines():
        head = LOG_LINE.match(line)
        if head:
            takes = head[1] in wanted
            if takes:
                found.append(line[head.end() :])
        elif takes:
            found[-1] += f"\n{line}"
    return found


def by_stage(jobs: Iterable[PlannedJob]) -> dict[str, tuple[int, float, dict[str, int]]]:
    """Stage -> number of jobs, seconds in all, and how many have which reason."""
    stages: dict[str, tuple[int, float, dict[str, int]]] = {}
    for job in jobs:
        number, seconds, reasons = stages.get(stage_of(job.rule), (0, 0.0, {}))
        reasons[job.why] = reasons.get(job.why, 0) + 1
        stages[stage_of(job.rule)] = (number + 1, seconds + job.seconds, reasons)
    return {stage: stages[stage] for stage in STAGES if stage in stages}


def most_said(reasons: Mapping[str, int]) -> str:
    """The reason of most jobs, and how many others there are."""
    first = max(reasons, key=lambda why: (reasons[why], why))
    others = len(reasons) - 1
    return first + (f"; {others} other {'reason' if others == 1 else 'reasons'}" if others else "")
