"""Curves of linear probes by depth: shared by Figures 11, 13, D.4 and F."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from sightlines.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILLION
from sightlines.plan import roles
from sightlines.plan.networks import Network
from sightlines.results.selecting import (
    architectures,
    full_network,
    networks,
    rows_of,
    settings,
    untrained_network,
)
from sightlines.results.tables import NORM

WHOLE = 0
"""Value of the column `shots` for probes on all training images."""
POOLING = {
    ("cls", "cls"): ("CLS; CLS token", BLUE, "o"),
    ("cls", "mean"): ("CLS; GAP (except CLS)", SKY, "s"),
    ("cls", "all"): ("CLS; GAP (with CLS)", GREEN, "D"),
    ("gap", "first"): ("GAP; first token", ORANGE, "v"),
    ("gap", "mean"): ("GAP; GAP", VERMILLION, "^"),
}
"""(how the ViT is read out in training, what the probe is fitted to): name, colour, marker."""
OWN_READ_OUT = (("cls", "cls"), ("gap", "mean"))


def curve(
    table: pd.DataFrame, network: Network, pool: str, shots: int = WHOLE, dataset: str = ""
) -> pd.DataFrame:
    """Accuracy in % by depth: mean, and lowest and highest draw; empty where not probed.

    Args:
        table: ``probes.parquet``.
        network: Whose probes.
        pool: What they are fitted to: ``cls``, ``mean``, ``all``, ``first``.
        shots: Images of each class, or WHOLE.
        dataset: Another task's name; empty: the experiment's own images.
    """
    wanted = (table["pool"] == pool) & (table["dataset"] == dataset) & (table["shots"] == shots)
    grouped = rows_of(table[wanted], network).groupby(["depth", "name"])["accuracy"]
    return _spread(grouped.mean(), grouped.min(), grouped.max())


def token_curve(table: pd.DataFrame, network: Network, shots: int = WHOLE) -> pd.DataFrame:
    """Accuracy in % by depth: mean over patch tokens, and their 10th and 90th percentile."""
    own = rows_of(table, network)
    own = own[(own["row"] >= 0) & (own["shots"] == shots)]
    tokens = own.groupby(["depth", "name", "token"], as_index=False)["accuracy"].mean()
    grouped = tokens.groupby(["depth", "name"])["accuracy"]
    return _spread(grouped.mean(), grouped.quantile(0.1), grouped.quantile(0.9))


def _spread(mean: pd.Series, low: pd.Series, high: pd.Series) -> pd.DataFrame:
    found = 100 * pd.DataFrame({"mean": mean, "low": low, "high": high})
    return found.reset_index().sort_values("depth", kind="stable", ignore_index=True)


def draw_curve(axes: Axes, values: pd.DataFrame, band: bool = False, **look: Any) -> None:
    """One line over the blocks; the final norm has a hollow marker of its own."""
    if values.empty:
        return
    blocks, end = values[values["name"] != NORM], values[values["name"] == NORM]
    (line,) = axes.plot(blocks["depth"], blocks["mean"], **look)
    name = str(line.get_label())
    if band:
        x, low, high = blocks["depth"], blocks["low"], blocks["high"]
        axes.fill_between(x, low, high, color=line.get_color(), alpha=0.18, lw=0, label=name)
    if look.get("marker") and len(end):
        hollow = {"markerfacecolor": "white", "linestyle": "", "label": f"{name}, final norm"}
        axes.plot(end["depth"], end["mean"], **(look | hollow))


def draw_bare(axes: Axes, values: pd.DataFrame, colour: str, name: str) -> None:
    """The line of an untrained network: the control of the trained one of that colour."""
    draw_curve(axes, values, color=colour, linestyle=":", linewidth=1.0, marker="", label=name)


def finish(axes: Axes, chance: float) -> None:
    """Axes by depth and per cent, with the line of chance."""
    axes.axhline(100 * chance, color=GREY, linewidth=0.8, linestyle=(0, (1, 1)), label="chance")
    axes.set(xlim=(-0.03, 1.03), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_xticklabels(["0", ".25", ".5", ".75", "1"])
    axes.grid(axis="y")


def limits(tables: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """Per cent from 0 to just above the best probe."""
    best = max(float(t["accuracy"].max()) for t in tables)
    return 0.0, min(100 * best * 1.06, 101)


def contrasted(config: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """ViTs with a class token, pooled ViTs, ResNets: what Figure 11 sets against each other.

    Of the ViTs with a class token those that a pooled one shares its architecture with; all where
    there is none.
    """
    own, known = networks(config), architectures(config)
    alike = [cls for cls, _ in roles.pooled_pairs(own, known)]
    return (
        list(dict.fromkeys(alike)) or roles.of_kind(own, known, "vit", "cls"),
        roles.of_kind(own, known, "vit", "gap"),
        roles.of_kind(own, known, "resnet"),
    )


def _pool(config: dict[str, Any], model: str) -> str:
    return str(settings(config, model).get("pool", "cls"))


def draw_pooling(
    axes: Axes, table: pd.DataFrame, config: dict[str, Any], shots: int, dataset: str = ""
) -> set[tuple[str, str]]:
    """The curves of POOLING, of the first ViT of each kind; returns which there were.

    Where the probe sees what the ViT is read out by, its untrained network stands beside it.
    """
    cls, gap, _ = contrasted(config)
    drawn = set()
    for (kind, pool), (name, colour, marker) in POOLING.items():
        model = next(iter(cls if kind == "cls" else gap), None)
        network = full_network(config, model) if model else None
        values = curve(table, network, pool, shots, dataset) if network else pd.DataFrame()
        if not values.empty:
            look: dict[str, Any] = {"color": colour, "marker": marker, "label": name}
            draw_curve(axes, values, shots != WHOLE, **look)
            drawn.add((kind, pool))
            bare = untrained_network(config, str(model))
            if bare is not None and (kind, pool) in OWN_READ_OUT:
                own = curve(table, bare, pool, shots, dataset)
                draw_bare(axes, own, colour, f"{name}, untrained")
    return drawn


def pooling_handles(drawn: set[tuple[str, str]], before: str) -> list[Line2D]:
    """Legend entries of `draw_pooling`; `before` is the panel's letter."""
    return [
        Line2D([], [], label=before + name, color=colour, marker=marker)
        for key, (name, colour, marker) in POOLING.items()
        if key in drawn
    ]


def handle(text: str, **look: Any) -> Line2D:
    """One legend entry."""
    return Line2D([], [], label=text, **look)


def control_handles(bare: bool) -> list[Line2D]:
    """Legend entries of the untrained networks, of chance and of the final norm."""
    own = [handle("untrained", color=BLACK, linestyle=":", linewidth=1.0)] if bare else []
    norm = {"color": BLACK, "marker": "o", "linestyle": "", "markerfacecolor": "white"}
    chance = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (1, 1))}
    return [*own, handle("chance", **chance), handle("final norm", **norm)]


def few_shots(table: pd.DataFrame) -> list[int]:
    """Values of the column `shots`: WHOLE, then numbers of shots."""
    return sorted(int(s) for s in table["shots"].unique())


def training_images(table: pd.DataFrame, shots: int) -> str:
    """How many images the probes of a table are fitted to, such as ``1,000 training images``.

    Args:
        table: ``probes.parquet`` or ``token_probes.parquet``, of one dataset.
        shots: Images of each class, or WHOLE.
    """
    counts = table.loc[table["shots"] == shots, "train_images"]
    if counts.empty:
        return "no training images"
    ends = dict.fromkeys((int(counts.min()), int(counts.max())))
    return f"{'–'.join(f'{count:,}' for count in ends)} training images"


def shots_name(shots: int) -> str:
    """What probes on so many images are called."""
    return f"probe fitted to {shots} a class" if shots else "probe fitted to all its images"
