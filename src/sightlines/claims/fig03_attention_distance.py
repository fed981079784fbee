"""Claims C6 to C8: how far heads look in low and in high blocks (paper, Figures 3 and C.6)."""

import numpy as np

from sightlines.claims.cases import each
from sightlines.claims.claim import (
    OF_CORRELATIONS,
    Claim,
    Criterion,
    Reading,
    from_draws,
    from_replicates,
)
from sightlines.claims.effects import DISTANCE, RANK
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.several import least
from sightlines.claims.statistics import resampled, spearman, swap
from sightlines.plan.networks import Network

QUESTION = "local_and_global"
READS = ("attention_replicates.parquet", "accuracy.csv")

EDGE = 2
"""Blocks at the bottom, and at the top, that the paper's panels show."""


def reach(evidence: Evidence, network: Network) -> np.ndarray:
    """Mean attention distance over that of uniform attention [1 + groups, blocks, heads].

    Raises:
        NotMeasured: it has so few blocks that the lowest two are among the highest two.
    """
    table = "attention_replicates.parquet"
    frame = evidence.replicates(table, network, "relative", ["block", "head"])
    blocks = frame.columns.get_level_values("block").nunique()
    if blocks < 2 * EDGE:
        raise NotMeasured(
            f"needs a ViT of at least {2 * EDGE} blocks; {network.model} has {blocks}"
        )
    return frame.to_numpy().reshape(len(frame), blocks, -1)


def most_local(evidence: Evidence, network: Network) -> np.ndarray:
    """Relative distance of the most local head of the lowest two blocks [1 + groups]."""
    return np.asarray(reach(evidence, network)[:, :EDGE].min(axis=(1, 2)))


def _lowest(evidence: Evidence, network: Network) -> list[Reading]:
    most_global = reach(evidence, network)[:, :EDGE].max(axis=(1, 2))
    return [from_replicates(v) for v in (most_local(evidence, network), most_global)]


def _highest(evidence: Evidence, network: Network) -> list[Reading]:
    found = reach(evidence, network)[:, -EDGE:]
    return [least(list(found.reshape(len(found), -1).T))]


def _trend(evidence: Evidence, network: Network) -> list[Reading]:
    by_block = reach(evidence, network).mean(axis=2)
    return [from_draws(spearman(resampled(by_block)), swap(by_block.shape[-1]))]


CLAIMS = (
    Claim(
        id="C6",
        figure="Figure 3",
        title="A ViT's lowest blocks hold both local and global heads",
        statement="A ViT's lowest blocks hold both local and global heads.",
        statistic="mean attention distance over that of uniform attention: smallest and largest of "
        "the heads of the lowest two blocks",
        criteria=(
            Criterion("most local head", "<=", 0.5, smallest=DISTANCE),
            Criterion("most global head", ">=", 0.8, smallest=DISTANCE),
        ),
        reason="half of uniform attention's reach is local, four fifths is nearly uniform; the "
        "paper's heads are well beyond both",
        paper_value="smallest .20, .06; largest .88–.99",
        source="[fig]",
        tier="B",
        controls="untrained networks",
        drawn="fig03_attention_distance",
        cases=lambda evidence: each(evidence, evidence.vits(), _lowest),
    ),
    Claim(
        id="C7",
        figure="Figure 3",
        title="All heads of a ViT's highest blocks look globally",
        statement="All heads of a ViT's highest blocks look globally.",
        statistic="mean attention distance over that of uniform attention: smallest of the heads "
        "of the last two blocks",
        criteria=(Criterion("most local head", ">=", 0.85, smallest=DISTANCE),),
        reason="a little below the smallest of the paper's, .91",
        paper_value="at least .91",
        source="[fig]",
        tier="B",
        controls="untrained networks",
        drawn="fig03_attention_distance",
        amended="2026-11-29",
        cases=lambda evidence: each(evidence, evidence.vits(), _highest),
    ),
    Claim(
        id="C8",
        figure="Figure 3",
        title="Heads look further the higher their block",
        statement="Heads look further the higher their block.",
        statistic="Spearman correlation of a block's number and the mean attention distance of its "
        "heads",
        criteria=(
            Criterion("Spearman(block, distance)", ">=", 0.6, OF_CORRELATIONS, smallest=RANK),
        ),
        reason="a trend that some neighbouring blocks may break",
        paper_value="a rise (in the ViT paper)",
        source="[other]",
        tier="A/B",
        controls="untrained networks",
        drawn="fig03_attention_distance",
        cases=lambda evidence: each(evidence, evidence.vits(), _trend),
    ),
)
