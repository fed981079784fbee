"""Paul & Chen's Table 2: errors under the corruptions of ImageNet-C, as analogues."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sightlines.conditions.corruption import NAMES
from sightlines.figures import robustness_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.style import GREY, full_width, series_name, styled
from sightlines.results.selecting import Tables, label
from sightlines.stats.jackknife import ALL

STUDY = "paul2022"
TITLE = "Errors on corrupted images"
PAPER = "Table 2 of Paul & Chen 2021, after Hendrycks & Dietterich 2019"
CAPTION = (
    "Share of wrong answers to corrupted images (analogues of ImageNet-C, without frost). Above: "
    "rise over the error on the same images uncorrupted, each corruption by itself, mean over "
    "severities, with two standard errors over groups of images; on the right their mean. Below: "
    "error by severity, mean over corruptions; 0 is uncorrupted; untrained networks dashed. Look "
    "for: networks of equal error at severity 0 whose lines part. A network that is better "
    "throughout is better, not more robust; so the rise is compared, between networks that are "
    "equally good on clean images. Severities of snow, glass and elastic transformation do not "
    "grow in steps; that is so in the original."
)
EXPLAINS = (
    "Noise, blur, weather and compression are laid over the images, each in five strengths, and "
    "the networks are asked what they see. What is shown is how much more often they are wrong. "
    "Of equally good networks the one whose errors rise less is the more robust."
)
DIFFERS = (
    "The paper's images are the stored files of ImageNet-C, with frost and saved as JPEG, and "
    "its means are divided by AlexNet's errors. Ours are made here, with the constants published "
    "for 32, 64 or 224 px, whichever is nearest; AlexNet's division is in "
    "tables/corruption_error.csv for networks of ImageNet's 1,000 classes."
)
READS = ("corruption.parquet", "corruption_error.csv")
NEEDS = ("corruption",)


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """Errors by corruption above, by severity below.

    Args:
        tables: ``corruption.parquet`` and ``corruption_error.csv``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: no network on all images was shown corrupted ones.
    """
    errors, table = tables["corruption_error.csv"], tables["corruption.parquet"]
    table = table[(table["left_out"] == ALL) & table["condition"].isin([*NAMES, "clean"])]
    models = panels.shown_models(errors, config, "corruption_error.csv")
    names = [n for n in (*NAMES, "mean") if (errors["corruption"] == n).any()]
    names += [n for n in errors["corruption"].unique() if n not in names]
    figure = Figure(figsize=(full_width(), 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(1.25, 1))
    for place, model in enumerate(models):
        shift = (place - (len(models) - 1) / 2) * min(0.8 / len(models), 0.16)
        for number, (network, rows) in enumerate(panels.seeds_of(errors, config, model)):
            look = panels.look(config, model, not number)
            look |= {"label": series_name(config, network)}
            _dots(above, rows, names, shift, look, not number)
        for number, (network, rows) in enumerate(panels.seeds_of(table, config, model)):
            own, name = _by_severity(rows), series_name(config, network)
            look = panels.look(config, model, not number)
            below.plot(own.index, own.to_numpy(), label=name, **look)
        control = _by_severity(panels.control_of(table, config, model))
        colour = panels.look(config, model)["color"]
        dashed: dict[str, Any] = {"color": colour, "ls": "--", "lw": 0.8}
        dashed["label"] = f"{label(config, model)}, untrained"
        below.plot(control.index, control.to_numpy(), **dashed)
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    above.set_xticks(range(len(names)), [n.replace("_", " ") for n in names], **turned)
    line: dict[str, Any] = {"color": GREY, "linewidth": 0.6, "label": DECORATION}
    above.axvline(len(names) - 1.5 if names[-1] == "mean" else -1, **line)
    above.axhline(0, **line)
    above.set(ylabel="rise of the error", xlim=(-0.6, len(names) - 0.4))
    below.set(xlabel="severity", ylabel="error, mean over corruptions", ylim=(0, 1))
    below.set_xticks(sorted({0, *table["severity"].astype(int)}))
    for axes in (above, below):
        panels.grid(axes)
    handles = panels.model_handles(config, models)
    handles.append(panels.note("untrained", ls="--", lw=0.8))
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _dots(
    axes: Axes,
    rows: pd.DataFrame,
    names: list[str],
    shift: float,
    look: dict[str, Any],
    is_first: bool,
) -> None:
    own = rows.set_index("corruption").reindex(names)
    place = np.arange(len(names)) + shift
    if not is_first:
        look = {key: look[key] for key in ("color", "label")}
        axes.plot(place, own["excess"], marker="_", ls="", ms=4, alpha=0.7, **look)
        return
    look = look | {"linestyle": "none", "markersize": 3, "elinewidth": 0.6}
    axes.errorbar(place, own["excess"], yerr=2 * own["excess_se"], **look)


def _by_severity(rows: pd.DataFrame) -> "pd.Series[float]":
    """Mean error over corruptions by severity, 0 for clean images."""
    return 1 - rows.groupby("severity")["accuracy"].mean().sort_index()
