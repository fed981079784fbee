"""Claims C12 to C14: how receptive fields grow (paper, Figures 6 and C.1 to C.4)."""

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
from sightlines.claims.effects import GRADIENT, PIXELS, RANK, SHARE
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.matching import comparable, each_pair_matched, pairs
from sightlines.claims.several import least
from sightlines.claims.statistics import resampled, spearman, swap
from sightlines.plan.networks import Network
from sightlines.stats.means import quotient

QUESTION = "local_and_global"
READS = ("receptive_fields.parquet", "accuracy.csv")

FEWEST = 4
"""Measured depths below which there is no trend to speak of."""


def _course(
    evidence: Evidence, network: Network, column: str, branch: str, variant: str = "post"
) -> tuple[np.ndarray, np.ndarray]:
    """Depths of the measured blocks [depths], and a column there [1 + groups, depths].

    Raises:
        NotMeasured: they are too few.
    """
    table = "receptive_fields.parquet"
    own = {"branch": branch, "variant": variant}
    frame = evidence.replicates(table, network, column, ["depth"], **own)
    if frame.shape[1] < FEWEST:
        raise NotMeasured(
            f"needs {network.model} with {FEWEST} blocks, and receptive_field.depths to match"
        )
    return frame.columns.to_numpy(np.float64), frame.to_numpy()


def _at_half(depth: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values [..., depths] at depth ½, by linear interpolation."""
    return np.array([np.interp(0.5, depth, row) for row in values])


def _growth(evidence: Evidence, resnet: Network) -> list[Reading]:
    """Growth of the side up to half depth, and from there to the last unit, in px."""
    depth, side = _course(evidence, resnet, "side_px", "unit")
    half = _at_half(depth, side)
    return [from_replicates(v) for v in (half - side[:, 0], side[:, -1] - half)]


def _order(evidence: Evidence, resnet: Network) -> list[Reading]:
    """Rank correlation of side and depth, 0 where all sides are equal: C12 before its amendment."""
    depth, sides = _course(evidence, resnet, "side_px", "unit")
    side = resampled(sides)
    is_constant = (side == side[:, :1]).all(axis=1)
    return [from_draws(np.where(is_constant, 0.0, spearman(side, depth)), swap(len(depth)))]


def _spread(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    """Gradient outside the own patch: mid over last value of both, and ViT − ResNet at first."""
    depth, inside = _course(evidence, vit, "own_patch_share", "mlp")
    unit_depth, unit_inside = _course(evidence, resnet, "window_share", "unit")
    sides = [evidence.rows(READS[0], n)["patch_px"].iloc[0] for n in (vit, resnet)]
    if sides[0] != sides[1]:
        raise NotMeasured(
            f"needs token grids of one size: {vit.model} has patches of {sides[0]:g} px, "
            f"{resnet.model} cells of {sides[1]:g} px in its last map"
        )
    own, other = 1 - inside, 1 - unit_inside
    shares = [
        quotient(_at_half(d, values), values[:, -1])
        for d, values in ((depth, own), (unit_depth, other))
    ]
    return [from_replicates(v) for v in (*shares, own[:, 0] - other[:, 0])]


def _own_patch(evidence: Evidence, vit: Network) -> list[Reading]:
    """Own patch's share after minus before the residual addition, least of the upper half."""
    depth, post = _course(evidence, vit, "own_patch_share", "attn")
    _, pre = _course(evidence, vit, "own_patch_share", "attn", "pre")
    return [least(list((post - pre)[:, depth >= 0.5].T))]


CLAIMS = (
    Claim(
        id="C12",
        figure="Figure 6",
        title="A ResNet's receptive fields grow with depth",
        statement="A ResNet's receptive fields grow with depth.",
        statistic="side of a unit's effective receptive field (root of the number of pixels whose "
        "gradient exceeds 4.55 % of the largest): growth in px from the first measured unit to "
        "half depth, and from there to the last",
        criteria=(
            Criterion("growth up to half depth", ">=", 0.0, smallest=PIXELS),
            Criterion("growth from half depth", ">=", 0.0, smallest=PIXELS),
        ),
        reason="the paper claims an order, all the way up",
        paper_value="grow in every panel",
        source="[fig]",
        tier="A",
        controls="untrained networks",
        drawn="fig06_receptive_field_curves",
        cases=lambda evidence: each(evidence, evidence.resnets(), _growth),
    ).loosened(
        "2026-11-29",
        statistic="Spearman correlation of a unit's depth and the side of its effective receptive "
        "field (root of the number of pixels whose gradient exceeds 4.55 % of the largest)",
        criteria=(Criterion("Spearman(depth, side)", ">=", 0.9, OF_CORRELATIONS, smallest=RANK),),
        reason="of five measured depths, neighbours at most may swap",
        cases=lambda evidence: each(evidence, evidence.resnets(), _order),
    ),
    Claim(
        id="C13",
        figure="Figure 6",
        title="A ViT's receptive fields are global early, a ResNet's late",
        statement="A ViT's receptive fields are as global midway as in the end, and larger than a "
        "ResNet's from the first block on; a ResNet's only become so.",
        statistic="share of the gradient outside the ViT's own patch, and outside an equally large "
        "window around a ResNet's location: at half depth over that after the last block; and "
        "after the first block, ViT minus ResNet",
        criteria=(
            Criterion("ViT, half depth ÷ last", ">=", 0.8, smallest=SHARE),
            Criterion("ResNet, half depth ÷ last", "<=", 0.6, smallest=SHARE),
            Criterion("first block, ViT − ResNet", ">=", 0.0, smallest=GRADIENT),
        ),
        reason="four fifths is nearly all, three fifths leaves much to come; half depth is "
        "interpolated between measured blocks, so that both networks are read at the same depth",
        paper_value="ViT global midway; ResNet ⅓ of the image midway, nearly all at the end",
        source="[fig]",
        tier="A/B",
        controls="untrained networks",
        drawn="fig06_receptive_field_curves",
        cases=lambda evidence: each_pair_matched(evidence, _spread),
        premises=(comparable(pairs, _spread),),
    ),
    Claim(
        id="C14",
        figure="Figure C.4",
        title="Skips keep a ViT's upper attention on the own patch",
        statement="In a ViT's upper half it is the skip connection that keeps attention centred on "
        "the own patch.",
        statistic="own patch's share of the gradient after minus before the residual addition of "
        "attention, smallest of the measured blocks of the upper half",
        criteria=(Criterion("own patch, after − before", ">=", 0.0, smallest=GRADIENT),),
        reason="the paper claims an order, for every block of the upper half",
        paper_value="later attention is not dominated by the own patch before the addition",
        source="[text]",
        tier="A",
        controls="untrained networks",
        drawn="fig06_receptive_field_curves",
        amended="2026-11-29",
        cases=lambda evidence: each(evidence, evidence.vits(), _own_patch),
    ),
)
