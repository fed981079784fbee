"""The manifest of photographs: every one decoded once, measured and hashed.

They lie in a folder as files, or in shards (`shards`): whoever lists them says how one is read.
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sightlines.core.errors import UnreadableError
from sightlines.core.progress import Progress
from sightlines.datasets.imagefolder_scan import Image, Listing
from sightlines.datasets.photographs import Measured, measure, quiet_pillow
from sightlines.datasets.white_levels import describe_white
from sightlines.datasets.wide_pixels import decide_white

COLUMNS = ("path", "split", "label", "width_px", "height_px", "mode", "bytes", "sha256")


@dataclass(frozen=True)
class Manifest:
    """What the examination of a folder's photographs has shown.

    Attributes:
        table: One row an image, sorted by path, with the columns COLUMNS (width and height in px
            after EXIF rotation; label 0 where there are no classes).
        offences: One line for every image that cannot be read, is there once too often, or whose
            scale is in doubt.
        white_levels: Of photographs of more than 8 bits, as `decide_white` returns it.
        passed_over: Paths by what is wrong with their metadata.
    """

    table: Any
    offences: list[str]
    white_levels: dict[str, Any] = field(default_factory=dict)
    passed_over: dict[str, list[str]] = field(default_factory=dict)


def class_names(listing: Listing) -> list[str]:
    """Names of the classes, in the order of the labels; none where photographs lie without."""
    return listing.class_order or sorted({name for _, name, _ in listing.images if name})


def make_manifest(
    listing: Listing,
    settings: Mapping[str, Any],
    is_labelled: bool = True,
    read: Callable[[int], bytes] | None = None,
) -> Manifest:
    """Examine all images of a listing.

    Args:
        listing: The folder's images.
        settings: The dataset's: `test_share` (the share of each class for testing, where folders
            do not divide the images), `max_megapixels` and `white_level`.
        log: Progress.
        is_labelled: Whether classes count; if not, the share is one of all images.
        read: The bytes of an image, by its place in the listing; those of its file by default.
            Called by several threads at once.
    """
    import pandas as pd

    labels = {"": 0} | {name: i for i, name in enumerate(class_names(listing))}
    paths = [image[2] for image in listing.images]
    rows, offences, depths, passed_over = [], [], {}, defaultdict(list)
    readable: list[tuple[Image, str]] = []
    progress = Progress(len(paths), "photographs")
    content_of = read or (lambda index: (listing.root / paths[index]).read_bytes())
    found = _examine_all(content_of, len(paths), settings["max_megapixels"])
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
    if settings.get("repeats") != "keep":
        offences += repeats(readable, listing.folders)
    offences += doubts
    offences += shortages(readable, listing.folders, is_labelled)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if not listing.is_divided:
        strata = table["label"] if is_labelled else [0] * len(table)
        table["split"] = assign_splits(strata, table["sha256"], settings["test_share"])
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


def _examine_all(
    read: Callable[[int], bytes], images: int, max_megapixels: int
) -> Iterable[tuple[Measured, int, str] | str]:
    """Facts of each photograph, or what is wrong with it, in order; decoded in threads."""
    workers = len(os.sched_getaffinity(0))
    with quiet_pillow(), ThreadPoolExecutor(workers) as pool:
        for begin in range(0, images, 64 * workers):
            some = range(begin, min(begin + 64 * workers, images))
            yield from pool.map(partial(_examine, read, max_megapixels), some)


def _examine(
    read: Callable[[int], bytes], max_megapixels: int, index: int
) -> tuple[Measured, int, str] | str:
    """What a photograph is, its size in bytes and its SHA-256."""
    try:
        content = read(index)
        measured = measure(content, max_megapixels)
    except OSError as error:
        return f"cannot be opened ({error.strerror or error})"
    except UnreadableError as error:
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
