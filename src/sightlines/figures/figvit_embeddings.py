"""Position embeddings and patch filters of ViTs (Dosovitskiy et al. 2020, Figure 7)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sightlines.figures import drawn, maps
from sightlines.figures.style import full_width, styled
from sightlines.plan.networks import Network
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    own_rows,
    plain_models,
    require_some,
    untrained_network,
)

TITLE = "Position embeddings and patch filters"
PAPER = "Figure 7"
STUDY = "dosovitskiy2020"
CAPTION = (
    "Left, trained and untrained: cosine (no unit) of a patch's position embedding with those of "
    "all patches, one tile a patch (at most 8 × 8 tiles, in their places of the image, row 0 at "
    "the top). Right, trained and untrained: the first 28 principal components of the patch "
    "embedding's filters, strongest first, each scaled to its largest weight (grey: 0). Numbers: "
    "rank correlation of cosine and nearness (ρ), excess within rows and columns (Δ), mean "
    "frequency over that of white filters (f), share of components. Look for: tiles that are "
    "bright around their own place, with a cross of row and column; filters that are smooth bars "
    "and blobs. Tiles without a bright place, or trained filters as noisy as untrained ones, would "
    "contradict the paper."
)
EXPLAINS = (
    "Has the first layer learned what an image is? Position embeddings are compared with each "
    "other, and the filters that cut patches into features are sorted by what they have in "
    "common. A network that starts from sines knows distance before training, which the untrained "
    "tiles show."
)
DIFFERS = (
    "The paper shows ViT-L/32, and no numbers. Networks of `position_init: sincos` start from "
    "embeddings that already have this structure; the paper's start from noise."
)
READS = ("embedding_statistics.csv", "position_similarity.parquet", "embedding_filters.parquet")
NEEDS = ("trained", "attention")

MOST = 6
"""ViTs that are shown."""
COLUMNS = 6
"""Filters in a row of tiles."""
GAP = 0.15
"""Between tiles, of a tile's side."""


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row a ViT: similarity of positions, and filters, each trained and untrained.

    Args:
        tables: Those of READS.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: the table has no trained ViT of this experiment.
    """
    statistics = tables["embedding_statistics.csv"]
    shown = [
        m for m in plain_models(config) if _row(statistics, full_network(config, m)) is not None
    ]
    require_some(shown, "embedding_statistics.csv has no trained ViT of this experiment")
    shown = shown[:MOST]
    height = 1.85 * len(shown) + 0.7
    engine = ConstrainedLayoutEngine(h_pad=0.1)
    figure = Figure(figsize=(full_width(), height), layout=engine)
    grid = figure.subplots(len(shown), 4, squeeze=False, width_ratios=(1, 1, 1.15, 1.15))
    scale, image = Normalize(-1, 1), None
    for line, model in zip(grid, shown, strict=True):
        both = (full_network(config, model), untrained_network(config, model))
        for place, network in enumerate(both):
            table = tables["position_similarity.parquet"]
            image = _draw_positions(line[place], table, network, scale) or image
            _draw_filters(line[2 + place], tables["embedding_filters.parquet"], network)
            _write_numbers(line[place], line[2 + place], _row(statistics, network))
        line[0].set_ylabel(maps.wrapped(label(config, model), 1.5), fontweight="bold")
    names = ("positions, trained", "positions, untrained", "filters, trained", "filters, untrained")
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(name, fontweight="bold")
    if image is not None:
        size: dict[str, Any] = {"shrink": 0.4, "aspect": 30, "pad": 0.02}
        panels = list(grid[:, :2].flat)
        label_of = "cosine of position embeddings (no unit)"
        figure.colorbar(image, ax=panels, location="bottom", label=label_of, **size)
    return figure


def _row(statistics: pd.DataFrame, network: Network | None) -> Any:
    """A network's statistics; None where there are none."""
    rows = own_rows(statistics, network)
    return None if rows.empty else rows.iloc[0]


def tiled(tiles: np.ndarray) -> np.ndarray:
    """Tiles [rows, columns, height, width, …] beside each other, NaN between them."""
    rows, columns, height, width = tiles.shape[:4]
    gap = max(1, round(GAP * min(height, width)))
    whole = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, *tiles.shape[4:]), np.nan
    )
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + gap), column * (width + gap)
            whole[top : top + height, left : left + width] = tiles[row, column]
    return whole


def _draw_positions(
    axes: Axes, table: pd.DataFrame, network: Network | None, scale: Normalize
) -> AxesImage | None:
    own = own_rows(table, network)
    if own.empty:
        maps.blank(axes, "no learned\nposition embeddings" if network else "no untrained\nnetwork")
        return None
    keys = ["row", "column", "other_row", "other_column"]
    own = own.sort_values(keys)
    shape = [own[key].nunique() for key in keys]
    whole = tiled(own["cosine"].to_numpy(float).reshape(shape))
    image = axes.imshow(whole, cmap="RdBu_r", norm=scale, origin="upper")
    of = "from row " + own["row"].astype(str) + ", column " + own["column"].astype(str)
    columns = {"other_column": "x", "other_row": "y", "cosine": "value"}
    rows = own[list(columns)].rename(columns=columns).assign(series=of)
    drawn.state(image, rows)
    _bare(axes)
    return image


def _draw_filters(axes: Axes, table: pd.DataFrame, network: Network | None) -> None:
    own = own_rows(table, network)
    if own.empty:
        maps.blank(axes, "no filters\nof patches" if network else "no untrained\nnetwork")
        return
    own = own.sort_values(["component", "row", "column"])
    shape = [own[key].nunique() for key in ("component", "row", "column")]
    filters = own[["red", "green", "blue"]].to_numpy(float).reshape(*shape, 3)
    filters = filters / np.maximum(np.abs(filters).max(axis=(1, 2, 3), keepdims=True), 1e-12)
    lines = -(-len(filters) // COLUMNS)
    padded = np.full((lines * COLUMNS, *filters.shape[1:]), np.nan)
    padded[: len(filters)] = filters / 2 + 0.5
    whole = tiled(padded.reshape(lines, COLUMNS, *filters.shape[1:]))
    axes.imshow(np.where(np.isnan(whole), 1.0, whole), origin="upper")
    _bare(axes)


def _write_numbers(positions: Axes, filters: Axes, row: Any) -> None:
    if row is None:
        return
    if np.isfinite(row["distance_correlation"]):
        text = f"ρ {row['distance_correlation']:.2f}, Δ {row['row_column_excess']:.2f}"
        positions.set_xlabel(text.replace("-", "−"))
    if np.isfinite(row["filter_frequency"]):
        share = 100 * row["filter_components"]
        text = f"f {row['filter_frequency']:.2f}; {share:.0f} % of components"
        filters.set_xlabel(f"{text}\nfor 90 % of the variance")


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[], anchor="N")
    axes.spines[:].set_visible(False)
