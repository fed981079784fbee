"""Turns the bytes of one photograph into 8-bit RGB, whatever form it has.

Grey, palette, CMYK, 16-bit and alpha are admitted: alpha is composited on white, more than 8 bits
are scaled to 8 (`wide_pixels`), EXIF rotation is applied, of an animation the first frame is taken.
Float, signed and 32-bit pixels have no agreed scale and are refused. Metadata that cannot be read
are passed over.
"""

import contextlib
import io
import math
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from sightlines.core.errors import UnreadableError
from sightlines.datasets.content_kinds import EXPORT, RAW, name_kind
from sightlines.datasets.metadata import DAMAGED_REST, orientation_of, passed_over, upright, without
from sightlines.datasets.views import View
from sightlines.datasets.wide_pixels import Depth, depth_of, is_wide, to_8_bits, white_of

MAX_MEGAPIXELS = 179
"""Largest photograph that is read where nothing else is set: Pillow's own bound against
decompression bombs, rounded up."""

LARGE_PIXELS = 40_000_000
"""Of photographs with more pixels one is decoded at a time, so that memory stays bounded."""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF")

T = TypeVar("T")
_LARGE = threading.Lock()
_BOUND = threading.Lock()


@dataclass(frozen=True)
class Measured:
    """What a photograph is found to be.

    Attributes:
        width_px: Width after EXIF rotation.
        height_px: Height after EXIF rotation.
        mode: Pillow's name of its mode.
        depth: Of photographs of more than 8 bits.
        passed_over: What it says beside its pixels that cannot be read; empty where all is well.
    """

    width_px: int
    height_px: int
    mode: str
    depth: Depth | None = None
    passed_over: str = ""


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Pillow's warnings off (it warns of harmless metadata): its errors stay."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def measure(content: bytes, max_megapixels: int = MAX_MEGAPIXELS) -> Measured:
    """Decode a whole photograph to see that it can be.

    Raises:
        UnreadableError: truncated, damaged, too large or of an unknown form.
    """
    measured, is_bare = _read(content, lambda c, o: _measure(c, o, max_megapixels))
    return replace(measured, passed_over=DAMAGED_REST) if is_bare else measured


def decode(
    content: bytes, view: View, white_levels: Mapping[int, int] | None = None
) -> UInt8[np.ndarray, "size size 3"]:
    """What a network sees of a photograph.

    The same as scaling the whole and cropping it, without ever holding the scaled whole. JPEGs far
    larger than that are decoded at a reduced scale of at least twice the size.

    Args:
        content: The file's bytes.
        view: How the network sees it.
        white_levels: White of photographs of more than 8 bits, by the bits that they say they use;
            that of 16 bits where nothing is given.

    Raises:
        UnreadableError: as `measure`, but photographs of any size are read.
    """
    return _read(content, lambda c, o: _decode(c, o, view, white_levels or {}))[0]


def _read(content: bytes, read: Callable[[bytes, int], T]) -> tuple[T, bool]:
    """What `read` makes of a file; where it fails, of the file without its metadata.

    Args:
        content: The file's bytes.
        read: A function of the bytes and of the orientation that metadata left out have told.
    """
    try:
        return read(content, 1), False
    except UnreadableError as error:
        bare, orientation = without(content)
        if bare == content:
            raise
        try:
            return read(bare, orientation), True
        except UnreadableError:
            raise error from error.__cause__


def _measure(content: bytes, orientation: int, max_megapixels: int) -> Measured:
    with _opened(content, max_megapixels * 1e6) as image:
        mode, size = image.mode, image.size
        is_large = size[0] * size[1] > LARGE_PIXELS
        said, depth = "", None
        with _LARGE if is_large else contextlib.nullcontext():
            if is_wide(image, content):
                depth = depth_of(image, content)
            elif image.format == "JPEG" and is_large:
                image.draft(mode, (1, 1))  # the whole file is read all the same
            image.load()
            if depth is None:
                _to_rgb(image.crop((0, 0, 1, 1)))
        if image.format == "TIFF":  # Pillow itself turns those
            size = image.size
        elif orientation == 1:
            said, orientation = passed_over(image), orientation_of(image)
    width, height = size if orientation < 5 else size[::-1]
    return Measured(width, height, mode, depth, said)


def _decode(
    content: bytes, orientation: int, view: View, white_levels: Mapping[int, int]
) -> UInt8[np.ndarray, "size size 3"]:
    from PIL import Image

    size_px = view.size_px
    with _opened(content, math.inf) as image:
        if image.format == "JPEG":
            side = 2 * math.ceil(size_px / view.crop_share)
            image.draft(image.mode, (side, side))
        narrow = image
        if is_wide(image, content):
            white = white_of(white_levels, image, content)
            narrow = to_8_bits(image, content, white)
            if narrow is None:
                raise UnreadableError(
                    "a TIFF whose channels lie apart, with less than 16 bits each"
                )
        image.load()
        if orientation == 1 and image.format != "TIFF":  # Pillow itself turns those
            orientation = orientation_of(image)
        rgb = upright(_to_rgb(narrow), orientation)
        how = Image.Resampling[view.interpolation.upper()]
        return np.asarray(rgb.resize((size_px, size_px), how, box=view.box(*rgb.size)))


@contextlib.contextmanager
def _opened(content: bytes, max_pixels: float) -> Iterator[Any]:
    """The image, with every failure inside turned into one kind."""
    from PIL import UnidentifiedImageError

    if not content:
        raise UnreadableError("empty file")
    try:
        with _open(content) as image:
            pixels = image.width * image.height
            if pixels > max_pixels:
                raise UnreadableError(
                    f"{image.width} x {image.height} px: more than {max_pixels / 1e6:.0f} "
                    f"megapixels; set dataset.max_megapixels to {math.ceil(pixels / 1e6)}, or "
                    "make it smaller"
                )
            _refuse_unfit(image)
            yield image
    except UnreadableError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableError(
            name_kind(content) or "not an image of a known format, or damaged at its start"
        ) from error
    except MemoryError as error:
        raise UnreadableError("too large for this machine's memory") from error
    except Exception as error:  # decoders fail in many ways on damaged files
        raise UnreadableError(f"truncated or damaged ({error or type(error).__name__})") from error


@contextlib.contextmanager
def _open(content: bytes) -> Iterator[Any]:
    """An image as Pillow opens it, without Pillow's own bound: `_opened` has another."""
    from PIL import Image

    with contextlib.ExitStack() as stack:
        try:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        except Image.DecompressionBombError:
            stack.enter_context(_unbound())
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        yield stack.enter_context(image)


@contextlib.contextmanager
def _unbound() -> Iterator[None]:
    """Pillow's bound lifted, for one photograph at a time."""
    from PIL import Image

    with _BOUND:
        bound, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = bound


def _refuse_unfit(image: Any) -> None:
    """Raise UnreadableError for an image without an agreed scale, or a raw file's thumbnail."""
    is_tiff = image.format == "TIFF"
    if is_tiff and image.tag_v2.get(254, 0) == 1 and 330 in image.tag_v2:
        raise UnreadableError(f"{RAW}, of which Pillow reads a thumbnail alone: {EXPORT}")
    if image.mode == "F" or (image.mode == "I" and is_tiff):
        is_short = is_tiff and image.tag_v2.get(258, (32,))[0] == 16
        pixels = "signed 16-bit pixels" if is_short else "float or 32-bit pixels"
        raise UnreadableError(f"{pixels}, whose scale is not known: save it with 8 or 16 bits")


def _to_rgb(image: Any) -> Any:
    """A loaded image on white, as it lies."""
    from PIL import Image

    if image.mode == "I":  # a PGM that says its largest value, to which Pillow has scaled it
        levels = np.asarray(image).astype(np.int64)
        small = ((levels * 255 + 32767) // 65535).clip(0, 255).astype(np.uint8)
        return Image.fromarray(small).convert("RGB")
    has_alpha = image.mode in ("LA", "PA", "La", "RGBA", "RGBa")
    if has_alpha or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
