"""Claim C11: which heads of a ViT are like a ResNet's lower layers (paper, Figure 5)."""

import numpy as np

from sightlines.claims.cases import each_pair, first_pairs, satisfies_all
from sightlines.claims.claim import (
    OF_CORRELATIONS,
    Claim,
    Criterion,
    Premise,
    Reading,
    from_draws,
    from_replicates,
)
from sightlines.claims.effects import DISTANCE, RANK, SHARE, SIMILARITY
from sightlines.claims.evidence import Evidence, NotMeasured, unbiased
from sightlines.claims.statistics import Values, resampled, spearman, swap
from sightlines.plan.networks import Network
from sightlines.stats.means import mean_of_finite, quotient

QUESTION = "local_and_global"
READS = ("head_subsets.parquet", "head_subset_indices.parquet", "accuracy.csv")
TABLE, INDICES = READS[:2]

UNITS = (1, 2, 3)
"""Ranks of the paper's block1unit2, block1unit3 and block2unit1, as the table numbers them."""
FEWEST = 4
"""Subsets of which three share no head, or hardly any."""


def _windows(evidence: Evidence, vit: Network, resnet: Network, column: str) -> np.ndarray:
    """A column of the subsets, from local to global heads [1 + groups, units, subsets].

    Raises:
        NotMeasured: the ViT has too few heads, or the ResNet none of the units.
    """
    by = ["unit_rank", "subset"]
    own = {"subset_kind": "window", "other_model": resnet.model}
    frame = evidence.replicates(TABLE, vit, column, by, **own)
    ranks = frame.columns.get_level_values("unit_rank")
    frame = frame.loc[:, ranks.isin(UNITS)]
    units = frame.columns.get_level_values("unit_rank").nunique()
    if not units:
        raise NotMeasured(f"{resnet.model} lacks the units 1.2, 1.3 and 2.1 of Figure 5")
    subsets = frame.shape[1] // units
    if subsets < FEWEST:
        raise NotMeasured(f"{vit.model} has too few heads for {FEWEST} subsets")
    return frame.to_numpy().reshape(len(frame), units, subsets)


def _fall(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    """Falls of the mean CKA between three windows of heads, and what is left of it."""
    cka = _windows(evidence, vit, resnet, "cka")
    return [from_replicates(values) for values in _statistics(cka)]


def _statistics(similarity: np.ndarray) -> list[Values]:
    """Of [..., units, subsets] the falls to the middle window and from it, and the ratio [...].

    Neighbouring windows share heads, so that a rank correlation over all of them counts the same
    heads several times. The three that are taken share none (with five heads: one).
    """
    windows = similarity.shape[-1]
    means = mean_of_finite(np.moveaxis(similarity, -2, -1))
    means = np.where(np.isfinite(similarity).all(axis=-2), means, np.nan)
    local, middle, global_ = (means[..., at] for at in (0, (windows - 1) // 2, -1))
    return [local - middle, middle - global_, quotient(global_, local)]


def _stands(evidence: Evidence, index: str) -> bool:
    """Whether it holds of every pair under another index, first seed."""

    def values(vit: Network, resnet: Network) -> list[float]:
        rows = evidence.rows(INDICES, vit, other_model=resnet.model, index=index)
        rows = rows[rows["unit_rank"].isin(UNITS)]
        frame = rows.assign(value=unbiased(rows)).pivot(
            index="unit_rank", columns="subset", values="value"
        )
        return [float(value) for value in _statistics(frame.to_numpy())]

    return all(satisfies_all(CRITERIA, values(*pair)) for pair in first_pairs(evidence))


def _alike(evidence: Evidence) -> str:
    """Says of which ViT all heads look equally far; empty where there is none."""
    for vit, resnet in first_pairs(evidence):
        try:
            distance = _windows(evidence, vit, resnet, "relative")[:, 0]  # the same for every unit
        except NotMeasured:
            continue
        found = from_replicates(distance[:, -1] - distance[:, 0])
        if SPREAD.outcome(found.low, found.high) == "fails":
            return (
                f"the first heads of {evidence.label(vit.model)} look equally far (from the most "
                f"local to the most global {found.value:.2g} of uniform attention's distance; "
                f"needed: {SPREAD}): needs a network that learns local heads"
            )
    return ""


SPREAD = Criterion("most global − most local", ">=", 0.2, smallest=DISTANCE)
"""A fifth of uniform attention's reach, as in C9; the paper's are .58 (L/16) and .76 (H/14)."""


def _fall_before(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    """Of the unit that shows it least: rank correlation, and most global over most local."""
    cka, distance = (resampled(_windows(evidence, vit, resnet, c)) for c in ("cka", "relative"))
    local, global_ = cka[..., 0], cka[..., -1]
    order, ratio = spearman(cka, distance), quotient(global_, local)
    step = swap(cka.shape[-1])
    return [from_draws(order.max(axis=-1), step), from_draws(ratio.max(axis=-1))]


CRITERIA = (
    Criterion("most local − middle heads", ">=", 0.0, smallest=SIMILARITY),
    Criterion("middle − most global heads", ">=", 0.0, smallest=SIMILARITY),
    Criterion("most global ÷ most local", "<=", 0.85, smallest=SHARE),
)


CLAIMS = (
    Claim(
        id="C11",
        figure="Figure 5",
        title="A ViT's local heads are the most like low ResNet layers",
        statement="The more local a subset of a ViT's first heads, the more it is like a ResNet's "
        "lower layers.",
        statistic="CKA of three subsets of heads that share none (most local, middle, most global) "
        "with a ResNet's lower units, mean of block1unit2, block1unit3 and block2unit1 as far as "
        "there are such: falls from one to the next, and the last over the first",
        criteria=CRITERIA,
        reason="an order from each to the next, and a fall of 15 % where the paper's is at least "
        "21; only for these three units is the paper's fall monotonic or nearly so; a ResNet with "
        "fewer units a stage is judged by those it has",
        paper_value="ρ −.96 to −1; CKA falls by 21 to 41 %",
        source="[fig]",
        tier="B",
        controls="an untrained ViT against the trained ResNet; another index of similarity; random "
        "subsets in the figure",
        drawn="fig05_head_subsets",
        cases=lambda evidence: each_pair(evidence, evidence.vits(), evidence.resnets(), _fall),
        robustness_check=_stands,
        premises=(Premise("the first heads differ in how far they look", _alike),),
    ).loosened(
        "2026-11-29",
        statistic="Spearman correlation of a subset's attention distance and its CKA with a ResNet "
        "unit, and CKA of the most global over that of the most local subset; of block1unit2, "
        "block1unit3 and block2unit1, as far as the ResNet has them, the unit that shows it least",
        criteria=(
            Criterion("Spearman(distance, CKA)", "<=", -0.8, OF_CORRELATIONS, smallest=RANK),
            CRITERIA[-1],
        ),
        reason="only for these three units is the paper's fall monotonic or nearly so; a ResNet "
        "with fewer units a stage is judged by those it has",
        premises=(),
        cases=lambda evidence: each_pair(
            evidence, evidence.vits(), evidence.resnets(), _fall_before
        ),
    ),
)
