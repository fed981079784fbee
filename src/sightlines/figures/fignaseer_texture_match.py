"""What the share of images with their class's own surface does to shape bias and robustness."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.claims.naseer_doses import FEWEST, compared
from sightlines.figures import robustness_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import GREY, full_width, series_name, styled
from sightlines.results.selecting import Tables
from sightlines.stats.jackknife import ALL, standard_error

TITLE = "Shape bias and robustness, by how often surfaces tell the class"
STUDY = "naseer2021"
PAPER = "Table 3 and the second Table 4 of Naseer et al. 2021"
CAPTION = (
    "Networks that were trained further on images which differ in one thing alone: how many have "
    "the surface of their class. Left: shape bias on cue conflicts; dashed, chance. Middle: wrong "
    "answers to corrupted images, mean over corruptions and severities, and to clean ones "
    "(dotted). Right: the one against the other. Bars are two standard errors over groups of "
    "images; further seeds are thin, without bars. Pale and hollow, on no line: doses that the "
    "verdict (N10) leaves out, since the network was trained on them otherwise (number or seed of "
    "images, recipe), or names outline or surface less often than three times as guessing would; "
    "and all of a network where fewer than four are left. "
    "Look for: points on the right that climb, where going by outlines costs robustness."
)
EXPLAINS = (
    "A network can tell an object by its outline or by its surface, and training decides which. "
    "Here the share of images whose surface gives the class away is turned up step by step. It is "
    "asked whether networks that go more by outlines err more on corrupted images."
)
DIFFERS = (
    "The paper has two doses, ImageNet and its stylised copy, with networks trained from the "
    "start; ours are trained further from one start, on generated images."
)
READS = ("texture_match.csv",)
NEEDS = ("doses", "conflicts")
Look = dict[str, Any]
PALE: Look = {"markerfacecolor": "none", "alpha": 0.45}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Three panels; one line a network.

    Args:
        tables: ``texture_match.csv``.
        config: `networks`, `labels`, `families`, `architectures`; `doses`, what networks were made
            by but the dose.

    Raises:
        ResultError: the table has no network of this experiment.
    """
    table = tables["texture_match.csv"]
    models = panels.shown_models(table, config, "texture_match.csv")
    figure = Figure(figsize=(full_width(), 2.75), layout="constrained")
    axes = figure.subplots(1, 3)
    has_others = False
    for model in models:
        for number, (network, rows) in enumerate(panels.seeds_of(table, config, model)):
            tasks = compared(config.get("doses", {}), model, rows)
            kept = rows["task"].isin(tasks if len(tasks) >= FEWEST else [])
            name = series_name(config, network)
            if kept.any():
                look = panels.look(config, model, not number)
                _draw_compared(axes, rows[kept], look, name)
            if not kept.all():
                _draw_others(axes, rows[~kept], panels.look(config, model), name)
                has_others = True
    left, middle, right = axes
    left.axhline(0.5, color=GREY, ls="--", lw=0.8, label=DECORATION)
    share = "images with their class's own surface"
    left.set(xlabel=share, ylabel="shape bias", ylim=(-0.02, 1.02))
    middle.set(xlabel=share, ylabel="wrong answers")
    right.set(xlabel="shape bias", ylabel="wrong answers, corrupted", xlim=(-0.02, 1.02))
    for own in axes:
        panels.grid(own)
    handles = panels.model_handles(config, models)
    handles.append(panels.note("clean images", ls=":", lw=1))
    if has_others:
        handles.append(panels.note("left out of N10", marker="o", ls="none", **PALE))
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _draw_compared(axes: Iterable[Axes], rows: pd.DataFrame, look: Look, name: str) -> None:
    """A network's doses that N10 compares; the first seed's have markers, and bars."""
    left, middle, right = axes
    match, bias, bias_error = _by_dose(rows, "bias")
    _, error, error_se = _by_dose(rows, "error")
    _, clean, _ = _by_dose(rows, "clean_error")
    dotted: Look = {"ls": ":", "lw": look.get("linewidth", 1)}
    middle.plot(match, clean, color=look["color"], label=f"{name}, clean images", **dotted)
    if "marker" in look:
        left.errorbar(match, bias, yerr=2 * bias_error, label=name, **look)
        middle.errorbar(match, error, yerr=2 * error_se, label=name, **look)
        free = look | {"linestyle": "none", "label": name}
        right.errorbar(bias, error, xerr=2 * bias_error, yerr=2 * error_se, **free)
    else:
        left.plot(match, bias, label=name, **look)
        middle.plot(match, error, label=name, **look)
        small = look | {"marker": ".", "markersize": 3, "linestyle": "none"}
        right.plot(bias, error, label=name, **small)


def _draw_others(axes: Iterable[Axes], rows: pd.DataFrame, look: Look, name: str) -> None:
    """A network's doses that N10 leaves out."""
    left, middle, right = axes
    match, bias, _ = _by_dose(rows, "bias")
    _, error, _ = _by_dose(rows, "error")
    own = look | PALE | {"linestyle": "none", "label": f"{name}, left out of N10"}
    left.plot(match, bias, **own)
    middle.plot(match, error, **own)
    right.plot(bias, error, **own)


def _by_dose(rows: pd.DataFrame, column: str) -> tuple[Any, Any, Any]:
    """Doses, a statistic at each, and its jackknife standard error; of equal doses each one."""
    dose = ["texture_match", "task"]
    frame = rows.pivot(index="left_out", columns=dose, values=column).sort_index()
    frame = frame.sort_index(axis="columns")
    error = standard_error(frame.to_numpy())
    return frame.columns.get_level_values(0).to_numpy(), frame.loc[ALL].to_numpy(), error
