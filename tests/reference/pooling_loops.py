"""A map pooled to the last map's grid, by loops (Raghu et al. 2021, appendix A)."""

import numpy as np

from sightlines.dumps.pooling import split_side


def slow_grid(maps, last):
    """Pooled maps by loops: cells of the last grid, sub-cells of each as channels."""
    channels, height, width = maps.shape
    rows, columns = last[1:]
    side = split_side(channels, height // rows, last[0])
    out = np.zeros((channels, side, side, rows, columns))
    h, w = height // rows // side, width // columns // side
    for row, column in np.ndindex(rows, columns):
        for i, j in np.ndindex(side, side):
            top, left = row * h * side + i * h, column * w * side + j * w
            cell = maps[:, top : top + h, left : left + w]
            out[:, i, j, row, column] = cell.mean((1, 2))
    return out.reshape(-1, rows, columns)
