"""At which spatial frequencies networks are sensitive to noise.

Source: Yin et al. 2019, section 3 and Figure 3; Paul & Chen 2021, section 4.5. Errors are those on
noisy images, less the error on clean ones before means over rings are taken; the norm that was left
after clipping stands beside the norm that was asked for.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sightlines.conditions.frequency import canonical, grid_frequencies, neighbours
from sightlines.dumps.frequencies_reading import FrequenciesDump
from sightlines.measures.occlusion import own_grid
from sightlines.measures.responding import groups_of, statistics
from sightlines.stats.jackknife import ALL

READS = ("frequencies",)
USES = ("seed",)
NEEDS = ("frequency",)
TABLES = {
    "frequency.parquet": {
        "about": "How often networks are wrong where a wave of one frequency is added",
        "row": "network × frequency × left_out",
        "columns": (
            "network",
            ("down", "int", "cycles an image", "frequency downwards; (i, j) and (−i, −j) are one"),
            ("right", "int", "cycles an image", "frequency to the right, from 0"),
            ("radius", "float", "cycles an image", "of the frequency"),
            ("relative_radius", "float", "", "radius over the side of the images in px"),
            ("of_map", "int", "", "1: one of the map; 0: there for the patch grid alone"),
            ("on_grid", "int", "", "1: a multiple of the patch grid, alike in every patch"),
            ("norm", "float", "", "Euclidean norm of the noise that was asked for, each channel"),
            (
                "realised_norm",
                "float",
                "",
                "that norm after clipping, quadratic mean over images and channels",
            ),
            ("error", "float", "share", "wrong answers"),
            ("excess", "float", "share", "error − error on clean images"),
            ("images", "int", "images", "images that these are means of"),
            "left_out",
        ),
    },
    "frequency_grid.csv": {
        "about": "Whether a network's sensitivity bears the mark of the patch grid",
        "row": "network × left_out",
        "columns": (
            "network",
            ("cells", "int", "", "cells along a side of the patch grid"),
            (
                "grid",
                "int",
                "",
                "cells along a side of the network's own grid, of tokens or of its last map; 0: "
                "it is not square",
            ),
            ("frequencies", "int", "", "multiples of the grid that were measured"),
            (
                "grid_contrast",
                "float",
                "",
                "mean over them of |error − mean error of the frequencies beside| ÷ standard "
                "deviation of the error over the ring around",
            ),
            "left_out",
        ),
    },
}
RING = 1.5
"""Half the width of a ring in cycles an image."""


def measure(frequencies: list[FrequenciesDump], seed: int) -> dict[str, Any]:
    """Errors by frequency, and the mark of the patch grid.

    Args:
        frequencies: Of each network.
        seed: The experiment's root seed.
    """
    known = [dump for dump in frequencies if len(dump.answers)]
    frames = [(_waves(dump, seed), _grid(dump, seed)) for dump in known]
    return {
        "frequency.parquet": [waves for waves, _ in frames],
        "frequency_grid.csv": [grid for _, grid in frames],
    }


def errors(dump: FrequenciesDump, seed: int) -> dict[str, np.ndarray]:
    """Statistics of `responding`, and `error` [1 + groups, 1 + conditions]; the first is clean."""
    found = statistics(dump, groups_of(dump.images, seed))
    return found | {"error": 1 - found["accuracy"]}


def _waves(dump: FrequenciesDump, seed: int) -> pd.DataFrame:
    found = errors(dump, seed)
    replicates, count = len(found["error"]), len(dump.conditions)
    down, right = dump.waves.T
    radius = np.hypot(down, right)
    rms = np.sqrt(np.square(dump.values("rms").astype(np.float64)).mean(axis=0))[1:]
    grid = {*grid_frequencies(dump.size_px, dump.cells)}
    each = {
        "down": down,
        "right": right,
        "radius": radius,
        "relative_radius": radius / dump.size_px,
        "of_map": dump.of_map.astype(np.int64),
        "on_grid": np.array([int((i, j) in grid) for i, j in dump.waves.tolist()], np.int64),
        "norm": np.array([norm for _, norm in dump.conditions]),
        "realised_norm": rms * dump.size_px,
    }
    error = found["error"]
    return pd.DataFrame(
        {
            **dump.network._asdict(),
            **{name: np.tile(values, replicates) for name, values in each.items()},
            "error": error[:, 1:].ravel(),
            "excess": (error[:, 1:] - error[:, :1]).ravel(),
            "images": found["images"][:, 1:].ravel(),
            "left_out": np.repeat(np.arange(replicates) + ALL, count),
        }
    )


def _grid(dump: FrequenciesDump, seed: int) -> pd.DataFrame:
    error = errors(dump, seed)["error"][:, 1:]
    waves = [(int(i), int(j)) for i, j in dump.waves]
    contrast, count = grid_contrast(error, waves, dump.size_px, dump.cells, dump.images)
    return pd.DataFrame(
        {
            **dump.network._asdict(),
            "cells": dump.cells,
            "grid": own_grid(dump),
            "frequencies": count,
            "grid_contrast": contrast,
            "left_out": np.arange(len(error)) + ALL,
        }
    )


def grid_contrast(
    error: np.ndarray, waves: list[tuple[int, int]], side: int, cells: int, images: int
) -> tuple[np.ndarray, int]:
    """How far the error at multiples of a grid stands out of what is beside them.

    Args:
        error: [replicates, waves].
        waves: Frequencies.
        side: Of the images in px.
        cells: Along a side of the grid.
        images: That errors are means of: a ring's standard deviation counts as at least one image.

    Returns:
        [replicates]; NaN where no multiple of the grid was measured. And their number.
    """
    place = {canonical(wave, side): number for number, wave in enumerate(waves)}
    radii = np.hypot(*np.array(waves, float).reshape(-1, 2).T)
    found = list[np.ndarray]()
    for own in _multiples(place, side, cells):
        beside = [place[n] for n in neighbours(own, side) if n in place]
        ring = np.abs(radii - np.hypot(*own)) <= RING
        ring[place[own]] = False
        if not beside or ring.sum() < 2:
            continue
        spread = np.maximum(error[:, ring].std(axis=1), 1 / images)
        found.append(np.abs(error[:, place[own]] - error[:, beside].mean(axis=1)) / spread)
    if not found:
        return np.full(len(error), np.nan), 0
    return np.asarray(np.mean(found, axis=0)), len(found)


def _multiples(
    place: dict[tuple[int, int], int], side: int, cells: int
) -> Iterator[tuple[int, int]]:
    return (own for own in grid_frequencies(side, cells) if own in place)
