"""Panels that show CKA as a map: origin at the lower left, one colour scale for all panels."""

import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps, rcParams
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from sightlines.figures.style import MISSING


def draw_map(axes: Axes, matrix: np.ndarray, scale: Normalize) -> AxesImage:
    """Show a matrix [rows, columns] with rows upwards; NaN cells are grey."""
    colours = colormaps[rcParams["image.cmap"]].with_extremes(bad=MISSING)
    image = axes.imshow(
        np.ma.masked_invalid(matrix), cmap=colours, norm=scale, origin="lower", aspect="auto"
    )
    axes.set_box_aspect(1)
    for axis, count in zip((axes.yaxis, axes.xaxis), matrix.shape, strict=True):
        axis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=min(2, count)))
        axis.set_minor_locator(NullLocator())
    axes.spines[:].set_visible(False)
    return image


def mark_blocks(axes: Axes, rows: pd.DataFrame | None, columns: pd.DataFrame | None) -> None:
    """Small ticks where a block begins, from the layer tables of the two axes."""
    for axis, layers in ((axes.yaxis, rows), (axes.xaxis, columns)):
        if layers is not None:
            blocks = layers["block"].to_numpy()
            starts = (np.flatnonzero(np.diff(blocks)) + 0.5).tolist()
            axis.set_minor_locator(FixedLocator(starts))


def blank(axes: Axes, text: str) -> None:
    """An empty panel that says why it is empty."""
    axes.set_box_aspect(1)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.text(0.5, 0.5, text, ha="center", va="center", color="0.4", transform=axes.transAxes)


def common_scale(matrices: Iterable[np.ndarray], top: float | None = None) -> Normalize:
    """Colour scale from 0 to `top`, or to the largest finite value rounded up to a tenth."""
    if top is None:
        finite = np.concatenate([m[np.isfinite(m)] for m in matrices] or [np.ones(1)])
        top = float(np.clip(np.ceil(finite.max(initial=0.1) * 10) / 10, 0.1, 1.0))
    return Normalize(0.0, top)


def add_colour_bar(
    figure: Figure, image: AxesImage, panels: list[Axes], matrices: Sequence[np.ndarray]
) -> None:
    """One colour bar for all panels; pointed where values lie clearly outside the scale."""
    finite = np.concatenate([m[np.isfinite(m)] for m in matrices] or [np.zeros(1)])
    low, high = image.get_clim()
    below = bool(low is not None and (finite < low - 0.02).any())
    above = bool(high is not None and (finite > high + 0.02).any())
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]
    height = figure.get_size_inches()[1]
    figure.colorbar(
        image,
        ax=panels,
        label="linear CKA (no unit; 1: same representation)",
        extend=extend,
        shrink=min(1.0, 3.6 / height),
        aspect=30,
        fraction=0.04,
        pad=0.02,
    )


def explain_grey(figure: Figure, matrices: Iterable[np.ndarray]) -> None:
    """A legend for grey cells, where there are any."""
    if any(np.isnan(m).any() for m in matrices):
        text = "undefined: the layer does not vary over the reference images"
        figure.legend(handles=[Patch(color=MISSING, label=text)], loc="outside lower center")


def wrapped(text: str, width_in: float) -> str:
    """Break a label so that it fits a panel's width; a wide character takes two places."""
    places = "".join("\0" + c if unicodedata.east_asian_width(c) in "WF" else c for c in text)
    return textwrap.fill(places, max(10, int(width_in * 15))).replace("\0", "")
