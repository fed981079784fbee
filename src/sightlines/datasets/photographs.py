"""Turns the bytes of one photograph into 8-bit RGB, whatever form it has.

Grey, palette, CMYK, 16-bit and alpha are admitted: alpha is composited on white, 16 bits are scaled
to 8, EXIF rotation is applied, of an animation the first frame is taken. Float and 32-bit
integer pixels have no agreed scale and are refused.
"""

import contextlib
import io
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8

from sightlines.datasets.views import View

MAX_PIXELS = 89_478_485
"""Largest image, in pixels: Pillow's own bound against decompression bombs."""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")


class Unreadable(ValueError):
    """A photograph that cannot be decoded; the message says why."""


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Pillow's warnings off (it warns of harmless metadata): its errors stay."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def measure(content: bytes) -> tuple[int, int, str]:
    """Decode a whole photograph to see that it can be.

    Returns:
        Width and height in px after EXIF rotation, and Pillow's name of its mode.

    Raises:
        Unreadable: truncated, damaged, too large or of an unknown form.
    """
    with _opened(content) as image:
        mode = image.mode
        rgb = _to_rgb(image)
        return rgb.width, rgb.height, mode


def decode(content: bytes, view: View) -> UInt8[np.ndarray, "size size 3"]:
    """What a network sees of a photograph.

    The same as scaling the whole and cropping it, without ever holding the scaled whole. JPEGs far
    larger than that are decoded at a reduced scale of at least twice the size.

    Raises:
        Unreadable: as `measure`.
    """
    from PIL import Image

    size_px = view.size_px
    with _opened(content) as image:
        if image.format == "JPEG":
            side = 2 * math.ceil(size_px / view.crop_share)
            image.draft(image.mode, (side, side))
        rgb = _to_rgb(image)
        how = Image.Resampling[view.interpolation.upper()]
        return np.asarray(rgb.resize((size_px, size_px), how, box=view.box(*rgb.size)))


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Any]:
    """The image, with every failure inside turned into one kind."""
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise Unreadable("empty file")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Unreadable(
                    f"{image.width} x {image.height} px: more than {MAX_PIXELS // 10**6} megapixels"
                )
            yield image
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("not an image of a known format, or damaged at its start") from error
    except Image.DecompressionBombError as error:
        raise Unreadable(f"more than {MAX_PIXELS / 1e6:.0f} megapixels") from error
    except MemoryError as error:
        raise Unreadable("too large for this machine's memory") from error
    except Exception as error:  # decoders fail in many ways on damaged files
        raise Unreadable(f"truncated or damaged ({error or type(error).__name__})") from error


def _to_rgb(image: Any) -> Any:
    from PIL import Image, ImageOps

    image.load()
    wide = image.mode in ("I", "F") or image.mode.startswith("I;16")
    upright = ImageOps.exif_transpose(image)
    if wide:
        return _from_16_bit(upright, image.format).convert("RGB")
    has_alpha = upright.mode in ("LA", "PA", "La", "RGBA", "RGBa")
    if has_alpha or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, upright).convert("RGB")
    return upright.convert("RGB")


def _from_16_bit(image: Any, file_format: str | None) -> Any:
    from PIL import Image

    if image.mode == "F" or (image.mode == "I" and file_format == "TIFF"):
        raise Unreadable(
            "float or 32-bit pixels, whose scale is not known: save it with 8 or 16 bits"
        )
    levels = np.asarray(image).astype(np.int64)
    return Image.fromarray(((levels * 255 + 32767) // 65535).clip(0, 255).astype(np.uint8))
