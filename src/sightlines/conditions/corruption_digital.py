"""Corruptions by processing: elastic transformation, pixelation, JPEG compression.

Each function corrupts one image by the constants of a severity (`corruption.CONSTANTS`).
Hendrycks & Dietterich 2019, `make_imagenet_c.py`.
"""

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy.typing import NDArray
from PIL import Image

from sightlines.conditions.corruption_blur import Levels, Planes

TRUNCATE = 3
"""The Gaussian of an elastic transformation ends after so many standard deviations."""

Photograph = UInt8[np.ndarray, "height width 3"]
Places = Float32[np.ndarray, "height width"]
Fold = Callable[[Places, int], Places]


def elastic_transform(
    planes: Planes, bend: tuple[float, float, float], draws: np.random.Generator
) -> Levels:
    """Shift three corners at random, then every pixel by a smooth random field.

    Args:
        planes: The image.
        bend: Size of the field, its smoothness and the largest shift of a corner, in px.
        draws: Of corners and field.
    """
    size, smoothness, corner = bend
    height, width = planes.shape[1:]
    rows, columns = np.indices((height, width), np.float32)
    shear = affine(height, width, draws.uniform(-corner, corner, (3, 2))).astype(np.float32)
    levels = interpolated(
        planes.astype(np.float32),
        shear[1, 0] * columns + shear[1, 1] * rows + shear[1, 2],
        shear[0, 0] * columns + shear[0, 1] * rows + shear[0, 2],
        mirrored,
    )
    right, down = (
        smooth(draws.uniform(-1, 1, (height, width)), smoothness) * size for _ in range(2)
    )
    if not size:
        return levels
    return interpolated(
        levels, rows + down.astype(np.float32), columns + right.astype(np.float32), reflected
    )


def affine(
    height: int, width: int, shifts: Float64[np.ndarray, "3 2"]
) -> Float64[np.ndarray, "2 3"]:
    """Where in the image each pixel (column, row, 1) of the sheared one lies.

    Args:
        height: Of the image.
        width: Of the image.
        shifts: Of three points around the middle, in px.
    """
    middle = np.array([height // 2, width // 2], float)
    reach = min(height, width) // 3
    corners = middle + reach * np.array([[1, 1], [1, -1], [-1, -1]], float)
    moved = np.column_stack([corners + shifts, np.ones(3)])
    return np.linalg.solve(moved, corners).T


def smooth(
    field: Float64[NDArray[np.float64], "height width"], deviation: float
) -> Float64[np.ndarray, "height width"]:
    """Blur by a Gaussian, mirrored at the border, however wide it is."""
    height, width = field.shape
    return _gaussian(height, deviation) @ field @ _gaussian(width, deviation).T


@lru_cache(maxsize=16)
def _gaussian(side: int, deviation: float) -> Float64[NDArray[np.float64], "side side"]:
    """The matrix that blurs a line: the kernel folded at both ends."""
    radius = int(TRUNCATE * deviation + 0.5)
    if not radius:
        return np.eye(side)
    steps = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (steps / deviation) ** 2)
    blur = np.zeros((side, side))
    place = np.arange(side)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        there = (place + step) % (2 * side)
        blur[place, np.minimum(there, 2 * side - 1 - there)] += weight
    return blur


def mirrored(place: Places, side: int) -> Places:
    """Fold places at the middle of the outermost pixels."""
    if side == 1:
        return np.zeros_like(place)
    period = np.float32(2 * (side - 1))
    place = np.mod(place, period)
    return np.minimum(place, period - place)  # type: ignore[no-any-return]


def reflected(place: Places, side: int) -> Places:
    """Fold places at the edge of the outermost pixels."""
    period = np.float32(2 * side)
    place = np.mod(place + np.float32(0.5), period)
    return np.clip(np.minimum(place, period - place) - np.float32(0.5), 0, side - 1)  # type: ignore[no-any-return]


def interpolated(levels: Levels, rows: Places, columns: Places, fold: Fold) -> Levels:
    """Levels between pixels, linearly.

    Args:
        levels: Of the image.
        rows: Where each new pixel is taken.
        columns: Where each new pixel is taken.
        fold: What lies beyond the border.
    """
    height, width = levels.shape[1:]
    rows, columns = fold(rows, height), fold(columns, width)
    top = np.clip(rows.astype(np.int64), 0, max(height - 2, 0))
    left = np.clip(columns.astype(np.int64), 0, max(width - 2, 0))
    down, right = rows - top, columns - left
    below, beside = width * (height > 1), int(width > 1)
    first: Int64[np.ndarray, "height width"] = top * width + left
    flat = levels.reshape(3, -1)
    upper = np.take(flat, first, axis=1)
    upper += (np.take(flat, first + beside, axis=1) - upper) * right
    lower = np.take(flat, first + below, axis=1)
    lower += (np.take(flat, first + below + beside, axis=1) - lower) * right
    lower -= upper
    lower *= down
    upper += lower
    return upper


def pixelate(image: Photograph, share: float) -> Photograph:
    """Scale down to a share of the side by boxes, and up again.

    By the nearest pixel, which is what boxes come to where an image grows. Rows are repeated by
    NumPy: to pass whole images of few different rows through Pillow takes twice the time.
    """
    height, width = image.shape[:2]
    small = (max(int(width * share), 1), max(int(height * share), 1))
    reduced = Image.fromarray(image).resize(small, Image.Resampling.BOX)
    wide = np.asarray(reduced.resize((width, small[1]), Image.Resampling.NEAREST))
    return wide.take(nearest(small[1], height), axis=0)


@lru_cache(maxsize=64)
def nearest(small: int, large: int) -> Int64[np.ndarray, " large"]:
    """Of so many rows the one that Pillow takes for each row of a larger image.

    Places are summed up as there, so that they round alike.
    """
    step = small / large
    steps = np.full(large, step)
    steps[0] = step * 0.5
    return np.cumsum(steps).astype(np.int64)


def jpeg_compression(image: Photograph, quality: int) -> Photograph:
    """Save as JPEG of some quality, and open again."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    file.seek(0)
    with Image.open(file) as opened:
        return np.asarray(opened)
