"""Lines of answers to changed images: what figures of conditions share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures.style import GREY, column_width, model_look, series_name
from sightlines.plan.networks import FULL, Network
from sightlines.plan.roles import on
from sightlines.results.selecting import (
    label,
    models,
    networks,
    plain_models,
    require_some,
    rows_of,
    untrained_network,
)
from sightlines.stats.jackknife import ALL, standard_error

PUBLISHED: dict[str, Any] = {
    "color": "0.35",
    "marker": "*",
    "markersize": 7,
    "linestyle": "",
    "zorder": 5,
    "label": "published",
}
"""Look of a published number."""


def shown_models(table: pd.DataFrame, config: dict[str, Any], name: str) -> list[str]:
    """Models with a trained network in a table, in the config's order.

    Raises:
        ResultError: there is none.
    """
    found = [m for m in plain_models(config) if any(_has(table, n) for n in trained(config, m))]
    require_some(found, f"{name} has no trained network of this experiment")
    return found


def trained(config: dict[str, Any], model: str) -> list[Network]:
    """A model's networks on all images, one a seed."""
    return on(networks(config), model, FULL)


def _has(table: pd.DataFrame, network: Network) -> bool:
    return not rows_of(table, network).empty


def curve(table: pd.DataFrame, network: Network, condition: str, value: str) -> pd.DataFrame:
    """A statistic by severity, with its jackknife standard error; empty where there is none.

    Returns:
        Columns `x`, `y`, `error`, by severity.
    """
    own = rows_of(table, network)
    return errors(own[own["condition"] == condition], "severity", value)


def errors(rows: pd.DataFrame, by: str, value: str) -> pd.DataFrame:
    """A column of one network's rows by another one, with its jackknife standard error."""
    if rows.empty:
        return pd.DataFrame({"x": [], "y": [], "error": []})
    frame = rows.pivot(index="left_out", columns=by, values=value).sort_index()
    error = standard_error(frame.to_numpy())
    return pd.DataFrame({"x": frame.columns, "y": frame.loc[ALL].to_numpy(), "error": error})


def draw_curve(axes: Axes, values: pd.DataFrame, **look: Any) -> None:
    """One line with a band of one standard error."""
    if not np.isfinite(values["y"]).any():
        return
    (line,) = axes.plot(values["x"], values["y"], **look)
    low, high = (values["y"] + sign * values["error"] for sign in (-1, 1))
    band: dict[str, Any] = {"color": line.get_color(), "alpha": 0.15, "lw": 0}
    axes.fill_between(values["x"], low, high, label=line.get_label(), **band)


def draw_models(
    axes: Axes,
    table: pd.DataFrame,
    config: dict[str, Any],
    shown: Sequence[str],
    condition: str,
    value: str,
    bare: bool = False,
    **look: Any,
) -> None:
    """Every model's first network, its other seeds thin, and if asked its untrained one dotted.

    A label in `look` says what of them is drawn.
    """
    for model in shown:
        own = model_look(models(config), model)
        first, *others = [n for n in trained(config, model) if _has(table, n)]
        for other in others:
            line = curve(table, other, condition, value)
            thin: dict[str, Any] = {"lw": 0.6, "label": _name(config, other, look)} | _lines(look)
            axes.plot(line["x"], line["y"], color=own["color"], **thin)
        named = {"label": _name(config, first, look)}
        draw_curve(axes, curve(table, first, condition, value), **(own | look | named))
        control = untrained_network(config, model)
        if bare and control is not None:
            line = curve(table, control, condition, value)
            dotted: dict[str, Any] = {"linestyle": ":", "linewidth": 1}
            dotted["label"] = _name(config, control, look)
            axes.plot(line["x"], line["y"], color=own["color"], **dotted)


def _name(config: dict[str, Any], network: Network, look: dict[str, Any]) -> str:
    """What a line is called in the figure's numbers."""
    return ", ".join([series_name(config, network), *([look["label"]] if "label" in look else [])])


def _lines(look: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in look.items() if key == "linestyle"}


def handles(
    table: pd.DataFrame, config: dict[str, Any], shown: Sequence[str], bare: bool = False
) -> list[Line2D]:
    """Legend entries of the models, and of what dotted and thin lines are."""
    every = models(config)
    found = [Line2D([], [], label=label(config, m), **model_look(every, m)) for m in shown]
    if any(sum(_has(table, n) for n in trained(config, m)) > 1 for m in shown):
        found.append(Line2D([], [], label="other seeds", color=GREY, linewidth=0.6))
    if bare and any(untrained_network(config, m) is not None for m in shown):
        found.append(Line2D([], [], label="untrained", color=GREY, linestyle=":", linewidth=1))
    return found


def nothing(text: str, xlabel: str, ylabel: str) -> Figure:
    """What is drawn where the config leaves out all that a figure shows: why it is empty."""
    figure = Figure(figsize=(column_width(), 2), layout="constrained")
    axes = figure.subplots()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, wrap=True)
    axes.set(xlabel=xlabel, ylabel=ylabel, xticks=[], yticks=[])
    return figure
