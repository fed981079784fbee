"""What Snakemake's log becomes on the terminal: one calm view, or few lines where nobody watches.

On a terminal a live view (`live`); in a pipe, a file or CI some lines an hour; everything else is
in Snakemake's own log file and in each job's. `--verbose`, dry runs, SIGHTLINES_CONSOLE=off and
Snakemake's own processes on other machines speak as Snakemake always does.
"""

import contextlib
import logging
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sightlines.console import words
from sightlines.console.run_state import STAGES, PlannedJob, RunState, stage_of
from sightlines.jobs import liveness
from sightlines.jobs.shown import CONSOLE, OFF, PLAN_EVENT

NOISE = re.compile(
    r"Building DAG|Using shell|Provided |Rules claiming|Singularity containers|Conda environments"
    r"|Assuming unrestricted|Using workflow specific profile|Using profile|Select jobs|Execute \d"
    r"|Complete log|Elapsed time|Group jobs|Job counts|Removing |Touching |\[.*\]$|Config file "
    r"|host: |Finished jobid|Storing output|Unlocking"
)
"""How messages of Snakemake begin that tell a user nothing."""
TELLS = 60
"""Lines of progress in a run, at most, where nobody watches."""
TICK_S = 0.5
PATIENCE_S = 60.0
"""Without any word, at most, in the first hour."""


def console(settings: Any) -> "Console | None":
    """Who shows this call of Snakemake; None where it is to speak as it always does.

    Args:
        settings: Snakemake's settings of its output.
    """
    is_main = not any(word == "--mode" or word.startswith("--mode=") for word in sys.argv)
    is_off = os.environ.get(CONSOLE) == OFF
    if is_off or settings.dryrun or settings.verbose or settings.debug_dag or not is_main:
        return None
    return Console(settings)


class Console(logging.Handler):
    """Shows a run: Snakemake's records in, few words out."""

    def __init__(self, settings: Any) -> None:
        """Begin; jobs of this Snakemake write to their logs alone from here on."""
        super().__init__()
        os.environ[CONSOLE] = liveness.me()
        self._stream = sys.stdout if settings.stdout else sys.stderr
        self._quiet, self._nocolor = bool(settings.quiet), bool(settings.nocolor)
        self._state = RunState()
        self._experiment, self._log, self._has_ended = "", "", False
        self._told, self._told_at = 0, time.monotonic()
        self._view: Any = None
        self._ends = threading.Event()
        self._ticker: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of one record, and say what is to be said."""
        try:
            self._take(record)
        except BrokenPipeError:
            raise
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """The run is over: the answer, or where to look."""
        if not self._has_ended:
            self._has_ended = True
            with contextlib.suppress(BrokenPipeError, OSError):
                self._end()
        super().close()

    def _take(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        event = getattr(record, "event", None)
        event = str(getattr(event, "value", event))
        told: dict[str, Any] = record.__dict__
        if event == PLAN_EVENT:
            self._begin(told["experiment"], [PlannedJob(*job) for job in told["jobs"]], now)
        elif event == "resources_info" and "cores" in told:
            self._state.cores = int(told["cores"] or 1)
        elif event == "job_info":
            self._state.tell(told["jobid"], told["rule_name"], next(iter(told["log"]), ""))
        elif event == "job_started":
            self._state.start(told["jobs"], now)
        elif event == "job_finished":
            ended = self._state.finish(told["job_id"], now)
            for warning in words.warnings_of(ended) if ended else ():
                self._say(warning, "yellow")
        elif event == "job_error":
            failed = self._state.fail(told["jobid"], told["rule_name"])
            if failed:
                failed.log = failed.log or next(iter(told["log"]), "")
                self._say(words.failure_text(failed), "red")
        elif event == "None" or record.levelno >= logging.WARNING:
            text = record.getMessage() if record.msg else ""
            if text and (record.levelno >= logging.WARNING or not NOISE.match(text.strip())):
                self._say(text, "yellow" if record.levelno >= logging.WARNING else "")

    def _begin(self, experiment: str, jobs: list[PlannedJob], now: float) -> None:
        if not jobs:
            return
        self._experiment, self._state.began = experiment, now
        self._state.plan(sorted(jobs, key=lambda job: STAGES.index(stage_of(job.rule))))
        self._say(words.plan_text(jobs, experiment, self._state.cores))
        self._log = _snakemake_log()
        if self._quiet:
            return
        if _is_terminal(self._stream):
            from rich.console import Console as Terminal  # where somebody watches alone

            from sightlines.console.live import LiveView

            terminal = Terminal(file=self._stream, no_color=self._nocolor or None)
            self._view = LiveView(terminal, self._state, experiment, self._log)
        else:
            self._told_at = now
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()

    def _tick(self) -> None:
        """Say from time to time how far the run is, where nobody watches."""
        while not self._ends.wait(TICK_S):
            now = time.monotonic()
            if self._is_due(now):
                self._told_at, self._told = now, self._told + 1
                with self.lock or contextlib.nullcontext():
                    self._say(words.progress_text(self._state, now))

    def _is_due(self, now: float) -> bool:
        """Whether it is time for a word: often at first, ever more seldom in long runs."""
        over, since = now - self._state.began, now - self._told_at
        if since > max(PATIENCE_S, over / 10):
            return True
        return since > 5 and self._state.share_done(now) * TELLS > self._told + 1

    def _end(self) -> None:
        self._ends.set()
        if self._ticker is not None:
            self._ticker.join()
        if self._view is not None:
            self._view.stop()
            self._view = None
        state = self._state
        if not state.total:
            return
        took = words.duration(time.monotonic() - state.began)
        if state.failed:
            names = ", ".join(list(state.failed.values())[: words.MOST_NAMED])
            self._say(f"{state.finished} of {state.total} jobs done in {took}; failed: {names}.")
        elif state.finished < state.total:
            self._say(f"Stopped after {took}: {state.finished} of {state.total} jobs are done.")
        else:
            self._say(f"All {state.total} jobs done in {took}.")
            self._say(words.answer_text(Path("results", self._experiment)))
        self._say(f"What was said besides: {self._log}" if self._log else "")

    def _say(self, text: str, style: str = "") -> None:
        text = words.visible(text)
        if not text:
            return
        if self._view is not None:
            self._view.print(text, style)
        else:
            print(text, file=self._stream, flush=True)


def _is_terminal(stream: Any) -> bool:
    is_tty = getattr(stream, "isatty", lambda: False)()
    return bool(is_tty) and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def _snakemake_log() -> str:
    """Snakemake's log file of this call: the newest."""
    logs = sorted(Path(".snakemake", "log").glob("*.snakemake.log"))
    return logs[-1].as_posix() if logs else ""
