"""Lists one folder of photographs: what is passed over, where links lead, what cannot be read.

Links are followed, as torchvision does, wherever they lead: photographs may be kept by DVC,
git-annex or the hub's cache. A link that leads nowhere, or to a folder that it lies in, is an
offence. What editors, cameras, network storage and browsers leave beside photographs is passed
over and counted; hidden files and folders are passed over in silence.
"""

import errno
import os
import re
import shlex
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sightlines.core.errors import DataError

HIDDEN = (".", "__MACOSX", "Thumbs.db", "desktop.ini")
"""How names begin that are passed over in silence."""
SYSTEM_FOLDERS = frozenset(
    (
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb", "@tmp"),
        *("lost+found", "$recycle.bin", "recycler", "system volume information"),
    )
)
"""Of network storage and operating systems, in lower case."""
SYSTEM_FILES = frozenset(("ehthumbs.db", "ehthumbs_vista.db", "icon\r"))
SIDE_ENDINGS = frozenset(
    (
        *".txt .md .rst .csv .tsv .json .jsonl .xml .yaml .yml .html .ini .db .log".split(),
        *".aae .xmp .thm .pp3 .dop .dvc .md5 .sha1 .sha256 .lnk .url .webloc .bak .tmp".split(),
        *".crdownload .part .partial .download .opdownload .aria2".split(),
    )
)
"""Side files of text, of cameras and editors, of DVC; and downloads that were broken off."""
LARGEST_BYTES = 2**32
"""No BMP or TIFF can be larger."""

STORES = (
    (re.compile(r"(^|/)annex/objects/"), "git annex get {place}"),
    (re.compile(r"/\.dvc/cache/|/files/md5/[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?$"), "dvc pull"),
    (re.compile(r"(^|/)blobs/[0-9a-f]{40,64}$"), "hf download, with the name of the data set"),
)
"""How the targets of links of git-annex, DVC and the hub's cache look, and what brings them."""


@dataclass(frozen=True)
class Entry:
    """One file or folder, by its name or at the end of a link.

    Attributes:
        name: Its name.
        place: Its path relative to the folder of photographs.
        is_folder: Whether it is one.
        offence: Why it cannot be read, before it is opened; empty where it can.
    """

    name: str
    place: str
    is_folder: bool = False
    offence: str = ""

    @property
    def ending(self) -> str:
        """Ending of the name with its point, in lower case; empty where it has none."""
        _, point, ending = self.name.lower().rpartition(".")
        return point + ending if point else ""


def list_folder(root: Path, place: str, passed: Counter[str]) -> list[Entry]:
    """What lies in a folder, sorted by name.

    Args:
        root: The folder of photographs.
        place: The folder to list, relative to it; empty for itself.
        passed: Counts, by name or ending, what is passed over.

    Raises:
        DataError: the folder cannot be read.
    """
    folder = root / place
    try:
        with os.scandir(folder) as entries:
            there = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise DataError(
            f"cannot read the folder {folder}: {error.strerror}. Fix its permissions, then run "
            "snakemake again."
        ) from error
    found = []
    for shown in (entry for entry in there if not entry.name.startswith(HIDDEN)):
        entry = _look(shown, f"{place}/{shown.name}" if place else shown.name)
        if kind := _passed_over(entry):
            passed[kind] += 1
        else:
            found.append(entry)
    return found


def describe_passed(passed: Counter[str]) -> str:
    """What was passed over, in words: ``3 files and folders (2 .xmp, 1 @eaDir)``."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(passed.items()))
    return f"{passed.total()} files and folders that are no photographs ({kinds})"


def _passed_over(entry: Entry) -> str:
    """Under which name or ending an entry is counted as passed over; empty where it is not."""
    name = entry.name.lower()
    if entry.is_folder:
        return entry.name if name in SYSTEM_FOLDERS else ""
    if name in SYSTEM_FILES:
        return entry.name.strip()
    if name.endswith("~"):
        return "~"
    return entry.ending if entry.ending in SIDE_ENDINGS else ""


def _look(there: os.DirEntry[str], place: str) -> Entry:
    try:
        status = there.stat()
    except OSError as error:
        return Entry(there.name, place, offence=_unreachable(Path(there.path), place, error))
    if stat.S_ISDIR(status.st_mode):
        is_cycle = there.is_symlink() and _holds(Path(there.path))
        offence = "a link to a folder that it lies in: a cycle" if is_cycle else ""
        return Entry(there.name, place, True, offence)
    return Entry(there.name, place, offence=_odd_file(there.name, status))


def _odd_file(name: str, status: os.stat_result) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if any(ord(character) < 32 for character in name):
        return "its name has control characters"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_size > LARGEST_BYTES:
        return f"larger than {LARGEST_BYTES / 2**30:g} GiB"
    return ""


def _holds(link: Path) -> bool:
    """Whether a link leads to a folder in which it lies itself."""
    return link.parent.resolve().is_relative_to(link.resolve())


def _unreachable(path: Path, place: str, error: OSError) -> str:
    """What keeps a file from being looked at; for a link that is broken, its target and a cure."""
    if error.errno == errno.ELOOP:
        return "a link that leads back to itself: a cycle"
    if error.errno not in (errno.ENOENT, errno.ENOTDIR) or not path.is_symlink():
        return f"cannot be opened ({error.strerror})"
    target = str(path.readlink())
    ends = (target, os.path.realpath(path))
    fetch = [cure for pattern, cure in STORES if any(pattern.search(end) for end in ends)]
    cure = f"fetch it ({fetch[0].format(place=shlex.quote(place))})" if fetch else "put it there"
    shown = target if target.isprintable() else ascii(target)
    return f"a link that leads nowhere: there is no {shown}; {cure}, or remove the link"
