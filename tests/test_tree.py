"""The tests mirror the source tree: whoever knows a module knows where its tests are."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parent / "src" / "sightlines"
OF_THE_WHOLE = {
    "bad_input": "one catalogue of damaged input, of whatever package reads it",
    "workflow": "the Snakefile, and what several programs do together",
    "reference": "slow textbook twins that tests of several packages compare with",
}
"""Folders of tests that belong to no package, and why."""
FOLDERS = sorted(path.name for path in HERE.iterdir() if (path / "__init__.py").exists())
FILES = sorted(HERE.rglob("test_*.py"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_tests_is_that_of_a_package(folder):
    assert (SOURCE / folder / "__init__.py").exists() != (folder in OF_THE_WHOLE)


def test_every_package_has_tests():
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert packages - {path.parent.name for path in FILES} == set()


def imported(path):
    """Names of all modules that a file imports, of `from package import name` both."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(HERE).as_posix())
def test_a_file_of_tests_is_about_its_package(path):
    """It imports from it, finds a member of it by name, or starts it as a program.

    A helper beside it may do so instead.
    """
    folder = path.parent.name
    if path.parent == HERE or folder in OF_THE_WHOLE:
        return
    beside = f"tests.{folder}"
    named = r"|import sightlines as sl\b" if folder == "library" else ""
    uses = re.compile(rf'sightlines\.{folder}\b|registry\.\w+\("{folder}"' + named)
    helpers = [
        HERE / folder / f"{name.split('.')[2]}.py"
        for name in imported(path)
        if name.startswith(f"{beside}.")
    ]
    texts = [path, HERE / folder / "conftest.py", *helpers]
    assert any(uses.search(text.read_text()) for text in texts if text.exists())


@pytest.mark.whole
def test_no_test_lies_where_none_is_looked_for():
    for path in HERE.rglob("*.py"):
        has_tests = any(
            isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            for node in ast.parse(path.read_text()).body
        )
        assert has_tests <= path.name.startswith("test_"), f"{path} is never collected"
