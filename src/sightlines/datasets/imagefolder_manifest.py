"""The manifest of an image folder: every photograph decoded once, measured and hashed."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightlines.datasets.imagefolder_scan import Listing
from sightlines.datasets.photographs import Measured, Unreadable, measure, quiet_pillow
from sightlines.datasets.white_levels import describe_white
from sightlines.datasets.wide_pixels import decide_white
from sightlines.stage import Progress

Image = tuple[str, str, str]
"""Split (empty: not divided yet), class, path."""
COLUMNS = ("path", "split", "label", "width_px", "height_px", "mode", "bytes", "sha256")


@dataclass(frozen=True)
class Manifest:
    """What the examination of a folder's photographs has shown.

    Attributes:
        table: One row an image, sorted by path, with the columns COLUMNS (width and height in px
            after EXIF rotation).
        offences: One line for every image that cannot be read, is there once too often, or whose
            scale is in doubt.
        white_levels: Of photographs of more than 8 bits, as `decide_white` returns it.
        passed_over: Paths by what is wrong with their metadata.
    """

    table: Any
    offences: list[str]
    white_levels: dict[str, Any] = field(default_factory=dict)
    passed_over: dict[str, list[str]] = field(default_factory=dict)


def make_manifest(listing: Listing, settings: Mapping[str, Any], log: Any) -> Manifest:
    """Examine all images of a listing.

    Args:
        listing: The folder's images.
        settings: The dataset's: `test_share` (the share of each class for testing, where there is
            no val folder), `max_megapixels` and `white_level`.
        log: Progress.
    """
    import pandas as pd

    labels = {name: i for i, name in enumerate(sorted({image[1] for image in listing.images}))}
    paths = [image[2] for image in listing.images]
    rows, offences, depths, passed_over = [], [], {}, defaultdict(list)
    readable: list[tuple[Image, str]] = []
    progress = Progress(log, len(paths), "photographs")
    found = _examine_all(listing.root, paths, settings["max_megapixels"])
    for done, (image, facts) in enumerate(zip(listing.images, found, strict=True), 1):
        split, name, path = image
        if isinstance(facts, str):
            offences.append(f"{path}: {facts}")
        else:
            seen, size, sha256 = facts
            shape = (seen.width_px, seen.height_px, seen.mode)
            rows.append((path, split, labels[name], *shape, size, sha256))
            readable.append((image, sha256))
            if seen.depth:
                depths[path] = seen.depth
            if seen.passed_over:
                passed_over[seen.passed_over].append(path)
        progress.update(done)
    white_levels, doubts = decide_white(depths, settings["white_level"])
    offences += repeats(readable) + doubts
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if not listing.has_val:
        table["split"] = assign_splits(table["label"], table["sha256"], settings["test_share"])
    return Manifest(table, offences, white_levels, dict(passed_over))


def report_oddities(manifest: Manifest, log: Any) -> None:
    """One line on the scale of photographs of more than 8 bits, one on metadata passed over."""
    if manifest.white_levels:
        said = describe_white({"white_levels": manifest.white_levels})
        in_doubt = any(facts["dark"] or facts["above"] for facts in manifest.white_levels.values())
        tell = log.warning if in_doubt else log.info
        tell(f"{said}; dataset.white_level sets another white")
    if manifest.passed_over:
        whole = sum(map(len, manifest.passed_over.values()))
        reasons = "; ".join(
            f"{reason} in {len(paths):,} ({', '.join(paths[:3])}{', …' * (len(paths) > 3)})"
            for reason, paths in sorted(manifest.passed_over.items())
        )
        log.info(f"passed over in {whole:,} photographs whose pixels are whole: {reasons}")


def repeats(images: Iterable[tuple[Image, str]]) -> list[str]:
    """One line for every photograph that is there again, in another split or under another class.

    Copies in one class and split are none; but where images are not divided yet a class needs two
    that differ.

    Args:
        images: (split, class, path) of each, sorted by path, and the SHA-256 of its content.
    """
    first: dict[str, Image] = {}
    contents: dict[str, list[str]] = defaultdict(list)
    offences = []
    for (split, name, path), sha256 in images:
        other_split, other_name, other = first.setdefault(sha256, (split, name, path))
        where = [f"under the classes {other_name!r} and {name!r}"] * (name != other_name)
        where += ["in train and in val"] * (split != other_split)
        if where:
            same = f"the same photograph as {other}, {' and '.join(where)}"
            offences.append(f"{path}: {same}: keep one of the two")
        if not split:
            contents[name].append(sha256)
    for name, found in contents.items():
        if len(found) > 1 == len(set(found)):
            offences.append(f"{name}: {len(found)} copies of one photograph: add one that differs")
    return offences


def _examine_all(
    root: Path, paths: list[str], max_megapixels: int
) -> Iterable[tuple[Measured, int, str] | str]:
    """Facts of each photograph, or what is wrong with it, in order; decoded in threads."""
    workers = len(os.sched_getaffinity(0))
    with quiet_pillow(), ThreadPoolExecutor(workers) as pool:
        for begin in range(0, len(paths), 64 * workers):
            some = paths[begin : begin + 64 * workers]
            yield from pool.map(lambda path: _examine(root / path, max_megapixels), some)


def _examine(path: Path, max_megapixels: int) -> tuple[Measured, int, str] | str:
    """What a photograph is, its size in bytes and its SHA-256."""
    try:
        content = path.read_bytes()
        measured = measure(content, max_megapixels)
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    except Unreadable as error:
        return str(error)
    return measured, len(content), hashlib.sha256(content).hexdigest()


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
