"""Corruptions that blur: defocus, glass, motion, zoom, and a Gaussian.

Each function corrupts one image: its levels, uint8 [3, height, width], and the constants of a
severity (`corruption.CONSTANTS`) -> levels in float32, not yet clipped. Hendrycks & Dietterich
2019, `make_imagenet_c.py`; what its libraries do at the border is done here as well.
"""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, Shaped, UInt8
from numpy.typing import NDArray
from scipy import fft, ndimage

Planes = UInt8[np.ndarray, "3 height width"]
Levels = Float32[np.ndarray, "3 height width"]
DIRECT_TAPS = 40
"""A kernel of at most so many weights is applied weight by weight, a larger one by FFT."""
TRUNCATE = 4
"""A Gaussian ends after so many standard deviations."""
TINY = np.float32(2**-10)
"""Added before levels are cut to integers, so that rounding does not make 127 of 128."""


def as_bytes(levels: Shaped[NDArray[np.floating], "..."]) -> UInt8[np.ndarray, "..."]:
    """Levels as they are stored: clipped, and cut off behind the point, as by the original."""
    return (np.clip(levels, 0, 255) + TINY).astype(np.uint8)  # type: ignore[no-any-return]


def gaussian_blur(planes: Planes, deviation: float, draws: np.random.Generator) -> Levels:
    """Blur by a Gaussian of a standard deviation in px."""
    del draws
    return smoothed(planes, deviation)


def smoothed(planes: Shaped[np.ndarray, "3 height width"], deviation: float) -> Levels:
    """Blur each channel by a Gaussian, edges repeated; as `skimage.filters.gaussian` does."""
    radius = int(TRUNCATE * deviation + 0.5)
    levels = planes.astype(np.float32)
    if not radius:
        return levels
    weights = np.exp(-0.5 * (np.arange(radius + 1) / deviation) ** 2)
    weights = (weights / (weights[0] + 2 * weights[1:].sum())).astype(np.float32)
    for axis in (1, 2):
        margins = [(0, 0)] * 3
        margins[axis] = (radius, radius)
        wide = np.moveaxis(np.pad(levels, margins, mode="edge"), axis, 0)
        side = len(wide) - 2 * radius
        total = weights[0] * wide[radius : radius + side]
        for step in range(1, radius + 1):
            pair = wide[radius - step : radius - step + side] + wide[radius + step :][:side]
            pair *= weights[step]
            total += pair
        levels = np.moveaxis(total, 0, axis)
    return np.ascontiguousarray(levels)


# -- defocus ----------------------------------------------------------------------------------


def defocus_blur(planes: Planes, disc: tuple[float, float], draws: np.random.Generator) -> Levels:
    """Blur by a disc of a radius in px whose rim is smoothed."""
    del draws
    return filtered(planes, disc_kernel(*disc))


@lru_cache(maxsize=32)
def disc_kernel(radius: float, smoothing: float) -> Float64[np.ndarray, "side side"]:
    """Weights of a disc, blurred by a Gaussian of 3 taps (of 5, if it is larger than 8 px)."""
    reach, taps = (8, 1) if radius <= 8 else (int(radius), 2)
    place = np.arange(-reach, reach + 1)
    disc = (place**2 + place[:, None] ** 2 <= radius**2).astype(float)
    weights = np.exp(-0.5 * (np.arange(-taps, taps + 1) / smoothing) ** 2)
    for axis in (0, 1):
        disc = ndimage.correlate1d(disc, weights / weights.sum(), axis, mode="mirror")
    return disc / (place**2 + place[:, None] ** 2 <= radius**2).sum()  # type: ignore[no-any-return]


def filtered(planes: Planes, kernel: Float64[np.ndarray, "side side"]) -> Levels:
    """Correlate each channel with a symmetric kernel, mirrored at the border's middle."""
    radius = len(kernel) // 2
    margins = ((0, 0), (radius, radius), (radius, radius))
    wide = np.pad(planes, margins, mode="reflect").astype(np.float32)
    height, width = planes.shape[1:]
    rows, columns = np.nonzero(kernel > 1e-9)
    if len(rows) <= DIRECT_TAPS:
        total = np.zeros(planes.shape, np.float32)
        for row, column in zip(rows, columns, strict=True):
            part = wide[:, row : row + height, column : column + width]
            total += np.float32(kernel[row, column]) * part
        return total
    shape = tuple(fft.next_fast_len(side, real=True) for side in wide.shape[1:])
    product = fft.rfft2(wide, shape) * _transform(kernel.tobytes(), len(kernel), shape)
    found = fft.irfft2(product, shape)[:, len(kernel) - 1 :, len(kernel) - 1 :]
    return np.ascontiguousarray(found[:, :height, :width])


@lru_cache(maxsize=32)
def _transform(kernel: bytes, side: int, shape: tuple[int, int]) -> np.ndarray:
    return fft.rfft2(np.frombuffer(kernel).reshape(side, side), shape).astype(np.complex64)  # type: ignore[no-any-return]


# -- glass --------------------------------------------------------------------------------------


def glass_blur(planes: Planes, glass: tuple[float, int, int], draws: np.random.Generator) -> Levels:
    """Blur, move pixels about, and blur again.

    The original means to swap two pixels, but what it swaps are views of one array: the first
    becomes the second, and the second stays. So pixels are copied here, from the last to the
    first, each from where earlier copies may have been.

    Args:
        planes: The image.
        glass: Standard deviation of the Gaussian, farthest shift in px, rounds.
        draws: Of the shifts.
    """
    deviation, reach, rounds = glass
    height, width = planes.shape[1:]
    source = np.arange(height * width, dtype=np.int32)
    for _ in range(rounds):
        source = source[copied_from(height, width, reach, draws)]
    soft = as_bytes(smoothed(planes, deviation)).reshape(3, -1)
    return smoothed(np.take(soft, source, axis=1).reshape(planes.shape), deviation)


def copied_from(
    height: int, width: int, reach: int, draws: np.random.Generator
) -> Int32[np.ndarray, " pixels"]:
    """Where each pixel's value was before one round.

    Pixel after pixel is given the value of one near it, from the last of the last row to the
    first. Where that one was given another before, the value is of where that came from: chains
    are followed by halves.
    """
    pixels = height * width
    rows = np.arange(reach + 1, height - reach + 1, dtype=np.int32)
    columns = np.arange(reach + 1, width - reach + 1, dtype=np.int32)
    shifts = draws.integers(-reach, reach, (2, len(rows), len(columns)), np.int32)
    from_row = rows[:, None] + shifts[0]
    from_column = columns + shifts[1]
    place = rows[:, None] * width + columns
    there = from_row * width + from_column
    # One that comes later in the picture lies in no row above the first.
    was_given = (there > place) & (from_row <= rows[-1])
    was_given &= (from_column <= columns[-1]) & (from_column >= columns[0])
    # Places of a pixel before the round are counted from `pixels` on: chains end there.
    source = np.arange(pixels, 2 * pixels, dtype=np.int32)
    source[place] = np.where(was_given, there, there + pixels)
    left = np.flatnonzero(source < pixels)
    while len(left):
        found = source[source[left]]
        source[left] = found
        left = left[found < pixels]
    return source - pixels


# -- motion -------------------------------------------------------------------------------------


def motion_blur(planes: Planes, motion: tuple[float, float], draws: np.random.Generator) -> Levels:
    """Blur along a line within 45° of level.

    Args:
        planes: The image.
        motion: Radius and standard deviation of the kernel in px.
        draws: Of the angle.
    """
    return moved(planes, *motion, draws.uniform(-45, 45))


def moved(
    planes: Shaped[np.ndarray, "channels height width"],
    radius: float,
    deviation: float,
    degrees: float,
) -> Float32[np.ndarray, "channels height width"]:
    """Blur by one side of a Gaussian of 2 · radius + 1 taps, in one direction, edges repeated.

    As ImageMagick does it: taps are whole pixels.
    """
    taps = np.arange(2 * math.ceil(radius) + 1)
    weights = np.exp(-0.5 * (taps / deviation) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    angle = np.deg2rad(degrees)
    down = -np.ceil(taps * np.sin(angle) - 0.5).astype(int)
    right = -np.ceil(taps * np.cos(angle) - 0.5).astype(int)
    above, left = max(down.max(), 0), max(right.max(), 0)
    margins = ((0, 0), (above, max(-down.min(), 0)), (left, max(-right.min(), 0)))
    wide = np.pad(planes, margins, mode="edge").astype(np.float32)
    height, width = planes.shape[1:]
    total = np.zeros(planes.shape, np.float32)
    part = np.empty_like(total)
    for weight, row, column in zip(weights, above - down, left - right, strict=True):
        if weight < 1e-7:
            break
        np.multiply(wide[:, row : row + height, column : column + width], weight, out=part)
        total += part
    return total


# -- zoom ---------------------------------------------------------------------------------------


def zoom_blur(planes: Planes, zoom: tuple[float, float], draws: np.random.Generator) -> Levels:
    """The mean of the image and of the image at each of some magnifications, 1 among them.

    Args:
        planes: The image.
        zoom: Magnifications go from 1 to below the first number, by steps of the second.
        draws: None are made.
    """
    del draws
    levels = planes.astype(np.float32)
    factors = np.arange(1, *zoom)
    total = levels.copy()
    for factor in factors:
        total += magnified(levels, float(factor))
    total /= np.float32(len(factors) + 1)
    return total


def magnified(
    levels: Float32[np.ndarray, "channels height width"], factor: float
) -> Float32[np.ndarray, "channels height width"]:
    """The middle of an image at its size, by linear interpolation; as `scipy.ndimage.zoom`."""
    if factor == 1:
        return levels
    height, width = levels.shape[1:]
    first, second, share = _between(height, factor)
    rows = np.take(levels, first, axis=1)
    rows *= (1 - share)[:, None]
    part = np.take(levels, second, axis=1)
    part *= share[:, None]
    rows += part
    first, second, share = _between(width, factor)
    found = np.take(rows, first, axis=2)
    found *= 1 - share
    part = np.take(rows, second, axis=2)
    part *= share
    found += part
    return found


@lru_cache(maxsize=128)
def _between(
    side: int, factor: float
) -> tuple[Int64[np.ndarray, " side"], Int64[np.ndarray, " side"], Float32[np.ndarray, " side"]]:
    """Between which two pixels each new one lies, and how near it is to the second."""
    kept = math.ceil(side / factor)
    large = round(kept * factor)
    place = (np.arange(side) + (large - side) // 2) * ((kept - 1) / max(large - 1, 1))
    first = np.clip(np.floor(place).astype(np.int64), 0, max(kept - 2, 0))
    begin = (side - kept) // 2
    share = (place - first).astype(np.float32)
    return begin + first, begin + np.minimum(first + 1, kept - 1), share
