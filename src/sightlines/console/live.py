"""One view of a run that stays in its place: for terminals."""

import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sightlines.console.run_state import RunState, percent_done
from sightlines.console.words import duration
from sightlines.core.hardware import memory_bytes

EVERY_S = 1.0
"""Between two looks at the logs of running jobs: more often costs the jobs their processor."""
MOST_RUNNING = 12


class LiveView:
    """Draws a run's state below what is printed; warnings and errors stay above it."""

    def __init__(self, console: Console, state: RunState, experiment: str, log: str) -> None:
        """Begin to show `state`; `log` is where everything else is written."""
        self._state, self._experiment, self._log = state, experiment, log
        self._live = Live(
            console=console,
            get_renderable=self._draw,
            refresh_per_second=1 / EVERY_S,
            transient=True,
            redirect_stdout=True,
            redirect_stderr=True,
        )
        self._live.start()

    def print(self, text: str, style: str = "") -> None:
        """Say something that stays."""
        self._live.console.print(Text(text, style=style), soft_wrap=True)

    def stop(self) -> None:
        """Take the view away."""
        self._live.stop()

    def _draw(self) -> Group:
        return draw(self._state, time.monotonic(), self._experiment, self._log, memory_bytes)


def draw(
    state: RunState,
    now: float,
    experiment: str,
    log: str,
    memory: Callable[[], tuple[int, int]],
) -> Group:
    """The view: a bar a stage, the jobs that run, one line for the whole.

    Args:
        state: The run.
        now: The time, of the clock of `state`.
        experiment: Its name.
        log: Where everything else is written.
        memory: Gives used and all bytes of this machine's memory.
    """
    stages = Table.grid(padding=(0, 2))
    for stage, planned in state.planned.items():
        done = state.done.get(stage, 0)
        stages.add_row(stage, ProgressBar(planned, done, width=30), f"{done} of {planned}")
    jobs = Table.grid(padding=(0, 2))
    running = list(state.running.values())
    for job in running[:MOST_RUNNING]:
        percent = percent_done(job.log)
        bar = Text("") if percent is None else ProgressBar(100, percent, width=20)
        told = "" if percent is None else f"{percent} %"
        jobs.add_row(Text(job.name), bar, told, Text(duration(now - job.began), style="dim"))
    if len(running) > MOST_RUNNING:
        jobs.add_row(f"and {len(running) - MOST_RUNNING} more")
    used, whole = memory()
    facts = [
        f"{experiment}: {state.finished} of {state.total} jobs",
        f"{duration(now - state.began)} so far, about {duration(state.seconds_left(now))} left",
    ]
    if whole:
        facts.append(f"memory {used / 2**30:.1f} of {whole / 2**30:.0f} GiB")
    if state.failed:
        facts.append(f"{len(state.failed)} failed")
    last = [Text(f"last finished: {state.last}", style="dim")] if state.last else []
    return Group(
        stages, jobs, Text(" · ".join(facts), style="bold"), *last, Text(f"log: {log}", style="dim")
    )
