"""What figures of answers to changed images share: whose lines are drawn, and how they look."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from sightlines.figures.maps import wrapped
from sightlines.figures.style import GREY, model_look, series_name
from sightlines.plan import roles
from sightlines.plan.networks import FULL, Network
from sightlines.results.selecting import (
    label,
    networks,
    own_rows,
    plain_models,
    require_some,
    rows_of,
    untrained_network,
)
from sightlines.results.selecting import models as every_model
from sightlines.stats.jackknife import ALL, standard_error


def shown_models(table: pd.DataFrame, config: dict[str, Any], name: str) -> list[str]:
    """Models of which the table has a network on all images, in the config's order.

    Raises:
        ResultError: there is none.
    """
    own = table[table["fraction"] == FULL]
    found = [m for m in plain_models(config) if (own["model"] == m).any()]
    require_some(found, f"{name} has no network that was trained on all images")
    return found


def seeds_of(
    table: pd.DataFrame, config: dict[str, Any], model: str
) -> Iterator[tuple[Network, pd.DataFrame]]:
    """A model's networks on all images that the table has, the first first, with their rows."""
    for network in roles.on(networks(config), model, FULL):
        rows = rows_of(table, network)
        if len(rows):
            yield network, rows


def control_of(table: pd.DataFrame, config: dict[str, Any], model: str) -> pd.DataFrame:
    """Rows of a model's untrained control; empty where there is none."""
    return own_rows(table, untrained_network(config, model))


def draw_points(
    axes: Axes, table: pd.DataFrame, column: str, config: dict[str, Any], model: str, place: int
) -> None:
    """A model's statistic: of the first seed with two standard errors, of others as dashes.

    A cross stands for its untrained control.

    Args:
        axes: Where.
        table: With `left_out`.
        column: The statistic.
        config: See `look`.
        model: Whose rows.
        place: Along the axis of networks.
    """
    for number, (network, rows) in enumerate(seeds_of(table, config, model)):
        values = rows.sort_values("left_out")[column].to_numpy()
        own = look(config, model) | {"linestyle": "none", "label": series_name(config, network)}
        if number:
            axes.plot(place, values[0], **(own | {"marker": "_"}))
        else:
            axes.errorbar(place, values[0], yerr=2 * standard_error(values), **own)
    control = control_of(table, config, model)
    control = control[control["left_out"] == ALL]
    cross: dict[str, Any] = {"color": GREY, "marker": "x", "linestyle": "none"}
    cross["label"] = f"{label(config, model)}, untrained"
    axes.plot([place] * len(control), control[column], **cross)


def look(config: dict[str, Any], model: str, is_first: bool = True) -> dict[str, Any]:
    """A model's line, as in all figures: the first seed with markers, further ones thin."""
    own = model_look(every_model(config), model)
    return own if is_first else {"color": own["color"], "linewidth": 0.6, "alpha": 0.7}


def model_handles(config: dict[str, Any], models: list[str]) -> list[Line2D]:
    """Legend entries of models."""
    return [Line2D([], [], label=wrapped(label(config, m), 2.4), **look(config, m)) for m in models]


def note(text: str, **own: Any) -> Line2D:
    """A grey legend entry that says what a way of drawing means."""
    return Line2D([], [], label=text, **{"color": GREY, **own})


def grid(axes: Axes) -> None:
    """Faint lines to read heights by."""
    axes.grid(axis="y")
