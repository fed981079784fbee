"""Figure 6: which pixels the centre of a layer depends on."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator

from sightlines.figures import receptive_field_panels as panels
from sightlines.figures.maps import wrapped
from sightlines.figures.style import MISSING, VERMILLION, full_width, styled
from sightlines.results.selecting import Tables, label

TITLE = "Effective receptive fields"
PAPER = "Figure 6"
QUESTION = "local_and_global"
CAPTION = (
    "How strongly the centre location of a layer depends on every pixel: absolute gradient, mean "
    "over channels, colours and images, after the residual addition, over the map's own largest "
    "value (no unit; dark is large; axes in px of the input image). One row a network, depth to "
    "the right; numbers count blocks from 0. Red: a ViT's own patch, or for a convolutional "
    "network a window as large as a cell of its last map. Below each map: side of the field, the "
    "square root of the number of pixels above 4.55 % of the maximum. Look for: a ResNet whose "
    "field is tiny at first and grows step by step, against a ViT that depends on the whole image "
    "early on but stays darkest on its own patch at every depth. What an untrained network shows "
    "as well was not learned. A ViT without the dark patch, or a ResNet whose field does not "
    "grow, would contradict the paper."
)
EXPLAINS = (
    "Which part of the image can change what a network computes in the middle of a layer?",
    "The value of every single channel at the layer's centre is differentiated with respect to "
    "the pixels, and the sizes of these derivatives are averaged over channels and images.",
    "Dark pixels matter most; a dark spot means that the layer looks at its own place, an even "
    "grey that it looks everywhere.",
)
DIFFERS = (
    "The paper's maps are on a linear grey scale; here greys follow the cube root, so that faint "
    "global dependence can be seen beside a dark patch. The untrained network is drawn below each, "
    "which the paper does not show."
)
READS = ("receptive_fields.parquet", "receptive_field_maps.parquet")
NEEDS = ("trained",)

GREYS = (0, 0.001, 0.01, 0.0455, 0.2, 0.5, 1)
STATES = ("trained", "untrained")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Two rows a model, trained and untrained; one column a depth.

    Args:
        tables: ``receptive_fields.parquet`` and ``receptive_field_maps.parquet``.
        config: `networks`, `labels`.

    Raises:
        ResultError: the tables have no network on all images.
    """
    found = panels.found_networks(panels.whole(tables["receptive_fields.parquet"]), config)
    maps = panels.found_networks(tables["receptive_field_maps.parquet"], config)
    rows = [(m, i) for m, own in found.items() for i, sizes in enumerate(own) if len(sizes)]
    columns = max(len(panels.columns_of(own[0])) for own in found.values())
    side = (full_width() - 1.9) / columns
    figure = Figure(figsize=(full_width(), len(rows) * (side + 0.4) + 0.1), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    scale = PowerNorm(1 / 3, vmin=0.0, vmax=1.0)
    for line, (model, state) in zip(grid, rows, strict=True):
        _draw_network(line, found[model][state], maps[model][state], scale)
        name = f"{label(config, model)},\n{STATES[state]}"
        line[0].set_ylabel(f"{wrapped(name, side) if len(name) > 40 else name}\n(px)")
    add_grey_bar(figure, grid, scale)
    return figure


def _draw_network(line: Any, sizes: pd.DataFrame, maps: pd.DataFrame, scale: Normalize) -> None:
    layers = panels.columns_of(sizes)
    for column, axes in enumerate(line):
        if column >= len(layers):
            axes.set_axis_off()
            continue
        layer = layers.iloc[column]
        own, cells = _of_layer(sizes, layer).iloc[0], _of_layer(maps, layer)
        matrix = cells.pivot(index="row", columns="column", values="gradient").to_numpy()
        _draw_map(axes, matrix, own, scale)
        axes.set_title(
            panels.layer_title(int(layer["block"]), layer["branch"]), fontsize="small", pad=2.5
        )
        if column:
            axes.set_yticklabels([])


def _of_layer(table: pd.DataFrame, layer: pd.Series) -> pd.DataFrame:
    """A layer's rows; the block too, since the first layer may be the first block's output."""
    is_it = (table["name"] == layer["name"]) & (table["block"] == layer["block"])
    found: pd.DataFrame = table[is_it & (table["variant"] == "post")]
    return found


def _draw_map(axes: Axes, matrix: np.ndarray, own: pd.Series, scale: Normalize) -> None:
    """One map with the image's first row at the top, and the outline of the own patch."""
    size_px, patch_px = own["size_px"], own["patch_px"]
    colours = colormaps["Greys"].with_extremes(bad=MISSING)
    extent = (0, size_px, size_px, 0)
    shown = np.ma.masked_invalid(matrix)
    axes.imshow(shown, cmap=colours, norm=scale, extent=extent, origin="upper")
    corner = (own["centre_x_px"] - patch_px / 2, own["centre_y_px"] - patch_px / 2)
    outline: dict[str, Any] = {"edgecolor": VERMILLION, "facecolor": "none", "linewidth": 0.7}
    axes.add_patch(Rectangle(corner, patch_px, patch_px, **outline))
    axes.spines[:].set(visible=True, color="0.6")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([0, size_px / 2, size_px]))
    axes.tick_params(labelsize="small", length=2, pad=1.5)
    is_zero = np.isnan(own["side_px"])
    axes.set_xlabel(
        "zero" if is_zero else f"side {own['side_px']:.3g} px", fontsize="small", labelpad=1
    )


def add_grey_bar(figure: Figure, grid: Any, scale: Normalize) -> None:
    """One grey bar for all maps."""
    drawn = ScalarMappable(scale, colormaps["Greys"])
    bar = figure.colorbar(drawn, ax=grid, shrink=min(1.0, 4 / len(grid)), aspect=35, pad=0.015)
    bar.set_label("absolute gradient over the map's largest (no unit)")
    bar.set_ticks(GREYS, labels=[f"{value:g}" for value in GREYS])
