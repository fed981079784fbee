"""Figures F.1 to F.3: the linear probes of Figures 11 and 13 on other datasets."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.figures import probe_panels as panels
from sightlines.figures.fig13_probes_by_depth import POOL, draw_models
from sightlines.figures.maps import wrapped
from sightlines.figures.style import full_width, model_look, series_name, styled
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    less_data,
    models,
    plain_models,
    require_some,
    untrained_network,
)

TITLE = "Linear probes on other datasets"
PAPER = "Figures F.1–F.3"
QUESTION = "data"
CAPTION = (
    "Test accuracy (%) of linear probes by normalised depth (0: first block, 1: last block, and "
    "hollow markers the norm after it); one row a dataset, the first the networks' own. The "
    "networks are not trained further: only the probes see the other images. Left (F.1): ViTs "
    "trained on all images (solid) and on the fewest (dashed). Middle (F.2): models trained on all "
    "images, untrained ones dotted. Right (F.3): ways of pooling, as in Figure 11. Probes are "
    "fitted to all labelled images of the config. Look for: the same order of curves in every row "
    "as in the first. Rows that turn the order around would contradict the paper."
)
EXPLAINS = (
    "Do the conclusions from linear probes hold only for the images that the networks were trained "
    "on?",
    "The same networks are shown the images of other tasks, and probes are fitted to those tasks' "
    "classes after every block.",
    "Compare each row with the first: not the height of curves, which depends on the task, but "
    "their order and where they rise.",
)
DIFFERS = (
    "The paper's other datasets are CIFAR-10 and CIFAR-100, with 45,000 training images for the "
    "probes; ours are the config's tasks, with as many images as the own dataset's probes have."
)
READS = ("probes.parquet",)
NEEDS = ("trained", "transfer", "probes")

NAMES = ("F.1 more and less data", "F.2 models compared", "F.3 ways of pooling")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row a dataset: data, models, pooling.

    Args:
        tables: ``probes.parquet``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: the table has no trained network of this experiment on another dataset.
    """
    table = tables["probes.parquet"]
    table = table[table["shots"] == panels.WHOLE]
    shown = [m for m in plain_models(config) if _has(table, config, m)]
    datasets = sorted(set(table.loc[table["model"].isin(shown), "dataset"]))
    others = [name for name in datasets if name]
    require_some(others, "probes.parquet has no trained network on another task's images")
    figure = Figure(figsize=(full_width(), 1.9 * len(datasets) + 1.3), layout="constrained")
    grid = figure.subplots(len(datasets), 3, squeeze=False, sharex=True, sharey="row")
    drawn: set[tuple[str, str]] = set()
    for line, dataset in zip(grid, datasets, strict=True):
        own = table[table["dataset"] == dataset]
        _draw_data(line[0], own, config, dataset)
        draw_models(line[1], own, config, shown, panels.WHOLE, dataset)
        drawn |= panels.draw_pooling(line[2], own, config, panels.WHOLE, dataset)
        for axes in line:
            panels.finish(axes, float(own["chance"].iloc[0]))
        line[0].set_ylim(panels.limits([own]))
        name = wrapped(dataset.replace("_", " ") or "own images", 1.6)
        line[0].set_ylabel(f"{name}\naccuracy (%)")
    for axes, name in zip(grid[0], NAMES, strict=True):
        axes.set_title(name, fontweight="bold")
    for axes in grid[-1]:
        axes.set_xlabel("normalised depth")
    _add_legend(figure, config, shown, drawn)
    return figure


def _has(table: pd.DataFrame, config: dict[str, Any], model: str) -> bool:
    network = full_network(config, model)
    return network is not None and not panels.curve(table, network, POOL).empty


def _split(config: dict[str, Any]) -> list[str]:
    """ViTs with a class token that are trained on fewer images as well."""
    cls, _, _ = panels.contrasted(config)
    vits = [m for m in plain_models(config) if config["families"][m] == "vit"]
    return [m for m in vits if less_data(config, m)] or cls


def _draw_data(axes: Axes, table: pd.DataFrame, config: dict[str, Any], dataset: str) -> None:
    for model in _split(config):
        look = model_look(models(config), model)
        for network in less_data(config, model)[:1]:
            values = panels.curve(table, network, POOL, dataset=dataset)
            less = {"linestyle": "--", "label": series_name(config, network)}
            panels.draw_curve(axes, values, **(look | less))
        full = full_network(config, model)
        if full is not None:
            values = panels.curve(table, full, POOL, dataset=dataset)
            panels.draw_curve(axes, values, label=series_name(config, full), **look)


def _add_legend(
    figure: Figure, config: dict[str, Any], shown: list[str], drawn: set[tuple[str, str]]
) -> None:
    handles = [panels.handle(label(config, m), **model_look(models(config), m)) for m in shown]
    if any(less_data(config, m) for m in _split(config)):
        handles.append(panels.handle("F.1: fewest images", color="black", linestyle="--"))
    handles += panels.control_handles(any(untrained_network(config, m) for m in shown))
    handles += panels.pooling_handles(drawn, "F.3: ")
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
