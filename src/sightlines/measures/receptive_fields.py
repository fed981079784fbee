"""How large effective receptive fields are, and how much of them lies on the layer's own patch.

Source: Luo et al. 2016 for the size; Raghu et al. 2021, section 4, Figures 6 and C.1 to C.4. The
map of a layer is the absolute gradient of its centre location, averaged over channels, colours and
images. A layer whose gradient is zero everywhere (a branch that starts at zero) has no size: NaN.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sightlines.dumps.receptive_field_reading import ReceptiveFieldDump
from sightlines.stats.jackknife import ALL, leave_one_out

READS = ("receptive_field",)
TABLES = {
    "receptive_fields.parquet": {
        "about": "Size of effective receptive fields, and how much of them is the own patch",
        "row": "network × layer × variant × left_out",
        "columns": (
            "network",
            "name",
            "block",
            "depth",
            ("variant", "text", "", "post: after the residual addition; pre: the branch before it"),
            ("branch", "text", "", "embed, attn, mixing, mlp, unit"),
            (
                "side_px",
                "float",
                "px",
                "square root of the number of pixels above 4.55 % of the largest gradient",
            ),
            ("side_share", "float", "share", "that ÷ side of the image"),
            ("own_patch_share", "float", "share", "gradient on the location's own patch"),
            (
                "window_share",
                "float",
                "share",
                "gradient on an equally large window centred on the location",
            ),
            ("radius_px", "float", "px", "distance within which half of the gradient lies"),
            "left_out",
            ("centre_y_px", "float", "px", "middle of the location, from the top"),
            ("centre_x_px", "float", "px", "middle of the location, from the left"),
            ("patch_px", "float", "px", "side of the own patch"),
            ("size_px", "int", "px", "side of the image"),
        ),
    },
    "receptive_field_maps.parquet": {
        "about": "Maps of effective receptive fields",
        "row": "network × layer × variant × pixel",
        "columns": (
            "network",
            "name",
            "block",
            "depth",
            ("variant", "text", "", "as in `receptive_fields.parquet`"),
            ("branch", "text", "", "as in `receptive_fields.parquet`"),
            ("row", "int", "", "row of the map, which may be of squares of pixels"),
            ("column", "int", "", "column of the map"),
            ("gradient", "float32", "", "mean absolute gradient ÷ the map's largest"),
        ),
    },
}
THRESHOLD = 0.0455
"""Of the largest gradient: Luo et al. count pixels above 1 - 95.45 % of it."""
MAP_CELLS = 112
"""Most rows and columns of a map in the table."""
Map = Float[np.ndarray, "height width"]


def measure(receptive_field: list[ReceptiveFieldDump]) -> dict[str, Any]:
    """Measure every layer of every dump.

    Args:
        receptive_field: Of each network.
    """
    rows = [row for dump in receptive_field for row in size_rows(dump)]
    return {
        "receptive_fields.parquet": pd.DataFrame(rows),
        "receptive_field_maps.parquet": (
            table for dump in receptive_field for table in map_tables(dump)
        ),
    }


def size_rows(dump: ReceptiveFieldDump) -> Iterable[dict[str, Any]]:
    """One row a layer for all images, and one for all images without each group of them."""
    for index, layer in enumerate(dump.layers):
        replicates = leave_one_out(dump.group_sums(index))
        usable = replicates if len(replicates) > 2 else replicates[:1]
        for left_out, gradient in enumerate(usable, ALL):
            sizes = measure_map(gradient, layer)
            yield _names(dump, layer) | sizes | {"left_out": left_out}


def measure_map(gradient: Map, layer: dict[str, Any]) -> dict[str, float]:
    """Size of one receptive field, and its shares on the own patch.

    Args:
        gradient: Absolute gradient of every pixel, up to a factor.
        layer: Middle of the centre location (`y_px`, `x_px`), and the patch that holds it
            (`patch_top_px`, `patch_left_px`, `patch_px`): a ViT's own patch; the cell of a
            convolutional network's last map. Of a map's location, the own patch need not be
            centred on it, and `window_share` is that of an equally large window that is.

    Returns:
        `side_px`: square root of the number of pixels above 4.55 % of the maximum; `side_share`:
        of the image's side; `own_patch_share` and `window_share`: of the sum of the gradient;
        `radius_px`: distance from the location's middle within which the middles of pixels with
        half of the sum lie; and the geometry.
    """
    middle = (layer["y_px"], layer["x_px"])
    side_px = float(np.sqrt((gradient > THRESHOLD * gradient.max()).sum()))
    patch_px = layer["patch_px"]
    window = (middle[0] - patch_px / 2, middle[1] - patch_px / 2)
    is_empty = not gradient.any()
    return {
        "side_px": np.nan if is_empty else side_px,
        "side_share": np.nan if is_empty else side_px / len(gradient),
        "own_patch_share": square_share(
            gradient, layer["patch_top_px"], layer["patch_left_px"], patch_px
        ),
        "window_share": square_share(gradient, *window, patch_px),
        "radius_px": half_mass_radius(gradient, *middle),
        "centre_y_px": middle[0],
        "centre_x_px": middle[1],
        "patch_px": patch_px,
        "size_px": len(gradient),
    }


def square_share(gradient: Map, top_px: float, left_px: float, side_px: float) -> float:
    """Share of the sum inside a square; pixels that its edge cuts count by their covered part.

    Returns:
        NaN where the gradient is zero everywhere.
    """
    rows = _coverage(gradient.shape[0], top_px, side_px)
    columns = _coverage(gradient.shape[1], left_px, side_px)
    total = gradient.sum()
    return float(rows @ gradient @ columns / total) if total > 0 else np.nan


def _coverage(pixels: int, begin: float, length: float) -> Float[np.ndarray, " pixels"]:
    """The part of each pixel that lies between `begin` and `begin + length`."""
    edges = np.clip(np.arange(pixels + 1.0), begin, begin + length)
    return np.diff(edges)


def half_mass_radius(gradient: Map, y_px: float, x_px: float) -> float:
    """Smallest distance (px) from a point within which at least half of the sum lies.

    Returns:
        NaN where the gradient is zero everywhere.
    """
    total = gradient.sum()
    if not total > 0:
        return np.nan
    y, x = (np.indices(gradient.shape) + 0.5).reshape(2, -1)
    distance = np.hypot(y - y_px, x - x_px)
    order = np.argsort(distance, kind="stable")
    inside = np.cumsum(gradient.ravel()[order])
    return float(distance[order][np.searchsorted(inside, total / 2)])


def map_tables(dump: ReceptiveFieldDump) -> Iterable[pd.DataFrame]:
    """The map of every layer for all images, relative to its maximum; NaN where that is zero."""
    for index, layer in enumerate(dump.layers):
        cells = pool_map(dump.group_sums(index).sum(axis=0))
        row, column = np.indices(cells.shape)
        top = cells.max()
        values = cells / top if top > 0 else np.full_like(cells, np.nan)
        columns = {"row": row.ravel(), "column": column.ravel()}
        columns |= {"gradient": values.ravel().astype(np.float32)}
        yield pd.DataFrame(_names(dump, layer) | columns)


def pool_map(gradient: Map, most: int = MAP_CELLS) -> Float[np.ndarray, "rows columns"]:
    """Means over squares of pixels, so large that at most `most` rows and columns remain."""
    step = -(-max(gradient.shape) // most)
    for axis, length in enumerate(gradient.shape):
        starts = np.arange(0, length, step)
        sums = np.add.reduceat(gradient, starts, axis=axis)
        counts = np.diff([*starts, length]).astype(np.float64)
        gradient = sums / (counts[:, None] if axis == 0 else counts)
    return gradient


def _names(dump: ReceptiveFieldDump, layer: dict[str, Any]) -> dict[str, Any]:
    own = {key: layer[key] for key in ("name", "block", "depth", "variant", "branch")}
    return dump.network._asdict() | own
