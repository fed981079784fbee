"""The depth at which a network notices corruptions and Fourier noise, or gets over them."""

from typing import Any

from matplotlib.figure import Figure

from sightlines.figures.fignaseer_depth import draw_depths
from sightlines.figures.style import styled
from sightlines.results.selecting import Tables

TITLE = "Where in a network corruptions and Fourier noise are noticed"
STUDY = "paul2022"
PAPER = ""
CAPTION = (
    "Unbiased linear CKA of each block's output for corrupted or noisy images with the same "
    "block's output for the images as they are, on the reference images; left of the axis (px) "
    "that of the pixels themselves, right the last block, hollow markers the norm after it. Bands "
    "are the jackknife standard error over minibatches; dotted: untrained networks. Fourier noise "
    "is a wave of so many cycles an image, in a direction of each image's own. Look for: blocks "
    "from which lines rise towards 1, where robustness arises, and whether those of ViTs and CNNs "
    "lie at one depth."
)
EXPLAINS = (
    "A robust network answers as if nothing had happened, so somewhere on the way it must have "
    "got rid of the noise. Every block is asked whether it still puts the same images near each "
    "other when they are corrupted. Where a line climbs, later blocks undo what earlier ones let "
    "through."
)
DIFFERS = "No paper draws this; the estimator is that of Raghu et al. 2021, appendix A."
READS = ("condition_depth.parquet",)
NEEDS = ("changed_images", "changed_depth")


@styled
def draw(tables: Tables, config: dict[str, Any]) -> Figure:
    """One panel a corruption or radius.

    Args:
        tables: ``condition_depth.parquet``.
        config: `networks`, `labels`, `architectures`.

    Raises:
        ResultError: the table has no trained network of this experiment.
    """
    table = tables["condition_depth.parquet"]
    return draw_depths(table[table["family"].isin(("corruption", "frequency"))], config)
