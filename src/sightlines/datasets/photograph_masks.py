"""Masks of objects in photographs: a folder of mask images, named like the photographs.

Three customary forms, one a folder: images with a palette, as in PASCAL VOC (0 background, 255 not
labelled, every other level an object or a class); trimaps, as in the Oxford pets (1 object, 2
background, 3 not labelled); black and white (0 background, 255, or 1, object). A mask has the size
of its photograph, before it is scaled, and a lossless form.

What is read are label maps: 0 background, VOID not labelled, anything else an object.
"""

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from sightlines.core.errors import DataError, MissingSourceError, UnreadableError
from sightlines.core.file_hashes import UNREADABLE, hash_files
from sightlines.datasets.imagefolder_entries import list_folder
from sightlines.datasets.views import View

VOID = 255
"""Level of a label map that is not labelled."""
PALETTE, TRIMAP, BINARY = "palette", "trimap", "black and white"
FORMS = {
    PALETTE: "a palette (0 background, 255 not labelled, others objects)",
    TRIMAP: "trimaps (1 object, 2 background, 3 not labelled)",
    BINARY: "black and white (0 background, 255 object)",
}
FORMATS = ("PNG", "BMP", "GIF", "TIFF")
ENDINGS = (".png", ".bmp", ".gif", ".tif", ".tiff")
SHOWN_LEVELS = 6


@dataclass(frozen=True)
class Found:
    """A mask as its file has it.

    Attributes:
        levels: Those that it has, sorted.
        has_palette: Whether they are entries of a palette.
    """

    levels: tuple[int, ...]
    has_palette: bool


def list_masks(root: Path) -> dict[str, list[str]]:
    """Mask images below a folder, by their names without ending.

    Returns:
        Path without ending -> paths, relative to the folder; both the whole path and the last part.

    Raises:
        MissingSourceError: there is no such folder.
        DataError: it cannot be read.
    """
    if not root.is_dir():
        raise MissingSourceError(
            f"there is no folder of masks {root}: put it there, or correct dataset.masks (relative "
            "to data_root)"
        )
    found: dict[str, list[str]] = defaultdict(list)
    left, passed = [""], Counter[str]()
    while left:
        for entry in list_folder(root, left.pop(), passed):
            if entry.is_folder and not entry.offence:
                left.append(entry.place)
            elif entry.ending in ENDINGS:
                bare = entry.place[: -len(entry.ending)]
                for name in {bare, PurePosixPath(bare).name}:
                    found[name].append(entry.place)
    return {name: sorted(paths) for name, paths in found.items()}


def fingerprint(root: Path) -> str:
    """Digest of the names and contents of all masks as they are now.

    Raises:
        MissingSourceError: there is no such folder.
        DataError: it cannot be read.
    """
    paths = sorted({path for own in list_masks(root).values() for path in own})
    lines = [f"{p}\0{h}\n" for p, h in zip(paths, hash_files(root, paths), strict=True)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def match(photographs: Iterable[str], masks: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Masks named like each photograph; the longest part of its path that any mask has decides.

    Args:
        photographs: Paths relative to their folder.
        masks: From `list_masks`.
    """
    found = {}
    for path in photographs:
        bare = PurePosixPath(path).with_suffix("")
        names = ["/".join(bare.parts[i:]) for i in range(len(bare.parts))]
        found[path] = list(next((masks[name] for name in names if name in masks), []))
    return found


def read_mask(content: bytes, size: tuple[int, int]) -> tuple[UInt8[np.ndarray, "h w"], Found]:
    """Levels of a mask image.

    Args:
        content: The file's bytes.
        size: Width and height that it must have, in px: none of another size is decoded.

    Raises:
        UnreadableError: it is of another size or form, or damaged.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.size != size:
                wide, high = image.size
                turned = " (the photograph is turned by its EXIF)" if size == (high, wide) else ""
                raise UnreadableError(
                    f"{wide} × {high} px, but its photograph has {size[0]} × {size[1]}{turned}"
                )
            if image.mode not in ("1", "L", "P", "RGB", "RGBA"):
                raise UnreadableError(f"pixels of mode {image.mode}: save it with 8 bits")
            has_palette = image.mode == "P"
            levels = np.asarray(image.convert("L") if image.mode == "1" else image)
    except UnreadableError:
        raise
    except Exception as error:  # decoders fail in many ways on damaged files
        raise UnreadableError(f"not a mask image, or damaged ({error})") from error
    if levels.ndim == 3:
        if (levels[..., :3] != levels[..., :1]).any():
            raise UnreadableError("colours without a palette: save it with a palette, or in grey")
        levels = levels[..., 0]
    levels = np.ascontiguousarray(levels, np.uint8)
    there = np.flatnonzero(np.bincount(levels.ravel(), minlength=256))
    return levels, Found(tuple(int(level) for level in there), has_palette)


def form_of(found: Iterable[Found]) -> str:
    """The form of a folder's masks, by all of their levels; empty where they have none of FORMS."""
    every = list(found)
    levels = {level for own in every for level in own.levels}
    if levels <= {1, 2, 3} and levels & {2, 3}:
        return TRIMAP
    if levels <= {0, VOID} or levels <= {0, 1}:
        return BINARY
    return PALETTE if every and all(own.has_palette for own in every) else ""


def odd_levels(found: Found, form: str) -> list[int]:
    """Levels of a mask that its folder's form does not have."""
    known = {TRIMAP: {1, 2, 3}, BINARY: {0, 1, VOID}}.get(form)
    return [] if known is None else [level for level in found.levels if level not in known]


def label_map(levels: UInt8[np.ndarray, "h w"], form: str) -> UInt8[np.ndarray, "h w"]:
    """What a mask's levels stand for: 0 background, VOID not labelled, else an object."""
    table = np.arange(256, dtype=np.uint8)
    if form == TRIMAP:
        table[:] = VOID
        table[1:3] = 1, 0
    elif form == BINARY:
        table[:] = 1
        table[0] = 0
    return table[levels]  # type: ignore[no-any-return]


def seen(labels: UInt8[NDArray[np.uint8], "h w"], view: View) -> UInt8[np.ndarray, "size size"]:
    """A label map as a network sees its image: the nearest pixel, so that no levels are mixed."""
    height, width = labels.shape
    left, top, right, lower = view.box(width, height)
    steps = (np.arange(view.size_px) + 0.5) / view.size_px
    rows = np.floor(top + (lower - top) * steps).astype(int)
    columns = np.floor(left + (right - left) * steps).astype(int)
    return labels[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]  # type: ignore[no-any-return]


def examine(
    root: Path, photographs: Sequence[tuple[str, int, int]]
) -> tuple[list[str], str, list[str]]:
    """Find and look at the masks of photographs.

    Args:
        root: Folder of the masks.
        photographs: Path, width and height in px of each.

    Returns:
        Path of each one's mask, relative to `root`; the form of all of them; and what is wrong, one
        line each, upon which the first two mean nothing.
    """
    matched = match([path for path, *_ in photographs], list_masks(root))
    paths: list[str] = []
    offences: list[str] = []
    found: list[Found] = []
    for photograph, width, height in photographs:
        own = matched[photograph]
        if len(own) != 1:
            several = f"{len(own)} masks ({', '.join(own[:3])}): keep one"
            offences.append(f"{photograph}: {several if own else 'no mask of its name'}")
            continue
        try:
            _, seen_in_file = read_mask((root / own[0]).read_bytes(), (width, height))
        except (OSError, UnreadableError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            offences.append(f"{own[0]}: {why}")
            continue
        paths.append(own[0])
        found.append(seen_in_file)
    return paths, *_judge(paths, found, offences)


def _judge(paths: list[str], found: list[Found], offences: list[str]) -> tuple[str, list[str]]:
    """The form of all masks, and offences with those of masks that have another one."""
    form = form_of(found)
    if form or not found:
        return form, offences
    known = f"they are {', '.join(FORMS.values())}"
    counts = Counter(form_of([own]) for own in found if not own.has_palette)
    counts += Counter(PALETTE for own in found if own.has_palette)
    usual = max(FORMS, key=lambda each: counts[each])
    for path, own in zip(paths, found, strict=True):
        odd = odd_levels(own, usual) or (
            list(own.levels) if own.has_palette != (usual == PALETTE) else []
        )
        if odd:
            shown = ", ".join(map(str, odd[:SHOWN_LEVELS])) + ", …" * (len(odd) > SHOWN_LEVELS)
            what = f"the others are {FORMS[usual]}" if counts[usual] else known
            offences.append(f"{path}: levels {shown} are of no mask that is read: {what}")
    return usual, offences


def open_mask(
    path: Path, sha256: str, size: tuple[int, int], form: str
) -> UInt8[np.ndarray, "h w"]:
    """The label map of one mask.

    Args:
        path: The file.
        sha256: Of its content when it was listed.
        size: Width and height of its photograph, in px.
        form: One of FORMS.

    Raises:
        DataError: it is missing, was edited or cannot be read.
    """
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise UnreadableError("it was edited since the masks were listed")
        return label_map(read_mask(content, size)[0], form)
    except (OSError, UnreadableError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"the mask {path}: {why}. Fix it, then run snakemake again.") from error


def hashes_of(root: Path, paths: Sequence[str]) -> list[str]:
    """SHA-256 of each mask.

    Raises:
        DataError: one cannot be read.
    """
    found = hash_files(root, paths)
    for path, sha256 in zip(paths, found, strict=True):
        if sha256 == UNREADABLE:
            raise DataError(f"cannot read the mask {root / path}: fix its permissions")
    return found
