"""Paul & Chen's Figure 8, after Yin et al. 2019: sensitivity to Fourier noise by frequency."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from sightlines.figures import drawn
from sightlines.figures import robustness_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.maps import wrapped
from sightlines.figures.style import GREY, full_width, series_name, styled, wrap_columns
from sightlines.results.selecting import Tables, label
from sightlines.stats.jackknife import ALL

STUDY = "paul2022"
TITLE = "Sensitivity to noise of one spatial frequency"
PAPER = "Figure 8 of Paul & Chen 2021, after Figure 3 of Yin et al. 2019"
CAPTION = (
    "How much more often a network is wrong when a wave of one frequency is added to each "
    "channel, all waves of the same norm before they are clipped. Maps: cycles an image to the "
    "right and upwards, the constant in the middle; a wave and its mirror image are one. "
    "Circles: 1/8 and 1/4 of the images' side in px, the ends of low and of middle frequencies. "
    "Dotted lines: multiples of the number of patches along a side, which every patch sees "
    "alike. Below: means over rings of frequencies; untrained networks dashed. Look for: a ViT "
    "below a ResNet inside of the circles, and cells on the dotted lines that stand out of what "
    "is around them."
)
EXPLAINS = (
    "Noise can be coarse or fine. Here it is a single wave, of one coarseness and one direction "
    "at a time, and the map shows which waves confuse a network. Dark stands for waves that "
    "hardly do."
)
DIFFERS = (
    "The paper's maps show errors, ours how much they rise above the error on clean images. Its "
    "waves are 63 × 63 at 224 px with norm 15.7; at 32 px the norm is 4, as in Yin et al. Norms "
    "after clipping are in tables/frequency.parquet."
)
READS = ("frequency.parquet", "frequency_grid.csv")
NEEDS = ("frequency",)
MOST = 4
"""Maps side by side."""
FULL_MAP = 0.5
"""Share of the cells that are measured from which on a map is drawn cell by cell."""
RING_PX = 2
"""Width of a ring of the curves in cycles an image."""


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One map a model, and a curve a network.

    Args:
        tables: ``frequency.parquet`` and ``frequency_grid.csv``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: no network on all images was shown such noise.
    """
    table, grids = tables["frequency.parquet"], tables["frequency_grid.csv"]
    table = table[table["left_out"] == ALL]
    grids = grids[grids["left_out"] == ALL]
    models = panels.shown_models(table, config, "frequency.parquet")
    bands, columns = wrap_columns(len(models), MOST)
    figure = Figure(figsize=(full_width(), 1.9 * bands + 2.6), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.9 * bands, 2.6))[:, 0]
    maps = upper.subplots(bands, columns, squeeze=False)
    first = {m: next(panels.seeds_of(table, config, m))[1] for m in models}
    top = max(float(rows["excess"].max()) for rows in first.values())
    scale = Normalize(0, max(np.ceil(top * 20) / 20, 0.05))
    for axes, model in zip(maps.flat, models, strict=False):
        cells = int(grids.loc[grids["model"] == model, "cells"].iloc[0])
        image = _map(axes, first[model], scale, cells)
        axes.set_title(wrapped(label(config, model), 1.6))
    for axes in maps.flat[len(models) :]:
        axes.set_axis_off()
    upper.colorbar(image, ax=list(maps.flat), label="rise of the error", shrink=0.9, pad=0.02)
    curves = lower.subplots()
    for model in models:
        for place, (network, rows) in enumerate(panels.seeds_of(table, config, model)):
            own, name = _rings(rows), series_name(config, network)
            look = panels.look(config, model, not place)
            curves.plot(own.index, own.to_numpy(), label=name, **look)
        own = _rings(panels.control_of(table, config, model))
        dashed: dict[str, Any] = {"color": panels.look(config, model)["color"]}
        dashed |= {"ls": "--", "lw": 0.8, "label": f"{label(config, model)}, untrained"}
        curves.plot(own.index, own.to_numpy(), **dashed)
    side = _side(table)
    for share in (1 / 8, 1 / 4):
        curves.axvline(share * side, color=GREY, linewidth=0.6, label=DECORATION)
    curves.axhline(0, color=GREY, linewidth=0.6, label=DECORATION)
    curves.set(xlabel="radius of the frequency (cycles an image)", ylabel="rise of the error")
    panels.grid(curves)
    handles = panels.model_handles(config, models)
    handles.append(panels.note("untrained", ls="--", lw=0.8))
    lower.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _side(rows: pd.DataFrame) -> int:
    """Side of the images in px."""
    return round(float(rows["radius"].max() / rows["relative_radius"].max()))


def _map(axes: Axes, rows: pd.DataFrame, scale: Normalize, cells: int) -> Any:
    """Errors over the plane of frequencies, each at both of its places."""
    both = [rows[["down", "right", "excess"]]]
    both.append(both[0].assign(down=-both[0]["down"], right=-both[0]["right"]))
    own = pd.concat(both)
    reach = int(max(own["right"].max(), own["down"].abs().max()))
    look: dict[str, Any] = {"norm": scale}
    if len(rows.drop_duplicates(["down", "right"])) > FULL_MAP * (2 * reach) ** 2 / 2:
        matrix = np.full((2 * reach + 1,) * 2, np.nan)
        matrix[own["down"] + reach, own["right"] + reach] = own["excess"]
        ends = (-reach - 0.5, reach + 0.5)
        image: Any = axes.imshow(matrix, extent=(*ends, *ends), origin="lower", **look)
    else:
        image = axes.scatter(own["right"], own["down"], c=own["excess"], s=7, marker="s", **look)
        cells_of = own.rename(columns={"right": "x", "down": "y", "excess": "value"})
        drawn.state(image, cells_of)
        axes.set_facecolor("0.85")
        axes.set(xlim=(-reach - 1, reach + 1), ylim=(-reach - 1, reach + 1))
    side = _side(rows)
    for share in (1 / 8, 1 / 4):
        axes.add_patch(Circle((0, 0), share * side, fill=False, ec="white", lw=0.7))
    for line in range(-(reach // cells) * cells, reach + 1, cells):
        if line:
            axes.axvline(line, color=GREY, ls=":", lw=0.5, label=DECORATION)
            axes.axhline(line, color=GREY, ls=":", lw=0.5, label=DECORATION)
    axes.set_box_aspect(1)
    axes.set_xlabel("cycles an image")
    axes.set_xticks([-reach, 0, reach])
    axes.set_yticks([-reach, 0, reach])
    return image


def _rings(rows: pd.DataFrame) -> "pd.Series[float]":
    """Mean over the map's waves of each ring, at the ring's mean radius."""
    own = rows[rows["of_map"] == 1]
    ring = (own["radius"] // RING_PX).astype(int)
    found = own.groupby(ring)[["radius", "excess"]].mean()
    return found.set_index("radius")["excess"]
