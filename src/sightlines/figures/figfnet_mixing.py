"""FNet: what mixing tokens without parameters keeps of accuracy, of places, and of similarity."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sightlines.figures import maps
from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    MODEL_MARKERS,
    ORANGE,
    PURPLE,
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
from sightlines.stats.means import mean_of_finite

STUDY = "lee_thorp2021"
TITLE = "Mixing tokens by a Fourier transform"
PAPER = "Table 2"
CAPTION = (
    "Upper left: test accuracy above chance of each network, relative to the first ViT's; points "
    "are seeds, open diamonds the published GLUE averages relative to BERT-Base (text, another "
    "task and size). Upper middle: share of interior tokens whose own patch of pixels is the most "
    "similar one, in the stream (lines) and in what mixing adds to it (dashed). Upper right: CKA "
    "of that with the mirrored patch less with other patches; dashed: untrained. Lower panel: CKA "
    "of each of the FNet's layers with those of another network, mean over the other's layers; "
    "dashed: untrained. Look for: an FNet not far below the ViT and well above random and no "
    "mixing; places in the stream and not in the branches; a rise of the mirror from the first "
    "block to the second for Fourier mixing alone; the Mixer's line above the ResNet's. Places in "
    "the branches, or an FNet at the level of no mixing, would contradict the paper."
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
    "mixer": PURPLE,
}
LOWER_IN = 2.1
ROW_IN, NAMES_IN = 0.2, 1.8
"""Of a network's row among the accuracies, and of legends and titles around them."""
MOST_OTHERS = 4


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Accuracies, places, mirrors; then similarity with other networks, where there are any.

    Args:
        tables: READS.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: no FNet is trained on all images.
    """
    fnets = [m for m in plain_models(config) if kind_of(config, m) in PUBLISHED | {"hartley": 0}]
    require_some(fnets, "there is no FNet among the networks trained on all images")
    first = roles.fourier_model(networks(config), architectures(config)) or fnets[0]
    others = _others(config)
    heights = [max(2.9, NAMES_IN + ROW_IN * len(plain_models(config)))]
    heights += [LOWER_IN] if others else []
    figure = Figure(figsize=(full_width(), sum(heights)), layout="constrained")
    parts: Any = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)
    left, middle, right = parts[0, 0].subplots(1, 3)
    _draw_accuracy(left, tables["accuracy.csv"], config, fnets)
    vits = [m for m in plain_models(config) if kind_of(config, m) == "vit"][:1]
    _draw_places(middle, tables, config, [first, *vits])
    _draw_mirrors(right, tables["branch_places.parquet"], config, fnets)
    if others:
        _draw_similarity(parts[1, 0].subplots(), tables, config, first, others)
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


def _others(config: dict[str, Any]) -> list[str]:
    """The first model of each other family."""
    first: dict[str, str] = {}
    for model in plain_models(config):
        first.setdefault(str(architectures(config)[model]["family"]), model)
    return [model for family, model in first.items() if family != "fnet"][:MOST_OTHERS]


def _draw_similarity(
    axes: Axes, tables: Tables, config: dict[str, Any], fnet: str, others: list[str]
) -> None:
    """CKA of each layer of an FNet with other networks, mean over their layers; and untrained.

    The mean of a line over layers is what claim F3 compares; single cells are in Figures 1, 2 and
    H.
    """
    cka, layers = tables["cka.parquet"], tables["layers.csv"]
    full, bare = full_network(config, fnet), untrained_network(config, fnet)
    for place, model in enumerate(others):
        look: dict[str, Any] = {"color": COLOURS.get(kind_of(config, model), BLACK)}
        look |= {"marker": MODEL_MARKERS[place], "markersize": 3}
        for own, other, line, name in (
            (bare, untrained_network(config, model), "--", f"{label(config, model)}, untrained"),
            (full, _of_seed(config, model, full), "-", label(config, model)),
        ):
            if own is None or other is None:
                continue
            matrix = cka_matrix(cka, layers, own, other)
            if matrix is not None:
                means = mean_of_finite(matrix)
                axes.plot(np.arange(len(means)), means, line, label=name, **look)
    maps.mark_blocks(axes, None, layer_rows(layers, fnet))
    axes.set(xlabel=f"{label(config, fnet)}: layer index (small ticks: a block begins)")
    axes.set(ylabel="linear CKA\n(mean over layers)", ylim=(min(0.0, axes.get_ylim()[0]), 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small")
    axes.set_title("similarity with other networks", fontweight="bold")


def _of_seed(config: dict[str, Any], model: str, like: Network | None) -> Network | None:
    if like is None:
        return full_network(config, model)
    return roles.same_seed(networks(config), model, like)
