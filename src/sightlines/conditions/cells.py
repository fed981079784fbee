"""Grids of cells over an image: what is drawn of them, what is filled, what is permuted.

Source: Naseer et al. 2021, sections 3.1 and 3.3. Their code draws once for a whole minibatch of
256 images; here each image has its own draw.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from sightlines.conditions.condition import Indices, Masks, Number, Pixels, generators
from sightlines.core.errors import ConfigError

FEW_CELLS = 4
"""Of a grid of so few cells a permutation that moves them all is drawn: one in 24 moves none."""

Places = Int64[np.ndarray, "images places"]


def edges(size_px: int, cells: int) -> list[int]:
    """Where cells begin and end, in px: equal ones where their number divides the side.

    Raises:
        ConfigError: there are more cells along a side than pixels, or none.
    """
    if not 1 <= cells <= size_px:
        raise ConfigError(
            f"{cells} cells a side do not fit images of {size_px} px: use 1 to {size_px}"
        )
    return [round(place * size_px / cells) for place in range(cells + 1)]


def as_masks(chosen: Bool[np.ndarray, "images cells"], size_px: int) -> Masks:
    """Pixels of the chosen cells of a square grid, numbered row after row."""
    cells = round(chosen.shape[1] ** 0.5)
    widths = np.diff(edges(size_px, cells))
    grid = chosen.reshape(-1, cells, cells)
    return grid.repeat(widths, axis=1).repeat(widths, axis=2)


def shares(masks: Masks, cells: int) -> Float64[np.ndarray, "images cells"]:
    """Share of each cell's pixels that a mask covers."""
    begins = edges(masks.shape[1], cells)[:-1]
    sums = np.add.reduceat(np.add.reduceat(masks.astype(np.int64), begins, 1), begins, 2)
    widths = np.diff(edges(masks.shape[1], cells))
    return (sums / (widths[:, None] * widths)).reshape(len(masks), -1)  # type: ignore[no-any-return]


def count_of(share: Number, cells: int) -> int:
    """A share of the cells of a square grid, rounded down, but not for a rounding error's sake."""
    return int(share * cells**2 + 1e-9)


def draw_cells(
    seed: int, name: str, share: Number, indices: Indices, cells: int
) -> Bool[np.ndarray, "images cells"]:
    """Cells of each image, drawn at random: share · cells² of them, rounded down.

    Args:
        seed: The experiment's root seed.
        name: What is drawn.
        share: Of the cells.
        indices: Place of each image in its split.
        cells: Along a side.
    """
    count = count_of(share, cells)
    drawn = []
    for draws in generators(seed, name, share, indices):
        chosen = np.zeros(cells**2, bool)
        chosen[draws.permutation(cells**2)[:count]] = True
        drawn.append(chosen)
    return np.stack(drawn) if drawn else np.zeros((0, cells**2), bool)


def permutations(seed: int, name: str, severity: Number, indices: Indices, count: int) -> Places:
    """A permutation of so many places for each image; of few places one that moves them all."""
    found = []
    for draws in generators(seed, name, severity, indices):
        order = draws.permutation(count)
        while 1 < count <= FEW_CELLS and (order == np.arange(count)).any():
            order = draws.permutation(count)
        found.append(order)
    return np.stack(found).astype(np.int64) if found else np.zeros((0, count), np.int64)


def fill(pixels: Pixels, masks: Masks, colour: Sequence[float]) -> Pixels:
    """A copy in which the masked pixels have one colour, whose channels are within [0, 1]."""
    changed = pixels.copy()
    changed[masks] = np.round(np.asarray(colour) * 255).astype(np.uint8)
    return changed


def permute(pixels: Pixels, orders: Places) -> Pixels:
    """Images whose cells are in another order: place i of a grid gets cell `orders[:, i]`.

    Raises:
        ConfigError: the cells are not equally large.
    """
    images, size = len(pixels), pixels.shape[1]
    cells = round(orders.shape[1] ** 0.5)
    if size % cells:
        raise ConfigError(f"{cells} × {cells} equal cells do not fill images of {size} px")
    side = size // cells
    grid = pixels.reshape(images, cells, side, cells, side, 3).swapaxes(2, 3)
    flat = grid.reshape(images, cells**2, side, side, 3)
    moved = np.take_along_axis(flat, orders[:, :, None, None, None], axis=1)
    back = moved.reshape(images, cells, cells, side, side, 3).swapaxes(2, 3)
    return np.ascontiguousarray(back.reshape(pixels.shape))
