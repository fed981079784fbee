"""Claims C15, C16 and C16b: what comes over skip connections (paper, Figures 7, E.1, E.2)."""

import numpy as np

from sightlines.claims.cases import each
from sightlines.claims.claim import Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import COSINE, RATIO
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.matching import comparable, each_pair_matched, pairs
from sightlines.claims.statistics import depths
from sightlines.plan.networks import Network

QUESTION = "skips"
READS = ("skip_ratios.parquet", "accuracy.csv")

FEWEST = 4
"""Blocks below which halves of a network are no more than its ends."""


def _course(
    evidence: Evidence, network: Network, column: str, branch: str, tokens: str = "spatial"
) -> np.ndarray:
    """A column of every block's branch [1 + groups, blocks]."""
    own = {"branch": branch, "tokens": tokens}
    return evidence.replicates("skip_ratios.parquet", network, column, ["block"], **own).to_numpy()


def _halves(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over the lower and over the upper half of the blocks [1 + groups] each.

    Raises:
        NotMeasured: there are too few blocks.
    """
    blocks = values.shape[1]
    if blocks < FEWEST:
        raise NotMeasured(f"needs a ViT of at least {FEWEST} blocks")
    lower = depths(blocks) < 0.5
    return values[:, lower].mean(axis=1), values[:, ~lower].mean(axis=1)


def _against_resnet(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    unit = _course(evidence, resnet, "ratio", "unit").mean(axis=1)
    branches = [_course(evidence, vit, "ratio", b).mean(axis=1) for b in ("attn", "mlp")]
    return [from_replicates(own / unit) for own in branches]


def _transition(evidence: Evidence, vit: Network) -> list[Reading]:
    mlp_cls = _halves(_course(evidence, vit, "ratio", "mlp", "cls"))
    mlp = _halves(_course(evidence, vit, "ratio", "mlp"))
    attn = _halves(_course(evidence, vit, "ratio", "attn"))
    changes = (mlp_cls[0] - mlp_cls[1], attn[1] - attn[0])
    ahead = (mlp_cls[0] - mlp[0], mlp_cls[1] - mlp[1])
    return [from_replicates(v) for v in (*changes, *ahead)]


def _direction(evidence: Evidence, vit: Network) -> list[Reading]:
    """Rise of the cosine of spatial tokens, and fall of the class token's, mean of branches."""
    rises = []
    for tokens in ("spatial", "cls"):
        branches = [_course(evidence, vit, "cosine", b, tokens) for b in ("attn", "mlp")]
        lower, upper = _halves(np.mean(branches, axis=0))
        rises.append(upper - lower)
    return [from_replicates(v) for v in (rises[0], -rises[1])]


CLAIMS = (
    Claim(
        id="C15",
        figure="Figure 7",
        title="More comes over a ViT's skips than over a ResNet's",
        statement="More of a ViT's representations comes over skip connections than of a ResNet's.",
        statistic="norm of skip over norm of branch, mean over spatial tokens and blocks: a ViT's "
        "attention and MLP, each over the ResNet's units",
        criteria=(
            Criterion("attention ÷ ResNet", ">=", 1.5, smallest=RATIO),
            Criterion("MLP ÷ ResNet", ">=", 1.5, smallest=RATIO),
        ),
        reason="half as much again is seen in the figure; means over blocks, since the paper's own "
        "first block lies below the ResNet",
        paper_value="5.8 and 3.4 against 1.33",
        source="[fig]",
        tier="A",
        controls="untrained networks (an untrained ResNet's branches may be 0: no ratio)",
        drawn="fig07_skip_ratios",
        cases=lambda evidence: each_pair_matched(evidence, _against_resnet),
        premises=(comparable(pairs, _against_resnet),),
    ),
    Claim(
        id="C16",
        figure="Figure 7",
        title="Skips carry the class token early, spatial tokens late",
        statement="Half-way up, skips change from carrying the class token to carrying the spatial "
        "tokens.",
        statistic="norm of skip over norm of branch, means over halves of the blocks: MLP of the "
        "class token, first minus second half; attention of spatial tokens, second minus first; "
        "and of the MLP class token minus spatial tokens in either half",
        criteria=(
            Criterion("MLP of CLS, first − second half", ">=", 0.0, smallest=RATIO),
            Criterion(
                "attention of spatial tokens, second − first half", ">=", 0.0, smallest=RATIO
            ),
            Criterion("MLP, CLS − spatial, first half", ">=", 0.0, smallest=RATIO),
            Criterion("MLP, CLS − spatial, second half", "<=", 0.0, smallest=RATIO),
        ),
        reason="the paper claims two directions and a change of sign, not sizes",
        paper_value="MLP of CLS 7.2 → 3.0; attention of spatial tokens 2.9 → 8.8; MLP of spatial "
        "tokens 2.2 → 4.6",
        source="[fig]",
        tier="B",
        controls="untrained networks",
        drawn="fig07_skip_ratios",
        cases=lambda evidence: each(evidence, evidence.vits(), _transition),
    ),
    Claim(
        id="C16b",
        figure="Figure E.2",
        title="Spatial tokens are turned early, the class token late",
        statement="Spatial tokens are turned early and kept late; the class token the other way "
        "round.",
        statistic="cosine of skip and sum, mean of attention and MLP and over halves of the "
        "blocks: spatial tokens, second minus first half; class token, first minus second half",
        criteria=(
            Criterion("spatial tokens, second − first half", ">=", 0.0, smallest=COSINE),
            Criterion("CLS, first − second half", ">=", 0.0, smallest=COSINE),
        ),
        reason="the paper claims two directions, not sizes",
        paper_value="spatial tokens change early, CLS late",
        source="[text]",
        tier="B",
        controls="untrained networks",
        drawn="figE2_skip_cosine",
        cases=lambda evidence: each(evidence, evidence.vits(), _direction),
    ),
)
