"""Sums over the cells of a grid that is laid over an image."""

import numpy as np
from jaxtyping import Float, Int


def cells_of(size_px: int, grid: tuple[int, int]) -> Int[np.ndarray, " pixels"]:
    """Cell of every pixel of a square image, both row after row."""
    row, column = (np.arange(size_px) * side // size_px for side in grid)
    return (row[:, None] * grid[1] + column).ravel()


def sums(
    values: Float[np.ndarray, "images pixels"], cells: Int[np.ndarray, " pixels"], count: int
) -> Float[np.ndarray, "images cells"]:
    """Sum over the pixels of each cell."""
    return np.stack([np.bincount(cells, row, minlength=count) for row in values])
