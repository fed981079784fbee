"""Corruptions that draw each pixel anew: Gaussian, shot, impulse and speckle noise.

Each function corrupts one image: its levels, uint8 [3, height, width], and the constant of a
severity (`corruption.CONSTANTS`) -> levels in float32, not yet clipped. Hendrycks & Dietterich
2019, `make_imagenet_c.py`.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8
from scipy.special import pdtr

Planes = UInt8[np.ndarray, "3 height width"]
Levels = Float32[np.ndarray, "3 height width"]
GUIDES = 256
"""Entries of the table that says where in a distribution to begin to look."""
STEPS = 3
"""Counts that are tried one after the other, before the rest is halved."""


def gaussian_noise(planes: Planes, deviation: float, draws: np.random.Generator) -> Levels:
    """Add normal noise of a standard deviation, as a share of white."""
    noise = draws.standard_normal(planes.shape, dtype=np.float32)
    noise *= np.float32(255 * deviation)
    noise += planes
    return noise


def speckle_noise(planes: Planes, deviation: float, draws: np.random.Generator) -> Levels:
    """Add normal noise in proportion to the level."""
    noise = draws.standard_normal(planes.shape, dtype=np.float32)
    noise *= np.float32(deviation)
    noise += np.float32(1)
    noise *= planes
    return noise


def impulse_noise(planes: Planes, share: float, draws: np.random.Generator) -> Levels:
    """Make a share of all values, each channel by itself, black or white with equal chance."""
    place = draws.random(planes.shape, dtype=np.float32)
    levels = planes.astype(np.float32)
    levels[place < share] = 0
    levels[place < share / 2] = 255
    return levels


def shot_noise(planes: Planes, photons: float, draws: np.random.Generator) -> Levels:
    """Count photons: white is so many in the mean, and every count is Poisson distributed."""
    cumulated, guide = poisson_tables(photons)
    level = planes.ravel().astype(np.int64)
    uniform = draws.random(level.size)
    counts = guide.take(level * GUIDES + (uniform * GUIDES).astype(np.int64))
    # From the guide's count up, until the distribution exceeds the draw: mostly one step or two,
    # but hundreds where the draw is in the tail, so that what is left is halved.
    row = level * cumulated.shape[1]
    left = np.flatnonzero(cumulated.take(row + counts) <= uniform)
    for _ in range(STEPS):
        counts[left] += 1
        left = left[cumulated.take(row[left] + counts[left]) <= uniform[left]]
    low, high = counts[left], np.full(len(left), cumulated.shape[1] - 1, counts.dtype)
    while (low + 1 < high).any():
        middle = (low + high) // 2
        is_below = cumulated.take(row[left] + middle) <= uniform[left]
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    counts[left] = high
    return (counts * np.float32(255 / photons)).astype(np.float32).reshape(planes.shape)


@lru_cache(maxsize=16)
def poisson_tables(
    photons: float,
) -> tuple[Float64[np.ndarray, "256 counts"], Int32[np.ndarray, "256 guides"]]:
    """Distribution of the count at each level, and the least count of each 1/256 of probability.

    Args:
        photons: Mean count of white.
    """
    most = int(photons + 12 * photons**0.5 + 30)
    means = np.arange(256)[:, None] * photons / 255
    cumulated = pdtr(np.arange(most), means)
    cumulated[:, -1] = 1  # whatever is drawn, the search ends
    starts = np.arange(GUIDES) / GUIDES
    guide = np.stack([np.searchsorted(row, starts, side="right") for row in cumulated])
    return cumulated, np.minimum(guide, most - 1).astype(np.int32)
