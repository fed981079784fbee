"""Heatmaps of how similar one token is to every patch: shared by Figures 9, 10 and D.1 to D.3."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps, patheffects, rcParams
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from sightlines.figures import maps
from sightlines.figures.localisation_selecting import (
    CLS,
    Heatmaps,
    baseline_maps,
    final_maps,
    layer_names,
    score,
    shown_tokens,
)
from sightlines.figures.style import MISSING, full_width
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    require_some,
    untrained_network,
)

GAP_IN, ROW_IN, LABEL_IN, BAR_IN = 0.1, 1.12, 0.42, 0.42
"""Space between panels, height of a row with titles, space left of a row and right of it."""
HEADER_IN, TITLES_IN, AXIS_IN = 0.22, 0.42, 0.4
"""Space of a header, above a row's panels, and below the last row for what its axes are."""
LINE_IN = 0.15
"""Height of a line of the scores."""
PANELS = 4
"""Panels of a row; two rows lie side by side."""


def add_row(figure: Figure, half: int, top_in: float) -> list[Axes]:
    """Four empty panels side by side, in the left (0) or right (1) half of a figure.

    They are placed in inches: with as many panels, matplotlib's own layout takes seconds and
    differs in the last digit from run to run.

    Args:
        figure: Of the paper's width.
        half: 0 or 1.
        top_in: Where the row begins, from the figure's upper edge.
    """
    width, height = figure.get_size_inches()
    side, line = side_in(figure), []
    for place in range(PANELS):
        left = half * width / 2 + LABEL_IN + place * (side + GAP_IN)
        bottom = height - top_in - TITLES_IN - side
        box = (left / width, bottom / height, side / width, side / height)
        axes = figure.add_axes(box)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        line.append(axes)
    return line


def side_in(figure: Figure) -> float:
    """Side of a panel: of half a figure what names, gaps and the colour bar leave, in inches."""
    room = figure.get_figwidth() / 2 - LABEL_IN - BAR_IN - (PANELS - 1) * GAP_IN
    return float(room) / PANELS


def draw_row(
    line: list[Axes], found: Heatmaps | None, tokens: list[int], name: str, series: str
) -> None:
    """One layer's maps of some tokens on one colour scale from 0, with its colour bar.

    Args:
        line: The panels, at least as many as tokens.
        found: The maps; None leaves the panels empty.
        tokens: Numbers of the tokens; -1 is the class token.
        name: What stands left of the row.
        series: What the maps are called in the figure's numbers.
    """
    line[0].set_ylabel(maps.wrapped(name, 0.9))
    line[0].yaxis.set_label_coords(-0.16, 0.5)
    if found is None:
        line[0].text(0.5, 0.5, "none", ha="center", va="center", color="0.4")
        return
    values = np.concatenate([found.cka[token].ravel() for token in tokens])
    values = values[np.isfinite(values)]
    scale = Normalize(min(0.0, values.min(initial=0.0)), max(values.max(initial=0.0), 0.01))
    image = None
    for axes, token in zip(line, tokens, strict=False):
        colours = colormaps["viridis"].with_extremes(bad=MISSING)
        shown = np.ma.masked_invalid(found.cka[token])
        image = axes.imshow(shown, cmap=colours, norm=scale, origin="lower", label=series)
        axes.set_title(_title(found, token), fontsize="small", pad=2)
        if token != CLS:
            _outline(axes, divmod(token, found.grid[1]))
    if image is not None:
        _draw_colour_bar(line[len(tokens) - 1], image)


def _draw_colour_bar(axes: Axes, image: AxesImage) -> None:
    """A narrow one at the right of a panel, of the panel's height."""
    place = axes.inset_axes((1.06, 0, 0.08, 1))
    short = FuncFormatter(lambda value, _: f"{value:g}")
    bar = axes.figure.colorbar(image, cax=place, ticks=MaxNLocator(3), format=short)
    bar.outline.set_visible(False)
    place.set_title("CKA", fontsize="small", pad=2, loc="left")
    place.tick_params(labelsize="small", length=2, pad=1.5)


def _title(found: Heatmaps, token: int) -> str:
    if token == CLS:
        return "CLS token\n\n"
    row, column = divmod(token, found.grid[1])
    z, rank = found.z[token], found.rank[token]
    place = f"token ({row}, {column})"
    if not np.isfinite(z):
        return f"{place}\nundefined\n"
    return f"{place}\nz {z:.1f}\nrank {rank:.0f}".replace("-", "−")


def _outline(axes: Axes, place: tuple[int, int]) -> None:
    corner = (place[1] - 0.5, place[0] - 0.5)
    box = Rectangle(corner, 1, 1, fill=False, edgecolor="white", linewidth=0.8, clip_on=False)
    box.set_path_effects([patheffects.withStroke(linewidth=1.7, foreground="black")])
    axes.add_patch(box)


def draw_final_blocks(tables: Tables, config: dict[str, Any], models: list[str]) -> Figure:
    """One row a model with its final block, trained and untrained; below, the pixels alone.

    Raises:
        ResultError: the tables have none of the models.
    """
    lines: list[tuple[str, Heatmaps, Heatmaps | None]] = []
    for model in models:
        full, bare = final_maps(tables, config, model)
        lines += [] if full is None else [(model, full, bare)]
    require_some(lines, "localisation_maps.parquet has no trained network of this experiment")
    pixels = {full.grid: baseline_maps(full) for _, full, _ in lines}
    below_in = max(len(pixels) * (ROW_IN + AXIS_IN), TITLES_IN + (2 * len(lines) + 2) * LINE_IN)
    figure = Figure(figsize=(full_width(), HEADER_IN + len(lines) * ROW_IN + below_in))
    for half, title in enumerate(("trained on all images", "untrained")):
        add_header(figure, half, 0.0, title)
    for row, (model, full, bare) in enumerate(lines):
        for half, found in enumerate((full, bare)):
            tokens = shown_tokens(found.grid) if found else []
            line = add_row(figure, half, HEADER_IN + row * ROW_IN)
            name = label(config, model)
            series = f"{name}, {'untrained' if half else 'trained on all images'}"
            draw_row(line, found, tokens, "" if half else name, series)
    for place, copy in enumerate(pixels.values()):
        line = add_row(figure, 0, HEADER_IN + (len(lines) + place) * ROW_IN + place * AXIS_IN)
        draw_row(line, copy, shown_tokens(copy.grid), "own pixels", "own pixels")
        name_axes(line[0], copy.grid)
    _explain(figure, len(lines), tables, config, [model for model, *_ in lines])
    explain_grey(figure, tables["localisation_maps.parquet"])
    return figure


def add_header(figure: Figure, half: int, top_in: float, text: str) -> None:
    """A title in the middle of four panels."""
    width, height = figure.get_size_inches()
    middle = half * width / 2 + LABEL_IN + (PANELS * (side_in(figure) + GAP_IN) - GAP_IN) / 2
    place = (middle / width, 1 - (top_in + 0.06) / height)
    figure.text(
        *place, text, fontweight="bold", fontsize=rcParams["axes.titlesize"], ha="center", va="top"
    )


def name_axes(axes: Axes, grid: tuple[int, int]) -> None:
    """Say on one panel what its axes are."""
    axes.set_xticks([0, grid[1] - 1])
    axes.set_yticks([0, grid[0] - 1])
    axes.tick_params(length=2, labelsize="small", pad=1.5)
    axes.yaxis.set_label_coords(-0.38, 0.5)
    axes.set_xlabel("patch column", fontsize="small", labelpad=1)


def _explain(
    figure: Figure, row: int, tables: Tables, config: dict[str, Any], models: list[str]
) -> None:
    """In the right half of a row: means over all interior tokens, trained and untrained."""
    lines: list[str] = ["all interior tokens, trained (untrained):"]
    for model in models:
        full, bare = full_network(config, model), untrained_network(config, model)
        name = layer_names(tables, full)[-1] if full else ""
        effect, z, correlation = (
            f"{_number(score(tables, full, name, column))} "
            f"({_number(score(tables, bare, name, column))})"
            for column in ("effect", "z", "token_correlation")
        )
        scores = f"d {effect}, z {z}, map correlation {correlation}"
        lines.append(maps.wrapped(f"{label(config, model)}: {scores}", 3.3))
    width, height = figure.get_size_inches()
    left, top = 0.5 + LABEL_IN / width, 1 - (HEADER_IN + row * ROW_IN + TITLES_IN) / height
    figure.text(left, top, "\n".join(lines), linespacing=1.5, va="top", fontsize="small")


def _number(value: float) -> str:
    rounded = round(value, 2) + 0.0  # no negative zero
    return f"{rounded:.2f}".replace("-", "−") if np.isfinite(value) else "none"


def explain_grey(figure: Figure, tables: pd.DataFrame) -> None:
    """A legend for grey patches, where there are any."""
    if tables["cka"].isna().any():
        text = "undefined: the token or the patch does not vary over the reference images"
        figure.legend(handles=[Patch(color=MISSING, label=text)], loc="lower center")
