"""Corruptions by weather and light: snow, fog, brightness, contrast.

Each function corrupts one image: its levels, uint8 [3, height, width], and the constants of a
severity (`corruption.CONSTANTS`) -> levels in float32, not yet clipped. Hendrycks & Dietterich
2019, `make_imagenet_c.py`. Frost, which lays photographs over the image, is left out.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64, Int64

from sightlines.conditions.corruption_blur import Levels, Planes, as_bytes, magnified, moved

GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in luminance."""
WIBBLE = 100.0
"""Range of the first random shifts of fog; later ones are smaller."""


def snow(
    planes: Planes,
    fall: tuple[float, float, float, float, float, float, float],
    draws: np.random.Generator,
) -> Levels:
    """Whiten the image and let flakes fall, each seen a second time upside down.

    Args:
        planes: The image.
        fall: Mean and standard deviation of the noise that flakes are made of, its magnification,
            the least value that is a flake; radius and standard deviation in px of their motion;
            share of the image that is not whitened.
        draws: Of flakes and angle.
    """
    mean, deviation, zoom, least, radius, spread, kept = fall
    noise = draws.standard_normal(planes.shape[1:], dtype=np.float32)
    flakes = magnified((noise * np.float32(deviation) + np.float32(mean))[None], zoom)
    flakes = as_bytes(np.where(flakes < least, 0, flakes) * np.float32(255))
    flakes = np.rint(moved(flakes, radius, spread, draws.uniform(-135, -45)))
    levels = planes.astype(np.float32)
    grey = np.tensordot(GREY, levels, 1) * np.float32(1.5) + np.float32(127.5)
    white = np.maximum(levels, grey)
    white *= np.float32(1 - kept)
    levels *= np.float32(kept)
    levels += white
    levels += flakes + flakes[:, ::-1, ::-1]
    return levels


def fog(planes: Planes, amount: tuple[float, float], draws: np.random.Generator) -> Levels:
    """Add a cloud and scale down, so that the brightest level stays about what it was.

    Args:
        planes: The image.
        amount: Of fog, as a share of white, and the factor by which ever finer parts of it fade.
        draws: Of the cloud.
    """
    density, decay = amount
    height, width = planes.shape[1:]
    cloud = plasma(1 << (max(height, width) - 1).bit_length(), decay, draws)[:height, :width]
    levels = planes + (cloud * (255 * density)).astype(np.float32)
    most = float(planes.max())
    levels *= np.float32(most / (most + 255 * density))
    return levels


def plasma(side: int, decay: float, draws: np.random.Generator) -> Float64[np.ndarray, "side side"]:
    """A cloud by midpoint displacement on a torus, from 0 to 1.

    Args:
        side: In px, a power of 2.
        decay: How much smaller shifts become from one size to the next.
        draws: Of the shifts.
    """
    cloud = np.zeros((side, side))
    step, wibble = side, WIBBLE
    while step >= 2:
        half = step // 2
        corners = cloud[::step, ::step]
        below = corners + corners.take(_turned(step, side, -1), axis=0)
        total = below + below.take(_turned(step, side, -1), axis=1)
        middles = _shifted(total, wibble, draws)
        beside = corners + corners.take(_turned(step, side, -1), axis=1)
        above = middles.take(_turned(step, side, 1), axis=0)
        cloud[::step, half::step] = _shifted(middles + above + beside, wibble, draws)
        left = middles.take(_turned(step, side, 1), axis=1)
        cloud[half::step, ::step] = _shifted(middles + left + below, wibble, draws)
        cloud[half::step, half::step] = middles
        step, wibble = half, wibble / decay
    cloud -= cloud.min()
    return cloud / cloud.max()  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def _turned(step: int, side: int, by: int) -> Int64[np.ndarray, " places"]:
    """Places of every step-th row or column of a torus, turned on by so many of them."""
    return np.roll(np.arange(side // step), by)


def _shifted(
    total: Float64[np.ndarray, "rows columns"], wibble: float, draws: np.random.Generator
) -> Float64[np.ndarray, "rows columns"]:
    """The mean of four, and a random shift in proportion to the wibble's square."""
    return total / 4 + wibble * draws.uniform(-wibble, wibble, total.shape)


def brightness(planes: Planes, added: float, draws: np.random.Generator) -> Levels:
    """Add to the value of hue, saturation and value; black becomes grey."""
    del draws
    value = planes.max(axis=0).astype(np.float32)
    brighter = np.minimum(value + np.float32(255 * added), 255)
    is_black = value == 0
    levels = planes * (brighter / np.where(is_black, 1, value))
    return np.where(is_black, brighter, levels)  # type: ignore[no-any-return]


def contrast(planes: Planes, kept: float, draws: np.random.Generator) -> Levels:
    """Keep a share of the distance from each channel's mean."""
    del draws
    means: Float32[np.ndarray, "3 1 1"] = planes.mean(axis=(1, 2), keepdims=True).astype(np.float32)
    return (planes - means) * np.float32(kept) + means  # type: ignore[no-any-return]
