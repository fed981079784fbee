"""Similarity of a network's blocks by six indices: what linear CKA shows, and what others do."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sightlines.figures import maps
from sightlines.figures.style import full_width, styled
from sightlines.plan.networks import Network
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    plain_models,
    rows_of,
    untrained_network,
)

TITLE = "Similarity within a network by other indices"
PAPER = ""
CAPTION = (
    "Similarity of all pairs of block outputs of one network (rows) by six indices (columns), on "
    "one scale; origin at the lower left. Below each map stands its mean for shuffled images, "
    "which share nothing: an index says no more than what lies above that number. The second row "
    "of each model is its untrained network. Look for: a shape that all indices have, such as a "
    "ResNet's two halves; that one is not CKA's own. A map that is bright in linear CKA and dark "
    "once pixels or the first component are taken out was the work of the input or of one "
    "direction."
)
EXPLAINS = (
    "Linear CKA can be decided by the images' own similarity or by one direction with much "
    "variance, so we ask whether other indices tell the same story. "
    "From the same Gram matrices we compute CKA after regressing out the pixels, CKA without the "
    "first principal component, CKA with a Gaussian kernel, the fit of the best rotation "
    "(Procrustes), and the share of common nearest neighbours of each image. "
    "Trust what all columns show; where they differ, read each against its value for shuffled "
    "images, which is far above 0 for Procrustes and about k/(n-1) for k neighbours of n images."
)
DIFFERS = (
    "The paper uses linear CKA alone; the other indices answer later criticism of it "
    "(Davari et al. 2023, Cui et al. 2022)."
)
READS = ("similarity_indices.parquet",)
NEEDS = ("trained",)

INDICES = {
    "linear": "linear CKA",
    "deconfounded": "CKA, pixels\nregressed out",
    "without_top": "CKA without 1st\ncomponent",
    "rbf": "CKA, Gaussian\nkernel",
    "procrustes": "Procrustes",
    "neighbours": "nearest\nneighbours",
}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One column an index; of each model a row for the trained and one for the untrained network.

    Args:
        tables: ``similarity_indices.parquet``.
        config: `networks`, `labels`, `architectures`.
    """
    table = tables["similarity_indices.parquet"]
    rows = shown_networks(config)
    side = (full_width() - 1.35) / len(INDICES)
    size = (full_width(), len(rows) * (side + 0.3) + 0.75)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02))
    grid = figure.subplots(len(rows), len(INDICES), squeeze=False)
    image = None
    scale = maps.common_scale([], top=1.0)
    for row, (name, network) in enumerate(rows):
        for column, index in enumerate(INDICES):
            axes = grid[row, column]
            values, shuffled = square(table, network, index)
            image = maps.draw_map(axes, values, scale)
            _describe(axes, shuffled, last=row == len(rows) - 1)
            if row == 0:
                axes.set_title(INDICES[index], fontsize="small")
            if column == 0:
                axes.set_ylabel(f"{maps.wrapped(name, side)}\nblock index")
            else:
                axes.tick_params(labelleft=False)
    if image is not None:
        bar: dict[str, Any] = {"shrink": min(1.0, 3.6 / figure.get_figheight()), "aspect": 30}
        text = "similarity (no unit; 1: same)"
        figure.colorbar(image, ax=list(grid.flat), label=text, extend="min", pad=0.01, **bar)
    return figure


def shown_networks(config: dict[str, Any]) -> list[tuple[str, Network]]:
    """Row labels and networks: of each model with all its skips the full, the untrained one."""
    rows = []
    for model in plain_models(config):
        full, untrained = full_network(config, model), untrained_network(config, model)
        rows += [(label(config, model), full)] if full else []
        rows += [(f"{label(config, model)}\nuntrained", untrained)] if untrained else []
    return rows


def square(table: pd.DataFrame, network: Network, index: str) -> tuple[np.ndarray, float]:
    """One index between all block outputs of a network [blocks, blocks], and its shuffled mean."""
    own = rows_of(rows_of(table[table["index"] == index], network, "_a"), network, "_b")
    values = own.pivot(index="layer_a", columns="layer_b", values="value").to_numpy(float)
    return values, float(own["shuffled"].mean())


def _describe(axes: Axes, shuffled: float, last: bool) -> None:
    unit = "\nblock index" if last else ""
    axes.set_xlabel(f"shuffled {shuffled:.2f}{unit}".replace("-0.00", "0.00"), fontsize="small")
    axes.tick_params(labelbottom=last, pad=1.5)
