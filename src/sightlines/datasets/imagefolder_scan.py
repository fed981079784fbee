"""Lists the photographs of an image folder and everything that is wrong with its layout.

Read: `<root>/<class>/*`, or `<root>/{train,val}/<class>/*`. Ignored: hidden files and folders,
`Thumbs.db`, and side files of text (.txt, .md, .csv, .json, …). Anything else that is not an
image by its ending is an offence, so that no .heic or .mp4 is left out in silence.
"""

import os
import stat
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sightlines.errors import DataError, MissingSourceError

ENDINGS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .tif .tiff .webp .ppm .pgm .pbm .pnm .avif".split()
)
SIDE_ENDINGS = frozenset(
    ".txt .md .rst .csv .tsv .json .jsonl .xml .yaml .yml .html .ini .db .log".split()
)
LISTED = 50
OUTSIDE = "a link that leads out of the folder"


@dataclass
class Listing:
    """What a folder holds.

    Attributes:
        root: The folder.
        has_val: Whether it is divided into `train` and `val`.
        images: (split, class, path relative to root), sorted by path; split is ``train``, ``test``
            or, without a val folder, ``""``.
        offences: What is wrong, one line each.
        classes: Class names of each split.
        ignored: Side files that were passed over.
    """

    root: Path
    has_val: bool
    images: list[tuple[str, str, str]] = field(default_factory=list)
    offences: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    ignored: int = 0


def raise_offences(root: Path, offences: list[str]) -> None:
    """Raise one error that lists all offences (the first fifty, and their number); none: return.

    Raises:
        DataError: there are offences.
    """
    if not offences:
        return
    listed = "\n  ".join(sorted(offences)[:LISTED])
    more = f"\n  … and {len(offences) - LISTED} more" if len(offences) > LISTED else ""
    raise DataError(
        f"{root} has {len(offences)} offence{'s' if len(offences) > 1 else ''}:\n  {listed}{more}\n"
        "Mend or remove them, then run snakemake again."
    )


def scan(root: Path) -> Listing:
    """List a folder without opening a photograph.

    Raises:
        DataError: the folder is missing or cannot be read.
    """
    if not root.is_dir():
        raise MissingSourceError(
            f"there is no image folder {root}: set dataset.folder to a folder below data_root "
            "(or below SIGHTLINES_DATA), with one folder of images per class"
        )
    top = {entry.name: entry for entry in _entries(root) if entry.is_dir()}
    listing = Listing(root, has_val=top.keys() >= {"train", "val"})
    if listing.has_val:
        others = sorted(top.keys() - {"train", "val"})
        listing.offences += [f"{name}: a folder beside train and val" for name in others]
        for name, split in (("train", "train"), ("val", "test")):
            if _is_outside(root, top[name]):
                listing.offences.append(f"{name}: {OUTSIDE}")
            else:
                _scan_split(listing, name, split)
        _compare_splits(listing)
    else:
        _scan_split(listing, "", "")
        for name in ("train", "val"):
            if name in top and not any(image[1] == name for image in listing.images):
                listing.offences.append(
                    f"{name}: without its counterpart; add it, or set dataset.folder to …/{name}"
                )
    _check_classes(listing)
    listing.images.sort(key=lambda image: image[2].encode("utf-8", "surrogateescape"))
    return listing


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise DataError(
            f"cannot read the folder {folder}: {error.strerror}. Mend its permissions, then run "
            "snakemake again."
        ) from error
    hidden = (".", "__MACOSX", "Thumbs.db", "desktop.ini")
    return (entry for entry in found if not entry.name.startswith(hidden))


def _scan_split(listing: Listing, folder: str, split: str) -> None:
    names = []
    for entry in _entries(listing.root / folder):
        place = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir():
            if _is_outside(listing.root, entry):
                listing.offences.append(f"{place}: {OUTSIDE}")
                continue
            names.append(entry.name)
            _scan_class(listing, place, split, entry.name)
        elif Path(entry.name).suffix.lower() in SIDE_ENDINGS:
            listing.ignored += 1
        else:
            listing.offences.append(f"{place}: a file outside of any class's folder")
    listing.classes[split] = names


def _scan_class(listing: Listing, folder: str, split: str, name: str) -> None:
    count = 0
    for entry in _entries(listing.root / folder):
        place = f"{folder}/{entry.name}"
        offence = _offence(listing.root, entry)
        ending = Path(entry.name).suffix.lower()
        if offence is None and ending in SIDE_ENDINGS:
            listing.ignored += 1
        elif offence is None and ending not in ENDINGS:
            listing.offences.append(f"{place}: not an image that sightlines reads ({_known()})")
        elif offence is not None:
            listing.offences.append(f"{place}: {offence}")
        else:
            listing.images.append((split, name, place))
        count += 1
    if not any(image[0] == split and image[1] == name for image in listing.images[-count:]):
        listing.offences.append(f"{folder}: an empty class, without a single image")


def _known() -> str:
    return "JPEG, PNG, BMP, GIF, TIFF, WebP, PPM, AVIF"


def _offence(root: Path, entry: os.DirEntry[str]) -> str | None:
    """What is wrong with a file of a class, before it is opened."""
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if any(ord(character) < 32 for character in entry.name):
        return "its name has control characters"
    if entry.is_symlink() and not Path(entry.path).exists():
        return "a link that leads nowhere"
    if _is_outside(root, entry):
        return OUTSIDE
    mode = entry.stat().st_mode
    if stat.S_ISDIR(mode):
        return "a folder inside a class"
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return None


def _is_outside(root: Path, entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root.resolve())


def _compare_splits(listing: Listing) -> None:
    if len(listing.classes) < 2:  # one of them is a link that leads out
        return
    keys = {split: {_key(n) for n in listing.classes[split]} for split in ("train", "test")}
    for split, other, place in (("train", "test", "val"), ("test", "train", "train")):
        for name in listing.classes[split]:
            if _key(name) not in keys[other]:
                listing.offences.append(f"{place}: lacks the class {name!r}")


def _check_classes(listing: Listing) -> None:
    names = sorted({name for found in listing.classes.values() for name in found})
    alike = defaultdict(list)
    for name in names:
        alike[_key(name)].append(name)
        if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
            listing.offences.append(f"{name!r}: a class name that is not printable UTF-8")
    for group in alike.values():
        if len(group) > 1:
            listing.offences.append(f"two names for one class: {', '.join(map(repr, group))}")
    if listing.classes and len(alike) < 2:
        listing.offences.append(f"{len(alike)} classes: at least two folders of images are needed")
    if not listing.has_val:
        for name, count in sorted(Counter(image[1] for image in listing.images).items()):
            if count < 2:
                listing.offences.append(
                    f"{name}: one image, but one is needed to train, one to test"
                )


def _key(name: str) -> str:
    """Equal for names that people or file systems take for one: Dog, dog, "dog "."""
    return unicodedata.normalize("NFKC", name).casefold().strip()
