"""Lines of skip connections against branches, block by block: shared by Figures 7, E.1 and E.2."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sightlines.figures.maps import wrapped
from sightlines.figures.style import BLACK, BLUE, GREEN, GREY, VERMILLION
from sightlines.plan import roles
from sightlines.plan.networks import FULL, UNTRAINED, Network
from sightlines.results.selecting import (
    architectures,
    label,
    networks,
    require_some,
    rows_of,
    trained_models,
)
from sightlines.stats.jackknife import ALL

BRANCHES = {
    "attn": ("self-attention", BLUE, "o"),
    "mixing": ("token mixing", GREEN, "D"),
    "mlp": ("MLP", VERMILLION, "^"),
    "unit": ("convolutional unit", BLACK, "s"),
}
"""Branch -> what it is called, colour, marker."""
UNITS = ((BLACK, "s", "-"), ("0.45", "D", "-."), ("0.7", "v", (0, (1, 1))))
"""Colour, marker and line of the first, second, … convolutional network."""


def token_models(ratios: pd.DataFrame, config: dict[str, Any]) -> list[str]:
    """Models on all images that have tokens and whose blocks all have their skip connections.

    Raises:
        ResultError: there is none.
    """
    of_tokens = set(ratios.loc[ratios["branch"] != "unit", "model"])
    plain = roles.plain_models(networks(config), architectures(config))
    whole = [m for m in plain if m in of_tokens]
    require_some(
        whole,
        "skip_ratios.parquet has no network on all images that has tokens and all skip connections",
    )
    return whole


def convolutional_models(ratios: pd.DataFrame, config: dict[str, Any]) -> list[str]:
    """Models on all images that consist of units over maps."""
    of_units = set(ratios.loc[ratios["branch"] == "unit", "model"])
    return [m for m in trained_models(config) if m in of_units]


def with_fraction(
    ratios: pd.DataFrame, config: dict[str, Any], model: str, fraction: str
) -> list[Network]:
    """The model's networks of a fraction that the table has, its control first."""
    own = roles.on(networks(config), model, fraction)
    return [n for n in own if not rows_of(ratios, n).empty]


def has_seeds(ratios: pd.DataFrame, config: dict[str, Any], models: list[str]) -> bool:
    """Whether a model has several seeds that are drawn, trained or untrained."""
    every = ((m, fraction) for m in models for fraction in (FULL, UNTRAINED))
    return any(len(with_fraction(ratios, config, *pair)) > 1 for pair in every)


def lines(ratios: pd.DataFrame, network: Network, value: str) -> dict[tuple[str, str], Any]:
    """(branch, tokens) -> a column's values by block, of all images; blocks without it are NaN."""
    own = rows_of(ratios, network)
    own = own[own["left_out"] == ALL]
    found = {}
    for branch in BRANCHES:
        for tokens in ("spatial", "cls"):
            rows = own[(own["branch"] == branch) & (own["tokens"] == tokens)]
            if len(rows):
                blocks = np.arange(own["block"].max() + 1)
                found[branch, tokens] = rows.set_index("block")[value].reindex(blocks)
    return found


def draw_convolutional(
    axes: Axes, ratios: pd.DataFrame, config: dict[str, Any], fraction: str, value: str
) -> None:
    """The lines of every convolutional network, each with its look."""
    for turn, model in enumerate(convolutional_models(ratios, config)):
        draw_lines(axes, ratios, with_fraction(ratios, config, model, fraction), value, turn)


def draw_lines(
    axes: Axes, ratios: pd.DataFrame, nets: list[Network], value: str, turn: int = 0
) -> None:
    """One line a branch and kind of token; the second and later seeds thin.

    Args:
        axes: Where to draw.
        ratios: ``skip_ratios.parquet``.
        nets: Networks of one model and fraction.
        value: The column that is drawn: ``ratio`` or ``cosine``.
        turn: The model's place among the convolutional networks.
    """
    for place, network in enumerate(nets):
        for (branch, tokens), own in lines(ratios, network, value).items():
            look = _look(branch, tokens, turn) | {"label": _name(branch, tokens, network)}
            if place:
                look |= {"marker": "", "linewidth": 0.6, "alpha": 0.7}
            axes.plot(own.index, own.to_numpy(), **look)
    axes.set_xlabel("block index")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.grid(axis="y")


def _name(branch: str, tokens: str, network: Network) -> str:
    """What a line is called in the figure's numbers."""
    of = "" if branch == "unit" else ", CLS" if tokens == "cls" else ", patches"
    return f"{network.model}: {BRANCHES[branch][0]}{of}, {network.seed}"


def _look(branch: str, tokens: str, turn: int) -> dict[str, Any]:
    if branch == "unit":
        return dict(zip(("color", "marker", "linestyle"), UNITS[turn % len(UNITS)], strict=True))
    _, colour, marker = BRANCHES[branch]
    if tokens == "cls":
        return {"color": colour, "marker": marker, "linestyle": "--", "markerfacecolor": "white"}
    return {"color": colour, "marker": marker, "linestyle": "-"}


def handles(ratios: pd.DataFrame, config: dict[str, Any], seeds: bool) -> list[Line2D]:
    """Legend entries of what `draw_lines` draws, by branch; convolutional networks by name."""
    pairs = set(zip(ratios["branch"], ratios["tokens"], strict=True))
    found = []
    for branch in (b for b in BRANCHES if b != "unit"):
        for tokens, words in (("spatial", "patches"), ("cls", "CLS")):
            if (branch, tokens) in pairs:
                text = f"{BRANCHES[branch][0]}, {words}"
                found.append(Line2D([], [], label=text, **_look(branch, tokens, 0)))
    for turn, model in enumerate(convolutional_models(ratios, config)):
        text = f"{BRANCHES['unit'][0]}, {label(config, model)}"
        found.append(Line2D([], [], label=wrapped(text, 2.4), **_look("unit", "spatial", turn)))
    if seeds:
        found.append(Line2D([], [], color=GREY, linewidth=0.6, label="other seeds: thin"))
    return found


def is_zero(ratios: pd.DataFrame, network: Network) -> bool:
    """Whether every branch of the network is 0 for all images, so that it has no ratio."""
    return bool(rows_of(ratios, network)["ratio"].isna().all())


def token_matrix(tokens: pd.DataFrame, network: Network, branch: str) -> np.ndarray:
    """Norm ratios of one branch [blocks, tokens]; NaN in blocks that lack it."""
    own = rows_of(tokens, network)
    own = own[own["branch"] == branch]
    if own.empty:
        return np.empty((0, 0))
    matrix = np.full((own["block"].max() + 1, own["token"].max() + 1), np.nan)
    matrix[own["block"].to_numpy(), own["token"].to_numpy()] = own["ratio"].to_numpy()
    return matrix


def has_cls(ratios: pd.DataFrame, model: str) -> bool:
    """Whether the model has a class token."""
    return bool(((ratios["model"] == model) & (ratios["tokens"] == "cls")).any())
