"""Figure 4: how far attention heads look when a ViT is trained on fewer images."""

from typing import Any

from matplotlib.figure import Figure

from sightlines.errors import ResultError
from sightlines.figures import attention_panels as panels
from sightlines.figures.drawing import command
from sightlines.figures.selecting import Tables, label, networks, rows_of, trained_models
from sightlines.figures.style import WIDTH_IN, fraction_label, styled
from sightlines.networks import per_cent
from sightlines.stage import run

TITLE = "Attention distance with less data"
PAPER = "Figure 4"
CAPTION = (
    "As the top row of Figure 3, for networks trained on nested shares of the images (left to "
    "right: untrained, then ever more images; equal training steps unless the config says "
    "otherwise). Look for: local heads in the lowest blocks that are missing with little data and "
    "appear with more; the highest blocks stay global throughout. The paper compares ImageNet with "
    "JFT-300M, a far larger step than here. Equally local lowest blocks on the smallest share "
    "would mean that locality did not need the data."
)
READS = ("attention_distance.csv",)
NEEDS = ("attention", "less_data")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One row a ViT, one column a data fraction.

    Args:
        tables: ``attention_distance.csv``.
        config: `networks`, `labels`.

    Raises:
        ResultError: no ViT of the experiment was trained on less than its largest fraction.
    """
    table = tables["attention_distance.csv"]
    rows = {m: _first_seeds(table, config, m) for m in trained_models(config)}
    rows = {m: own for m, own in rows.items() if _has_less_data(own)}
    if not rows:
        raise ResultError("attention_distance.csv has no ViT trained on two fractions of the data")
    fractions = sorted({f for own in rows.values() for f in own}, key=per_cent)
    size = (max(4.2, min(WIDTH_IN, 2.1 * len(fractions) + 0.7)), 1.9 * len(rows) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), len(fractions), squeeze=False, sharey=True)
    top = panels.upper_limit(t for own in rows.values() for t in own.values())
    for line, (model, own) in zip(grid, rows.items(), strict=True):
        line[0].set_ylabel(f"{label(config, model)}\nmean distance (px)")
        last = max(i for i, f in enumerate(fractions) if f in own)
        for column, fraction in enumerate(fractions):
            axes = line[column]
            axes.set_xlabel("head rank")
            if model == next(iter(rows)):
                axes.set_title(fraction_label(fraction), fontweight="bold")
            if fraction not in own:
                axes.set_axis_off()
                continue
            panels.draw_extreme_blocks(axes, own[fraction])
            axes.set_ylim(0, top)
            if column == last:
                panels.add_relative_axis(axes, panels.uniform_px(own[fraction]), True)
    figure.legend(handles=panels.handles(), loc="outside lower center", ncols=2 + (size[0] > 5))
    return figure


def _first_seeds(table: Any, config: dict[str, Any], model: str) -> dict[str, Any]:
    """The model's rows by fraction, of each fraction's first seed that has attention."""
    found: dict[str, Any] = {}
    for network in networks(config):
        own = rows_of(table, network)
        if network.model == model and network.fraction not in found and not own.empty:
            found[network.fraction] = own
    return found


def _has_less_data(own: dict[str, Any]) -> bool:
    return sum(per_cent(fraction) > 0 for fraction in own) > 1


main = command(READS, draw)

if __name__ == "__main__":
    run(main)
