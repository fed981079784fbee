"""What tests cost: seconds of a processor, by group and by file, with the programs that they start.

    python -m pytest -p tests.cpu_seconds [-n 2] [arguments of pytest]

Unlike what a clock shows they do not depend on what else the machine does. Programs are counted
when they have ended and somebody waited for them; where this process may make a control group of
the kernel's (`cpuacct`: as root, in many containers), all of them are, at once.
"""

import collections
import contextlib
import os
from pathlib import Path

import pytest

GROUPS = ("workflow", "browser", "whole", "slow", "gpu")
"""Markers; a test with none of them is a unit."""
KERNEL = Path("/sys/fs/cgroup/cpuacct")
FILES = 25
totals = collections.Counter()
"""(Group, file) -> seconds, where the results come together."""


class Meter:
    """Seconds of this process and of its programs since the last call."""

    def __init__(self):
        self._usage = None
        own = KERNEL / f"tests_{os.getpid()}"
        with contextlib.suppress(OSError):
            own.mkdir()
            (own / "cgroup.procs").write_text(str(os.getpid()))
            self._usage = own / "cpuacct.usage"
        self._last = self._spent()

    def _spent(self):
        if self._usage is None:
            return sum(os.times()[:4])
        return int(self._usage.read_text()) / 1e9

    def __call__(self):
        before, self._last = self._last, self._spent()
        return self._last - before


meter = Meter()


def pytest_collection_finish():
    meter()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Setting up, the test itself and tidying up have a report each."""
    report = yield
    report.cpu_s = meter()
    report.group = next((name for name in GROUPS if item.get_closest_marker(name)), "unit")
    return report


def pytest_runtest_logreport(report):
    file = report.nodeid.split("::")[0]
    totals[report.group, file] += report.cpu_s


def pytest_terminal_summary(terminalreporter):
    groups, files = collections.Counter(), collections.Counter()
    for (group, file), seconds in totals.items():
        groups[group] += seconds
        files[file] += seconds
    for title, each in (("group", groups), ("file", files)):
        terminalreporter.write_line(f"CPU seconds by {title}:")
        for name, seconds in each.most_common(FILES):
            terminalreporter.write_line(f"{seconds:8.1f} {name}")
