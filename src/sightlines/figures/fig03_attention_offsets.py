"""Figure 3, in space: where each head looks, relative to the query's patch."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from sightlines.figures import drawn
from sightlines.figures.attention_panels import plain_vits
from sightlines.figures.style import full_width, styled
from sightlines.plan.networks import Network
from sightlines.results.selecting import (
    Tables,
    extreme_blocks,
    full_network,
    label,
    require_some,
    rows_of,
    trained_models,
    untrained_network,
)

TITLE = "Where heads look"
PAPER = "Figure 3"
QUESTION = "local_and_global"
CAPTION = (
    "Mean attention of a head to each offset from its query: one tile a head, the query's own "
    "patch in its middle, a step of one cell a patch (right and down positive). Colour is "
    "attention over that of a head which looks at all patches alike, on a logarithmic scale. "
    "Rows are the two lowest and two highest blocks and the untrained network's lowest; heads are "
    "sorted by mean distance, whose value relative to uniform attention stands in the tile. Look "
    "for: in the lowest blocks tiles with a bright middle (local heads), or a bright cell next to "
    "it (a head that looks a fixed step away), beside evenly coloured ones (global heads), and "
    "only even tiles in the highest blocks. A bright square with dark edges is neither: from "
    "everywhere, such a head looks at the middle of the image, which lowers its mean distance too. "
    "Attention to the CLS token is not shown; it makes a whole tile darker."
)
READS = ("attention_offsets.parquet", "attention_distance.csv")
NEEDS = ("trained", "attention")
EXPLAINS = (
    "A mean distance does not say in which direction a head looks, so where does it look? Each "
    "head's attention is averaged over all query patches and images by the offset of the key's "
    "patch from the query's, and divided by what a head without preference would show. A bright "
    "middle is a head that looks around itself, an even tile one that looks everywhere."
)
DIFFERS = "The paper shows mean distances only; these maps are from the same attention."

RANGE = (2.0, 32.0)
"""The colour scale reaches from 1/r to r; r lies in this range."""
TILE_IN = (0.4, 0.72)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a ViT: blocks downwards, heads to the right.

    Args:
        tables: ``attention_offsets.parquet``, ``attention_distance.csv``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: no trained network of the experiment has attention.
    """
    tiles = _all_tiles(tables, config)
    require_some(tiles, "attention_offsets.parquet has no trained network of this experiment")
    heads = [max(len(row) for _, row in rows) for rows in tiles.values()]
    columns = 2 if len(tiles) > 1 and max(heads) <= 8 else 1
    side = float(np.clip(6.0 / (columns * max(heads)), *TILE_IN))
    lines = max(len(rows) for rows in tiles.values())
    bands = -(-len(tiles) // columns)
    size = (full_width(), bands * (lines * side + 0.75) + 0.75)
    figure = Figure(figsize=size, layout="constrained")
    ratios = [max(heads[column::columns]) for column in range(columns)]
    grid = figure.subplots(bands, columns, squeeze=False, width_ratios=ratios)
    scale = _scale([tile for rows in tiles.values() for _, row in rows for _, tile in row])
    for axes, (model, rows) in zip(grid.flat, tiles.items(), strict=False):
        image = _draw_tiles(axes, rows, scale)
        axes.set_title(label(config, model), fontweight="bold")
    for axes in grid.flat[len(tiles) :]:
        axes.set_axis_off()
    _add_bar(figure, image, list(grid.flat))
    return figure


Row = list[tuple[float, np.ndarray]]
"""Of each head in the order of distance: relative distance, and map of offsets."""


def _all_tiles(tables: Tables, config: dict[str, Any]) -> dict[str, list[tuple[str, Row]]]:
    """Of each model its named rows of tiles."""
    offsets, distances = (tables[name] for name in READS)
    networks = {m: full_network(config, m) for m in trained_models(config)}
    found = {m: n for m, n in networks.items() if n and len(rows_of(offsets, n))}
    shown = {}
    for model in plain_vits(config, list(found)):
        shown[model] = _rows(offsets, distances, found[model], "")
        bare = untrained_network(config, model)
        if bare and len(rows_of(offsets, bare)):
            shown[model] += _rows(offsets, distances, bare, "untrained\n")[:1]
    return shown


def _rows(
    offsets: pd.DataFrame, distances: pd.DataFrame, network: Network, name: str
) -> list[tuple[str, Row]]:
    own, reach = rows_of(offsets, network), rows_of(distances, network)
    low, high = extreme_blocks(own["block"].tolist())
    rows = []
    for block in [*low, *high]:
        order = reach[reach["block"] == block].sort_values("distance_px", kind="stable")
        of_block = own[own["block"] == block]
        row = [
            (float(relative), over_uniform(of_block[of_block["head"] == head]))
            for head, relative in zip(order["head"], order["relative"], strict=True)
        ]
        rows.append((f"{name}{block}", row))
    return rows


def over_uniform(rows: pd.DataFrame) -> np.ndarray:
    """One head's attention by offset, divided by that of uniform attention, [2h-1, 2w-1].

    Uniform attention has (h - |row|)(w - |column|)/(hw)² at an offset: the pairs of patches that
    are so far apart.
    """
    mass = rows.pivot(index="row", columns="column", values="mass")
    offsets = [axis.to_numpy(np.int64) for axis in (mass.index, mass.columns)]
    down, right = (axis.max() + 1 - np.abs(axis) for axis in offsets)
    uniform = np.outer(down, right) / (down.max() * right.max()) ** 2
    return np.asarray(mass.to_numpy() / uniform)


def _scale(tiles: list[np.ndarray]) -> LogNorm:
    """From 1/r to r, so that uniform attention is the middle; r the next power of two."""
    largest = max(float(tile.max()) for tile in tiles)
    reach = float(np.clip(2 ** np.ceil(np.log2(max(largest, 1.0))), *RANGE))
    return LogNorm(1 / reach, reach, clip=True)


def _draw_tiles(axes: Axes, rows: list[tuple[str, Row]], scale: LogNorm) -> AxesImage:
    """All tiles as one image with white gaps of one cell."""
    height, width = (side + 1 for side in rows[0][1][0][1].shape)
    heads, placed = max(len(row) for _, row in rows), list[tuple[str, np.ndarray]]()
    canvas = np.full((len(rows) * height - 1, heads * width - 1), np.nan)
    for line, (name, row) in enumerate(rows):
        for column, (relative, tile) in enumerate(row):
            top, left = line * height, column * width
            canvas[top : top + height - 1, left : left + width - 1] = tile
            placed.append((f"block {name}, head {column + 1} by distance", tile))
            place = (left, top + height - 2)
            axes.annotate(f"{relative:.2f}", place, fontsize="small", color="white", va="bottom")
    image = axes.imshow(np.ma.masked_invalid(canvas), norm=scale, origin="upper")
    drawn.state(image, pd.concat([_cells(*tile) for tile in placed]))
    axes.set_anchor("N")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_yticks([line * height + height / 2 - 1 for line in range(len(rows))])
    axes.set_yticklabels([name for name, _ in rows])
    axes.set_xticks([column * width + width / 2 - 1 for column in range(heads)])
    axes.set_xticklabels([str(rank + 1) for rank in range(heads)])
    axes.set_xlabel("head, sorted by distance (rank)")
    axes.set_ylabel("block")
    return image


def _cells(series: str, tile: np.ndarray) -> pd.DataFrame:
    """One head's cells for the figure's numbers: offsets in patches, right and down."""
    down, right = (np.arange(side) - side // 2 for side in tile.shape)
    y, x = np.meshgrid(down, right, indexing="ij")
    cells = {"x": x.ravel(), "y": y.ravel(), "value": tile.ravel()}
    return pd.DataFrame({"series": " ".join(series.split()), **cells})


def _add_bar(figure: Figure, image: AxesImage, panels: list[Axes]) -> None:
    reach = image.norm.vmax or 1.0
    steps = int(np.log2(reach))
    apart = 1 if steps < 4 else 2
    ends = steps // apart * apart
    powers = range(-ends, ends + 1, apart)
    bar = figure.colorbar(
        image,
        ax=panels,
        label="attention relative to uniform attention (no unit)",
        location="bottom",
        shrink=0.6,
        aspect=40,
        pad=0.02,
    )
    bar.set_ticks([2.0**p for p in powers], labels=[_power(p) for p in powers])
    bar.minorticks_off()


def _power(exponent: int) -> str:
    return f"{2**exponent}" if exponent >= 0 else f"1/{2**-exponent}"
