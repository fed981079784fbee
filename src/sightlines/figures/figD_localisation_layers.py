"""Figures D.1 to D.3: localisation in other layers than the last, and against depth."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures import localisation_panels as panels
from sightlines.figures import maps
from sightlines.figures.localisation_selecting import CLS, Heatmaps, heatmaps, shown_tokens
from sightlines.figures.style import BLACK, full_width, model_look, series_name, styled
from sightlines.plan.networks import Network
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    models,
    other_seeds,
    plain_models,
    require_some,
    rows_of,
    untrained_network,
)
from sightlines.stats.jackknife import ALL, standard_error

TITLE = "Localisation in other layers"
PAPER = "Figures D.1–D.3"
QUESTION = "places"
CAPTION = (
    "Top: means over interior tokens against depth (0: first layer, 1: last), of every block "
    "output and, as a hollow marker, of the final norm: how far the own patch stands above the "
    "mean of the others, in standard deviations of these (d, the same on any grid), share of "
    "tokens for which no patch is more similar than the own, and correlation of the maps of "
    "different tokens (none of them has a unit). Bands are the jackknife standard error over "
    "images, thin lines other seeds, dotted lines the untrained network. Below: CKA maps as in "
    "Figure 9, of the last two blocks and the final norm, or of a ResNet's middle unit, first unit "
    "of the last stage, and last unit. Look for: ViTs that stay localised until the end, and a "
    "ResNet that is more localised before its last unit. A ViT whose d falls in the last block "
    "would side with those who find that it discards places there."
)
EXPLAINS = (
    "At which depth do tokens lose their place, if at all?",
    "The comparison of Figure 9 is made for the output of every block, and its scores are drawn "
    "against depth.",
    "High d and low correlation of maps mean localised tokens; compare each line with its dotted "
    "untrained one.",
)
DIFFERS = (
    "The paper shows single maps; the curves over all blocks, the final norm and the class token "
    "are added, since whether the last layer is localised is disputed."
)
READS = ("localisation.parquet", "localisation_tokens.parquet", "localisation_maps.parquet")
NEEDS = ("trained",)

CURVES_IN = 2.6
"""Height of the curves with their legend."""
CURVES = {
    "effect": "own patch, d",
    "rank_1_share": "share of tokens\nwith own patch first",
    "token_correlation": "correlation of\ntokens' maps",
}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Curves over depth, then three layers of every model, two models side by side.

    Args:
        tables: The three tables of localisation.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: the tables have no trained network of this experiment.
    """
    found = {m: _layers(tables, config, m) for m in plain_models(config)}
    found = {m: layers for m, layers in found.items() if layers}
    require_some(found, "localisation_maps.parquet has no trained network of this experiment")
    band_in = panels.HEADER_IN + max(map(len, found.values())) * panels.ROW_IN + panels.AXIS_IN
    bands = -(-len(found) // 2)
    figure = Figure(figsize=(full_width(), CURVES_IN + bands * band_in))
    _draw_curves(figure, tables, config, list(found))
    for place, (model, layers) in enumerate(found.items()):
        band, half = divmod(place, 2)
        top_in = CURVES_IN + band * band_in
        panels.add_header(figure, half, top_in, label(config, model))
        _draw_model(figure, half, top_in + panels.HEADER_IN, layers, label(config, model))
    panels.explain_grey(figure, tables["localisation_maps.parquet"])
    return figure


def _layers(tables: Tables, config: dict[str, Any], model: str) -> dict[str, Heatmaps]:
    """The drawn layers of the trained network by name, in order of depth."""
    network = full_network(config, model)
    if network is None:
        return {}
    own = rows_of(tables["localisation_maps.parquet"], network)
    names = own.drop_duplicates("name").sort_values("depth")["name"]
    maps_of = {name: heatmaps(tables, network, name) for name in names}
    return {name: found for name, found in maps_of.items() if found is not None}


def _draw_model(
    figure: Figure, half: int, top_in: float, layers: dict[str, Heatmaps], title: str
) -> None:
    for row, (name, found) in enumerate(layers.items()):
        line = panels.add_row(figure, half, top_in + row * panels.ROW_IN)
        tokens = shown_tokens(found.grid)
        if CLS in found.cka:
            tokens = [*tokens[: panels.PANELS - 1], CLS]
        panels.draw_row(line, found, tokens, name, f"{title}, {name}")
        if row == len(layers) - 1:
            panels.name_axes(line[0], found.grid)


def _draw_curves(figure: Figure, tables: Tables, config: dict[str, Any], shown: list[str]) -> None:
    table = tables["localisation.parquet"]
    table = table[(table["where"] == "interior") & (table["score"] == "cka")]
    width, height = figure.get_size_inches()
    for place, (column, name) in enumerate(CURVES.items()):
        box = (0.5 + place * 2.37, height - 1.75, 1.7, 1.6)
        axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        for model in shown:
            _draw_model_curves(axes, table, config, model, column)
        low, high = axes.get_ylim()
        axes.set_ylim(min(0, low), high if column == "effect" else max(high, 1.04))
        axes.set(xlabel="depth (share of layers)", ylabel=name, xlim=(-0.03, 1.06))
    handles = [
        Line2D([], [], label=maps.wrapped(label(config, m), 1.6), **model_look(models(config), m))
        for m in shown
    ]
    handles.append(Line2D([], [], color=BLACK, linestyle=":", label="untrained"))
    anchor = (0.5, (height - 2.12) / height)
    columns = min(len(handles), 6)
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=anchor, ncols=columns)


def _draw_model_curves(
    axes: Axes, table: pd.DataFrame, config: dict[str, Any], model: str, column: str
) -> None:
    look = model_look(models(config), model)
    first, bare = full_network(config, model), untrained_network(config, model)
    for network in other_seeds(config, first) if first else []:
        thin: dict[str, Any] = {"linewidth": 0.6, "label": series_name(config, network)}
        axes.plot(*_curve(table, network, column)[:2], color=look["color"], **thin)
    if bare is not None:
        depth, values, _, _ = _curve(table, bare, column)
        dotted: dict[str, Any] = {"linestyle": ":", "linewidth": 1.0}
        dotted["label"] = series_name(config, bare)
        axes.plot(depth, values, color=look["color"], **dotted)
    if first is None:
        return
    depth, values, error, norm = _curve(table, first, column)
    name = series_name(config, first)
    axes.plot(depth, values, label=name, **look)
    band: dict[str, Any] = {"color": look["color"], "alpha": 0.2, "lw": 0, "label": name}
    axes.fill_between(depth, values - error, values + error, **band)
    look |= {"linestyle": "", "markerfacecolor": "none", "label": f"{name}, final norm"}
    axes.plot(norm["depth"], norm[column], **look)


def _curve(table: pd.DataFrame, network: Network, column: str) -> tuple[Any, Any, Any, Any]:
    """Depths, values and standard errors of the block outputs; rows of the final norm."""
    own = rows_of(table, network)
    blocks = own[own["block"] >= 0].pivot_table(
        index="left_out", columns="depth", values=column, dropna=False
    )
    norm = own[(own["block"] < 0) & (own["left_out"] == ALL)]
    values = blocks.sort_index().to_numpy()
    if not len(values):
        return [], [], [], norm
    return blocks.columns.to_numpy(), values[0], standard_error(values), norm
