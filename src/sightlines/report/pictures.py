"""Pictures of the page: figures in fewer bytes, and the maps of the overview."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from PIL import Image, UnidentifiedImageError

from sightlines.core.errors import ResultError

COLOURS = 256
"""Of a figure on the page: it has lines, letters and one map of colours, and more are not seen."""
DPI = 200 / 96
"""Pixels of a figure's PNG for each CSS pixel of its size on paper."""


def figure_picture(path: Path) -> dict[str, Any]:
    """A figure's PNG as a picture inside the page, with its size on paper in CSS pixels.

    The same pixels in a palette and in WebP without loss, which all browsers know: a quarter of
    the bytes of the PNG, and less than its SVG has.

    Raises:
        ResultError: the file is missing, or is no whole PNG.
    """
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            picture = opened.convert("RGB")
    except (UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise ResultError(
            f"{path} is not a whole PNG of sightlines. Delete it and run snakemake again."
        ) from error
    except OSError as error:
        if error.strerror is None:  # of a file that ends too soon
            raise ResultError(
                f"{path} is not a whole PNG of sightlines. Delete it and run snakemake again."
            ) from error
        raise ResultError(f"cannot read {path}: {error.strerror}; run snakemake again") from error
    few = picture.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    return {
        "source": _inside(few.convert("RGB"), "WEBP", lossless=True, quality=30, method=2),
        "width": round(picture.width / DPI),
        "height": round(picture.height / DPI),
    }


def map_picture(matrix: np.ndarray) -> str:
    """A map of similarities as a picture inside the page: one pixel a cell, the first row below.

    Args:
        matrix: [layers, layers] in 0 … 1; NaN: undefined, grey.
    """
    colours = colormaps["magma"](np.clip(np.nan_to_num(matrix), 0, 1), bytes=True)[..., :3]
    colours[~np.isfinite(matrix)] = 184, 188, 194
    picture = Image.fromarray(np.ascontiguousarray(colours[::-1]), "RGB")
    return _inside(picture, "PNG", optimize=True)


def _inside(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
