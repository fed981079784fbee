"""Figure 2 token by token: the class token alone and the spatial tokens alone."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sightlines.figures import maps
from sightlines.figures.style import (
    BLUE,
    GREY,
    MISSING,
    VERMILLION,
    full_width,
    series_name,
    styled,
)
from sightlines.plan import roles
from sightlines.plan.networks import Network
from sightlines.results.selecting import (
    Tables,
    architectures,
    block_outputs,
    full_network,
    label,
    layer_rows,
    networks,
    other_seeds,
    require_some,
    rows_of,
    trained_models,
    untrained_network,
)

TITLE = "Class token and spatial tokens apart"
PAPER = "Figure 2 (sections 3 and 5)"
QUESTION = "structure"
CAPTION = (
    "Linear CKA of a ViT's spatial tokens alone (left) and of its class token alone (middle) with "
    "all sub-layers of a ResNet; grey: the class token does not vary over images yet. Right: CKA "
    "of each block's output with the last block's, of either kind of token alone; bands are one "
    "jackknife standard error over minibatches, thin lines other seeds, dotted the untrained "
    "network; the final third of the depth is shaded. Look for: within the shaded third, a class "
    "token that is still far from its final form where the spatial tokens are near theirs: that is "
    "how the paper accounts for a final third of layers that resembles no layer of a ResNet. It "
    "would contradict the paper if the spatial tokens changed as much or more there."
)
EXPLAINS = (
    "Which tokens does the last third of a ViT work on? The same CKA as in Figure 2 is computed of "
    "the class token alone, and of all patches' tokens without it. A curve that is low at the left "
    "of the shaded third and one at its end belongs to tokens that these layers change."
)
DIFFERS = (
    "The paper says in its text that the final third mainly manipulates the class token, and shows "
    "it by norms (Figure 7); it has no such maps."
)
READS = ("token_cka.parquet", "layers.csv")
NEEDS = ("class_token",)

LOOKS = {
    "spatial": (VERMILLION, "s", "spatial tokens alone"),
    "cls": (BLUE, "o", "class token alone"),
}
MOST = 6
"""ViTs that are drawn."""


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row a ViT: maps of either kind of token with a ResNet, and how far each is from its end.

    Args:
        tables: ``token_cka.parquet`` and ``layers.csv``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: the table has no trained ViT of this experiment.
    """
    table, layers = tables["token_cka.parquet"], tables["layers.csv"]
    shown = [m for m in trained_models(config) if len(_own(table, full_network(config, m)))]
    require_some(shown, "token_cka.parquet has no trained ViT of this experiment")
    shown = shown[:MOST]
    resnets = roles.of_kind(networks(config), architectures(config), "resnet")
    height = 2.0 * len(shown) + 0.6
    figure = Figure(figsize=(full_width(), height), layout="constrained")
    grid = figure.subplots(len(shown), 3, squeeze=False, width_ratios=(1, 1, 1.15))
    found = [[_map(table, layers, config, m, resnets, t) for t in LOOKS] for m in shown]
    finite = [m for row in found for m in row if m is not None]
    scale, image = maps.common_scale(finite), None
    for line, model, row in zip(grid, shown, found, strict=True):
        for axes, matrix in zip(line, row, strict=False):
            if matrix is None:
                maps.blank(axes, "no ResNet\nin this experiment")
                continue
            image = maps.draw_map(axes, matrix, scale)
            pair = (layer_rows(layers, model), layer_rows(layers, resnets[0]))
            maps.mark_blocks(axes, *pair)
            axes.set_xlabel(maps.wrapped(f"{label(config, resnets[0])}: layer index", 1.8))
            axes.set_ylabel(maps.wrapped(f"{label(config, model)}: layer index", 1.6))
        _draw_curves(line[2], table, layers, config, model)
    for axes, (_, _, name) in zip(grid[0], LOOKS.values(), strict=False):
        axes.set_title(name, fontweight="bold")
    grid[0, 2].set_title("CKA with the last block", fontweight="bold")
    grid[-1, 2].set_xlabel("depth of the block")
    if image is not None:
        panels = list(grid[:, :2].flat)
        size: dict[str, Any] = {"shrink": min(1.0, 3.6 / height), "aspect": 25, "pad": 0.02}
        figure.colorbar(image, ax=panels, label="linear CKA (no unit)", extend="min", **size)
    figure.legend(handles=_handles(finite), loc="outside lower center", ncols=3)
    return figure


def _own(table: pd.DataFrame, network: Network | None, tokens: str = "cls") -> pd.DataFrame:
    """A network's rows of some tokens with themselves."""
    if network is None:
        return table.iloc[:0]
    return rows_of(rows_of(table[table["tokens"] == tokens], network, "_a"), network, "_b")


def _map(
    table: pd.DataFrame,
    layers: pd.DataFrame,
    config: dict[str, Any],
    model: str,
    resnets: list[str],
    tokens: str,
) -> np.ndarray | None:
    """CKA of some tokens of a ViT with the first ResNet [layers of a, layers of b]."""
    network = full_network(config, model)
    if not resnets or network is None:
        return None
    rows = rows_of(table[table["tokens"] == tokens], network, "_a")
    rows = rows[(rows["model_b"] == resnets[0])]
    if rows.empty:
        return None
    size = (len(layer_rows(layers, model)), len(layer_rows(layers, resnets[0])))
    matrix = np.full(size, np.nan)
    matrix[rows["layer_a"].to_numpy(), rows["layer_b"].to_numpy()] = rows["cka"].to_numpy()
    return matrix


def _draw_curves(
    axes: Axes, table: pd.DataFrame, layers: pd.DataFrame, config: dict[str, Any], model: str
) -> None:
    network = full_network(config, model)
    others = other_seeds(config, network) if network else []
    axes.axvspan(2 / 3, 1, color="0.92", lw=0)
    for tokens, (colour, marker, what) in LOOKS.items():
        depth, value, error = _curve(table, layers, model, network, tokens)
        name = f"{series_name(config, network)}, {what}"
        look: dict[str, Any] = {"color": colour, "label": name}
        axes.fill_between(depth, value - error, value + error, alpha=0.2, lw=0, **look)
        axes.plot(depth, value, marker=marker, **look)
        for seed in others:
            x, y, _ = _curve(table, layers, model, seed, tokens)
            name = f"{series_name(config, seed)}, {what}"
            axes.plot(x, y, color=colour, linewidth=0.6, label=name)
        bare = untrained_network(config, model)
        x, y, _ = _curve(table, layers, model, bare, tokens)
        name = f"{series_name(config, bare)}, {what}"
        axes.plot(x, y, color=colour, linestyle=":", linewidth=1.0, label=name)
    axes.set(xlim=(-0.03, 1.03), xticks=[0, 1 / 3, 2 / 3, 1])
    axes.set_xticklabels(["0", "⅓", "⅔", "1"])
    axes.set_ylabel("linear CKA (no unit)")
    axes.grid(axis="y")


def _curve(
    table: pd.DataFrame,
    layers: pd.DataFrame,
    model: str,
    network: Network | None,
    tokens: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depths of the blocks, CKA of each with the last, and its standard error."""
    blocks = block_outputs(layers, model)
    own = _own(table, network, tokens)
    own = own[own["layer_b"] == blocks[-1]].set_index("layer_a")[["cka", "cka_se"]]
    own = own.reindex(blocks)
    depth = np.linspace(0, 1, len(blocks)) if len(blocks) > 1 else np.zeros(1)
    return depth, own["cka"].to_numpy(float), np.nan_to_num(own["cka_se"].to_numpy(float))


def _handles(matrices: list[np.ndarray]) -> list[Any]:
    handles: list[Any] = [
        Line2D([], [], color=colour, marker=marker, label=name)
        for colour, marker, name in LOOKS.values()
    ]
    handles += [
        Line2D([], [], color=GREY, linewidth=0.6, label="other seeds"),
        Line2D([], [], color=GREY, linestyle=":", linewidth=1.0, label="untrained"),
        Patch(color="0.92", label="final third"),
    ]
    if any(np.isnan(m).any() for m in matrices):
        handles.append(Patch(color=MISSING, label="does not vary over images"))
    return handles
