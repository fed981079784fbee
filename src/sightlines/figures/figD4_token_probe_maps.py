"""Figure D.4: where in the grid of tokens the class can be read off, depth by depth."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures import probe_panels as panels
from sightlines.figures.maps import wrapped
from sightlines.figures.style import full_width, styled
from sightlines.plan.networks import Network
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    plain_models,
    require_some,
    rows_of,
    untrained_network,
)
from sightlines.results.tables import NORM

TITLE = "Linear probes on single tokens, by place"
PAPER = "Figure D.4"
QUESTION = "places"
CAPTION = (
    "Test accuracy (%) of each token's own linear probe, at the token's place in the image; one "
    "row a model, one column a depth (layer named above), the last column the untrained network's "
    "last block; rows and columns of patches, origin at the lower left. Each panel has a scale of "
    "its own from its lowest (dark) to its highest accuracy (bright), both printed below it. Look "
    "for: after the last block of the CLS ViT and of the ResNet places that differ, and of the GAP "
    "ViT an even panel whose two numbers are close. An uneven last panel of the GAP ViT would "
    "contradict the paper."
)
EXPLAINS = (
    "Does it matter which token of the image one asks for the class?",
    "Every token, at some depths, has a linear classifier of its own in closed form, fitted to all "
    "of its training images and scored on test images.",
    "Read the two numbers first: where they differ by less than a few standard errors (given below "
    "the figure) the pattern of the panel is chance.",
)
DIFFERS = (
    "The paper's probes have 10 images for each of 1,000 classes; ours are fitted to all labelled "
    "images chosen for tokens, and an untrained network stands beside them."
)
READS = ("token_probes.parquet",)
NEEDS = ("trained", "probes")

SIDE_IN, HEADER_IN = 0.86, 0.52


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row a model: maps by depth, then the untrained network's last block.

    Args:
        tables: ``token_probes.parquet``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: the table has no ViT and no ResNet of this experiment.
    """
    table = tables["token_probes.parquet"]
    table = table[(table["row"] >= 0) & (table["shots"] == panels.WHOLE)]
    shown = [m for group in panels.contrasted(config) for m in group] or plain_models(config)
    rows = {m: accuracy_maps(table, full_network(config, m)) for m in shown}
    rows = {m: found for m, found in rows.items() if found}
    require_some(rows, "token_probes.parquet has no ViT and no ResNet of this experiment")
    bare = {m: accuracy_maps(table, untrained_network(config, m)) for m in rows}
    columns = max(map(len, rows.values())) + any(bare.values())
    height = len(rows) * (SIDE_IN + HEADER_IN) + 0.35
    figure = Figure(figsize=(full_width(), height), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (model, found) in zip(grid, rows.items(), strict=True):
        for axes in line:
            axes.set_axis_off()
        for axes, (name, accuracy) in zip(line, found.items(), strict=False):
            _draw_map(axes, accuracy, name, label(config, model))
        blocks = [name for name in bare[model] if name != NORM]
        if blocks:
            name = f"untrained\n{blocks[-1]}"
            _draw_map(line[-1], bare[model][blocks[-1]], name, label(config, model))
        line[0].text(
            *(-0.16, 0.5, wrapped(label(config, model), 1.0)),
            **{"rotation": 90, "ha": "right", "va": "center", "fontweight": "bold"},
            transform=line[0].transAxes,
        )
    figure.supxlabel(_uncertainty(table), fontsize="small")
    return figure


def accuracy_maps(table: pd.DataFrame, network: Network | None) -> dict[str, np.ndarray]:
    """Accuracy in % at every place [rows, columns], by layer in order of depth."""
    if network is None:
        return {}
    own = rows_of(table, network).sort_values("depth", kind="stable")
    return {
        str(name): 100 * rows.pivot(index="row", columns="column", values="accuracy").to_numpy()
        for name, rows in own.groupby("name", sort=False)
    }


def _draw_map(axes: Axes, accuracy: np.ndarray, name: str, series: str) -> None:
    low, high = accuracy.min(), accuracy.max()
    axes.set_axis_on()
    ends = {"vmin": low, "vmax": max(high, low + 1e-9)}
    axes.imshow(accuracy, origin="lower", label=series, **ends)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(name.removesuffix(".out"), fontsize="small")
    axes.set_xlabel(f"{low:.1f}–{high:.1f} %", fontsize="small")


def _uncertainty(table: pd.DataFrame) -> str:
    """Chance, standard error of one token's accuracy at the mean of all, numbers of images."""
    mean, images = float(table["accuracy"].mean()), int(table["test_images"].iloc[0])
    error = 100 * (mean * (1 - mean) / images) ** 0.5
    chance = 100 * float(table["chance"].iloc[0])
    return (
        f"each panel: own scale, lowest–highest accuracy; chance {chance:.3g} %; "
        f"standard error of one token ± {error:.1f} points ({images:,} test images)\n"
        f"each probe fitted to {panels.training_images(table, panels.WHOLE)}"
    )
