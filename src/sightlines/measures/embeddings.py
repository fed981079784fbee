"""What a ViT's first layer has learned: similarity of position embeddings, and patch filters.

Source: Dosovitskiy et al. 2020 (ViT), section 4.5, Figures 7 (left, centre) and 10. Of weights
alone. What chance gives stands beside: embeddings drawn at random, and smooth ones that prefer no
direction.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core import seeds
from sightlines.dumps.weights_reading import WeightsDump
from sightlines.stats.embeddings import (
    Filters,
    Places,
    along_rows_and_columns,
    analyse_filters,
    cosines,
    encodes_distance,
    pairs_of,
)

READS = ("weights",)
USES = ("seed",)
NEEDS = ("attention",)
TABLES = {
    "embedding_statistics.csv": {
        "about": "Whether position embeddings encode place, and how smooth patch filters are",
        "row": "network",
        "columns": (
            "network",
            ("rows", "int", "patches", "of the grid"),
            ("columns", "int", "patches", "of the grid"),
            (
                "distance_correlation",
                "float",
                "",
                "Spearman correlation of the cosine of two patches' position embeddings with "
                "their nearness; empty without learned ones",
            ),
            (
                "row_column_excess",
                "float",
                "",
                "mean cosine within rows and columns, less that of other pairs as far apart",
            ),
            (
                "random_correlation_sd",
                "float",
                "",
                "standard deviation of `distance_correlation` of random embeddings of this size",
            ),
            (
                "random_excess_sd",
                "float",
                "",
                "standard deviation of `row_column_excess` of random embeddings of this size",
            ),
            (
                "isotropic_excess",
                "float",
                "",
                "mean `row_column_excess` of smooth random embeddings that prefer no direction",
            ),
            (
                "filter_frequency",
                "float",
                "",
                "mean frequency of the patch filters' power, over that of white filters; empty "
                "where the stem is no cut into patches",
            ),
            (
                "filter_components",
                "float",
                "share",
                "principal components for 90 % of the filters' variance, of all",
            ),
        ),
    },
    "position_similarity.parquet": {
        "about": "Cosine of position embeddings, of at most 8 × 8 patches with all",
        "row": "network × patch × other patch",
        "columns": (
            "network",
            ("row", "int", "", "of the patch"),
            ("column", "int", "", "of the patch"),
            ("other_row", "int", "", "of the other patch"),
            ("other_column", "int", "", "of the other patch"),
            ("cosine", "float32", "", "of the two patches' position embeddings"),
        ),
    },
    "embedding_filters.parquet": {
        "about": "First 28 principal components of the patch filters, for pixels from 0 to 1",
        "row": "network × component × row × column",
        "columns": (
            "network",
            ("component", "int", "", "from 0, the strongest"),
            ("share", "float", "share", "of the filters' variance"),
            ("row", "int", "px", "within the patch"),
            ("column", "int", "px", "within the patch"),
            ("red", "float32", "", "weight of the component, of unit length"),
            ("green", "float32", "", "weight of the component, of unit length"),
            ("blue", "float32", "", "weight of the component, of unit length"),
        ),
    },
}
SHOWN_COMPONENTS = 28
"""As in the paper's Figure 7."""
SHOWN_PATCHES = 8
"""Patches along a side whose similarity with all others is kept."""
DRAWS, FEW_DRAWS, MANY_PATCHES = 20, 5, 400
"""Random embeddings; fewer of a grid of many patches."""
WIDTH_OF_SMOOTH = 4
"""Smooth embeddings are alike over the grid's mean side divided by this."""


def measure(weights: list[WeightsDump], seed: int) -> dict[str, Any]:
    """Look at every network's position embeddings and filters.

    Args:
        weights: Of each network.
        seed: Root seed, for embeddings drawn at random.

    Raises:
        ResultError: a dump is damaged.
    """
    statistics: list[dict[str, Any]] = []
    similar: list[pd.DataFrame] = []
    filtered: list[pd.DataFrame] = []
    null = functools.cache(functools.partial(by_chance, seed))
    for dump in weights:
        row = dict(dump.network._asdict(), rows=dump.grid[0], columns=dump.grid[1])
        positions, filters = dump.positions, dump.filters
        if positions is not None:
            places, similarity = pairs_of(dump.grid), cosines(positions)
            row |= {
                "distance_correlation": encodes_distance(similarity, places),
                "row_column_excess": along_rows_and_columns(similarity, places),
                **null(dump.grid, positions.shape[1]),
            }
            similar.append(similarity_table(similarity, dump.grid).assign(**dump.network._asdict()))
        if filters is not None:
            found = analyse_filters(filters)
            row |= {"filter_frequency": found.frequency, "filter_components": found.needed}
            filtered.append(filter_table(found).assign(**dump.network._asdict()))
        statistics.append(row)
    names = [entry[0] for entry in TABLES["embedding_statistics.csv"]["columns"][1:]]
    table = pd.DataFrame(statistics, columns=["model", "fraction", "seed", *names])
    return {
        "embedding_statistics.csv": table,
        "position_similarity.parquet": similar,
        "embedding_filters.parquet": filtered,
    }


def by_chance(seed: int, grid: tuple[int, int], width: int) -> dict[str, float]:
    """What embeddings of this size give that were drawn at random."""
    places = pairs_of(grid)
    found = np.array([_drawn(e, places) for e in random_embeddings(seed, grid, width)])
    smooth = [_drawn(e, places)[1] for e in random_embeddings(seed, grid, width, is_smooth=True)]
    correlation, excess = found.std(axis=0, ddof=1)
    return {
        "random_correlation_sd": float(correlation),
        "random_excess_sd": float(excess),
        "isotropic_excess": float(np.mean(smooth)),
    }


def _drawn(embeddings: np.ndarray, places: Places) -> tuple[float, float]:
    similarity = cosines(embeddings)
    return encodes_distance(similarity, places), along_rows_and_columns(similarity, places)


def random_embeddings(
    seed: int, grid: tuple[int, int], width: int, is_smooth: bool = False
) -> Iterator[np.ndarray]:
    """Normal embeddings [patches, width]: independent, or correlated by distance alone.

    Args:
        seed: Root seed.
        grid: Rows and columns of patches.
        width: Features.
        is_smooth: Whether near patches are alike: correlation exp(−d²/2s²).
    """
    patches = grid[0] * grid[1]
    mix = np.eye(patches)
    if is_smooth:
        row, column = (axis.ravel() for axis in np.indices(grid))
        squared = np.square(row[:, None] - row) + np.square(column[:, None] - column)
        scale = (grid[0] + grid[1]) / 2 / WIDTH_OF_SMOOTH
        values, vectors = np.linalg.eigh(np.exp(-squared / (2 * scale**2)))
        mix = vectors * np.sqrt(np.maximum(values, 0))
    for draw in range(DRAWS if patches <= MANY_PATCHES else FEW_DRAWS):
        random = seeds.generator(seed, "position embeddings by chance", *grid, width, draw)
        yield mix @ random.standard_normal((patches, width))


def similarity_table(similarity: np.ndarray, grid: tuple[int, int]) -> pd.DataFrame:
    """Rows of position_similarity.parquet: patches evenly spread over the grid, with all."""
    axes = [_spread(side) for side in grid]
    row, column = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    other_row, other_column = (axis.ravel() for axis in np.indices(grid))
    count, all_of = len(row), len(other_row)
    return pd.DataFrame(
        {
            "row": np.repeat(row, all_of),
            "column": np.repeat(column, all_of),
            "other_row": np.tile(other_row, count),
            "other_column": np.tile(other_column, count),
            "cosine": similarity[row * grid[1] + column].ravel().astype(np.float32),
        }
    )


def _spread(side: int) -> np.ndarray:
    count = min(side, SHOWN_PATCHES)
    return np.linspace(0, side - 1, count).round().astype(int)


def filter_table(found: Filters) -> pd.DataFrame:
    """Rows of embedding_filters.parquet."""
    shown = found.components[:SHOWN_COMPONENTS]
    count, _, height, width = shown.shape
    component, row, column = (axis.ravel() for axis in np.indices((count, height, width)))
    channels = shown.transpose(1, 0, 2, 3).reshape(3, -1).astype(np.float32)
    own = {"component": component, "share": found.share[component], "row": row, "column": column}
    return pd.DataFrame(own | dict(zip(("red", "green", "blue"), channels, strict=True)))
