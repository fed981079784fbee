"""Paul & Chen's cosine transforms: where the smallest harmful changes lie; and attacks."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from sightlines.figures import robustness_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.maps import wrapped
from sightlines.figures.style import GREY, full_width, series_name, styled, wrap_columns
from sightlines.results.selecting import Tables, label
from sightlines.stats.jackknife import ALL, standard_error

STUDY = "paul2022"
TITLE = "The smallest changes that change an answer, and attacks of one size"
PAPER = "the figure of discrete cosine transforms in Paul & Chen 2021"
CAPTION = (
    "Above: energy of minimal perturbations by frequency (orthonormal discrete cosine transform), "
    "mean over images answered rightly, each of which counts as 1, in decibels over white noise; "
    "low frequencies are at the lower left, within the dotted corner the lowest eighth of both. "
    "Below, left: images answered rightly that an attack within a budget makes be answered "
    "wrongly, with two standard errors over groups of images; dashed, random signs of the same "
    "size. Right: the energy within that corner; dashes, other seeds; crosses, untrained networks; "
    "dashed line, white noise. Look for: a ViT's map darker in the corner and brighter elsewhere "
    "than a ResNet's, and its line below the ResNet's."
)
EXPLAINS = (
    "With its gradients one can find the least change of an image that makes a network answer "
    "otherwise. Whether that change is smooth or fine says what the network reads. The second "
    "question is how many answers can be turned by changes that are all of one small size."
)
DIFFERS = (
    "The paper's panel of ResNet-50 attacks the ViT, wrongly answered images dilute its means, and "
    "its attack on BiT is never projected, so that budgets differ by 20; ours are equal."
)
READS = ("perturbation.csv", "perturbation_bands.parquet", "attack.csv")
NEEDS = ("perturbation",)
SIDE_BY_SIDE = 5
"""Names of networks that fit below their points."""
MOST = 5
"""Maps side by side."""
LOW, CORNER = -15.0, 1 / 8
"""Lower end of the scale in decibels, and the side of the lowest frequencies."""
WHITE = CORNER**2


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One map a model; success by budget, and the share of low frequencies.

    Args:
        tables: ``perturbation.csv``, ``perturbation_bands.parquet``, ``attack.csv``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: no network on all images was attacked.
    """
    summary, bands, attacks = (tables[name] for name in READS)
    models = panels.shown_models(attacks, config, "attack.csv")
    rows, columns = wrap_columns(len(models), MOST)
    heights = (1.9 * rows, 2.6 if len(models) <= SIDE_BY_SIDE else 3.4)
    figure = Figure(figsize=(full_width(), sum(heights)), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    maps = upper.subplots(rows, columns, squeeze=False)
    for axes, model in zip(maps.flat, models, strict=False):
        _, own = next(panels.seeds_of(bands, config, model))
        image = _map(axes, own)
        axes.set_title(wrapped(label(config, model), 1.1))
    for axes in maps.flat[len(models) :]:
        axes.set_axis_off()
    upper.colorbar(
        image, ax=list(maps.flat), label="energy over white noise (dB)", shrink=0.9, pad=0.02
    )
    left, right = lower.subplots(1, 2)
    for model in models:
        _budgets(left, attacks, config, model)
    left.set(
        xlabel="largest change of a level (of 255)", ylabel="answers turned", ylim=(-0.02, 1.02)
    )
    for place, model in enumerate(models):
        panels.draw_points(right, summary, "low_share", config, model, place)
    right.axhline(WHITE, color=GREY, ls="--", lw=0.8, label="white noise")
    names = [label(config, m) for m in models]
    if len(models) > SIDE_BY_SIDE:
        right.set_xticks(range(len(models)), names, rotation=60, ha="right", rotation_mode="anchor")
    else:
        right.set_xticks(range(len(models)), [wrapped(name, 0.7) for name in names])
    right.set(xlabel="network", ylabel="energy at low frequencies", xlim=(-0.5, len(models) - 0.5))
    for axes in (left, right):
        panels.grid(axes)
    handles = panels.model_handles(config, models)
    handles.append(panels.note("random signs", ls="--", lw=0.8))
    lower.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _map(axes: Axes, rows: pd.DataFrame) -> Any:
    """Energy by frequency, downwards and to the right, in decibels over white noise."""
    count = int(rows["bands"].iloc[0])
    matrix = np.full((count, count), np.nan)
    matrix[rows["down"], rows["right"]] = rows["energy"]
    with np.errstate(divide="ignore"):
        level = 10 * np.log10(matrix * count**2)
    image = axes.imshow(
        np.maximum(level, LOW),
        extent=(0, 1, 0, 1),
        origin="lower",
        cmap="magma",
        norm=Normalize(LOW, -LOW),
    )
    axes.plot(
        [0, CORNER, CORNER], [CORNER, CORNER, 0], color="white", ls=":", lw=0.8, label=DECORATION
    )
    axes.set_xlabel("frequency")
    axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
    return image


def _budgets(axes: Axes, attacks: pd.DataFrame, config: dict[str, Any], model: str) -> None:
    """Success by budget: of the first seed with its error and of random signs, of others thin."""
    for place, (network, rows) in enumerate(panels.seeds_of(attacks, config, model)):
        name = series_name(config, network)
        look = panels.look(config, model, not place) | {"label": name}
        frame = rows.pivot(index="left_out", columns="budget", values="success").sort_index()
        levels = np.array(frame.columns) * 255
        if place:
            axes.plot(levels, frame.loc[ALL], **look)
            continue
        axes.errorbar(levels, frame.loc[ALL], yerr=2 * standard_error(frame.to_numpy()), **look)
        signs = rows[rows["left_out"] == ALL].sort_values("budget")
        dashed: dict[str, Any] = {"ls": "--", "lw": 0.8, "label": f"{name}, random signs"}
        axes.plot(signs["budget"] * 255, signs["by_signs"], color=look["color"], **dashed)
