"""Names that come from somebody else: only files of this project's data and results are touched."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sightlines.core.errors import ResultError

OURS = ("results", "data")
"""Folders whose files records may name."""


LONGEST_NAME = 240
"""Bytes of one part of a path."""


def is_ours(name: str) -> bool:
    """Whether a recorded name stays below `results/` or `data/`, as a name that a file can have."""
    try:
        parts = [part.encode() for part in PurePosixPath(name).parts]
    except UnicodeEncodeError:
        return False
    if len(parts) < 2 or parts[0].decode() not in OURS or len(name) > 4000:
        return False
    return b".." not in parts and "\0" not in name and max(map(len, parts)) <= LONGEST_NAME


BY_THE_WAY = ("logs", "records")
"""Folders of an experiment whose files are no results."""
ABOUT = ("provenance.json", "metrics.json", "claims.lock")
"""Files beside the results, about them."""


def result_files(experiment: str) -> Iterator[str]:
    """Paths of all results of an experiment that are here."""
    folder = Path("results", experiment)
    for place, folders, names in os.walk(folder):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name not in BY_THE_WAY]
            names = [name for name in names if name not in ABOUT]
        paths = (Path(place, name) for name in names if not name.startswith("."))
        yield from (path.as_posix() for path in paths if path.is_file())


def refuse_links(folder: Path) -> None:
    """Stop where `folder` or one below it is a link: a job would write through it, anywhere.

    Links to files are harmless, since results are renamed over them; `results` and `data`
    themselves may be links, which only the owner of a checkout makes.

    Raises:
        ResultError: names the link.
    """
    linked = [folder] if folder.is_symlink() and len(folder.parts) > 1 else []
    for place, folders, _ in os.walk(folder):
        linked += [path for name in folders if (path := Path(place, name)).is_symlink()]
    if linked:
        raise ResultError(
            f"{linked[0]} is a link to {linked[0].resolve()}: results that come from somebody else "
            "must not write there. Put a folder in its place; `results` or `data` as a whole may "
            "be a link."
        )
