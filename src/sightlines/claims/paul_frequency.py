"""Claims P3 and P4: at which frequencies networks are sensitive (Paul & Chen 2021, section 4.5)."""

from functools import partial

import numpy as np

from sightlines.claims.cases import Read, gather
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import ACCURACY, RATIO
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.responding import pairs_of_one_origin
from sightlines.plan.networks import Network

STUDY = "paul2022"
READS = ("frequency.parquet", "frequency_grid.csv", "accuracy.csv")
GRID = "frequency_grid.csv"
RINGS = ((0.0, 1 / 8), (1 / 8, 1 / 4))
"""Radii of low and of middle frequencies, over the side of the images in px."""


def ring_mean(evidence: Evidence, network: Network, low: float, high: float) -> np.ndarray:
    """Mean error over the map's frequencies of a ring, less the clean error [1 + groups].

    Raises:
        NotMeasured: there are none.
    """
    rows = evidence.rows("frequency.parquet", network, of_map=1)
    radius = rows["relative_radius"]
    own = rows[(radius >= low) & (radius < high)]
    if own.empty:
        raise NotMeasured(f"{network.slug} was shown no frequency of a ring")
    return own.groupby("left_out")["excess"].mean().sort_index().to_numpy()


def _rings(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    return [
        from_replicates(ring_mean(evidence, resnet, *ring) - ring_mean(evidence, vit, *ring))
        for ring in RINGS
    ]


def _contrast(evidence: Evidence, network: Network) -> np.ndarray:
    rows = evidence.rows(GRID, network).sort_values("left_out")
    return rows["grid_contrast"].to_numpy()


def _need_own_grid(evidence: Evidence, vit: Network) -> None:
    """Raise NotMeasured where a ViT's patches do not all see the grid's waves alike.

    A wave of the grid of `cells` is alike in every cell, and in every patch that is so many of
    them; in a finer patch, or in one that cells cut, it is not.
    """
    first = evidence.rows(GRID, vit).iloc[0]
    cells, own = int(first["cells"]), int(first["grid"])
    if not own or cells % own:
        raise NotMeasured(
            f"waves of the grid ({cells} cells a side) are not alike in all patches of {vit.slug} "
            f"({own} a side): see conditions.frequency.cells, conditions.models"
        )


def _grid(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    _need_own_grid(evidence, vit)
    return [from_replicates(_contrast(evidence, vit) - _contrast(evidence, resnet))]


def _cases(evidence: Evidence, read: Read) -> list[Case]:
    pairs = pairs_of_one_origin(evidence, evidence.vits(), evidence.resnets())
    return gather(evidence, pairs, read)


CLAIMS = (
    Claim(
        id="P3",
        figure="Figure 8",
        title="ViTs are less sensitive to low and middle frequencies",
        statement="ViTs are less sensitive than CNNs to noise of low and of middle frequencies.",
        statistic="error with a wave added less error on clean images, mean over the waves of "
        "radius below 1/8 and from 1/8 to 1/4 of the images' side, ResNet minus ViT",
        criteria=(
            Criterion("low frequencies, ResNet − ViT", ">=", 0.0, smallest=ACCURACY),
            Criterion("middle frequencies, ResNet − ViT", ">=", 0.0, smallest=ACCURACY),
        ),
        reason="the paper claims an order; the clean error is taken off first, since its networks "
        "differ in that as well",
        paper_value="seen in the maps",
        source="[fig]",
        tier="A",
        controls="untrained networks",
        drawn="figpaul_frequency",
        cases=partial(_cases, read=_rings),
    ),
    Claim(
        id="P4",
        figure="Figure 8",
        title="A ViT's sensitivity map bears the mark of its patch grid",
        statement="A ViT's sensitivity map bears the mark of its patch grid, a CNN's does not.",
        statistic="at multiples of the number of patches along a side, which every patch sees "
        "alike: distance of the error from the mean of the eight frequencies beside, over the "
        "standard deviation of the ring around, mean; ViT minus ResNet",
        criteria=(Criterion("grid contrast, ViT − ResNet", ">=", 0.5, smallest=RATIO),),
        reason="half a standard deviation of its ring is a mark that is seen",
        paper_value="not claimed by the paper: it follows from patches",
        source="[none]",
        tier="A",
        controls="untrained networks; in the figure ViTs of other patch sizes at the same "
        "frequencies",
        drawn="figpaul_frequency",
        cases=partial(_cases, read=_grid),
    ),
)
