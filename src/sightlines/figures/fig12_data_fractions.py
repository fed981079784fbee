"""Figure 12: how early in training data a network's blocks reach their final form."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sightlines.figures import paper_curves
from sightlines.figures.maps import wrapped
from sightlines.figures.style import (
    BLACK,
    GREY,
    column_width,
    fraction_label,
    fraction_look,
    full_width,
    styled,
    wrap_columns,
)
from sightlines.plan.networks import Network, per_cent
from sightlines.results.paper_values import curves
from sightlines.results.selecting import Tables, label, models, require_some, untrained_network

TITLE = "Similarity to the network trained on all images"
PAPER = "Figure 12"
QUESTION = "data"
CAPTION = (
    "Linear CKA of each block's output with the same block of the network trained on all images; "
    "error bars are the jackknife standard error over minibatches of reference images. Look for: "
    "lower blocks that agree already with few images, higher blocks that need more, most of all in "
    "large ViTs. The dashed line is the ceiling: all images, another seed; nothing can be expected "
    "to lie above it, and a fall that it shares is not the data's doing. The dotted line is the "
    "untrained network. Lines without order by share, or flat ones, would contradict the paper. "
    "Thin lines are further seeds. Dash-dotted, in the colour of the same share: the paper's "
    "ViT-B/32 (in the first ViT's panel) and ViT-L/16 on shares of JFT-300M, read off its plot to "
    "±.02, by their share of all blocks."
)
READS = ("data_fractions.csv",)
NEEDS = ("trained", "two_fractions")
EXPLAINS = (
    "How many images does a block need before it computes what it computes with all of them? Each "
    "network trained on a share of the images, for equally many steps, is compared block by block "
    "with the network trained on all. A block near the dashed ceiling is as close as a second run "
    "on all images would be; one far below it still depends on more data."
)
DIFFERS = (
    "The paper trains on 3, 10 and 30 % of JFT-300M and has no ceiling: without it a fall with "
    "depth may be the seed's. Compared networks have weights and image orders of their own, as the "
    "ceiling's have."
)

PAPER_LINES = paper_curves.handle("ViT-B/32 and L/16")

NAMES = {"ceiling": "all images, another seed (ceiling)", "untrained": "untrained (floor)"}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a model: CKA to the full-data network against block, a line a fraction.

    Args:
        tables: ``data_fractions.csv``.
        config: `networks`, `labels`.

    Raises:
        ResultError: the table has no rows of the experiment's models.
    """
    table = tables["data_fractions.csv"]
    shown = [m for m in models(config) if _has_less_data(table, m)]
    require_some(shown, "data_fractions.csv has no model of this experiment with less data")
    bands, columns = wrap_columns(len(shown), 3)
    width = full_width() if columns > 1 else column_width()
    figure = Figure(figsize=(width, 2.4 * bands + 0.7), layout="constrained")
    grid = figure.subplots(bands, columns, squeeze=False, sharey=True)
    vits = [m for m in shown if config.get("families", {}).get(m) == "vit"]
    for place, model in enumerate(shown):
        axes = grid.flat[place]
        axes.set_title(wrapped(label(config, model), 1.8), fontweight="bold")
        axes.set_xlabel("block index")
        if place % columns == 0:
            axes.set_ylabel("linear CKA with the\nfull-data network (no unit)")
        own = table[table["model"] == model]
        _draw_model(axes, own, untrained_network(config, model))
        if model in vits:
            _draw_paper(axes, own, "B32" if model == vits[0] and len(vits) > 1 else "L16")
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    grid[0, 0].set_ylim(min(0.0, table["cka"].min() - 0.05), 1.05)
    handles = [*_handles(table), *([PAPER_LINES] if vits else [])]
    figure.legend(handles=handles, loc="outside lower center", ncols=1 + 2 * (columns > 1))
    return figure


def _has_less_data(table: pd.DataFrame, model: str) -> bool:
    return bool(((table["model"] == model) & (table["kind"] == "fraction")).any())


def _draw_model(axes: Axes, rows: pd.DataFrame, control: Network | None) -> None:
    kinds = {"untrained": 0, "fraction": 1, "ceiling": 2}
    order = sorted(
        rows.groupby(["kind", "fraction", "seed"], sort=False),
        key=lambda item: (
            kinds.get(str(item[0][0]), 3),
            str(item[0][1]),
            control is not None and item[0][1:] != control[1:] and item[0][0] == "untrained",
        ),
    )
    seen: set[tuple[str, str]] = set()
    for keys, group in order:
        kind, fraction = str(keys[0]), str(keys[1])
        own = group.sort_values("block")
        look = _look(kind, fraction)
        name = f"{NAMES.get(kind, fraction_label(fraction))}, {keys[2]}"
        if (kind, fraction) in seen:
            look |= {"linewidth": 0.6, "alpha": 0.6, "marker": ""}
            axes.plot(own["block"], own["cka"], label=name, **look)
        else:
            axes.errorbar(own["block"], own["cka"], own["cka_se"], capsize=1.8, label=name, **look)
        seen.add((kind, fraction))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.grid(axis="y")


def _draw_paper(axes: Axes, rows: pd.DataFrame, network: str) -> None:
    """The paper's network on those shares of JFT-300M that we have, else on all it has."""
    own = {f for f in rows.loc[rows["kind"] == "fraction", "fraction"]}
    found = {
        f"f{int(name.split('_')[1][:-3]):03}": c
        for name, c in curves("12").items()
        if name.startswith(network)
    }
    for fraction in sorted(own & set(found) or set(found)):
        colour = fraction_look(fraction)["color"]
        paper_curves.draw_by_place(axes, found[fraction], 0.0, float(rows["block"].max()), colour)


def _look(kind: str, fraction: str) -> dict[str, Any]:
    if kind == "ceiling":
        return {"color": BLACK, "linestyle": "--", "marker": ""}
    if kind == "untrained":
        return {"color": GREY, "linestyle": ":", "marker": ""}
    return fraction_look(fraction)


def _handles(table: pd.DataFrame) -> list[Line2D]:
    pairs = table[["kind", "fraction"]].drop_duplicates().itertuples(index=False)
    fractions = sorted({f for kind, f in pairs if kind == "fraction"}, key=per_cent)
    handles = [Line2D([], [], label=fraction_label(f), **_look("fraction", f)) for f in fractions]
    present = [kind for kind in NAMES if (table["kind"] == kind).any()]
    return handles + [Line2D([], [], label=NAMES[k], **_look(k, "")) for k in present]
