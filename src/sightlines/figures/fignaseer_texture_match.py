"""What the share of images with their class's own surface does to shape bias and robustness."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

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
    "images. Look for: points on the right that climb, where going by outlines costs robustness."
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


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Three panels; one line a model.

    Args:
        tables: ``texture_match.csv``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: the table has no network of this experiment.
    """
    table = tables["texture_match.csv"]
    models = panels.shown_models(table, config, "texture_match.csv")
    figure = Figure(figsize=(full_width(), 2.75), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for model in models:
        network, rows = next(panels.seeds_of(table, config, model))
        look = panels.look(config, model) | {"label": series_name(config, network)}
        match, bias, bias_error = _by_dose(rows, "bias")
        _, error, error_se = _by_dose(rows, "error")
        _, clean, _ = _by_dose(rows, "clean_error")
        left.errorbar(match, bias, yerr=2 * bias_error, **look)
        middle.errorbar(match, error, yerr=2 * error_se, **look)
        dotted: dict[str, Any] = {"ls": ":", "lw": 1, "label": f"{look['label']}, clean images"}
        middle.plot(match, clean, color=look["color"], **dotted)
        free = look | {"linestyle": "none"}
        right.errorbar(bias, error, xerr=2 * bias_error, yerr=2 * error_se, **free)
    left.axhline(0.5, color=GREY, ls="--", lw=0.8, label=DECORATION)
    share = "images with their class's own surface"
    left.set(xlabel=share, ylabel="shape bias", ylim=(-0.02, 1.02))
    middle.set(xlabel=share, ylabel="wrong answers")
    right.set(xlabel="shape bias", ylabel="wrong answers, corrupted", xlim=(-0.02, 1.02))
    for axes in (left, middle, right):
        panels.grid(axes)
    handles = panels.model_handles(config, models)
    handles.append(panels.note("clean images", ls=":", lw=1))
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _by_dose(rows: pd.DataFrame, column: str) -> tuple[Any, Any, Any]:
    """Doses, a statistic at each, and its jackknife standard error."""
    frame = rows.pivot(index="left_out", columns="texture_match", values=column).sort_index()
    error = standard_error(frame.to_numpy())
    return frame.columns.to_numpy(), frame.loc[ALL].to_numpy(), error
