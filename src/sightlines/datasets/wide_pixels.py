"""Photographs of more than 8 bits: their levels at full depth, and which of them is white.

Cameras and microscopes write 10, 12 or 14 bits into files of 16, and most files do not say so. One
level is white for all photographs of a folder that say the same of their depth, so that one that is
darker than another stays so: the most that this depth can hold, where the depth is the smallest of
8, 10, 12, 14 and 16 bits that holds the largest level of them all. What a file may say of its depth
is PNG's sBIT, TIFF's BitsPerSample and MaxSampleValue, and OME's SignificantBits.
"""

import io
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt16

from sightlines.datasets.metadata import png_chunks

FULL = 65535
"""White of 16 bits."""
WHITES = (255, 1023, 4095, 16383, FULL)
"""White of 8, 10, 12, 14 and 16 bits."""
CLIPPED = 1000
"""One in so many of a photograph's levels is its largest where a camera's scale ends there."""
FEW_GREYS = 16
"""Photographs that keep fewer grey levels than this are told."""

Levels = UInt16[np.ndarray, "height width channels"]


@dataclass(frozen=True)
class Depth:
    """What one photograph shows of its depth.

    Attributes:
        bits: Bits a channel that the file says are used; 16 where it says nothing.
        largest: Its largest level, alpha apart.
        is_clipped: Whether so many of its levels are the largest that its scale may end there.
        is_exact: Whether the levels were read at full depth, not by their upper 8 bits alone.
    """

    bits: int
    largest: int
    is_clipped: bool
    is_exact: bool = True


def is_wide(image: Any, content: bytes) -> bool:
    """Whether an opened image has integer levels of more than 8 bits whose scale is not certain.

    A PPM whose largest value is not 65535 has said its scale, and Pillow keeps to it.
    """
    if image.format == "PNG":
        return content[24] == 16
    if image.format == "TIFF":
        return image.mode not in ("I", "F") and 8 < _tiff_bits(image) <= 16
    return image.format == "PPM" and _ppm_white(image) == FULL


def depth_of(image: Any, content: bytes) -> Depth:
    """Measure an opened image of which `is_wide` is true."""
    bits = _said_bits(image, content)
    form = _form(image)
    levels = read_levels(image, content)
    if levels is None:
        upper = int(np.asarray(image)[..., : _colours(form)].max())
        return Depth(bits, upper << 8 | 255, is_clipped=False, is_exact=False)
    colours = levels[..., : _colours(form)]
    largest = int(colours.max())
    there = int(np.count_nonzero(colours == largest))
    return Depth(bits, largest, is_clipped=there >= max(2, colours.size / CLIPPED))


def white_of(white_levels: Mapping[int, int], image: Any, content: bytes) -> int:
    """The level that is white in an opened image of which `is_wide` is true.

    Args:
        white_levels: White by the number of bits that files say they use.
        image: The image.
        content: The file's bytes.
    """
    return white_levels.get(_said_bits(image, content), FULL)


def to_8_bits(image: Any, content: bytes, white: int) -> Any:
    """An opened image of which `is_wide` is true, with its levels from 0 to `white` in 8 bits.

    Of full 16 bits in colour the upper 8 are taken, as Pillow takes them.

    Returns:
        A Pillow image of 8 bits a channel, as upright as Pillow gives the original; None where
        `white` is below that of 16 bits and the lower bytes are not at hand.
    """
    from PIL import Image

    mode = _form(image)
    if white == FULL and mode != "L" and "transparency" not in image.info:
        if not _is_apart(image):
            image.load()
            return image
    levels = read_levels(image, content)
    if levels is None:
        return image if white == FULL else None
    small = _scale(levels, white)
    colours = _colours(mode)
    if mode in ("LA", "RGBA", "RGBa"):
        whole = white if levels[..., colours:].max() <= white else FULL
        small[..., colours:] = _scale(levels, whole)[..., colours:]
    if image.format == "TIFF" and image.tag_v2.get(262) == 0:
        small = 255 - small
    key = image.info.get("transparency")
    if key is not None and mode in ("L", "RGB"):
        opaque = np.any(levels != np.asarray(key), axis=-1, keepdims=True)
        small, mode = np.concatenate([small, opaque * np.uint8(255)], axis=-1), mode + "A"
    height, width, _ = small.shape
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(small).tobytes())


def read_levels(image: Any, content: bytes) -> Levels | None:
    """Levels of an opened image at full depth; None where Pillow does not give them.

    Pillow keeps 16 bits of grey alone. Colours are read twice: once each pair's upper byte, once
    its lower one, which is the upper one to who reads the pairs in the other order.
    """
    if image.mode.startswith("I"):
        image.load()
        return np.asarray(image).astype(np.uint16)[..., None]
    if image.format == "PPM":
        return _ppm_colours(image, content)
    raw = _raw_mode(image)
    if _is_apart(image):
        _load_by_libtiff(image)
        return None
    if raw == "LA;16B":
        _reread(image, "RGBA")
        pairs = np.asarray(image).astype(np.uint16)
        return pairs[..., 0::2] << 8 | pairs[..., 1::2]
    lower = _opened_again(image, content)
    upper_raw = raw.replace("RGBa", "RGBA")
    _reread(image, upper_raw)
    _reread(lower, upper_raw[:-1] + _other_order(upper_raw[-1]))
    return np.asarray(image).astype(np.uint16) << 8 | np.asarray(lower)  # type: ignore[no-any-return]


def decide_white(
    depths: Mapping[str, Depth], setting: int | str
) -> tuple[dict[str, Any], list[str]]:
    """Which level is white in a folder's photographs of more than 8 bits.

    Args:
        depths: Of each such photograph, by its path.
        setting: The level, or ``auto``.

    Returns:
        For each number of bits that files say they use, as text: `white_level`, `largest_level`,
        `photographs`, and how many are `dark` (keep less than FEW_GREYS grey levels) or have levels
        `above` white; and one line for each photograph whose depth is in doubt.
    """
    groups: dict[int, dict[str, Depth]] = defaultdict(dict)
    for path, depth in depths.items():
        groups[depth.bits][path] = depth
    facts, offences = {}, []
    for bits, group in sorted(groups.items()):
        largest = max(depth.largest for depth in group.values())
        white = setting if isinstance(setting, int) else _smallest_white(bits, largest)
        dark = [p for p, depth in group.items() if depth.largest * FEW_GREYS < white]
        facts[str(bits)] = {
            "white_level": white,
            "largest_level": largest,
            "photographs": len(group),
            "dark": len(dark),
            "above": sum(depth.largest > white for depth in group.values()),
        }
        offences += _doubts(group, white, is_set=isinstance(setting, int))
    return facts, offences


def _smallest_white(bits: int, largest: int) -> int:
    if bits < 16:
        return 2**bits - 1 if largest < 2**bits else FULL
    return min(white for white in WHITES if white >= largest)


def _doubts(group: Mapping[str, Depth], white: int, is_set: bool) -> list[str]:
    brightest = max(group, key=lambda path: group[path].largest)
    lines = []
    for path, depth in group.items():
        if not depth.is_exact and white < FULL:
            lines.append(
                f"{path}: a TIFF with its channels apart, of which only the upper 8 of 16 bits can "
                f"be read, where level {white} is white: save it with its channels interleaved"
            )
        elif not is_set and depth.is_clipped and depth.largest in WHITES and depth.largest < white:
            lines.append(
                f"{path}: its levels end at {depth.largest}, as those of "
                f"{depth.largest.bit_length()} bits do, but {brightest} goes to "
                f"{group[brightest].largest}: save them all at one depth, or set "
                "dataset.white_level"
            )
    return lines


def _scale(levels: Levels, white: int) -> Any:
    """Levels from 0 to `white` as 0 to 255."""
    if white == FULL and levels.shape[-1] > 1:
        return (levels >> 8).astype(np.uint8)
    wide = levels.astype(np.uint32)
    return ((wide * 255 + white // 2) // white).clip(0, 255).astype(np.uint8)


def _form(image: Any) -> str:
    """Pillow's mode of an 8-bit image with the channels of one that is not loaded yet."""
    if image.mode.startswith("I"):
        return "L"
    raw = _raw_mode(image)
    return raw[:-4] if raw in ("LA;16B", "RGBa;16L", "RGBa;16B", "RGBa;16N") else image.mode


def _colours(mode: str) -> int:
    """Channels that are not alpha."""
    return {"L": 1, "LA": 1, "CMYK": 4}.get(mode, 3)


def _said_bits(image: Any, content: bytes) -> int:
    """Bits a channel that the file says are used, 1 to 16; 16 where it says nothing."""
    said = [16]
    if image.format == "PNG":
        for kind, body, _ in png_chunks(content):
            if kind == b"IDAT":
                break
            if kind == b"sBIT" and body:
                said.append(max(body[: 1 if len(body) < 3 else 3]))
    elif image.format == "TIFF":
        said.append(_tiff_bits(image))
        top = _numbers(image.tag_v2.get(281))
        if top and max(top) >= 255 and not max(top) & (max(top) + 1):
            said.append(max(top).bit_length())
        text = image.tag_v2.get(270)
        ome = re.search(r"<Pixels\b[^>]*\bSignificantBits=\"(\d{1,2})\"", str(text or ""))
        said.append(int(ome[1]) if ome else 16)
    return min(bits for bits in said if bits > 0)


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, int))


def _tiff_bits(image: Any) -> int:
    return max(_numbers(image.tag_v2.get(258)), default=1)


def _ppm_white(image: Any) -> int:
    tile = image.tile[0] if image.tile else None
    if tile is None or tile.args == "I;16B":
        return FULL
    return tile.args[1] if isinstance(tile.args, tuple) else 255


def _ppm_colours(image: Any, content: bytes) -> Levels:
    """The levels of a PPM in colour, read as a grey one of three times its width."""
    from PIL import Image

    tile = image.tile[0]
    kind = b"P2" if tile.codec_name == "ppm_plain" else b"P5"
    width, height = image.size
    grey = kind + b" %d %d 65535\n" % (3 * width, height) + content[tile.offset :]
    with Image.open(io.BytesIO(grey), formats=("PPM",)) as wide:
        return np.asarray(wide).astype(np.uint16).reshape(height, width, 3)


def _raw_mode(image: Any) -> str:
    args = image.tile[0].args if image.tile else ""
    return args if isinstance(args, str) else str(args[0])


def _reread(image: Any, raw: str) -> None:
    """Load an image by another raw mode than Pillow chose."""
    image.tile = [
        tile._replace(args=raw if isinstance(tile.args, str) else (raw, *tile.args[1:]))
        for tile in image.tile
    ]
    image.load()


def _is_apart(image: Any) -> bool:
    """Whether a TIFF's channels lie one behind the other."""
    return image.format == "TIFF" and image.tag_v2.get(284, 1) == 2  # type: ignore[no-any-return]


def _load_by_libtiff(image: Any) -> None:
    """Load a TIFF whose channels lie apart: Pillow itself takes their 16 bits for 8."""
    if not image.use_load_libtiff:
        args = (f"{image.mode};16N", False, image.tag_v2.offset)
        image.use_load_libtiff = True
        image.tile = [type(image.tile[0])("libtiff", (0, 0, *image._tile_size), 0, args)]
    image.load()


def _opened_again(image: Any, content: bytes) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(content), formats=(image.format,))


def _other_order(order: str) -> str:
    own = "L" if sys.byteorder == "little" else "B"
    return {"L": "B", "B": "L"}[own if order == "N" else order]
