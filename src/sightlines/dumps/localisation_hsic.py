"""Unbiased HSIC of every token with every patch of pixels, from Grams that are never kept.

A token of a map that is finer than the grid is all positions of its cell with all channels: Grams
of concatenated features add. Products are float32 with the features' means removed first; what is
summed over pairs of images is float64, in the convention of `stats.hsic`: n(n-3) HSIC₁.
"""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sightlines.dumps.gram_product import ROUNDING

CHUNK_BYTES = 16 * 2**20
"""What the tokens that are worked on at once may take."""


def token_patch_hsic(maps: Tensor, grid: tuple[int, int], patches: Tensor) -> tuple[Tensor, Tensor]:
    """HSIC of every cell of a layer with every patch, and of every cell with itself.

    Args:
        maps: A layer's activations [n, channels, rows, columns].
        grid: Rows and columns of cells.
        patches: From `centred_pairs`, of the images [patches, pairs].

    Returns:
        [cells, patches] and [cells], float64, n(n-3) HSIC₁.
    """
    cross, own = [], []
    for pairs in _chunks(maps, grid):
        cross.append(pairs @ patches.T)
        own.append(pairs.square().sum(1))
    return torch.cat(cross), torch.cat(own)


def centred_pairs(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """U-centred Gram of every cell as a vector [cells, n(n-1)/2] float64.

    Their dot products are n(n-3) HSIC₁ (Székely and Rizzo 2014). All zero for a cell that varies
    over the images by less than float32 resolves.

    Args:
        maps: Activations or pixels [n, channels, rows, columns].
        grid: Rows and columns of cells.
    """
    return torch.cat(list(_chunks(maps, grid)))


def cell_positions(rows: int, columns: int, grid: tuple[int, int]) -> Tensor:
    """Flat positions of a map [rows, columns] in every cell, [cells, positions] int64.

    Cell i takes the rows from ⌊i·rows/grid rows⌋ up to those of the next, and columns alike. Where
    the grid does not divide the map, cells with fewer positions are filled with rows·columns.
    A ResNet's position is centred on the first pixel of its stride, half a stride before the middle
    of its patch (docs/protocols.md, "Localisation").
    """
    place = torch.arange(rows * columns).reshape(rows, columns)
    upper, left = _edges(rows, grid[0]), _edges(columns, grid[1])
    cells = [
        place[a:b, c:d].flatten()
        for a, b in itertools.pairwise(upper)
        for c, d in itertools.pairwise(left)
    ]
    return torch.nn.utils.rnn.pad_sequence(cells, batch_first=True, padding_value=rows * columns)


def _edges(side: int, cells: int) -> list[int]:
    return [i * side // cells for i in range(cells + 1)]


def _chunks(maps: Tensor, grid: tuple[int, int]) -> Iterator[Tensor]:
    """Vectors of `centred_pairs`, some cells at a time."""
    images, channels, rows, columns = maps.shape
    positions = cell_positions(rows, columns, grid).to(maps.device)
    flat = maps.flatten(2)
    if int(positions.max()) == rows * columns:
        flat = torch.nn.functional.pad(flat, (0, 1))
    features = channels * positions.shape[1]
    step = max(CHUNK_BYTES // (8 * images * features + 16 * images**2), 1)
    for start in range(0, len(positions), step):
        cells = flat[:, :, positions[start : start + step]]
        yield _u_centre(cells.permute(2, 0, 1, 3).flatten(2).float())


def _u_centre(features: Tensor) -> Tensor:
    """[cells, n, features] float32 to [cells, n(n-1)/2] float64."""
    images = features.shape[1]
    means = features.mean(1, keepdim=True)
    features = features - means
    trace = features.square().sum((1, 2), dtype=torch.float64)
    is_constant = trace < ROUNDING * images * means.square().sum((1, 2), dtype=torch.float64)
    gram = torch.bmm(features, features.transpose(1, 2))
    gram.diagonal(dim1=1, dim2=2).zero_()
    centres = gram.sum(2, dtype=torch.float64) / (images - 2)
    centres -= centres.sum(1, keepdim=True) / (2 * (images - 1))
    centred = gram.double().sub_(centres[:, :, None]).sub_(centres[:, None, :])
    row, column = torch.triu_indices(images, images, 1, device=gram.device)
    pairs = centred.flatten(1).index_select(1, row * images + column).mul_(math.sqrt(2))
    return pairs.masked_fill_(is_constant[:, None], 0)
