"""Claim C11: which heads of a ViT are like a ResNet's lower layers (paper, Figure 5)."""

import numpy as np

from sightlines.claims.cases import each_pair, first_pairs, stand
from sightlines.claims.claim import Claim, Criterion, Reading, from_draws
from sightlines.claims.evidence import Evidence, NotMeasured, unbiased
from sightlines.claims.statistics import Values, resampled, spearman
from sightlines.plan.networks import Network

READS = ("head_subsets.parquet", "head_subset_indices.parquet", "accuracy.csv")
TABLE, INDICES = READS[:2]

UNITS = (1, 2, 3)
"""Ranks of the paper's block1unit2, block1unit3 and block2unit1, as the table numbers them."""
FEWEST = 4
"""Subsets below which a rank correlation says nothing."""


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
    """Of the unit that shows it least: rank correlation, and most global over most local."""
    cka, distance = (resampled(_windows(evidence, vit, resnet, c)) for c in ("cka", "relative"))
    return [from_draws(values) for values in _statistics(cka, distance)]


def _statistics(similarity: np.ndarray, distance: np.ndarray) -> list[Values]:
    """Of [..., units, subsets] both values of the unit that shows the fall least [...]."""
    local, global_ = similarity[..., 0], similarity[..., -1]
    share = np.where(local > 0, global_ / np.where(local > 0, local, 1), np.nan)
    return [values.max(axis=-1) for values in (spearman(similarity, distance), share)]


def _stands(evidence: Evidence, index: str) -> bool:
    """Whether it holds of every pair under another index, first seed."""

    def values(vit: Network, resnet: Network) -> list[float]:
        distance = _windows(evidence, vit, resnet, "relative")[0, 0]  # the same for every unit
        rows = evidence.rows(INDICES, vit, other_model=resnet.model, index=index)
        rows = rows[rows["unit_rank"].isin(UNITS)]
        frame = rows.assign(value=unbiased(rows)).pivot(
            index="unit_rank", columns="subset", values="value"
        )
        return [float(value) for value in _statistics(frame.to_numpy(), distance)]

    return all(stand(CRITERIA, values(*pair)) for pair in first_pairs(evidence))


CRITERIA = (
    Criterion("Spearman(distance, CKA)", "<=", -0.8),
    Criterion("most global ÷ most local", "<=", 0.85),
)


CLAIMS = (
    Claim(
        id="C11",
        figure="Figure 5",
        statement="The more local a subset of a ViT's first heads, the more it is like a ResNet's "
        "lower layers.",
        statistic="Spearman correlation of a subset's attention distance and its CKA with a ResNet "
        "unit, and CKA of the most global over that of the most local subset; of block1unit2, "
        "block1unit3 and block2unit1, as far as the ResNet has them, the unit that shows it least",
        criteria=CRITERIA,
        reason="only for these three units is the paper's fall monotonic or nearly so; a ResNet "
        "with fewer units a stage is judged by those it has",
        paper_value="ρ −.96 to −1; CKA falls by 21 to 41 %",
        source="[fig]",
        tier="B",
        controls="an untrained ViT against the trained ResNet; another index of similarity; random "
        "subsets in the figure",
        drawn="fig05_head_subsets",
        cases=lambda evidence: each_pair(evidence, evidence.vits(), evidence.resnets(), _fall),
        opinion=_stands,
    ),
)
