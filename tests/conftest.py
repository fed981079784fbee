"""Which tests run, and which of them go to one process.

Slow tests are run when asked for by name; the summary says that they were left out, and how. With
several processes (`pytest -n 2 --dist loadgroup`, as `make test` does), all tests that look at the
one finished smoke experiment go to one process, and first, since they take longest; all others go
file by file.
"""

import pytest

COMMAND = "python -m pytest -m slow"
LEFT_OUT = "left_out"
left_out = pytest.StashKey[int]()


# Before xdist, which writes the group of an item into its name.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    if not config.getoption("markexpr") and not any("::" in word for word in config.args):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.stash[left_out] = len(slow)
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)
    if hasattr(config, "workerinput"):
        config.workeroutput[LEFT_OUT] = config.stash.get(left_out, 0)
        for item in items:
            item.add_marker(pytest.mark.xdist_group(group(item)))
        items.sort(key=rank)


def group(item):
    """Name of what must run in one process."""
    return "smoke" if "smoke" in item.fixturenames else item.path.stem


def rank(item):
    """The longest first, so that no process waits for another at the end."""
    if "smoke" in item.fixturenames:
        return 0
    return 1 if item.get_closest_marker("workflow") else 2


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """A process of several has ended: all of them left out the same tests."""
    if LEFT_OUT in getattr(node, "workeroutput", {}):
        node.config.stash[left_out] = node.workeroutput[LEFT_OUT]


def pytest_terminal_summary(terminalreporter, config):
    if count := config.stash.get(left_out, 0):
        terminalreporter.write_line(f"LEFT OUT {count} slow tests (minutes each): {COMMAND}")
