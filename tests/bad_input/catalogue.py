"""What a case of bad input is, and how the modules beside this one add theirs.

A case lays files out in an empty folder, damages something, and returns the command that a user
would run next. The harness then holds three things against it: the error's class, its whole text,
and that not one file of the folder is new, gone or changed.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sightlines.core.errors import SightlinesError
from sightlines.jobs.command import Job

LOG = logging.getLogger("tests.bad_input")
Command = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One kind of bad input.

    Attributes:
        group: schema, config, archives, images, files or disk.
        name: The test's name.
        error: The exact class.
        message: The exact text; {here} stands for the folder.
        arrange: Lays the files out in a folder and returns the command.
        lost: Names of files that the command may remove (a dataset's `dataset.json`, which goes
            before its arrays are replaced).
    """

    group: str
    name: str
    error: type[SightlinesError]
    message: str
    arrange: Callable[..., Command]
    lost: tuple[str, ...] = ()


CASES: list[Case] = []


def case(group, error, message, lost=()):
    """Add the decorated function to the catalogue, under its own name."""

    def add(arrange):
        name = arrange.__name__.strip("_").replace("_", " ")
        CASES.append(Case(group, name, error, message, arrange, lost))
        return arrange

    return add


def job(main, config, inputs, outputs, source=Path("sources"), earlier=True, member=""):
    """The command `main` on these files; an earlier result lies where each output will."""
    files = {name: [Path(p) for p in _listed(paths)] for name, paths in outputs.items()}
    for path in (p for paths in files.values() for p in paths if earlier):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(b"an earlier result")
    given = {name: [Path(p) for p in _listed(paths)] for name, paths in inputs.items()}
    return lambda: main(Job("tests/job", config, given, files, Path(source), LOG, member=member))


def _listed(paths):
    return [paths] if isinstance(paths, str | Path) else list(paths)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, also hidden ones; logs and caches apart."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {".cache", "logs"} & set(path.relative_to(folder).parts)
    }
