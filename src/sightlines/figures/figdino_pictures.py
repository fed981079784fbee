"""Where the class token looks, as pictures: heads of the last block, and rollout."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures.drawn import DECORATION
from sightlines.figures.maps import blank, wrapped
from sightlines.figures.style import full_width, styled
from sightlines.results.selecting import Tables, label, plain_models, require_some

TITLE = "Where the class token looks, as pictures"
PAPER = "Figures 1 and 3"
STUDY = "caron2021"
CAPTION = (
    "A few images as the network sees them (with the object's outline, where it is known) and, "
    "patch by patch, the class token's attention in heads of the last block, their mean, and "
    "rollout through all blocks, plain and weighted by measured skips. Each map is scaled from 0 "
    "(dark) to its own largest value (bright), so that brightness does not compare between "
    "panels. One block of rows a ViT, with gaps where it has fewer heads than another; last row: "
    "the untrained network on its first image. Look for: heads that outline the object, and "
    "different heads on different parts. Heads that show the same bright place in every image, or "
    "what the untrained network shows, have found no object."
)
EXPLAINS = (
    "What does attention look like on single images? Bright patches are those from which the "
    "class token takes most. Pictures suggest and do not show: the figures of overlap and of "
    "ranks hold the same maps against masks."
)
DIFFERS = (
    "The papers show photographs at 480 px and more, scaled smoothly and chosen; here are the "
    "first reference images, patch by patch. Networks with average pooling show the mean of their "
    "tokens' rows."
)
READS = ("attention_pictures.parquet", "pictured_images.parquet")
NEEDS = ("trained", "attention", "plain_attention", "pictures")

MOST_MODELS, MOST_IMAGES, MOST_HEADS = 4, 3, 6
SHARED = ("attention", "rollout", "weighted")
NAMES = {"attention": "mean of\nheads", "rollout": "rollout", "weighted": "rollout,\nby skips"}
HALF = 0.5

OUTLINE: dict[str, Any] = {"color": "white", "lw": 0.9, "label": DECORATION}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row an image, ViT after ViT.

    Args:
        tables: Those of READS.
        config: `networks`, `labels`.

    Raises:
        ResultError: the table has no trained ViT of this experiment.
    """
    maps, images = tables["attention_pictures.parquet"], tables["pictured_images.parquet"]
    pictured = {*maps.loc[maps["fraction"] == "f100", "model"]}
    shown = [m for m in plain_models(config) if m in pictured]
    require_some(shown, "attention_pictures.parquet has no trained ViT of this experiment")
    shown = shown[:MOST_MODELS]
    lines = [line for model in shown for line in _lines(maps, model)]
    heads = sorted(
        {name for name in maps["map"].unique() if name.startswith("head ")},
        key=lambda n: int(n[5:]),
    )[:MOST_HEADS]
    columns = [*heads, *(name for name in SHARED if (maps["map"] == name).any())]
    side = full_width() / (len(columns) + 1.6)
    figure = Figure(figsize=(full_width(), side * len(lines) + 0.5), layout="constrained")
    grid = figure.subplots(len(lines), len(columns) + 1, squeeze=False)
    for row, (model, fraction, image) in zip(grid, lines, strict=True):
        own = maps[(maps["model"] == model) & (maps["fraction"] == fraction)]
        own = own[own["image"] == image]
        _draw_image(row[0], images, own, (model, fraction, image))
        for axes, name in zip(row[1:], columns, strict=True):
            _draw_map(axes, own, name, f"{label(config, model)}, {fraction}, image {image}")
        name = label(config, model) + (" untrained" if fraction == "f000" else "")
        row[0].set_ylabel(wrapped(name, 0.7), fontsize="small")
    for axes, name in zip(grid[0], ["image", *columns], strict=True):
        axes.set_title(NAMES.get(name, name), fontsize="small")
    return figure


def _lines(maps: pd.DataFrame, model: str) -> list[tuple[str, str, int]]:
    """Model, fraction and image of each row."""
    own = maps[maps["model"] == model]
    count = int(own.loc[own["fraction"] == "f100", "image"].max()) + 1
    lines = [(model, "f100", image) for image in range(min(count, MOST_IMAGES))]
    return [*lines, *([(model, "f000", 0)] if (own["fraction"] == "f000").any() else [])]


def _grid(rows: pd.DataFrame, column: str) -> np.ndarray:
    ordered = rows.sort_values(["row", "column"])
    shape = (ordered["row"].nunique(), ordered["column"].nunique())
    return ordered[column].to_numpy(float).reshape(shape)


def _draw_image(
    axes: Axes, images: pd.DataFrame, maps: pd.DataFrame, which: tuple[str, str, int]
) -> None:
    keys = ("model", "fraction", "image")
    for key, value in zip(keys, which, strict=True):
        images = images[images[key] == value]
    colours = np.stack([_grid(images, c) for c in ("red", "green", "blue")], axis=-1)
    height, width = colours.shape[:2]
    axes.imshow(colours.astype(np.uint8), origin="upper", extent=(0, width, height, 0))
    inside = maps[maps["map"] == "object"]
    if len(inside):
        mask = _grid(inside, "share") >= HALF
        _outline(axes, mask, width / mask.shape[1], height / mask.shape[0])
    _bare(axes)


def _outline(axes: Axes, mask: np.ndarray, wide: float, high: float) -> None:
    """Lines between patches of the object and others."""
    padded = np.pad(mask, 1)
    for row, column in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]):
        axes.plot([column * wide] * 2, [row * high, (row + 1) * high], **OUTLINE)
    for row, column in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]):
        axes.plot([column * wide, (column + 1) * wide], [row * high] * 2, **OUTLINE)


def _draw_map(axes: Axes, own: pd.DataFrame, name: str, series: str) -> None:
    rows = own[own["map"] == name]
    if rows.empty:
        blank(axes, "")
        return
    values = _grid(rows, "share")
    ends = {"vmin": 0, "vmax": max(values.max(), 1e-12)}
    axes.imshow(values, origin="upper", label=series, **ends)
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
