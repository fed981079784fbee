"""Which tests run, in which order, and which of them go to one process.

Slow tests are run when asked for by name, thorough ones with --thorough, as CI does; the summary
says that they were left out, and how to run them. With several processes (as `make test` has them)
tests go to them file by file, the longest first. One process makes the finished smoke experiment
that many files look at (`tests/workflow/conftest.py`); the others begin with what needs none. The
summary says how long each process had work, and with what: much less than another means that it
waited at the end.
"""

import collections
import contextlib
import functools
import gc
import os
import re
import sys

import pytest

from tests import type_checks  # jaxtyping asks for it by name

# What is computed here is small: more threads would wait for each other. `make test` says it too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Each of the hundreds of programs that tests start would compile the code of its clone anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Tests call `make` as a person does, also where `make test` runs them.
for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
    os.environ.pop(name, None)

LEFT_OUT = {
    "slow": "slow tests (minutes each): python -m pytest -m slow",
    "thorough": "thorough tests (they go through whole runs once more): make test THOROUGH=1",
}
"""Marker -> what the summary says of the tests that were left out for it."""
SMOKE = re.compile(r"^def \w+\([^)]*\b(smoke|copied|shared|pulled|pulled_tables)\b", re.MULTILINE)
"""A test or fixture that asks for the finished smoke experiment."""
MAKES_SMOKE = "test_rerun_matrix.py"
"""The longest file of those that look at it: whoever runs it makes it."""
left_out = pytest.StashKey[dict[str, int]]()
took = pytest.StashKey[collections.Counter]()
"""(Process, file) -> seconds, where there are several processes."""


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk():
    """No test cuts the power: files need not be on the disk itself. Programs that tests start wait.

    That a file is flushed before it takes its name: `tests.core.test_files`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def settings_of_torch():
    """What a test's jobs set in torch, which is of the whole process, ends with the test."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
        torch.set_deterministic_debug_mode("default")


@pytest.fixture(autouse=True, scope="session")
def own_modules_are_read_without_checks_of_types():
    """Code digests read the whole package: 5 s of a processor, 50 s where each call is checked.

    What a test writes or edits is read with all checks.
    """
    from sightlines.plan import code_digest, registry

    read = code_digest.read_module

    def read_module(source, name, is_package):
        path = registry.PACKAGE.parent.joinpath(*name.split("."))
        path = path / "__init__.py" if is_package else path.with_suffix(".py")
        is_own = path.is_file() and path.read_bytes() == source
        with type_checks.unchecked() if is_own else contextlib.nullcontext():
            return read(source, name, is_package=is_package)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_digest, "read_module", read_module)
        yield


@pytest.fixture
def timm_asked_here(monkeypatch):
    """Answers about public models are of this process, which has torch: its own takes 3 s.

    That both answer alike: `tests.models.test_timm`.
    """
    from sightlines.models import timm_facts
    from tests.models.public import answers_of_this_process

    monkeypatch.setattr(timm_facts, "_ask", answers_of_this_process)


def pytest_addoption(parser):
    parser.addoption("--thorough", action="store_true", help="thorough tests as well")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("markexpr") and not any("::" in word for word in config.args):
        markers = [m for m in LEFT_OUT if m != "thorough" or not config.getoption("thorough")]
        left = {m: [item for item in items if item.get_closest_marker(m)] for m in markers}
        config.stash[left_out] = {marker: len(own) for marker, own in left.items()}
        gone = {item for own in left.values() for item in own}
        items[:] = [item for item in items if item not in gone]
        config.hook.pytest_deselected(items=[*gone])
    if hasattr(config, "workerinput"):
        config.workeroutput["left_out"] = config.stash.get(left_out, {})
        items.sort(key=rank)


def pytest_collection_finish():
    """What was imported stays: the collector of garbage need not look through it each time."""
    gc.collect()
    gc.freeze()


def rank(item):
    """The longest first, so that no process waits for another at the end, nor for the smoke run."""
    if item.path.name == MAKES_SMOKE:
        return 0
    if item.get_closest_marker("workflow"):
        return 2 if looks_at_smoke(item.path) else 1
    return 3 if item.get_closest_marker("whole") else 4


@functools.cache
def looks_at_smoke(path):
    """Whether a file has tests of the finished smoke experiment."""
    return SMOKE.search(path.read_text()) is not None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        """Gives each process whole files, but of families, which share nothing, one at a time."""

        def _split_scope(self, nodeid):
            file = nodeid.split("::")[0]
            return nodeid if file.endswith("test_families.py") else file

    return ByFile(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """A process of several has ended: all of them left out the same tests."""
    if "left_out" in getattr(node, "workeroutput", {}):
        node.config.stash[left_out] = node.workeroutput["left_out"]


def pytest_runtest_logreport(report):
    """Where there are several processes, this one is told what each of their tests took."""
    if node := getattr(report, "node", None):
        file = report.nodeid.split("::")[0]
        node.config.stash.setdefault(took, collections.Counter())[node.gateway.id, file] += (
            report.duration
        )


def pytest_terminal_summary(terminalreporter, config):
    if seconds := config.stash.get(took, None):
        for process in sorted({process for process, _ in seconds}):
            own = {file: s for (who, file), s in seconds.items() if who == process}
            longest = sorted(own, key=own.get, reverse=True)[:3]
            named = ", ".join(f"{file} {own[file]:.0f} s" for file in longest)
            terminalreporter.write_line(f"{process}: {sum(own.values()):.0f} s, of them {named}")
    for marker, count in config.stash.get(left_out, {}).items():
        if count:
            terminalreporter.write_line(f"LEFT OUT {count} {LEFT_OUT[marker]}")
