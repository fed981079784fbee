"""Paul & Chen's Table 4: who leans on backgrounds."""

from typing import Any

from matplotlib.figure import Figure

from sightlines.figures import robustness_panels as panels
from sightlines.figures.drawn import DECORATION
from sightlines.figures.maps import wrapped
from sightlines.figures.style import GREY, full_width, series_name, styled
from sightlines.results.selecting import Tables, label
from sightlines.stats.jackknife import ALL, standard_error

STUDY = "paul2022"
TITLE = "Objects on grounds of their own class and of others"
PAPER = "Table 4 of Paul & Chen 2021, after Xiao et al. 2020"
CAPTION = (
    "The same objects, in the same places, on grounds of their own class (filled) and of another "
    "class (hollow): accuracy, with two standard errors over groups of images; the lines between "
    "are the gaps. Crosses: untrained networks. The gaps that the authors' notebook has, 6.8 "
    "points of a ViT-L/16 and 4.6 of a BiT-M R101x3, are of photographs. Look for: a ViT's gap "
    "that is shorter than a ResNet's. Where grounds tell nothing of the class in training, there "
    "is no gap by design."
)
EXPLAINS = (
    "Does a network know a thing by itself, or by where it is mostly seen? Each object is shown "
    "on a ground that goes with it and on one that does not. A short gap says that the thing "
    "itself is known."
)
DIFFERS = (
    "ImageNet-9 cuts objects out of photographs by masks that are not always right, and fills the "
    "hole. Ours are drawn, so that masks are true and nothing has to be filled."
)
READS = ("backgrounds.csv",)
NEEDS = ("mixed", "changed_images")

GROUNDS = {"same": "own class's ground", "other": "another class's ground"}


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel: both accuracies of each network.

    Args:
        tables: ``backgrounds.csv``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: no network on all images was shown such images.
    """
    table = tables["backgrounds.csv"]
    models = panels.shown_models(table, config, "backgrounds.csv")
    figure = Figure(figsize=(full_width(), 2.9), layout="constrained")
    axes = figure.subplots()
    for place, model in enumerate(models):
        for number, (network, rows) in enumerate(panels.seeds_of(table, config, model)):
            at = place + 0.15 * number
            look = panels.look(config, model) | {"linestyle": "none"}
            values = {c: rows.sort_values("left_out")[c].to_numpy() for c in ("same", "other")}
            ends = [values["same"][0], values["other"][0]]
            axes.plot([at, at], ends, color=look["color"], linewidth=0.8, label=DECORATION)
            for column, own in values.items():
                face = {} if column == "same" else {"markerfacecolor": "white"}
                face |= {"label": f"{series_name(config, network)}, {GROUNDS[column]}"}
                axes.errorbar(at, own[0], yerr=2 * standard_error(own), **(look | face))
        control = panels.control_of(table, config, model)
        control = control[control["left_out"] == ALL]
        for column in ("same", "other"):
            cross: dict[str, Any] = {"color": GREY, "marker": "x", "linestyle": "none"}
            cross["label"] = f"{label(config, model)}, untrained, {GROUNDS[column]}"
            axes.plot([place - 0.15] * len(control), control[column], **cross)
    axes.axhline(float(table["chance"].iloc[0]), color=GREY, linewidth=0.6, label="chance")
    axes.set_xticks(range(len(models)), [wrapped(label(config, m), 1.0) for m in models])
    axes.set(xlabel="network", ylabel="accuracy", ylim=(0, 1), xlim=(-0.5, len(models) - 0.3))
    panels.grid(axes)
    handles = [
        panels.note(GROUNDS["same"], marker="o", ls="none"),
        panels.note(GROUNDS["other"], marker="o", ls="none", mfc="white"),
        panels.note("untrained", marker="x", ls="none"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure
