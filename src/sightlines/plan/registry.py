"""Finds the files that make up sightlines: one is a dataset, family, dump, measure, figure, claims.

What a file declares (`SETTINGS`, `READS`, `TABLES`, …) is a literal at its top level and is read
from its source without importing it, so that Snakemake can plan in a second without torch,
pandas or matplotlib. A new file with the right declaration is found by itself.
"""

import ast
import functools
import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from sightlines.models.family import Family

PACKAGE = Path(__file__).resolve().parents[1]
MARKS = {
    "datasets": "SETTINGS",
    "models": "SETTINGS",
    "dumps": "KIND",
    "measures": "TABLES",
    "claims": "READS",
    "figures": "READS",
}
"""The declaration that makes a file of a folder a member of its registry."""


@functools.cache
def declarations(folder: str, name: str) -> dict[str, Any]:
    """The literal top-level assignments of `sightlines/<folder>/<name>.py`.

    Raises:
        ValueError: what the file writes is not declared as a literal.
    """
    tree = ast.parse((PACKAGE / folder / f"{name}.py").read_bytes())
    found = {}
    for node in tree.body:
        target: ast.expr | None = None
        value: ast.expr | None = None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign):
            target, value = node.target, node.value
        if isinstance(target, ast.Name) and target.id.isupper() and value is not None:
            try:
                found[target.id] = ast.literal_eval(value)
            except ValueError:
                if target.id in ("TABLES", "FILES"):
                    raise ValueError(
                        f"{folder}/{name}.py: {target.id} must be a literal (no names, no *): "
                        "it is read without importing the file"
                    ) from None
    return found


@functools.cache
def members(folder: str) -> tuple[str, ...]:
    """Names of all members of one folder, sorted."""
    stems = sorted(p.stem for p in (PACKAGE / folder).glob("*.py"))
    return tuple(s for s in stems if MARKS[folder] in declarations(folder, s))


if TYPE_CHECKING:

    @overload
    def load(folder: Literal["models"], name: str) -> "Family": ...  # type: ignore[overload-overlap]
    @overload
    def load(folder: str, name: str) -> ModuleType: ...


def load(folder: str, name: str) -> ModuleType:
    """Import one member, and read no other.

    Whoever calls this for a name out of the config puts that module into the stage's digest.
    """
    if not has(folder, name):
        raise KeyError(f"no {folder} named {name!r}; there are {members(folder)}")
    return importlib.import_module(f"sightlines.{folder}.{name}")


def has(folder: str, name: str) -> bool:
    """Whether a folder has a member of that name; of all its files that one alone is read."""
    is_file = name.isidentifier() and (PACKAGE / folder / f"{name}.py").is_file()
    return is_file and MARKS[folder] in declarations(folder, name)


def load_beside(folder: str, name: str, part: str) -> ModuleType:
    """Import `<name>_<part>.py` beside a member: what only one stage needs of it.

    Raises:
        KeyError: there is no such member.
    """
    if not has(folder, name):
        raise KeyError(f"no {folder} named {name!r}; there are {members(folder)}")
    return importlib.import_module(f"sightlines.{folder}.{name}_{part}")


def attribute(place: str) -> Any:
    """What a declaration names, such as ``sightlines.dumps.reading:GramDump``."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
