"""Figure 11: what single tokens, and tokens pooled in different ways, know of the class."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sightlines.figures import probe_panels as panels
from sightlines.figures.style import full_width, model_look, series_name, styled
from sightlines.results.selecting import (
    Tables,
    full_network,
    label,
    models,
    require_some,
    untrained_network,
)

TITLE = "Linear probes on single tokens and on pooled ones"
PAPER = "Figure 11"
QUESTION = "places"
CAPTION = (
    "Test accuracy (%) of linear probes by normalised depth (0: first block, 1: last block, and "
    "hollow markers the norm after it). Left: every patch token, or place of a ResNet's map, has a "
    "probe of its own; lines are means over tokens, bands their 10th to 90th percentile. Right: "
    "the ViTs' tokens are pooled; before the semicolon how the ViT is read out in training, behind "
    "it what the probe sees. The number of images that probes are fitted to stands above each "
    "panel. Top: all that are drawn for them, `probes.token_train` on the left, since every "
    "token's probe costs as much as a pooled one, `splits.probe_train` on the right; so compare "
    "heights within a panel. Bottom: few of each class, mean of the draws (bands on the right: "
    "lowest to highest draw). Look for: after the last block, tokens of the CLS ViT far below "
    "those of the GAP ViT and the ResNet; CLS; CLS token and GAP; GAP ending together; GAP; first "
    "token catching up with GAP; GAP at the end alone. Tokens of all networks that end alike would "
    "contradict the paper."
)
EXPLAINS = (
    "Does every token of the last block know what is in the image, or is that knowledge gathered "
    "in one place?",
    "A linear classifier in closed form is fitted to the vectors of one token, or to pooled ones, "
    "after each block, and scored on images that neither it nor the network has seen.",
    "A high line says that the class can be read off there by a straight cut; compare it with the "
    "same colour dotted (untrained) and with chance.",
)
DIFFERS = (
    "The paper's probes have 10 images for each of 1,000 classes of ImageNet; ours are fitted to "
    "all images that the config gives them as well (top), and the untrained networks stand beside "
    "them."
)
READS = ("probes.parquet", "token_probes.parquet")
NEEDS = ("gap", "resnet", "probes")

NAMES = ("(a) a probe per token", "(b) ViTs: pooled tokens")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Tokens' own probes beside pooled ones, one row for each number of training images.

    Args:
        tables: ``probes.parquet`` and ``token_probes.parquet``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: the tables have none of this experiment's ViTs and ResNets.
    """
    tokens, pooled = (tables[name] for name in ("token_probes.parquet", "probes.parquet"))
    own = pooled[pooled["dataset"] == ""]
    cls, gap, resnets = panels.contrasted(config)
    shown = [m for m in (*cls, *gap, *resnets) if _has(tokens, config, m)]
    some = shown if len(own) else []
    require_some(some, "token_probes.parquet has no ViT and no ResNet of this experiment")
    numbers = panels.few_shots(own)
    figure = Figure(figsize=(full_width(), 2.3 * len(numbers) + 1.0), layout="constrained")
    grid = figure.subplots(len(numbers), 2, squeeze=False, sharex=True, sharey=True)
    drawn: set[tuple[str, str]] = set()
    for line, shots in zip(grid, numbers, strict=True):
        for model in shown:
            _draw_tokens(line[0], tokens, config, model, shots)
        drawn |= panels.draw_pooling(line[1], own, config, shots)
        for axes in line:
            panels.finish(axes, float(own["chance"].iloc[0]))
        line[0].set_ylabel(f"{panels.shots_name(shots)}\naccuracy (%)")
        for axes, table in zip(line, (tokens, own), strict=True):
            axes.set_title(panels.training_images(table, shots))
    for axes, name in zip(grid[0], NAMES, strict=True):
        axes.set_title(f"{name}\n{axes.get_title()}")
    grid[0, 0].set_ylim(panels.limits([own, tokens]))
    for axes in grid[-1]:
        axes.set_xlabel("normalised depth")
    _add_legend(figure, config, shown, drawn)
    return figure


def _has(tokens: pd.DataFrame, config: dict[str, Any], model: str) -> bool:
    network = full_network(config, model)
    return network is not None and not panels.token_curve(tokens, network).empty


def _draw_tokens(
    axes: Axes, tokens: pd.DataFrame, config: dict[str, Any], model: str, shots: int
) -> None:
    look = model_look(models(config), model)
    bare, network = untrained_network(config, model), full_network(config, model)
    if bare is not None:
        values = panels.token_curve(tokens, bare, shots)
        panels.draw_bare(axes, values, look["color"], series_name(config, bare))
    if network is not None:
        look |= {"label": series_name(config, network)}
        panels.draw_curve(axes, panels.token_curve(tokens, network, shots), True, **look)


def _add_legend(
    figure: Figure, config: dict[str, Any], shown: list[str], drawn: set[tuple[str, str]]
) -> None:
    handles: list[Line2D] = [
        panels.handle(f"(a) {label(config, m)}", **model_look(models(config), m)) for m in shown
    ]
    bare = any(untrained_network(config, m) for m in shown)
    handles += panels.control_handles(bare) + panels.pooling_handles(drawn, "(b) ")
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
