"""What a photograph says beside its pixels: which way up it is, and how to do without the rest.

Cameras and editors write metadata wrongly in many ways. Pixels are whole whatever stands there, so
only the orientation is taken from it, wherever that can be read by itself.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

ORIENTATION = 0x0112
ORIENTATIONS = range(1, 9)

LONGEST_TEXT = 1 << 26
"""Largest compressed text of a PNG that is unpacked to look for an orientation, in bytes."""

DAMAGED_EXIF = "damaged EXIF"
NO_ORIENTATION = "an orientation that is none of 1 to 8"
DAMAGED_REST = "profiles, texts or tags that cannot be read"

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset((b"tRNS", b"sBIT", b"eXIf", b"acTL", b"fcTL", b"fdAT"))
_JPEG_KEPT = {0xE0: 16, 0xEE: 14}
"""Segments of JFIF and of Adobe, which tell the channels, and how long they are if whole."""
_TIFF_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_EXIF_HEAD = re.compile(rb"(II\*\0\x08\0\0\0|MM\0\*\0\0\0\x08)..", re.DOTALL)
"""How EXIF begins in an AVIF, up to the number of its tags; AVIF itself says its orientation."""
_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")


def orientation_of(image: Any) -> int:
    """Which way up an opened image is, 1 to 8 as EXIF counts; 1 where nothing clear is said."""
    try:
        found = image.getexif().get(ORIENTATION)
    except Exception:  # metadata fail in as many ways as they are written
        found = None
    if not _is_orientation(found):
        found = scan_exif(image.info.get("exif"))
    return found if isinstance(found, int) and _is_orientation(found) else 1


def upright(image: Any, orientation: int) -> Any:
    """A loaded image, turned and mirrored as its orientation says."""
    from PIL import Image

    methods = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return image.transpose(methods[orientation]) if orientation in methods else image


def passed_over(image: Any) -> str:
    """What an opened image says beside its pixels that has no meaning; empty where all is well."""
    try:
        exif = image.getexif()
        said = exif.get(ORIENTATION, scan_exif(image.info.get("exif")))
        exif.tobytes()
    except Exception:  # as above
        return DAMAGED_EXIF
    if image.info.get("exif") and not len(exif):
        return DAMAGED_EXIF
    return "" if said is None or _is_orientation(said) else NO_ORIENTATION


def scan_exif(exif: Any) -> int | None:
    """The orientation in the first directory of an EXIF block, whatever its other tags are.

    Returns:
        One number of 16 or 32 bits as it stands there; None where there is none.
    """
    block = re.sub(rb"^(Exif\0\0)+", b"", exif) if isinstance(exif, bytes) else b""
    for tag, kind, count, value in _directory(block):
        if tag == ORIENTATION and count == 1 and kind in (3, 4):
            return int.from_bytes(value[: _TIFF_BYTES[kind]], _order(block))
    return None


def without(content: bytes) -> tuple[bytes, int]:
    """A file without what its pixels do not need, and the orientation that was said there.

    Returns:
        The same content and 1 where nothing can be left out.
    """
    if content.startswith(_PNG):
        return _without_png(content)
    if content.startswith(b"\xff\xd8"):
        return _without_jpeg(content)
    if content[4:8] == b"ftyp":
        return _EXIF_HEAD.sub(rb"\1\0\0", content), 1
    return _without_tiff(content), 1


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Kind, body and whole of every chunk of a PNG, up to where the file ends or is damaged."""
    place = len(_PNG)
    while place + 12 <= len(content):
        (size,) = struct.unpack(">I", content[place : place + 4])
        whole = content[place : place + 12 + size]
        yield whole[4:8], whole[8 : 8 + size], whole
        place += 12 + size


def _is_orientation(value: Any) -> bool:
    return isinstance(value, int) and value in ORIENTATIONS


def _order(block: bytes) -> Any:
    return "little" if block[:2] == b"II" else "big"


def _directory(block: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Tag, type, count and the four bytes of the value of each entry of a TIFF's first directory.

    BigTIFF and anything that is no TIFF have none.
    """
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return
    order = "<" if block[:2] == b"II" else ">"
    place = struct.unpack(f"{order}I", block[4:8].ljust(4, b"\0"))[0]
    if place + 2 > len(block):
        return
    (count,) = struct.unpack(f"{order}H", block[place : place + 2])
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        if entry + 12 > len(block):
            return
        yield *struct.unpack(f"{order}HHI", block[entry : entry + 8]), block[entry + 8 : entry + 12]


def _without_png(content: bytes) -> tuple[bytes, int]:
    kept, said, orientation = [_PNG], None, 1
    for kind, body, whole in png_chunks(content):
        if kind[:1].isupper() or kind in _PNG_KEPT:
            kept.append(whole)
            said = scan_exif(body) if kind == b"eXIf" else said
        elif kind in (b"iTXt", b"zTXt", b"tEXt"):
            orientation = _orientation_in(kind, body) or orientation
    return b"".join(kept), 1 if _is_orientation(said) else orientation


def _orientation_in(kind: bytes, body: bytes) -> int | None:
    """The orientation in a text of a PNG: in XMP, or in EXIF in hexadecimal digits."""
    keyword, _, text = body.partition(b"\0")
    if kind == b"iTXt":
        compressed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[-1]
    else:
        compressed = kind == b"zTXt"
        text = text[1:] if compressed else text
    if compressed:
        try:
            text = zlib.decompressobj().decompress(text, LONGEST_TEXT)
        except zlib.error:
            return None
    if keyword == b"XML:com.adobe.xmp":
        match = _XMP.search(text)
        return int(match[1]) if match else None
    if keyword == b"Raw profile type exif":
        digits = re.sub(rb"[^0-9a-fA-F]", b"", b"".join(text.split(b"\n")[3:]))
        found = scan_exif(bytes.fromhex(digits[: len(digits) // 2 * 2].decode()))
        return found if _is_orientation(found) else None
    return None


def _without_jpeg(content: bytes) -> tuple[bytes, int]:
    kept, said, in_xmp, place = [content[:2]], None, None, 2
    while content[place : place + 1] == b"\xff" and place + 1 < len(content):
        marker = content[place + 1]
        if marker == 0xDA:
            break
        size = int.from_bytes(content[place + 2 : place + 4], "big")
        segment = content[place : place + 2 + size]
        is_said = marker == 0xFE or 0xE0 <= marker <= 0xEF
        if not is_said or size >= _JPEG_KEPT.get(marker, 1 << 16):
            kept.append(segment)
        elif segment[4:].startswith(b"Exif\0\0"):
            said = scan_exif(segment[4:])
        elif segment[4:].startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            in_xmp = _XMP.search(segment)
        place += 2 + size
    if said is None or not _is_orientation(said):
        said = int(in_xmp[1]) if in_xmp else 1
    return b"".join([*kept, content[place:]]), said


def _without_tiff(content: bytes) -> bytes:
    """The same strips or tiles behind a directory of the tags whose values lie in the file."""
    order = "<" if content[:2] == b"II" else ">"
    kept = [
        struct.pack(f"{order}HHI", tag, kind, count) + value
        for tag, kind, count, value in _directory(content)
        if _is_inside(content, order, kind, count, value)
    ]
    if not kept:
        return content
    place = len(content) + len(content) % 2
    directory = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + bytes(4)
    head = content[:4] + struct.pack(f"{order}I", place)
    return head + content[8:].ljust(place - 8, b"\0") + directory


def _is_inside(content: bytes, order: str, kind: int, count: int, value: bytes) -> bool:
    """Whether a tag's values lie in the file."""
    size = count * _TIFF_BYTES.get(kind, 1)
    return size <= 4 or struct.unpack(f"{order}I", value)[0] + size <= len(content)
