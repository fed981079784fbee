"""Keeps photographs decoded on the disk, so that an experiment decodes each once a size.

Every network and every kind of dump is shown the same photographs. Whoever decodes one first leaves
its pixels in a file below FOLDER: one file for each split of a dataset and each view, with a slot
for each of the split's images, as large on the disk as the slots that are filled. A slot is the
CRC-32 of its photograph's SHA-256 and its pixels, then the pixels. One that is empty, half written
or damaged does not fit its CRC: then the photograph is decoded as ever, and the slot filled anew.
So jobs need no lock, may be killed at any time, and see what direct decoding gives, byte for byte.

The file's name tells everything that decides about pixels: the manifest (paths and hashes of the
photographs), the view, the white levels, the code and the libraries that decode. The cache is part
of no job's identity, and may be removed at any time (`make clean-cache`).
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from sightlines.core.devices import Compute
from sightlines.core.files import why_not_written
from sightlines.datasets.reading import ImageSet, _decode_ahead, _Photographs
from sightlines.datasets.store import read_dataset
from sightlines.datasets.views import View
from sightlines.datasets.white_levels import white_levels
from sightlines.plan.code_digest import code_digest

log = logging.getLogger(__name__)

FOLDER = Path(".cache/sightlines/decoded")
SHARE_OF_FREE = 0.1
"""A split is kept where all of it, decoded, takes at most this share of the disk's free space."""
UNUSED_DAYS = 30
"""A file that was not opened for so long goes when another one is made."""
CODE = ("sightlines.datasets.photographs:decode", "sightlines.datasets.views:View")
"""What decides about pixels."""
LIBRARIES = ("pil", "jpg", "libjpeg_turbo", "zlib", "zlib_ng", "libtiff", "webp", "avif")
SEAL = struct.Struct("<I")
EMPTY = bytes(SEAL.size)

Pixels = UInt8[np.ndarray, "size size 3"]


class Slots:
    """One file of decoded images, which several processes read and fill at once.

    It is read and written, not mapped: a page of a mapped file that another program shortens, or
    that a full disk has no room for, kills the process.

    Attributes:
        path: Of the file.
    """

    def __init__(self, path: Path, images: int, size_px: int) -> None:
        """Open the file, or make it: empty, without taking room.

        Raises:
            OSError: it can be neither opened nor made.
        """
        self.path, self._shape = path, (size_px, size_px, 3)
        self._stride = SEAL.size + size_px * size_px * 3
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW  # not through a link
        self._handle = os.open(path, flags, 0o666)
        os.utime(self._handle)
        if os.fstat(self._handle).st_size != images * self._stride:
            os.ftruncate(self._handle, images * self._stride)
        self._is_writable = True

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def has(self, index: int) -> bool:
        """Whether something was written for an image; whether it is whole only `read` tells."""
        return os.pread(self._handle, SEAL.size, index * self._stride) not in (b"", EMPTY)

    def read(self, index: int, photograph: str) -> Pixels | None:
        """Pixels of an image; None where they are not there, or damaged.

        Args:
            index: Place of the image in its split.
            photograph: SHA-256 of the photograph.
        """
        content = os.pread(self._handle, self._stride, index * self._stride)
        pixels = memoryview(content)[SEAL.size :]
        is_whole = len(content) == self._stride and content[: SEAL.size] == _seal(
            photograph, pixels
        )
        return np.frombuffer(pixels, np.uint8).reshape(self._shape) if is_whole else None

    def write(self, index: int, photograph: str, pixels: Pixels) -> None:
        """Keep the pixels of an image; nothing more is kept once the disk refuses."""
        if not self._is_writable:
            return
        content = np.ascontiguousarray(pixels).data.cast("B")
        try:
            os.pwrite(
                self._handle, _seal(photograph, content) + content.tobytes(), index * self._stride
            )
        except OSError as error:
            self._is_writable = False
            log.warning(f"no more decoded photographs are kept in {self.path}: {error.strerror}")


def _seal(photograph: str, pixels: memoryview) -> bytes:
    return SEAL.pack(zlib.crc32(pixels, zlib.crc32(photograph.encode())))


@dataclass(frozen=True, kw_only=True)
class _Kept(_Photographs):
    """Takes photographs out of their slots, and decodes and keeps those that are not there."""

    slots: Slots

    def _decode(self, index: int) -> np.ndarray:
        pixels = self.slots.read(index, self.hashes[index])
        if pixels is None:
            pixels = super()._decode(index)
            self.slots.write(index, self.hashes[index], pixels)
        return pixels


class DecodedImages(ImageSet):
    """A prepared dataset whose photographs are decoded once, where the disk has room."""

    def _decode(
        self, split: str, index_batches: Iterable[np.ndarray], view: View
    ) -> Iterator[Tensor]:
        slots = open_slots(self.path, self.facts, split, view)
        if slots is None:
            yield from super()._decode(split, index_batches, view)
            return
        batches = list(index_batches)
        files = _Kept(**vars(self._open(split, view)), slots=slots)
        with contextlib.closing(slots):
            yield from self._placed(_decode_ahead(files, batches, self._workers(slots, batches)))

    def _workers(self, slots: Slots, batches: Sequence[np.ndarray]) -> int:
        """Processes that decode ahead: none where nothing is left to decode."""
        is_there = all(slots.has(int(index)) for batch in batches for index in batch)
        return 0 if is_there else self.compute.workers


def open_decoded(dataset_json: Path, source: Path, compute: Compute) -> DecodedImages:
    """Open a prepared dataset whose photographs are to be decoded once.

    Args:
        dataset_json: Its description.
        source: Where photographs lie (data_root or SIGHTLINES_DATA).
        compute: Device, and number of decoding processes.

    Raises:
        ResultError: the description is missing or damaged.
    """
    return DecodedImages(Path(dataset_json), read_dataset(dataset_json), Path(source), compute)


def open_slots(dataset_json: Path, dataset: dict[str, Any], split: str, view: View) -> Slots | None:
    """The file that keeps a split's photographs as a view shows them; None without room for it."""
    images, size = dataset["counts"][split], view.size_px
    stem, key = name_parts(dataset_json, dataset, split, view)
    path = FOLDER / f"{stem}-{key}.pixels"
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        taken = 0 if is_new else path.stat().st_blocks * 512
        needed = images * (SEAL.size + size * size * 3) - taken
        free = shutil.disk_usage(FOLDER).free
        if needed > SHARE_OF_FREE * free:
            log.info(
                f"photographs are decoded by every job: keeping {images:,} of {size} px decoded "
                f"would take {needed / 1e6:,.0f} MB, more than a tenth of the {free / 1e6:,.0f} MB "
                f"that are free where {FOLDER} lies"
            )
            return None
        slots = Slots(path, images, size)
    except OSError as error:
        log.info(f"photographs are decoded by every job: {path}: {why_not_written(path, error)}")
        return None
    if is_new:
        _sweep(stem, path)
    return slots


def name_parts(
    dataset_json: Path, dataset: dict[str, Any], split: str, view: View
) -> tuple[str, str]:
    """What a file is called: what it is for, and what its pixels depend on.

    Of files that are for one thing the one made last is of use: the others are of photographs that
    were edited since, or were decoded by other code.
    """
    from PIL import features

    shown = json.dumps(asdict(view), sort_keys=True)
    made_by = {
        "manifest": dataset["files"]["manifest.parquet"],
        "white_levels": white_levels(dataset),
        "code": code_digest(*CODE),
        "libraries": {name: features.version(name) for name in LIBRARIES},
    }
    of_view, key = (_short(text) for text in (shown, shown + json.dumps(made_by, sort_keys=True)))
    return f"{dataset_json.parent.name}-{split}-{view.size_px}px-{of_view[:8]}", key


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sweep(stem: str, kept: Path) -> None:
    """Remove the files that one just made takes the place of, and those long unused."""
    oldest = time.time() - UNUSED_DAYS * 86400
    for path in FOLDER.glob("*.pixels"):
        with contextlib.suppress(OSError):
            is_replaced = path.name.rpartition("-")[0] == stem and path != kept
            if is_replaced or path.stat().st_mtime < oldest:
                path.unlink()
