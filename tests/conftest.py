"""Slow tests are run when asked for by name; the summary says that they were left out, and how."""

import pytest

left_out = pytest.StashKey[int]()
COMMAND = "python -m pytest -m slow"


def pytest_collection_modifyitems(config, items):
    if config.getoption("markexpr") or any("::" in word for word in config.args):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.stash[left_out] = len(slow)
    items[:] = [item for item in items if item not in slow]
    config.hook.pytest_deselected(items=slow)


def pytest_terminal_summary(terminalreporter, config):
    if count := config.stash.get(left_out, 0):
        terminalreporter.write_line(f"LEFT OUT {count} slow tests (minutes each): {COMMAND}")
