"""Photographs made byte by byte: 16 bits in every layout, metadata of every kind."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + check


def png16(levels: np.ndarray, colour: int, *extra: bytes) -> bytes:
    """A PNG of 16 bits; `colour` 0: grey, 2: RGB, 4: grey and alpha, 6: RGB and alpha."""
    height, width = levels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    body = (chunk(b"IHDR", head), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks right behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


SIZES = {1: "B", 2: "s", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}


def directory(tags: dict[int, tuple[int, object]], order: str, begin: int) -> tuple[bytes, bytes]:
    """Entries of a TIFF's directory, and the values that lie behind it.

    Args:
        tags: Type and values of each tag; bytes stand for themselves.
        order: ``<`` or ``>``.
        begin: Place of the directory in the file.
    """
    entries, far = b"", b""
    after = begin + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        whole = isinstance(values, bytes)
        count = len(values) // {5: 8, 10: 8, 12: 8}.get(kind, 1) if whole else len(values)
        body = values if whole else struct.pack(f"{order}{count}{SIZES[kind]}", *values)
        if len(body) > 4:
            place = struct.pack(f"{order}I", after + len(far))
            body, far = place, far + body + bytes(len(body) % 2)
        entries += struct.pack(f"{order}HHI", tag, kind, count) + body.ljust(4, b"\0")
    return struct.pack(f"{order}H", len(tags)) + entries + bytes(4), far


def tiff16(
    levels: np.ndarray,
    photometric: int,
    order: str = "<",
    apart: bool = False,
    deflated: bool = False,
    **tags: tuple[int, object],
) -> bytes:
    """A TIFF of 16 bits, in one strip a plane.

    Args:
        levels: [height, width] or [height, width, channels].
        photometric: 0: white is zero, 1: black is zero, 2: RGB, 5: CMYK.
        order: ``<`` or ``>``.
        apart: Channels lie one behind the other.
        deflated: Compressed.
        tags: More, by `t` and their number.
    """
    height, width = levels.shape[:2]
    channels = 1 if levels.ndim == 2 else levels.shape[2]
    planes = np.moveaxis(levels, 2, 0) if apart else levels[None]
    kind = levels.dtype.kind + "2"
    strips = [np.ascontiguousarray(p).astype(f"{order}{kind}").tobytes() for p in planes]
    strips = [zlib.compress(s) for s in strips] if deflated else strips
    offsets = np.cumsum([8, *map(len, strips)]).tolist()
    begin = offsets.pop() + offsets[-1] % 2
    said = {
        256: (3, [width]),
        257: (3, [height]),
        258: (3, [16] * channels),
        259: (3, [8 if deflated else 1]),
        262: (3, [photometric]),
        273: (4, offsets),
        277: (3, [channels]),
        278: (3, [height]),
        279: (4, [len(s) for s in strips]),
        284: (3, [2 if apart else 1]),
    }
    said |= {int(name[1:]): value for name, value in tags.items()}
    body = b"".join(strips)
    begin = 8 + len(body) + len(body) % 2
    entries, far = directory(said, order, begin)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", begin)
    return (head + body).ljust(begin, b"\0") + entries + far


def exif(orientation: int | None, more: dict[int, tuple[int, object]] | None = None) -> bytes:
    """A little-endian EXIF block without its marker."""
    tags = dict(more or {})
    if orientation is not None:
        tags[0x0112] = (3, [orientation])
    entries, far = directory(tags, "<", 8)
    return b"II*\0" + struct.pack("<I", 8) + entries + far


def jpeg(image: Image.Image, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with more segments right behind its start."""
    whole = saved(image, "JPEG", quality=90)
    added = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments
    )
    return whole[:2] + added + whole[2:]
