"""Snakemake's command, which says at its end how often it did what `snakemake_process` holds.

    python -m tests.sharing.counting_snakemake yes|no ARGUMENT…

With `yes` it is held. Prints one line of JSON: how many timers were pending at once (`timers`), how
often a job was weighed (`weighed`), how often a file was read for its checksum (`read`), and
whether pandas was imported (`pandas`).
"""

import hashlib
import json
import sys
import threading
from collections import Counter

from snakemake.cli import main
from snakemake.scheduling.greedy import Scheduler

from sightlines.sharing import snakemake_process

counts: Counter = Counter(timers=0, weighed=0, read=0)
pending: set[threading.Timer] = set()


class CountedTimer(threading.Timer):
    """A timer that is counted while it is pending."""

    def start(self):
        """Start it."""
        pending.add(self)
        counts["timers"] = max(counts["timers"], len(pending))
        super().start()

    def run(self):
        """Wait; what it calls may start the next."""
        self.finished.wait(self.interval)
        pending.discard(self)
        self.function(*self.args, **self.kwargs)


def counted(name, function):
    """The function, whose calls are counted."""

    def call(*arguments, **named):
        counts[name] += 1
        return function(*arguments, **named)

    return call


if __name__ == "__main__":
    threading.Timer = CountedTimer
    Scheduler.job_reward = counted("weighed", Scheduler.job_reward)
    hashlib.file_digest = counted("read", hashlib.file_digest)
    if sys.argv.pop(1) == "yes":
        snakemake_process.hold()
    try:
        main(sys.argv[1:])
    finally:
        print(json.dumps({**counts, "pandas": "pandas" in sys.modules}), flush=True)
