"""Figure 4: how far attention heads look when a ViT is trained on fewer images."""

from typing import Any

from matplotlib.figure import Figure

from sightlines.figures import attention_panels as panels
from sightlines.figures import paper_curves
from sightlines.figures.style import column_width, fraction_label, full_width, legend_below, styled
from sightlines.plan import roles
from sightlines.plan.networks import per_cent
from sightlines.results.selecting import (
    Tables,
    label,
    networks,
    require_some,
    rows_of,
    trained_models,
)

TITLE = "Attention distance with less data"
PAPER = "Figures 4 and C.5"
QUESTION = "data"
CAPTION = (
    "As the top row of Figure 3, for networks trained on nested shares of the images (left to "
    "right: untrained, then ever more images; equal training steps unless the config says "
    "otherwise), small and large ViTs on the same axes. Look for: local heads in the lowest blocks "
    "that are missing with little data and appear with more, in the large ViT (Figure 4; C.6 with "
    "all images) rather than in the small one, which the paper found local with less data too "
    "(C.5); the highest blocks stay global throughout. The paper compares ImageNet with JFT-300M, "
    "a far larger step than here. Equally local lowest blocks on the smallest share would mean "
    "that locality did not need the data. Dash-dotted: the two lowest blocks of the paper's "
    "ViT-L/16, trained on ImageNet alone (with fewest images here) and on JFT-300M first (with "
    "all), read off its plots to ±2 % of uniform attention; distances and ranks are relative."
)
READS = ("attention_distance.csv",)
EXPLAINS = (
    "Do heads that look nearby need much data to be learned? The distances of Figure 3 are taken "
    "for the same ViT trained on nested shares of the images, small and large ViTs on the same "
    "axes. Read along a row: lines of the lowest blocks that start lower from column to column say "
    "that local heads come with more data."
)
DIFFERS = (
    "The paper compares ImageNet with JFT-300M, and the two differ in regularisation and length of "
    "training too; our shares differ in the number of images alone."
)
NEEDS = ("attention", "less_data")
PAPER_LINES = paper_curves.handle("ViT-L/16: ImageNet in the place of fewest images, JFT of all")
CENTRED: dict[str, Any] = {"ha": "center", "va": "center", "color": "0.4"}


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
    shown = panels.plain_vits(config, [m for m, own in rows.items() if _has_less_data(own)])
    rows = {m: rows[m] for m in shown}
    require_some(rows, "attention_distance.csv has no ViT trained on two fractions of the data")
    fractions = sorted({f for own in rows.values() for f in own}, key=per_cent)
    width = full_width() if len(fractions) > 1 else column_width()
    size = (width, 1.9 * len(rows) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), len(fractions), squeeze=False, sharey=True)
    drawn = [table for own in rows.values() for table in own.values()]
    top = panels.upper_limit(drawn)
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
                axes.text(0.5, 0.5, "not trained here", **CENTRED, transform=axes.transAxes)
                continue
            panels.draw_extreme_blocks(axes, own[fraction])
            if (data := _paper_data(fraction, own)) is not None:
                panels.draw_paper(axes, *data, own[fraction])
            axes.set_ylim(0, top)
            if column == last:
                panels.add_relative_axis(axes, panels.uniform_px(own[fraction]), True)
    handles = [*panels.handles(drawn), PAPER_LINES]
    legend_below(figure, handles, 1 + 2 * (len(fractions) > 1))
    return figure


def _paper_data(fraction: str, own: dict[str, Any]) -> tuple[str, str] | None:
    """The paper's figure and data beside a fraction: JFT-300M is most, ImageNet is fewest."""
    trained = [f for f in own if per_cent(f) > 0]
    if fraction == max(trained, key=per_cent):
        return "3", "JFT"
    return ("4", "IN") if fraction == min(trained, key=per_cent) else None


def _first_seeds(table: Any, config: dict[str, Any], model: str) -> dict[str, Any]:
    """The model's rows by fraction, of each fraction's first network that has attention."""
    own = networks(config)
    found: dict[str, Any] = {}
    for fraction in dict.fromkeys(n.fraction for n in own if n.model == model):
        kept = [rows_of(table, n) for n in roles.on(own, model, fraction)]
        if rows := [rows for rows in kept if not rows.empty]:
            found[fraction] = rows[0]
    return found


def _has_less_data(own: dict[str, Any]) -> bool:
    return sum(per_cent(fraction) > 0 for fraction in own) > 1
