"""The manifest of an image folder: every photograph decoded once, measured and hashed."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sightlines.datasets.imagefolder_scan import Listing
from sightlines.datasets.photographs import Unreadable, measure, quiet_pillow
from sightlines.stage import Progress

COLUMNS = ("path", "split", "label", "width_px", "height_px", "mode", "bytes", "sha256")


def make_manifest(listing: Listing, test_share: float, log: Any) -> tuple[Any, list[str]]:
    """Examine all images of a listing.

    Args:
        listing: The folder's images.
        test_share: Share of each class for testing, where there is no val folder.
        log: Progress.

    Returns:
        One row an image, sorted by path, with the columns COLUMNS (width and height in px after
        EXIF rotation); and one line for every image that cannot be read.
    """
    import pandas as pd

    labels = {name: i for i, name in enumerate(sorted({image[1] for image in listing.images}))}
    splits = _assign_splits(listing, test_share)
    paths = [image[2] for image in listing.images]
    rows, offences = [], []
    progress = Progress(log, len(paths), "photographs")
    found = _examine_all(listing.root, paths)
    for done, ((_, name, path), facts) in enumerate(zip(listing.images, found, strict=True), 1):
        if isinstance(facts, str):
            offences.append(f"{path}: {facts}")
        else:
            rows.append((path, splits[path], labels[name], *facts))
        progress.update(done)
    return pd.DataFrame(rows, columns=list(COLUMNS)), offences


def _examine_all(root: Path, paths: list[str]) -> Iterable[tuple[int, int, str, int, str] | str]:
    """Facts of each photograph, or what is wrong with it, in order; decoded in threads."""
    workers = len(os.sched_getaffinity(0))
    with quiet_pillow(), ThreadPoolExecutor(workers) as pool:
        for begin in range(0, len(paths), 64 * workers):
            some = paths[begin : begin + 64 * workers]
            yield from pool.map(lambda path: _examine(root / path), some)


def _examine(path: Path) -> tuple[int, int, str, int, str] | str:
    try:
        content = path.read_bytes()
        width, height, mode = measure(content)
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    except Unreadable as error:
        return str(error)
    return width, height, mode, len(content), hashlib.sha256(content).hexdigest()


def _assign_splits(listing: Listing, test_share: float) -> dict[str, str]:
    """``train`` or ``test`` for every path."""
    if listing.has_val:
        return {path: split for split, _, path in listing.images}
    by_class = defaultdict(list)
    for _, name, path in listing.images:
        by_class[name].append(path)
    splits: dict[str, str] = {}
    for paths in by_class.values():
        ordered = sorted(paths, key=lambda path: hashlib.sha256(path.encode()).digest())
        tests = min(max(round(test_share * len(paths)), 1), max(len(paths) - 1, 0))
        splits |= {path: "test" if i < tests else "train" for i, path in enumerate(ordered)}
    return splits
