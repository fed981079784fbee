"""Figure 5: are local attention heads more like a ResNet's lower layers than global ones?"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sightlines.figures import paper_curves
from sightlines.figures.attention_panels import plain_vits
from sightlines.figures.maps import wrapped
from sightlines.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    SKY,
    VERMILLION,
    column_width,
    full_width,
    styled,
    wrap_columns,
)
from sightlines.plan.networks import Network
from sightlines.results.paper_values import curves
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    require_some,
    rows_of,
    trained_models,
    untrained_network,
)
from sightlines.stats.jackknife import ALL, standard_error

TITLE = "Head subsets and a ResNet's lower layers"
PAPER = "Figure 5"
QUESTION = "local_and_global"
CAPTION = (
    "Subsets of heads of the ViT's first block, from local to global: linear CKA of their outputs "
    "with the lower units of a trained ResNet, against their mean attention distance in px of the "
    "input image. Distances are from other images than the CKA; bars are the jackknife standard "
    "error. Hollow marks are single heads, pale ones random subsets of as many heads; the dashed "
    "line is attention that looks everywhere alike. Second row: the untrained ViT with the same "
    "trained ResNet. Look for: lines that fall from left to right, so that local heads resemble "
    "the ResNet most. Points that huddle at the dashed line mean that the first block has no local "
    "heads to compare; a fall that the untrained ViT shows too is not learned. Dash-dotted: the "
    "paper's ViT-L/16 with ResNet-50, read off its plot to ±.005, at distances relative to uniform "
    "attention."
)
READS = ("head_subsets.parquet",)
NEEDS = ("plain_attention", "resnet")
EXPLAINS = (
    "A convolution looks only at its neighbourhood, so do attention heads that look nearby compute "
    "something like a ResNet's lower layers? The heads of the first block are sorted by how far "
    "they look, and the outputs of neighbours in that order, before the block mixes them, are "
    "compared with each of the ResNet's first units. A line that falls means that the farther "
    "heads look, the less they have in common with the ResNet."
)
DIFFERS = (
    "The paper does not say how its subsets are formed: ours are sliding windows of a quarter of "
    "the heads. We sort heads by other images than those compared, and add single heads, random "
    "subsets and an untrained ViT."
)
UNITS = ("b1u1", "b1u2", "b1u3", "b2u1", "b2u2")
LOOKS = ((BLUE, "o"), (SKY, "s"), (GREEN, "^"), (ORANGE, "D"), (VERMILLION, "v"))
"""Of the paper's block1unit1, 1unit2, 1unit3, 2unit1, 2unit2, by `unit_rank`."""
PAPER_PAIR = "L16-R50"
"""Networks of the paper's lines; the axes reach as far as they do."""

Pair = tuple[str, str]


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One column a ViT and ResNet: trained above, untrained below.

    Args:
        tables: ``head_subsets.parquet``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: the table has no trained ViT of the experiment.
    """
    table = tables["head_subsets.parquet"]
    pairs = _pairs(table, config)
    require_some(pairs, "head_subsets.parquet has no trained ViT and ResNet of this experiment")
    bands, columns = wrap_columns(len(pairs), 3)
    width = full_width() if columns > 1 else column_width()
    figure = Figure(figsize=(width, bands * 4.2 + 0.6), layout="constrained")
    grid = figure.subplots(bands * 2, columns, squeeze=False, sharex=True, sharey=True)
    for place, pair in enumerate(pairs):
        band, column = divmod(place, columns)
        stack = grid[band * 2 : band * 2 + 2, column]
        title = f"{label(config, pair[0])} × {label(config, pair[1])}"
        stack[0].set_title(wrapped(title, 1.8), fontweight="bold")
        networks = full_network(config, pair[0]), untrained_network(config, pair[0])
        for axes, network in zip(stack, networks, strict=True):
            _draw_panel(axes, _rows(table, network, pair[1]))
        stack[1].set_xlabel("mean attention distance\nof the subset (px)")
        _draw_paper(stack[0], _rows(table, networks[0], pair[1]))
        if column == 0:
            for axes, name in zip(stack, ("trained ViT", "untrained ViT"), strict=True):
                axes.set_ylabel(f"{name}\nlinear CKA (no unit)")
    for place in range(len(pairs), bands * columns):
        for axes in grid[place // columns * 2 : place // columns * 2 + 2, place % columns]:
            axes.set_axis_off()
    drawn = pd.concat([_rows(table, full_network(config, a), b) for a, b in pairs])
    _set_limits(grid[0, 0], table[table["model"].isin([a for a, _ in pairs])])
    figure.legend(
        handles=_handles(drawn), loc="outside lower center", ncols=4 if columns > 1 else 2
    )
    return figure


def _pairs(table: pd.DataFrame, config: dict[str, Any]) -> list[Pair]:
    """ViT and ResNet of each panel, in the config's order."""
    found = {m: rows_of(table, n) for m in trained_models(config) if (n := full_network(config, m))}
    vits = plain_vits(config, [m for m, rows in found.items() if len(rows)])
    return [(vit, str(other)) for vit in vits for other in found[vit]["other_model"].unique()]


def _rows(table: pd.DataFrame, network: Network | None, other: str) -> pd.DataFrame:
    own = rows_of(table, network) if network else table.iloc[:0]
    return own[own["other_model"] == other]


def _draw_panel(axes: Axes, rows: pd.DataFrame) -> None:
    if rows.empty:
        axes.text(0.5, 0.5, "no untrained network here", ha="center", transform=axes.transAxes)
        return
    uniform: dict[str, Any] = {"color": BLACK, "linestyle": "--", "linewidth": 0.9}
    axes.axvline(_uniform_px(rows), label="uniform attention", **uniform)
    for rank, own in rows.groupby("unit_rank"):
        if _has_windows(own):
            _draw_marks(axes, own[own["left_out"] == ALL], int(str(rank)))
    for rank, own in rows[rows["subset_kind"] == "window"].groupby("unit_rank"):
        _draw_line(axes, own, int(str(rank)))


def _draw_marks(axes: Axes, rows: pd.DataFrame, rank: int) -> None:
    """Single heads and random subsets, of one unit."""
    colour, marker = LOOKS[rank]
    points: dict[str, Any] = {"linestyle": "", "marker": marker, "markersize": 3, "color": colour}
    for kind, fill in (("random", {"alpha": 0.28, "mew": 0}), ("single", _hollow(colour))):
        own = rows[rows["subset_kind"] == kind]
        name = f"{_unit_name(rank)}, {kind} heads"
        axes.plot(own["distance_px"], own["cka"], label=name, **points, **fill)


def _draw_line(axes: Axes, rows: pd.DataFrame, rank: int) -> None:
    """Windows of one unit with their standard errors."""
    line = rows[rows["left_out"] == ALL].sort_values("distance_px")
    frame = rows.pivot(index="left_out", columns="subset", values="cka").sort_index()
    error = pd.Series(standard_error(frame.to_numpy()), frame.columns)[line["subset"]].to_numpy()
    colour, marker = LOOKS[rank]
    look: dict[str, Any] = {"color": colour, "marker": marker, "elinewidth": 0.8}
    axes.errorbar(line["distance_px"], line["cka"], error, label=_unit_name(rank), **look)


def _draw_paper(axes: Axes, rows: pd.DataFrame) -> None:
    """ViT-L/16 with ResNet-50, at the paper's distances relative to uniform attention."""
    uniform, found = _uniform_px(rows), curves("5")
    for rank in rows["unit_rank"].unique().tolist():
        if curve := found.get(f"{PAPER_PAIR}_{UNITS[rank]}"):
            distance = uniform * paper_curves.relative_distances(curve)
            look: dict[str, Any] = {"color": LOOKS[rank][0], "label": paper_curves.name_of(curve)}
            axes.plot(distance, curve.values, **look, **paper_curves.LOOK)


def _uniform_px(rows: pd.DataFrame) -> float:
    return float((rows["distance_px"] / rows["relative"]).median())


def _hollow(colour: str) -> dict[str, Any]:
    return {"markerfacecolor": "none", "markeredgecolor": colour, "mew": 0.7}


def _has_windows(rows: pd.DataFrame) -> bool:
    """Whether a window is more than one head; else single heads and random subsets are the same."""
    return bool(rows.loc[rows["subset_kind"] == "window", "heads"].str.contains(" ").any())


def _set_limits(axes: Axes, rows: pd.DataFrame) -> None:
    """Common limits, which hold the paper's lines too."""
    whole = rows[rows["left_out"] == ALL]
    uniform = (whole["distance_px"] / whole["relative"]).median()
    paper = [c for name, c in curves("5").items() if name.startswith(PAPER_PAIR)]
    nearest = min(paper_curves.relative_distances(curve).min() for curve in paper)
    low = min(nearest * uniform, whole["distance_px"].min())
    high = max(uniform, whole["distance_px"].max())
    axes.set_xlim(low - 0.03 * (high - low), high + 0.05 * (high - low))
    shown = [value for curve in paper for value in curve.values]
    top = float(np.nanmax(whole["cka"].to_numpy(np.float64), initial=max(shown)))
    bottom = float(np.nanmin(whole["cka"].to_numpy(np.float64), initial=0.0))
    axes.set_ylim(bottom - 0.02, 1.1 * top)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _handles(rows: pd.DataFrame) -> list[Any]:
    units = [
        Line2D([], [], color=LOOKS[rank][0], marker=LOOKS[rank][1], label=_unit_name(rank))
        for rank in sorted(rows["unit_rank"].unique().tolist())
    ]
    marks: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 3.5, "color": "0.35"}
    single = Line2D([], [], label="single heads", **marks | _hollow("0.35"))
    random = Line2D([], [], label="random subsets", **marks, alpha=0.3, mew=0)
    uniform = Line2D([], [], color=BLACK, linestyle="--", linewidth=0.9, label="uniform attention")
    paper = paper_curves.handle("ViT-L/16 × ResNet-50")
    return [*units, *([single, random] if _has_windows(rows) else []), uniform, paper]


def _unit_name(rank: int) -> str:
    return "stage {1}, unit {3}".format(*UNITS[rank])
