"""Fourier noise: a wave of one frequency and of a given norm is added to each channel.

Source: Yin et al. 2019 (arXiv 1906.08988), section 3; Paul & Chen 2021, section 4.5. A wave is
real, has norm 1 over the pixels of one channel, and is a cosine, as in the code that Paul & Chen
used (Google's adds π/4 to the phase). Its sign is drawn for every image and channel; in Google's
code the norm is then 1, whatever was asked. The sum is clipped to [0, 1], which takes of the norm
where an image is dark or bright: the norm that was realised is kept (`rms` of the dumps).
"""

import math
import re
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
from jaxtyping import Float32

from sightlines.conditions.condition import Condition, ImageFacts, Indices, Pixels, generators

Frequency = tuple[int, int]
"""Cycles an image, downwards and to the right; (i, j) and (−i, −j) are one wave."""
NORMS = {32: 4.0, 224: 15.7}
"""Norms of the noise in one channel for images of so many px, as published."""
MOST = 31
"""Frequencies beyond so many cycles are left out of maps, as published at 224 px (63 × 63)."""
NAME = re.compile(r"wave_(m?\d+)_(m?\d+)")


def conditions(settings: Mapping[str, Any], facts: ImageFacts) -> list[Condition]:
    """A condition for each frequency, ``wave_<i>_<j>`` with ``m`` for minus; severity is the norm.

    Args:
        settings: `frequencies` (``all`` or ``rings``), `norm` (0: as published), and the number
            of `cells` along a side of the ViTs' grid.
        facts: Of the images.
    """
    side = facts.size_px
    norm = float(settings["norm"]) or published_norm(side)
    chosen = sorted({*of_map(settings, side), *around_grid(side, settings["cells"])})
    return [Condition(name_of(f), norm, partial(add_wave, f, norm)) for f in chosen]


def rings(settings: Mapping[str, Any], facts: ImageFacts) -> list[Condition]:
    """A condition for each radius of `depth`, ``wave_ring``; severity is the radius.

    Args:
        settings: `depth`, radii in cycles an image, and `norm` (0: as published).
        facts: Of the images.
    """
    norm = float(settings["norm"]) or published_norm(facts.size_px)
    return [
        Condition("wave_ring", float(radius), partial(add_turned_wave, int(radius), norm))
        for radius in settings["depth"]
    ]


def of_map(settings: Mapping[str, Any], side: int) -> list[Frequency]:
    """Frequencies of the map, for images of a side in px; those of the grid come to them."""
    return frequencies(side) if settings["frequencies"] == "all" else on_rings(side)


def published_norm(side: int) -> float:
    """The norm in one channel for images of a side; a power law between the published ones."""
    (small, low), (large, high) = NORMS.items()
    power = math.log(high / low) / math.log(large / small)
    return round(low * (side / small) ** power, 2)  # type: ignore[no-any-return]


# -- frequencies --------------------------------------------------------------------------------


def canonical(frequency: Frequency, side: int) -> Frequency:
    """The one of a wave's two frequencies that stands for it, within half of the side."""
    i, j = (f % side for f in frequency)
    if j > side // 2 or (j in (0, side - j) and i > side // 2):
        i, j = -i % side, -j % side
    return (i - side if i > side // 2 else i), j


def frequencies(side: int) -> list[Frequency]:
    """All waves but the constant: 513 of 32 px; of larger images those of the middle 63 × 63."""
    most = min(side // 2, MOST)
    found = {
        canonical((i, j), side) for i in range(-most, most + 1) for j in range(-most, most + 1)
    }
    return sorted(found - {(0, 0)})


def on_rings(side: int, radii: int = 8, angles: int = 8) -> list[Frequency]:
    """Waves nearest to points on rings, over half a turn, which is all that there is."""
    most = min(side // 2, MOST)
    found = set()
    for radius in np.linspace(most / radii, most, radii):
        for angle in np.pi * np.arange(angles) / angles:
            point = (round(radius * np.sin(angle)), round(radius * np.cos(angle)))
            found.add(canonical(point, side))
    return sorted(found - {(0, 0)})


def grid_frequencies(side: int, cells: int) -> list[Frequency]:
    """Waves that every cell of a grid sees alike: multiples of the number of cells along a side."""
    most = min(side // 2, MOST)
    steps = range(-(most // cells) * cells, most + 1, cells)
    return sorted({canonical((i, j), side) for i in steps for j in steps} - {(0, 0)})


def neighbours(frequency: Frequency, side: int) -> list[Frequency]:
    """The up to eight waves beside one, without the constant."""
    i, j = frequency
    beside = {canonical((i + a, j + b), side) for a in (-1, 0, 1) for b in (-1, 0, 1)}
    return sorted(beside - {frequency, (0, 0)})


def around_grid(side: int, cells: int) -> list[Frequency]:
    """Waves of a grid and those beside them."""
    grid = grid_frequencies(side, cells)
    return sorted({*grid, *(n for f in grid for n in neighbours(f, side))})


def name_of(frequency: Frequency) -> str:
    """Name of a wave's condition."""
    return "wave_" + "_".join(f"m{-f}" if f < 0 else str(f) for f in frequency)


def frequency_of(name: str) -> Frequency | None:
    """The frequency of a condition; None where it is no wave."""
    found = NAME.fullmatch(name)
    if not found:
        return None
    i, j = (-int(word[1:]) if word[0] == "m" else int(word) for word in found.groups())
    return i, j


# -- noise ----------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def wave(frequency: Frequency, side: int) -> Float32[np.ndarray, "side side"]:
    """The wave of a frequency, of norm 1."""
    i, j = frequency
    place = np.arange(side)
    # Products are taken modulo the side in integers, so that equal phases are equal numbers.
    turns = (i * place[:, None] + j * place) % side
    found = np.cos(2 * np.pi * turns / side)
    return (found / np.linalg.norm(found)).astype(np.float32)  # type: ignore[no-any-return]


def add_wave(
    frequency: Frequency, norm: float, pixels: Pixels, indices: Indices, seed: int
) -> Float32[np.ndarray, "images side side 3"]:
    """Images with a wave added to each channel, clipped to [0, 1].

    Args:
        frequency: Of the wave.
        norm: Of the wave in one channel, of levels from 0 to 1; over three channels √3 times that.
        pixels: As a network sees them.
        indices: Place of each image in its split.
        seed: The experiment's root seed.
    """
    draws = generators(seed, name_of(frequency), norm, indices)
    signs = np.stack([own.integers(0, 2, 3) for own in draws]) * 2 - 1
    added = np.float32(norm) * wave(frequency, pixels.shape[1])[:, :, None]
    found = pixels * np.float32(1 / 255)
    found += signs[:, None, None, :].astype(np.float32) * added
    return np.clip(found, 0, 1, out=found)


def add_turned_wave(
    radius: int, norm: float, pixels: Pixels, indices: Indices, seed: int
) -> Float32[np.ndarray, "images side side 3"]:
    """Images with a wave added whose direction is each image's own, clipped to [0, 1].

    Args:
        radius: Cycles an image; of the frequencies the one that is nearest in that direction.
        norm: See `add_wave`.
        pixels: As a network sees them.
        indices: Place of each image in its split.
        seed: The experiment's root seed.
    """
    side = pixels.shape[1]
    found = pixels * np.float32(1 / 255)
    for image, own in zip(found, generators(seed, "wave_ring", radius, indices), strict=True):
        angle = np.pi * own.random()
        point = (round(radius * np.sin(angle)), round(radius * np.cos(angle)))
        signs = (own.integers(0, 2, 3) * 2 - 1).astype(np.float32)
        image += signs * (np.float32(norm) * wave(canonical(point, side), side)[:, :, None])
    return np.clip(found, 0, 1, out=found)
