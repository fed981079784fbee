"""The manifest of an image folder: every photograph decoded once, measured and hashed."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from sightlines.datasets.imagefolder_entries import describe_pointer
from sightlines.datasets.imagefolder_scan import Image, Listing
from sightlines.datasets.photographs import Unreadable, measure, quiet_pillow
from sightlines.stage import Progress

COLUMNS = ("path", "split", "label", "width_px", "height_px", "mode", "bytes", "sha256")


def class_names(listing: Listing) -> list[str]:
    """Names of the classes, in the order of the labels; none where photographs lie without."""
    return sorted({name for _, name, _ in listing.images if name})


def make_manifest(
    listing: Listing, test_share: float, log: Any, is_labelled: bool = True
) -> tuple[Any, list[str]]:
    """Examine all images of a listing.

    Args:
        listing: The folder's images.
        test_share: Share of each class for testing, where folders do not divide the images.
        log: Progress.
        is_labelled: Whether classes count; if not, the share is one of all images.

    Returns:
        One row an image, sorted by path, with the columns COLUMNS (width and height in px after
        EXIF rotation; label 0 where there are no classes); and one line for every image that cannot
        be read or is there once too often.
    """
    import pandas as pd

    labels = {"": 0} | {name: i for i, name in enumerate(class_names(listing))}
    paths = [image[2] for image in listing.images]
    rows, offences = [], []
    readable: list[tuple[Image, str]] = []
    progress = Progress(log, len(paths), "photographs")
    found = _examine_all(listing.root, paths)
    for done, (image, facts) in enumerate(zip(listing.images, found, strict=True), 1):
        split, name, path = image
        if isinstance(facts, str):
            offences.append(f"{path}: {facts}")
        else:
            rows.append((path, split, labels[name], *facts))
            readable.append((image, facts[-1]))
        progress.update(done)
    offences += repeats(readable, listing.folders)
    offences += shortages(readable, listing.folders, is_labelled)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if not listing.is_divided:
        strata = table["label"] if is_labelled else [0] * len(table)
        table["split"] = assign_splits(strata, table["sha256"], test_share)
    return table, offences


def repeats(images: Iterable[tuple[Image, str]], folders: Mapping[str, str]) -> list[str]:
    """One line for every photograph that is there again, in another split or under another class.

    Args:
        images: (split, class, path) of each, sorted by path, and the SHA-256 of its content.
        folders: Folder of each split, where the images are divided.
    """
    first: dict[str, Image] = {}
    offences = []
    for (split, name, path), sha256 in images:
        other_split, other_name, other = first.setdefault(sha256, (split, name, path))
        where = [f"under the classes {other_name!r} and {name!r}"] * (name != other_name)
        if split != other_split:
            where.append(" and ".join(f"in {folder}" for folder in folders.values()))
        if where:
            same = f"the same photograph as {other}, {' and '.join(where)}"
            offences.append(f"{path}: {same}: keep one of the two")
    return offences


def shortages(
    images: Sequence[tuple[Image, str]], folders: Mapping[str, str], is_labelled: bool = True
) -> list[str]:
    """One line for every class, or split, with too few photographs that differ.

    A class whose photographs are to be divided needs two. Where classes do not count, all
    photographs together do, or one in each folder of a split.

    Args:
        images: (split, class, path) of each, and the SHA-256 of its content.
        folders: Folder of each split, where the images are divided.
        is_labelled: Whether classes count.
    """
    if not is_labelled:
        different = {(split, sha256) for (split, _, _), sha256 in images}
        counts = Counter(split for split, _ in different)
        least = dict.fromkeys(folders, 1) or {"": 2}
        return [
            f"{folders.get(split, 'the folder')}: {counts[split]} photographs that differ, but "
            f"{needed} {'is' if needed == 1 else 'are'} needed"
            for split, needed in least.items()
            if counts[split] < needed
        ]
    contents: dict[str, list[str]] = defaultdict(list)
    for (split, name, _), sha256 in images:
        if not split:
            contents[name].append(sha256)
    return [
        f"{name}: {len(found)} copies of one photograph: add one that differs"
        for name, found in contents.items()
        if len(found) > 1 == len(set(found))
    ]


def _examine_all(root: Path, paths: list[str]) -> Iterable[tuple[int, int, str, int, str] | str]:
    """Facts of each photograph, or what is wrong with it, in order; decoded in threads."""
    workers = len(os.sched_getaffinity(0))
    with quiet_pillow(), ThreadPoolExecutor(workers) as pool:
        for begin in range(0, len(paths), 64 * workers):
            some = paths[begin : begin + 64 * workers]
            yield from pool.map(partial(_examine, root), some)


def _examine(root: Path, path: str) -> tuple[int, int, str, int, str] | str:
    try:
        content = (root / path).read_bytes()
        width, height, mode = measure(content)
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    except Unreadable as error:
        return describe_pointer(content, path) or str(error)
    return width, height, mode, len(content), hashlib.sha256(content).hexdigest()


def assign_splits(labels: Iterable[int], hashes: Iterable[str], test_share: float) -> list[str]:
    """``train`` or ``test`` for every image: a class's smallest hashes are tests.

    Copies of one photograph have one hash and fall on one side; they count once.
    """
    pairs = list(zip(labels, hashes, strict=True))
    by_class = defaultdict(set)
    for label, sha256 in pairs:
        by_class[label].add(sha256)
    tests = {
        (label, sha256)
        for label, found in by_class.items()
        for sha256 in sorted(found)[: _count_tests(len(found), test_share)]
    }
    return ["test" if pair in tests else "train" for pair in pairs]


def _count_tests(images: int, test_share: float) -> int:
    """The share's, but one at least, and one fewer than there are at most."""
    return min(max(round(test_share * images), 1), images - 1)
