"""How far long work is and how much time is left, said in the log."""

import logging
import time

log = logging.getLogger(__name__)
"""Below "sightlines", whose handlers the frame of a command sets."""


class Progress:
    """Reports how far a long loop is and what is left, at most every few seconds."""

    def __init__(self, total: int, unit: str, every_s: float = 5.0) -> None:
        """Count `total` things called `unit`."""
        self._total, self._unit, self._every = total, unit, every_s
        self._began = self._last = time.monotonic()
        self._start = 0

    def start_at(self, done: int) -> None:
        """Resume at `done`: the rate is measured from here."""
        self._start = done

    def update(self, done: int, text: str = "") -> None:
        """Say that `done` things are done."""
        now = time.monotonic()
        if now - self._last < self._every and done < self._total:
            return
        self._last = now
        rate = (done - self._start) / max(now - self._began, 1e-9)
        left = (self._total - done) / rate if rate else float("inf")
        log.info(
            f"{self._unit} {done}/{self._total} ({done / max(self._total, 1):.0%}), "
            f"{rate:.3g} a second, {left:.0f} s left{', ' if text else ''}{text}"
        )
