"""Plots for a notebook, on axes of your own or new ones, in the style of the report's figures."""

from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.colors import Normalize

from sightlines.figures import maps
from sightlines.library.arguments import require
from sightlines.library.similarity import Similarity

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def cka_map(similarity: Similarity, ax: "Axes | None" = None, *, colour_bar: bool = True) -> "Axes":
    """Similarity of every layer with every other as a map; the lowest layers are at the lower left.

    Raghu et al. 2021, Figures 1 and 2. Small ticks stand where a block begins; grey cells are of
    layers that do not vary over the images.

    Args:
        similarity: From `cka`.
        ax: Where it is drawn; new axes by default.
        colour_bar: Whether a colour bar stands beside it.

    Example:
        >>> axes = sl.plot.cka_map(sl.cka(sl.grams(vit, images)))
        >>> axes.get_ylabel()
        'layer of vit'

    Raises:
        ConfigError: `similarity` is something else.
    """
    require(similarity, Similarity, "cka_map: similarity", "a Similarity, from `sl.cka`")
    axes = _axes(ax)
    image = maps.draw_map(axes, similarity.values, Normalize(0.0, 1.0))
    maps.mark_blocks(axes, similarity.layers_a, similarity.layers_b)
    rows, columns = (name.split("/")[0] for name in similarity.networks)
    axes.set(ylabel=f"layer of {rows}", xlabel=f"layer of {columns}")
    if colour_bar:
        axes.figure.colorbar(image, ax=axes, label="linear CKA")
    return axes


def attention_distances(table: pd.DataFrame, ax: "Axes | None" = None) -> "Axes":
    """Mean attention distance of every head over the blocks (Raghu et al. 2021, Figure 3).

    Args:
        table: From `attention_distance`.
        ax: Where it is drawn; new axes by default.

    Example:
        >>> axes = sl.plot.attention_distances(sl.attention_distance(vit, images))
        >>> axes.get_xlabel()
        'block'
    """
    axes = _axes(ax)
    axes.plot(table["block"], table["distance_px"], "o", alpha=0.7)
    axes.axhline(float(table["uniform_px"].iloc[0]), color="0.5", linestyle="--", linewidth=1)
    axes.annotate("uniform attention", (0, float(table["uniform_px"].iloc[0])), fontsize="small")
    axes.set(xlabel="block", ylabel="mean attention distance (px)")
    axes.set_ylim(bottom=0)
    return axes


def by_depth(table: pd.DataFrame, value: str, ax: "Axes | None" = None, **style: Any) -> "Axes":
    """One column of a table over depth, from 0 to 1.

    Args:
        table: With a column `depth`.
        value: The column.
        ax: Where it is drawn; new axes by default.
        style: For matplotlib's `plot`.

    Example:
        >>> axes = sl.plot.by_depth(sl.receptive_fields(cnn, images, channels=8), "side_px")
        >>> axes.get_xlabel()
        'depth'
    """
    axes = _axes(ax)
    axes.plot(table["depth"], table[value], **({"marker": "o"} | style))
    axes.set(xlabel="depth", ylabel=value.replace("_", " "))
    return axes


def _axes(ax: "Axes | None") -> "Axes":
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots()[1]
