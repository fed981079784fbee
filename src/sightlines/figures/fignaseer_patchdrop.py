"""Occlusion: how much of its accuracy a network keeps when cells of the image are dropped."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures import response_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import GREY, full_width, model_look, series_name, styled
from sightlines.results.selecting import Tables, models

TITLE = "Dropped patches"
STUDY = "naseer2021"
PAPER = "Figures 3, 18 to 25"
CAPTION = (
    "Share of its accuracy above chance that a network keeps (1: all) when cells of the image are "
    "dropped at random, anew for every image; bands and bars are the jackknife standard error. "
    "(a): by share of the cells, black (solid) and filled with the mean colour (dashed, hollow); "
    "stars are published values of DeiT-S, DeiT-B and ResNet50 on ImageNet, triangles up and down "
    "a ViT without the cells that its class token looks at least and most. (b): half of the image "
    "black, by cells along a side of the grid, and of the own grid shifted by half a cell "
    "(hollow). (c): accuracy with as many cells black, chosen by the true mask: the object's, "
    "any, the ground's. Look for: ViTs that keep most at one half, and a ResNet that does not, "
    "under both fills; a gap that closes under the mean colour would show that black is what the "
    "ResNet cannot bear."
)
EXPLAINS = (
    "How much of an image may be missing before a network no longer knows what it shows?",
    "Cells of a grid are filled before normalisation, the same pixels for every network, and what "
    "is kept of the accuracy above chance is held against the whole image.",
    "A line that stays high belongs to a network that pieces together what is left; compare "
    "networks at the same share, and the two fills of one network.",
)
DIFFERS = (
    "The paper draws one mask for a whole minibatch of 256 images, one run by default; every image "
    "has its own here. The shifted grid goes on at the opposite edge, so that equally many pixels "
    "are dropped. The paper's salient patches are another network's attention mass; true masks are "
    "used here, with equal numbers of cells."
)
READS = ("occlusion.parquet",)
NEEDS = ("changed_images",)

PUBLISHED = (("DeiT-S", 0.5, 0.876), ("DeiT-B", 0.9, 0.452), ("ResNet50", 0.5, 0.0))
"""Name, share of the cells, and accuracy kept: 70 of 79.9 %, 37 of 81.8 %, .1 of 76.1 % (text)."""
FILLS: dict[str, Any] = {"drop_black": "-", "drop_mean": (0, (4, 1.5))}
HALF = 0.5
PARTS = ("object", "anywhere", "ground")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Three panels: by share, by grid, by part of the image.

    Args:
        tables: ``occlusion.parquet``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: the table has no trained network of this experiment.
    """
    table = tables["occlusion.parquet"]
    shown = panels.shown_models(table, config, "occlusion.parquet")
    has_parts = (table["condition"] == "drop_object").any()
    count = 3 if has_parts else 2
    figure = Figure(figsize=(full_width(), 3.2), layout="constrained")
    grid = figure.subplots(1, count, width_ratios=(1.35, 1, 1.1)[:count])
    _draw_shares(grid[0], table, config, shown)
    _draw_grids(grid[1], table, config, shown)
    if has_parts:
        _draw_parts(grid[2], table, config, shown)
    more = [
        Line2D([], [], color=GREY, linestyle=FILLS["drop_black"], label="black"),
        Line2D(
            [],
            [],
            color=GREY,
            linestyle=FILLS["drop_mean"],
            marker="o",
            markerfacecolor="white",
            label="mean colour",
        ),
        Line2D([], [], **panels.PUBLISHED),
    ]
    if (table["condition"] == "drop_salient").any():
        unseen: dict[str, Any] = {"color": GREY, "linestyle": "", "markersize": 6}
        more.append(Line2D([], [], marker=6, label="least looked at", **unseen))
        more.append(Line2D([], [], marker=7, label="most looked at", **unseen))
    found = [*panels.handles(table, config, shown), *more]
    figure.legend(handles=found, loc="outside lower center", ncols=5)
    return figure


def _draw_shares(axes: Axes, table: pd.DataFrame, config: dict[str, Any], shown: list[str]) -> None:
    for condition, line in FILLS.items():
        look: dict[str, Any] = {"linestyle": line, "label": condition.replace("_", " ")}
        look |= {"markerfacecolor": "white"} if condition == "drop_mean" else {}
        panels.draw_models(axes, table, config, shown, condition, "retention", **look)
    for model in shown:
        colour = model_look(models(config), model)["color"]
        for condition, marker in (("drop_unsalient", 6), ("drop_salient", 7)):  # caret up, down
            first = panels.trained(config, model)[0]
            values = panels.curve(table, first, condition, "retention")
            name = f"{series_name(config, first)}, {condition.replace('_', ' ')}"
            axes.plot(
                values["x"], values["y"], color=colour, marker=marker, ls="", ms=7, label=name
            )
    for name, share, kept in PUBLISHED:
        axes.plot([share], [kept], **(panels.PUBLISHED | {"label": f"published, {name}"}))
        is_right = share > HALF
        place: dict[str, Any] = {"xytext": (-5 if is_right else 5, 3), "color": "0.35"}
        place |= {
            "textcoords": "offset points",
            "fontsize": "small",
            "ha": "right" if is_right else "left",
        }
        axes.annotate(name, (share, kept), **place)
    axes.axhline(1, color=GREY, linewidth=0.6, linestyle=":", label=DECORATION)
    axes.set(xlim=(0, 1), xlabel="share of the cells dropped", title="(a) own grid")
    axes.set_ylabel("accuracy above chance kept\n(share of the whole image's)")
    axes.grid(axis="y")


def _draw_grids(axes: Axes, table: pd.DataFrame, config: dict[str, Any], shown: list[str]) -> None:
    """By cells along a side; the own grid's condition has no number in its name."""
    sizes = _sizes(table)
    places = {size: place for place, size in enumerate(sizes)}
    own = _own_size(table)
    if own not in places:
        places = {own: 0} | {size: place + 1 for size, place in places.items()}
    ordered = sorted(places)
    for model in shown:
        look = model_look(models(config), model)
        first = panels.trained(config, model)[0]
        found = []
        for size in ordered:
            name = "drop_black" if size == own else f"drop_grid{size}"
            values = panels.curve(table, first, name, "retention")
            found.append(values[np.isclose(values["x"], HALF)].assign(x=ordered.index(size)))
        name_of = series_name(config, first)
        panels.draw_curve(axes, pd.concat(found), label=name_of, **look)
        moved = panels.curve(table, first, "drop_shifted", "retention")
        moved = moved[np.isclose(moved["x"], HALF)]
        hollow: dict[str, Any] = look | {
            "markerfacecolor": "white",
            "linestyle": "",
            "capsize": 1.8,
            "label": f"{name_of}, shifted",
        }
        axes.errorbar([ordered.index(own)] * len(moved), moved["y"], moved["error"], **hollow)
    axes.set_xticks(range(len(ordered)), [f"{n} × {n}" for n in ordered])
    axes.set(xlabel="cells of the grid\n(hollow: shifted)", title="(b) half black")
    axes.margins(x=0.12)
    axes.grid(axis="y")


def _sizes(table: pd.DataFrame) -> list[int]:
    names = table["condition"].unique()
    return sorted(int(n.removeprefix("drop_grid")) for n in names if n.startswith("drop_grid"))


def _own_size(table: pd.DataFrame) -> int:
    """Cells along a side of the grid of ``drop_black``."""
    return int(table["cells"].max())


def _draw_parts(axes: Axes, table: pd.DataFrame, config: dict[str, Any], shown: list[str]) -> None:
    width = 0.8 / len(shown)
    for turn, model in enumerate(shown):
        look = model_look(models(config), model)
        first = panels.trained(config, model)[0]
        offset = (turn - (len(shown) - 1) / 2) * width
        parts = ["clean", *(f"drop_{part}" for part in PARTS)]
        values = pd.concat([panels.curve(table, first, part, "accuracy") for part in parts])
        x = np.arange(len(values)) + offset
        axes.bar(x, 100 * values["y"], width * 0.9, color=look["color"], label=DECORATION)
        bars: dict[str, Any] = {"color": "0.2", "ls": "", "lw": 0.8}
        bars["label"] = series_name(config, first)
        axes.errorbar(x, 100 * values["y"], 100 * values["error"], **bars)
    chance: dict[str, Any] = {"color": GREY, "lw": 0.8, "ls": (0, (1, 1)), "label": "chance"}
    axes.axhline(100 * float(table["chance"].iloc[0]), **chance)
    axes.set_xticks(range(4), ["none", "object", "any", "ground"])
    axes.set(xlabel="cells that are black", ylabel="accuracy (%)", title="(c) equally many cells")
