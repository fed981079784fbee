"""Figures 6 and C.1 to C.4 as curves: size of receptive fields, and what lies on the own patch."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures import receptive_field_panels as panels
from sightlines.figures.maps import wrapped
from sightlines.figures.style import (
    BLUE,
    GREY,
    VERMILLION,
    full_width,
    model_look,
    styled,
    wrap_columns,
)
from sightlines.results.selecting import Tables, label, models
from sightlines.stats.jackknife import standard_error

TITLE = "Size of receptive fields, and dependence on the own patch"
PAPER = "Figures 6, C.1-C.4"
QUESTION = "local_and_global"
CAPTION = (
    "Effective receptive fields against depth (block outputs from 0, the first block, to 1, the "
    "last; the leftmost points are the layer before all blocks). Top left: side of the field, the "
    "square root of the number of pixels whose gradient is above 4.55 % of the largest, over the "
    "side of the image. Top right: share of the gradient outside the ViT's own patch, or outside "
    "an equally large window around a ResNet's location. Dashed with hollow markers: untrained; "
    "thin lines: other seeds. "
    "Below, one panel a model: share of the gradient on the own patch, for branches before the "
    "residual addition (dashed) and for the sums after it (solid); grey is untrained. Bands are "
    "one jackknife standard error over images. Look for: ResNet fields that grow with depth; ViTs "
    "that reach most of their final share outside the patch by middle depth; and attention that "
    "depends on the own patch far less before the addition than after it."
)
EXPLAINS = (
    "The maps of Figure 6 in numbers: how large is the field at each depth, and how much of it "
    "lies elsewhere than on the layer's own patch?",
    "The size counts the pixels with a gradient near the largest, and the shares add up the "
    "gradient inside and outside a patch, for the branch alone and for the sum with the skip "
    "connection.",
    "Rising curves on top: deeper layers see more; a gap between solid and dashed below: it is the "
    "skip connection that keeps a layer looking at its own place.",
)
DIFFERS = (
    "The paper shows maps only, and judges them by eye; sizes follow Luo et al. 2016. Where "
    "an untrained network's branches start at 0, they were switched on."
)
READS = ("receptive_fields.parquet",)
NEEDS = ("trained",)

FIRST = -0.14
"""Where the layer before all blocks is drawn."""
COLOURS = {"attn": BLUE, "mixing": BLUE, "unit": BLUE, "mlp": VERMILLION}
LINES = {"post": "-", "pre": "--"}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Two panels that compare the models, then one a model on branches and sums.

    Args:
        tables: ``receptive_fields.parquet``.
        config: `networks`, `labels`.

    Raises:
        ResultError: the table has no network on all images.
    """
    found = panels.found_networks(tables["receptive_fields.parquet"], config)
    bands, columns = wrap_columns(len(found), 3)
    figure = Figure(figsize=(full_width(), 2.9 + bands * 2.3), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=[2.9, bands * 2.3])
    top, below = halves
    others = {m: panels.seeds_of(tables[READS[0]], config, m) for m in found}
    _draw_comparison(top, found, others, config)
    grid = below.subplots(bands, columns, squeeze=False, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place >= len(found):
            axes.set_axis_off()
            continue
        model, (trained, bare) = list(found.items())[place]
        axes.set_title(wrapped(label(config, model), 2.0), fontweight="bold")
        _draw_branches(axes, trained, bare)
        if place % columns == 0:
            axes.set_ylabel("gradient on the\nown patch (%)")
    below.legend(handles=_handles(found), loc="outside lower center", ncols=5)
    return figure


def _draw_comparison(
    figure: Any,
    found: dict[str, list[pd.DataFrame]],
    others: dict[str, list[pd.DataFrame]],
    config: dict[str, Any],
) -> None:
    left, right = figure.subplots(1, 2)
    for model, (trained, bare) in found.items():
        look, name = model_look(models(config), model), label(config, model)
        bare_look = {"linestyle": "--", "markerfacecolor": "none", "label": f"{name}, untrained"}
        for axes, column, sign in ((left, "side_share", 1), (right, "window_share", -1)):
            for rows, style in ((bare, bare_look), (trained, {"label": name})):
                own = _series(rows, "post", panels.last_branch(trained), column)
                values = own["value"] if sign > 0 else 100 - own["value"]
                axes.plot(own["x"], values, **look | style)
                _draw_band(axes, own["x"], values, own["error"], look["color"], style["label"])
            for rows in others[model]:
                own = _series(rows, "post", panels.last_branch(trained), column)
                values = own["value"] if sign > 0 else 100 - own["value"]
                thin = {"linewidth": 0.6, "label": f"{name}, {rows['seed'].iloc[0]}"}
                axes.plot(own["x"], values, color=look["color"], marker="", **thin)
    left.set_ylabel("side of the field\n(% of the image's side)")
    right.set_ylabel("gradient outside own patch or\nsame-size window (%)")
    for axes in (left, right):
        top = axes.dataLim.y1
        _mark_depth(axes)
        axes.set_ylim(0, min(1.1 * top, 104))
    handles = [
        Line2D([], [], label=label(config, m), **model_look(models(config), m)) for m in found
    ]
    handles += _state_handles()
    if any(others.values()):
        handles.append(Line2D([], [], color=GREY, linewidth=0.6, label="other seeds"))
    figure.legend(handles=handles, loc="outside upper center", ncols=5)


def _draw_branches(axes: Axes, trained: pd.DataFrame, bare: pd.DataFrame) -> None:
    for rows, is_bare in ((bare, True), (trained, False)):
        for branch in (b for b in COLOURS if (trained["branch"] == b).any()):
            for variant, line in LINES.items():
                own = _series(rows, variant, branch, "window_share")
                colour = GREY if is_bare else COLOURS[branch]
                marker = "s" if branch == "mlp" else "o"
                look: dict[str, Any] = {
                    "linestyle": line,
                    "marker": marker,
                    "markersize": 2 if is_bare else 3.5,
                }
                where = "after the addition" if variant == "post" else "branch before it"
                name = f"{branch}, {where}{', untrained' * is_bare}"
                axes.plot(own["x"], own["value"], color=colour, label=name, **look)
                if not is_bare:
                    _draw_band(axes, own["x"], own["value"], own["error"], colour, name)
    _mark_depth(axes)


def _series(rows: pd.DataFrame, variant: str, branch: str, column: str) -> pd.DataFrame:
    """Place, value (%) and standard error (%) of one curve, by depth."""
    branches = ["embed", branch] if variant == "post" else [branch]
    own = rows[(rows["variant"] == variant) & rows["branch"].isin(branches)]
    found = []
    for block in sorted(own["block"].unique()):
        layer = own[own["block"] == block].sort_values("left_out")
        replicates = layer[column].to_numpy()[:, None]
        x = FIRST if block < 0 else layer["depth"].iloc[0]
        found.append((x, 100 * replicates[0, 0], 100 * standard_error(replicates)[0]))
    return pd.DataFrame(found, columns=["x", "value", "error"], dtype=float)


def _draw_band(
    axes: Axes, x: pd.Series, values: pd.Series, error: pd.Series, colour: str, name: str
) -> None:
    known = np.isfinite(values) & np.isfinite(error)
    low, high = (values - error)[known], (values + error)[known]
    axes.fill_between(x[known], low, high, color=colour, alpha=0.2, linewidth=0, label=name)


def _mark_depth(axes: Axes) -> None:
    axes.set_xticks([FIRST, 0, 0.5, 1], ["first\nlayer", "0", "0.5", "1"])
    axes.set_xlabel("depth of the block")
    axes.set_xlim(FIRST - 0.06, 1.05)
    axes.set_ylim(0, 104)
    axes.grid(axis="y")


def _state_handles() -> list[Any]:
    bare: dict[str, Any] = {"linestyle": "--", "marker": "o", "markerfacecolor": "none"}
    return [Line2D([], [], color=GREY, label="the same, untrained", **bare)]


def _handles(found: dict[str, list[pd.DataFrame]]) -> list[Any]:
    """What colours, markers and lines of the lower panels stand for."""
    shown = {b for own in found.values() for b in own[0]["branch"]}
    mixing = " or ".join(panels.BRANCHES[b] for b in panels.FIRST_BRANCHES if b in shown)
    handles = [Line2D([], [], color=BLUE, marker="o", label=mixing)]
    if "mlp" in shown:
        handles.append(Line2D([], [], color=VERMILLION, marker="s", label="MLP"))
    return [
        *handles,
        Line2D([], [], color=GREY, label="untrained"),
        Line2D([], [], color="0.2", linestyle="-", label="after the addition"),
        Line2D([], [], color="0.2", linestyle="--", label="branch before it"),
    ]
