"""Claims C4 and C5: which layers of a ViT and of a ResNet are alike (paper, Figures 2 and B.1)."""

from collections.abc import Callable, Sequence

import numpy as np

from sightlines.claims.cases import each_pair, first_pairs, stand
from sightlines.claims.claim import Claim, Criterion, Reading, from_draws
from sightlines.claims.evidence import Evidence
from sightlines.claims.statistics import Values, alignment, depths, mean_over, resampled
from sightlines.plan.networks import Network

READS = ("cka_replicates.safetensors", "layers.csv", "accuracy.csv")

Statistics = Callable[[np.ndarray], list[Values]]
"""From maps [..., layers of a ViT, layers of a ResNet] to one number each [...]."""


def match(maps: np.ndarray) -> list[Values]:
    """Of the depths a(j) of the best-matching ViT layer of each ResNet layer j.

    Returns:
        Median over the lower half of the ResNet, over its upper half, and the share of layers with
        a(j) below their own depth; layers at depth 0, below which there is nothing, and layers
        without a match are left out.
    """
    depth, found = depths(maps.shape[-1]), alignment(maps)
    defined = np.isfinite(found).reshape(-1, len(depth)).all(axis=0)
    lower, upper, above = depth < 0.5, depth >= 0.5, depth > 0
    below = np.where(np.isfinite(found), found < depth, np.nan)
    return [
        _over(np.median, found[..., defined & lower]),
        _over(np.median, found[..., defined & upper]),
        _over(np.mean, below[..., defined & above]),
    ]


def _over(function: Callable[..., Values], values: np.ndarray) -> Values:
    """A function along the last axis; NaN where that has no element."""
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    return function(values, axis=-1)


def top_third(maps: np.ndarray) -> list[Values]:
    """How much more alike the better of the ViT's lower thirds is than its top third.

    For each half of the ResNet the larger of the mean similarities of the lowest and of the middle
    third, less that of the top third; the smaller of both halves.
    """
    rows, columns = depths(maps.shape[-2]), depths(maps.shape[-1])
    thirds = rows < 1 / 3, (rows >= 1 / 3) & (rows < 2 / 3), rows >= 2 / 3
    gaps = []
    for half in (columns < 0.5, columns >= 0.5):
        low, middle, top = (mean_over(maps, third, half) for third in thirds)
        gaps.append(np.maximum(low, middle) - top)
    return [np.minimum(*gaps)]


def _reading(statistics: Statistics) -> Callable[..., list[Reading]]:
    def read(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
        return [from_draws(v) for v in statistics(resampled(evidence.cka(vit, resnet)))]

    return read


def _stands(
    evidence: Evidence, index: str, criteria: Sequence[Criterion], statistics: Statistics
) -> bool:
    """Whether every pair's block outputs fulfil the criteria under another index, first seed."""
    return all(
        stand(criteria, statistics(evidence.opinion(index, *pair)))
        for pair in first_pairs(evidence)
    )


MATCH = (
    Criterion("median match of the lower half", "<=", 0.25),
    Criterion("median match of the upper half", "<=", 0.6),
    Criterion("share matched below their depth", ">=", 0.8),
)
TOP = (Criterion("best of the lower thirds − top third", ">=", 0.0),)

CLAIMS = (
    Claim(
        id="C4",
        figure="Figure 2",
        statement="What a ResNet computes in many lower layers, a ViT computes in few: a ResNet's "
        "layers match ViT layers of less depth.",
        statistic="depth of the ViT layer with the largest CKA, for every ResNet layer: median "
        "over the ResNet's lower and upper half, and share below the ResNet layer's own depth",
        criteria=MATCH,
        reason="lowest quarter for the lower half and the third after it for the upper half, as in "
        "the paper's text; four in five layers, of all but the ResNet's first, which has nothing "
        "below it",
        paper_value="medians .11 and .28 (L/16), .08 and .27 (H/14)",
        source="[fig]",
        tier="A/B",
        controls="untrained networks; another index of similarity",
        drawn="fig02_cka_across",
        cases=lambda evidence: each_pair(
            evidence, evidence.vits(), evidence.resnets(), _reading(match)
        ),
        opinion=lambda evidence, index: _stands(evidence, index, MATCH, match),
    ),
    Claim(
        id="C5",
        figure="Figure 2",
        statement="The final third of a ViT's layers is less like any ResNet layers than the ViT's "
        "lower layers are.",
        statistic="mean CKA of a third of the ViT's layers with half of the ResNet's: larger of "
        "the two lower thirds minus top third, for the half where that is smaller",
        criteria=TOP,
        reason="the paper claims an order; means are held against means, since the best of many "
        "layers exceeds the mean of any others by chance",
        paper_value=".33–.47 (top) against .60–.65 (best below)",
        source="[fig]",
        tier="B",
        controls="untrained networks; another index of similarity",
        drawn="fig02_cka_across",
        cases=lambda evidence: each_pair(
            evidence, evidence.vits(), evidence.resnets(), _reading(top_third)
        ),
        opinion=lambda evidence, index: _stands(evidence, index, TOP, top_third),
    ),
)
