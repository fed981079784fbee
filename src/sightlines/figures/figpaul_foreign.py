"""Paul & Chen's Table 5: who notices foreign images."""

from typing import Any

from matplotlib.figure import Figure

from sightlines.figures import robustness_panels as panels
from sightlines.figures.maps import wrapped
from sightlines.figures.style import GREY, full_width, styled
from sightlines.results.selecting import Tables, label

STUDY = "paul2022"
TITLE = "Foreign images, told by how sure a network is"
PAPER = "Table 5 of Paul & Chen 2021"
CAPTION = (
    "Images of other tasks, out of the domain, are mixed with the experiment's own test images; "
    "the less sure a network is of an image, the more it is taken for foreign. Area under the "
    "curve of precision over recall, with two standard errors over groups of images; dashes, "
    "other seeds; crosses, untrained networks; dashed line, the share of foreign images, which a "
    "score without information reaches. Look for: a ViT above a ResNet. A better network is mostly "
    "also surer of its own images: compare networks of one accuracy."
)
EXPLAINS = (
    "A network that is shown something quite unlike all that it was trained on should not be "
    "sure of itself. Here it is counted how well being unsure gives foreign images away. Half is "
    "what guessing reaches where there are as many foreign images as own ones."
)
DIFFERS = (
    "The paper takes ImageNet-O, whose images were chosen to mislead a ResNet-50. Ours are those "
    "of every task under `transfer` with `domain: out`."
)
READS = ("foreign.csv",)
NEEDS = ("foreign",)

SIDE_BY_SIDE = 8
"""Names that stand beside each other; more are turned."""


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a task.

    Args:
        tables: ``foreign.csv``.
        config: `networks`, `labels`, `families`, `architectures`.

    Raises:
        ResultError: no network on all images was shown foreign ones.
    """
    table = tables["foreign.csv"]
    models = panels.shown_models(table, config, "foreign.csv")
    tasks = list(table["task"].unique())
    figure = Figure(figsize=(full_width(), 2.9), layout="constrained")
    grid = figure.subplots(1, len(tasks), squeeze=False, sharey=True)[0]
    for axes, task in zip(grid, tasks, strict=True):
        own = table[table["task"] == task]
        for place, model in enumerate(models):
            panels.draw_points(axes, own, "aupr", config, model, place)
        dashed: dict[str, Any] = {"color": GREY, "ls": "--", "lw": 0.8, "label": "base rate"}
        axes.axhline(float(own["base_rate"].iloc[0]), **dashed)
        axes.set_title(str(task).replace("_", " "))
        names = [label(config, m) for m in models]
        if len(models) * len(tasks) > SIDE_BY_SIDE:
            look: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
            axes.set_xticks(range(len(models)), names, **look)
        else:
            axes.set_xticks(range(len(models)), [wrapped(name, 0.9) for name in names])
        axes.set(xlim=(-0.5, len(models) - 0.5), ylim=(0, 1.02), xlabel="network")
        panels.grid(axes)
    grid[0].set_ylabel("area under precision over recall")
    return figure
