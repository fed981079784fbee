"""Lists the photographs of an image folder and everything that is wrong with its layout.

Read: `<root>/<class>/*`, or `<root>/{train,val}/<class>/*` (`imagefolder_splits` has the names);
and, where nothing needs labels, photographs without a class: `<root>/*`, `<root>/{train,val}/*`.
Anything that is no image by its ending, nor passed over (`imagefolder_entries`), is an offence, so
that no .heic or .mp4 is left out in silence.
"""

import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from sightlines.core.errors import DataError, MissingSourceError
from sightlines.datasets.imagefolder_entries import Entry, list_folder
from sightlines.datasets.imagefolder_splits import find_division, part_of

ENDINGS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .tif .tiff .webp .ppm .pgm .pbm .pnm .avif".split()
)
KNOWN = "JPEG, PNG, BMP, GIF, TIFF, WebP, PPM, AVIF"
LISTED = 50
Image = tuple[str, str, str]
"""Split (empty: not divided yet), class (empty: none), path."""


@dataclass
class Listing:
    """What a folder holds.

    Attributes:
        root: The folder.
        folders: Folder of each split, ``train`` and ``test``; empty where it is not divided.
        unused: Folders of a further split, that are not read.
        images: Sorted by path, which is relative to root; split is ``train``, ``test`` or, where
            the folder is not divided, ``""``.
        offences: What is wrong, one line each.
        label_offences: What is wrong only where labels are needed.
        lacks_classes: Whether there are too few classes, or too few photographs in one, to learn
            them.
        classes: Class names of each split.
        class_order: Class names in the order of their labels, where it is not that of the names.
        passed: Counts what was passed over, by name or ending.
    """

    root: Path
    folders: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    offences: list[str] = field(default_factory=list)
    label_offences: list[str] = field(default_factory=list)
    lacks_classes: bool = False
    classes: dict[str, list[str]] = field(default_factory=dict)
    class_order: list[str] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)

    @property
    def is_divided(self) -> bool:
        """Whether folders divide it into splits."""
        return bool(self.folders)


def raise_offences(root: Path, offences: list[str], hint: str = "") -> None:
    """Raise one error that lists all offences (the first fifty, and their number); none: return.

    Args:
        root: The folder.
        offences: One line each.
        hint: A further sentence for the end.

    Raises:
        DataError: there are offences.
    """
    if not offences:
        return
    listed = "\n  ".join(sorted(offences)[:LISTED])
    more = f"\n  … and {len(offences) - LISTED} more" if len(offences) > LISTED else ""
    raise DataError(
        f"{root} has {len(offences)} problem{'s' if len(offences) > 1 else ''}:\n  {listed}{more}\n"
        f"Fix or remove them, then run snakemake again.{hint and ' '}{hint}"
    )


def scan(root: Path, test_folder: str = "") -> Listing:
    """List a folder without opening a photograph.

    Args:
        root: The folder.
        test_folder: ``val`` or ``test``: which serves as the test images where both are there.

    Raises:
        DataError: the folder is missing or cannot be read.
    """
    if not root.is_dir():
        raise MissingSourceError(
            f"there is no image folder {root}: set dataset.folder to a folder below data_root "
            "(or below SIGHTLINES_DATA), with one folder of images per class"
        )
    listing = Listing(root)
    top = list_folder(root, "", listing.passed)
    folders = {entry.name: entry for entry in top if entry.is_folder}
    division = find_division(
        [*folders], lambda name: _has_folders(root, folders[name]), test_folder
    )
    if division is None:
        kept = _without_lone_parts(listing, top)
        if kept or not top:
            _scan_split(listing, kept, "")
        if test_folder:
            listing.offences.append(
                f"{test_folder}: dataset.test_folder asks for it, but no folders train and "
                f"{test_folder} divide the photographs: leave the key out"
            )
    else:
        listing.folders, listing.unused = division.folders, division.unused
        listing.offences += division.offences
        for split, name in division.folders.items():
            if folders[name].offence:
                listing.offences.append(f"{name}: {folders[name].offence}")
            else:
                _scan_split(listing, list_folder(root, name, listing.passed), split)
        for entry in (entry for entry in top if not entry.is_folder):
            if entry.offence and part_of(entry.name):
                listing.offences.append(f"{entry.place}: {entry.offence}")
            else:
                listing.passed[entry.ending or entry.name] += 1
    check_classes(listing)
    listing.images.sort(key=lambda image: image[2].encode("utf-8", "surrogateescape"))
    return listing


def _has_folders(root: Path, entry: Entry) -> bool:
    """Whether there are folders in a folder."""
    return not entry.offence and any(e.is_folder for e in list_folder(root, entry.place, Counter()))


def _has_images(root: Path, entry: Entry) -> bool:
    found = [] if entry.offence else list_folder(root, entry.place, Counter())
    return any(not e.is_folder and e.ending in ENDINGS for e in found)


def _without_lone_parts(listing: Listing, top: list[Entry]) -> list[Entry]:
    """Entries but for folders of classes that are called train, val or test: these are offences."""
    kept = []
    for entry in top:
        is_part = entry.is_folder and part_of(entry.name)
        if is_part and _has_folders(listing.root, entry) and not _has_images(listing.root, entry):
            listing.offences.append(
                f"{entry.name}: without its counterpart; add it, or set dataset.folder to "
                f"…/{entry.name}"
            )
        else:
            kept.append(entry)
    return kept


def _scan_split(listing: Listing, entries: list[Entry], split: str) -> None:
    """List the classes that lie beside each other; photographs without any where there are none."""
    classes = [entry for entry in entries if entry.is_folder]
    listing.classes[split] = [entry.name for entry in classes if not entry.offence]
    for entry in classes:
        if entry.offence:
            listing.offences.append(f"{entry.place}: {entry.offence}")
        else:
            _scan_class(listing, entry, split)
    for entry in (entry for entry in entries if not entry.is_folder):
        if entry.offence or classes:
            why = entry.offence or "a file outside of any class's folder"
            listing.offences.append(f"{entry.place}: {why}")
        else:
            _add(listing, entry, split, "")


def _scan_class(listing: Listing, folder: Entry, split: str) -> None:
    before = len(listing.images)
    for entry in list_folder(listing.root, folder.place, listing.passed):
        if entry.offence or entry.is_folder:
            why = entry.offence or "a folder inside a class"
            listing.offences.append(f"{entry.place}: {why}")
        else:
            _add(listing, entry, split, folder.name)
    if len(listing.images) == before:
        listing.label_offences.append(f"{folder.place}: an empty class, without a single image")


def _add(listing: Listing, entry: Entry, split: str, name: str) -> None:
    if entry.ending in ENDINGS:
        listing.images.append((split, name, entry.place))
    else:
        listing.offences.append(f"{entry.place}: not an image that sightlines reads ({KNOWN})")


def check_classes(listing: Listing) -> None:
    """Add to a listing what is wrong with its classes."""
    if listing.is_divided:
        _compare_splits(listing)
    names = {name for found in listing.classes.values() for name in found}
    alike = defaultdict(list)
    for name in sorted(names):
        alike[_key(name)].append(name)
        if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
            listing.offences.append(f"{name!r}: a class name that is not printable UTF-8")
    for group in alike.values():
        if len(group) > 1:
            listing.offences.append(f"two names for one class: {', '.join(map(repr, group))}")
    _count_classes(listing, len(alike))


def _compare_splits(listing: Listing) -> None:
    """Offences of classes that one split has and the other lacks."""
    classes, folders = listing.classes, listing.folders
    if len(classes) < 2 or any(not name for _, name, _ in listing.images):
        return  # one of them is a cycle, or has photographs without a class
    keys = {split: {_key(name) for name in found} for split, found in classes.items()}
    for split, other in (("train", "test"), ("test", "train")):
        listing.label_offences += [
            f"{folders[other]}: lacks the class {name!r}"
            for name in classes[split]
            if _key(name) not in keys[other]
        ]


def _count_classes(listing: Listing, classes: int) -> None:
    """Offences of too few classes, or too few photographs in one, to learn them."""
    found = Counter(name for _, name, _ in listing.images)
    loose = found.pop("", 0)
    few = []
    if loose and found:
        listing.offences += [
            f"{folder}: photographs without a class, but the other folder has classes: sort them, "
            f"or move {folder} elsewhere"
            for split, folder in listing.folders.items()
            if not listing.classes[split]
        ]
    elif loose:
        few.append(f"{loose} photographs without a class: make one folder of each, <class>/*")
    elif listing.classes and classes < 2:
        few.append(f"{classes} classes: at least two are needed, each with images")
    if not listing.is_divided:
        few += [
            f"{name}: one image, but one is needed to train, one to test"
            for name, count in sorted(found.items())
            if count < 2
        ]
    listing.label_offences += few
    listing.lacks_classes = bool(few)


def _key(name: str) -> str:
    """Equal for names that people or file systems take for one: Dog, dog, "dog "."""
    return unicodedata.normalize("NFKC", name).casefold().strip()
