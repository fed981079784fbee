"""Figures C.1 to C.4: receptive fields of every measured block, after and before the addition."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from sightlines.figures import receptive_field_panels as panels
from sightlines.figures.fig06_receptive_fields import add_grey_bar
from sightlines.figures.style import MISSING, VERMILLION, full_width, styled
from sightlines.results.selecting import Tables, label

TITLE = "Effective receptive fields of every block"
PAPER = "Figures C.1–C.4"
QUESTION = "local_and_global"
CAPTION = (
    "How strongly the centre location of a layer depends on every pixel, as in Figure 6, for all "
    "blocks that were measured (`receptive_field.depths`): one row a branch, block index above. "
    "Rows named after: the sum after the residual addition (C.1 to C.3); before: the branch alone "
    "(C.4). Below each map stands the side of the field in px; red is the own patch, or a window "
    "of that size. Look for: a ViT's sums that stay darkest on the own patch in every block, its "
    "attention that does not before the addition, and a ResNet whose fields grow unit by unit. "
    "The untrained networks are in Figure 6 and in the curves; of more than six networks the first "
    "six are drawn."
)
EXPLAINS = (
    "Is what Figure 6 shows of five blocks so in every block? The same derivatives with respect to "
    "the pixels are drawn of all blocks, of attention and MLP apart, and once more of each branch "
    "before it is added to the skip connection. A dark patch in the sums that is missing in the "
    "branches is kept by the skip connections."
)
DIFFERS = (
    "The paper shows C.1 to C.3 after the addition and C.4 before it, on linear grey; here both "
    "stand below each other, and greys follow the cube root."
)
READS = ("receptive_fields.parquet", "receptive_field_maps.parquet")
NEEDS = ("trained",)

MOST = 13
"""Maps side by side: more wrap."""
MOST_MODELS = 6
"""Networks that are drawn, the first of the config."""
VARIANTS = {"post": "after", "pre": "before"}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One group of rows a model: each branch after the addition, then before it.

    Args:
        tables: ``receptive_fields.parquet`` and ``receptive_field_maps.parquet``.
        config: `networks`, `labels`.

    Raises:
        ResultError: the tables have no network on all images.
    """
    found = panels.found_networks(panels.whole(tables["receptive_fields.parquet"]), config)
    maps = panels.found_networks(tables["receptive_field_maps.parquet"], config)
    rows = [
        (model, variant, branch, part)
        for model, (own, _) in list(found.items())[:MOST_MODELS]
        for variant in VARIANTS
        for branch in panels.BRANCHES
        for part in _parts(_layers(own, variant, branch))
    ]
    columns = max(len(part) for *_, part in rows)
    side = (full_width() - 1.35) / max(columns, 5)
    size = (full_width(), len(rows) * (side + 0.25) + 0.2)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.01))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    scale = PowerNorm(1 / 3, vmin=0.0, vmax=1.0)
    for line, (model, variant, branch, part) in zip(grid, rows, strict=True):
        for axes in line:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        # Blocks stand below each other, also where the first layer does not stand before them.
        before = int(len(part) < columns and not (part["branch"] == "embed").any())
        for axes, layer in zip(line[before:], part.to_dict("records"), strict=False):
            _draw_map(axes, layer, maps[model][0], scale)
        name = f"{label(config, model)}\n{panels.BRANCHES[branch]},\n{VARIANTS[variant]}"
        line[0].set_ylabel(name, fontsize="small")
    add_grey_bar(figure, grid, scale)
    return figure


def _layers(rows: pd.DataFrame, variant: str, branch: str) -> pd.DataFrame:
    """A network's layers of one branch by block; sums after the mixing one with the first layer."""
    branches = [branch]
    if variant == "post" and branch in panels.FIRST_BRANCHES and (rows["branch"] == branch).any():
        branches.append("embed")
    own = rows[(rows["variant"] == variant) & rows["branch"].isin(branches)]
    return own.sort_values("block", kind="stable", ignore_index=True)


def _parts(layers: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows of at most MOST maps."""
    return [layers.iloc[begin : begin + MOST] for begin in range(0, len(layers), MOST)]


def _draw_map(axes: Axes, layer: Any, maps: pd.DataFrame, scale: Normalize) -> None:
    is_it = (maps["name"] == layer["name"]) & (maps["block"] == layer["block"])
    cells = maps[is_it & (maps["variant"] == layer["variant"])]
    matrix = cells.pivot(index="row", columns="column", values="gradient").to_numpy()
    size_px, patch_px = layer["size_px"], layer["patch_px"]
    colours = colormaps["Greys"].with_extremes(bad=MISSING)
    extent = (0, size_px, size_px, 0)
    shown = np.ma.masked_invalid(matrix)
    axes.imshow(shown, cmap=colours, norm=scale, extent=extent, origin="upper")
    corner = (layer["centre_x_px"] - patch_px / 2, layer["centre_y_px"] - patch_px / 2)
    outline: dict[str, Any] = {"edgecolor": VERMILLION, "facecolor": "none", "linewidth": 0.5}
    axes.add_patch(Rectangle(corner, patch_px, patch_px, **outline))
    axes.spines[:].set(visible=True, color="0.6")
    block = "first" if layer["branch"] == "embed" else str(layer["block"])
    axes.set_title(block, fontsize="small", pad=1.5)
    side = "zero" if np.isnan(layer["side_px"]) else f"{layer['side_px']:.3g} px"
    axes.set_xlabel(side, fontsize="small", labelpad=1)
