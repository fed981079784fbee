"""Names that come from somebody else: only files of this project's data and results are touched."""

import os
from pathlib import Path, PurePosixPath

from sightlines.errors import ResultError

OURS = ("results", "data")
"""Folders whose files records may name."""


def is_ours(name: str) -> bool:
    """Whether a recorded name stays below `results/` or `data/`, as a name."""
    parts = PurePosixPath(name).parts
    return len(parts) > 1 and parts[0] in OURS and ".." not in parts and "\0" not in name


def refuse_leading_outside(folder: Path) -> None:
    """Stop where a folder below `folder` is a link that leaves the project.

    A job would write through it. Links to files are harmless: results are renamed over them.

    Raises:
        ResultError: names the link.
    """
    root = Path().resolve()
    for place, folders, _ in os.walk(folder):
        for name in folders:
            path = Path(place, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise ResultError(
                    f"{path} is a link to {path.resolve()}, outside this project: results that "
                    "come from somebody else must not write there. Remove the link."
                )
