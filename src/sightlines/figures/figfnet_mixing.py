"""FNet: what mixing tokens without parameters keeps of accuracy, of places, and of similarity."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from sightlines.figures import maps
from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILLION,
    full_width,
    styled,
)
from sightlines.plan import roles
from sightlines.plan.networks import FULL, Network
from sightlines.results.selecting import (
    Tables,
    architectures,
    cka_matrix,
    full_network,
    label,
    layer_rows,
    networks,
    plain_models,
    require_some,
    rows_of,
    untrained_network,
)

STUDY = "lee_thorp2021"
TITLE = "Mixing tokens by a Fourier transform"
PAPER = "Table 2"
CAPTION = (
    "Upper left: test accuracy above chance of each network, relative to the first ViT's; points "
    "are seeds, open diamonds the published GLUE averages relative to BERT-Base (text, another "
    "task and size). Upper middle: share of interior tokens whose own patch of pixels is the most "
    "similar one, in the stream (lines) and in what mixing adds to it (dashed). Upper right: CKA "
    "of that with the mirrored patch less with other patches; dashed: untrained. Lower row: CKA of "
    "the FNet's layers with its own and with other networks'. Look for: an FNet not far below the "
    "ViT and well above random and no mixing; places in the stream and not in the branches; a rise "
    "of the mirror from the first block to the second for Fourier mixing alone. Places in the "
    "branches, or an FNet at the level of no mixing, would contradict the paper."
)
EXPLAINS = (
    "Does a network need attention to bring its tokens together? An FNet adds a Fourier transform "
    "over tokens and features, which has no parameters and looks at no content. Its controls mix "
    "by the Hartley transform, which loses nothing, by fixed random matrices, or not at all."
)
DIFFERS = (
    "The paper's networks read text and are pre-trained; norms stand after the sums there. Ours "
    "classify images, with norms before the branches and an orthonormal transform (norm: post has "
    "the paper's). Its random matrices are drawn anew, ours are orthogonal."
)
READS = (
    "accuracy.csv",
    "branch_places.parquet",
    "localisation.parquet",
    "cka.parquet",
    "layers.csv",
)
NEEDS = ("fnet",)

PUBLISHED = {"fourier": 76.7, "random": 56.6, "identity": 49.3, "hybrid": 80.6}
"""GLUE averages of Base networks (Lee-Thorp et al. 2021, Table 2, by others' notes of it)."""
BERT = 83.3
COLOURS = {
    "fourier": BLUE,
    "hartley": GREEN,
    "random": ORANGE,
    "identity": GREY,
    "hybrid": "#56B4E9",
    "vit": VERMILLION,
}
SIDE_IN = 1.75
ROW_IN, NAMES_IN = 0.2, 1.8
"""Of a network's row among the accuracies, and of legends and titles around them."""
MOST_MAPS = 4


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Accuracies, places, mirrors; then maps of CKA.

    Args:
        tables: READS.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: no FNet is trained on all images.
    """
    fnets = [m for m in plain_models(config) if kind_of(config, m) in PUBLISHED | {"hartley": 0}]
    require_some(fnets, "there is no FNet among the networks trained on all images")
    upper = max(2.9, NAMES_IN + ROW_IN * len(plain_models(config)))
    figure = Figure(figsize=(full_width(), upper + SIDE_IN + 0.5), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[upper, SIDE_IN + 0.5])
    above, below = parts
    left, middle, right = above.subplots(1, 3)
    _draw_accuracy(left, tables["accuracy.csv"], config, fnets)
    first = next((m for m in fnets if kind_of(config, m) == "fourier"), fnets[0])
    vits = [m for m in plain_models(config) if kind_of(config, m) == "vit"][:1]
    _draw_places(middle, tables, config, [first, *vits])
    _draw_mirrors(right, tables["branch_places.parquet"], config, fnets)
    _draw_maps(below, tables, config, first)
    return figure


def kind_of(config: dict[str, Any], model: str) -> str:
    """``fourier``, ``hartley``, ``random``, ``identity``; ``hybrid``; or the model's family."""
    own = architectures(config)[model]
    if own["family"] != "fnet":
        return str(own["family"])
    return "hybrid" if own.get("attention_blocks") else str(own.get("mixing", "fourier"))


def _draw_accuracy(
    axes: Axes, table: pd.DataFrame, config: dict[str, Any], fnets: list[str]
) -> None:
    """One row a network: ViTs, then FNets, then others."""
    plain = plain_models(config)
    vits = [m for m in plain if kind_of(config, m) == "vit"]
    rest = [m for m in plain if m not in (*vits, *fnets)]
    shown = [*vits, *fnets, *rest]
    found = {m: _above_chance(table, m) for m in shown}
    base = float(np.mean(found[vits[0]])) if vits else 1.0
    for place, model in enumerate(shown):
        kind, values = kind_of(config, model), found[model]
        colour = COLOURS.get(kind, BLACK)
        dots: dict[str, Any] = {"color": colour, "linestyle": "", "label": label(config, model)}
        axes.plot(values / base, [place] * len(values), "o", **dots)
        if vits and kind in PUBLISHED:
            look: dict[str, Any] = {"marker": "D", "markerfacecolor": "none", "markersize": 4.5}
            look |= {"color": BLACK, "linestyle": "", "label": "published"}
            axes.plot(PUBLISHED[kind] / BERT, place, **look)
    axes.set_yticks(range(len(shown)), [label(config, m) for m in shown], fontsize="small")
    axes.set_ylabel("network")
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.set_xlim(0, 1.05 * max(1.0, *(float(np.max(own / base)) for own in found.values())))
    what = f"relative to {label(config, vits[0])}" if vits else "share of what there is"
    axes.set_xlabel(f"accuracy above chance\n({what})")
    axes.set_title("accuracy", fontweight="bold")


def _above_chance(table: pd.DataFrame, model: str) -> np.ndarray:
    own = table[(table["model"] == model) & (table["fraction"] == FULL)]
    return ((own["accuracy_test"] - own["chance"]) / (1 - own["chance"])).to_numpy()


def _draw_places(axes: Axes, tables: Tables, config: dict[str, Any], models: list[str]) -> None:
    stream, branch = tables["localisation.parquet"], tables["branch_places.parquet"]
    stream = stream[(stream["where"] == "interior") & (stream["score"] == "cka")]
    for model in models:
        network = full_network(config, model)
        colour, name = COLOURS.get(kind_of(config, model), BLACK), label(config, model)
        for table, line, what in ((stream, "-", "stream"), (branch, "--", "branch")):
            own = _whole(table, network)
            own = own[own["block"] >= 0].sort_values("block")
            values, where = own["rank_1_share"], own["block"]
            axes.plot(where, values, line, marker="o", color=colour, label=f"{name}: {what}")
    axes.axhline(0.75, color=GREY, linewidth=0.7, linestyle=":", label=DECORATION)
    axes.axhline(0.25, color=GREY, linewidth=0.7, linestyle=":", label=DECORATION)
    axes.set(xlabel="block", ylabel="own patch first\n(share of tokens)", ylim=(-0.03, 1.03))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), fontsize="small")
    axes.set_title("places", fontweight="bold")


def _whole(table: pd.DataFrame, network: Network | None) -> pd.DataFrame:
    """Rows of a network, of all images."""
    if network is None:
        return table[:0]
    own = rows_of(table, network)
    return own[own["left_out"] == -1]


def _draw_mirrors(
    axes: Axes, table: pd.DataFrame, config: dict[str, Any], fnets: list[str]
) -> None:
    mixing = [m for m in fnets if kind_of(config, m) != "hybrid"]
    for model in mixing:
        colour, name = COLOURS[kind_of(config, model)], label(config, model)
        for network, line in (
            (untrained_network(config, model), "--"),
            (full_network(config, model), "-"),
        ):
            own = _whole(table, network).sort_values("block")
            if own.empty:  # an untrained twin that is not among the runs
                continue
            named = name if line == "-" else f"{name}, untrained"
            axes.plot(
                own["block"], own["mirror_excess"], line, marker="o", color=colour, label=named
            )
    axes.axhline(0, color=GREY, linewidth=0.7, label=DECORATION)
    axes.set(xlabel="block", ylabel="mirrored patch\nless others (CKA)")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), fontsize="small")
    axes.set_title("mirror", fontweight="bold")


def _draw_maps(figure: SubFigure, tables: Tables, config: dict[str, Any], fnet: str) -> None:
    """CKA of one FNet with itself, and with a network of each other family."""
    others, layers = [fnet], tables["layers.csv"]
    for model in plain_models(config):
        kinds = [kind_of(config, m) for m in others]
        if kind_of(config, model) not in kinds and architectures(config)[model]["family"] != "fnet":
            others.append(model)
    others = others[:MOST_MAPS]
    grid = figure.subplots(1, MOST_MAPS, squeeze=False)[0]
    own = full_network(config, fnet)
    networks_of = [_of_seed(config, model, own) for model in others]
    found = [
        None if own is None or n is None else cka_matrix(tables["cka.parquet"], layers, own, n)
        for n in networks_of
    ]
    finite = [m for m in found if m is not None]
    scale = maps.common_scale(finite)
    images = []
    for axes, model, matrix in zip(grid, others, found, strict=False):
        if matrix is None:
            maps.blank(axes, "not compared")
            continue
        images.append(maps.draw_map(axes, matrix, scale))
        maps.mark_blocks(axes, *(layer_rows(layers, m) for m in (fnet, model)))
        axes.set_xlabel(maps.wrapped(f"{label(config, model)}: layer index", 1.3))
    grid[0].set_ylabel(maps.wrapped(f"{label(config, fnet)}: layer index", 1.5))
    for axes in grid[len(others) :]:
        axes.set_axis_off()
    if images:
        figure.colorbar(images[0], ax=list(grid), label="linear CKA", shrink=0.9, aspect=18)


def _of_seed(config: dict[str, Any], model: str, like: Network | None) -> Network | None:
    if like is None:
        return full_network(config, model)
    return roles.same_seed(networks(config), model, like)
