"""Claim N8: what position embeddings are worth (Naseer et al. 2021, section 3.3)."""

from sightlines.claims.cases import gather
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_shares
from sightlines.claims.effects import ACCURACY
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.responding import OCCLUSION
from sightlines.plan.networks import Network
from sightlines.results.selecting import rows_of

STUDY = "naseer2021"
READS = ("occlusion.parquet", "accuracy.csv")


def pairs(evidence: Evidence) -> list[tuple[str, str]]:
    """Each ViT with a position embedding, and one of the same architecture without.

    Raises:
        NotMeasured: there is none.
    """
    known, placed = evidence.config["architectures"], {}
    for model in evidence.models("vit"):
        rows = rows_of(evidence.table(OCCLUSION), evidence.full(model)[0])
        if rows.empty:  # not among `conditions.models`
            continue
        placed[model] = bool(rows["positions"].iloc[0])
    found = [
        (one, other)
        for one in placed
        for other in placed
        if placed[one] and not placed[other] and known[one] == known[other]
    ]
    if not found:
        raise NotMeasured(
            "needs two ViTs that differ by their position embedding alone: family timm, weights "
            "random, one of them with arguments {pos_embed: none}"
        )
    return found


def _worth(evidence: Evidence, placed: Network, unplaced: Network) -> list[Reading]:
    (more, _, images), (less, _, others) = map(evidence.accuracy, (placed, unplaced))
    found = from_shares([(1.0, more, images), (-1.0, less, others)])
    return [found, found]


def _cases(evidence: Evidence) -> list[Case]:
    return gather(evidence, pairs(evidence), _worth)


CLAIMS = (
    Claim(
        id="N8",
        figure="Figure 10",
        title="Position embeddings help a ViT, but little",
        statement="Position embeddings are worth something to a ViT, but little.",
        statistic="test accuracy of a ViT with a position embedding minus that of its like without",
        criteria=(
            Criterion("with − without positions", ">=", 0.0, smallest=ACCURACY),
            Criterion("with − without positions, at most", "<=", 0.05, smallest=ACCURACY),
        ),
        reason="an order; five points is a little more than the published 3.9 (DeiT-T) and 2.8 "
        "(ViT-B/16, few shots)",
        paper_value="DeiT-T 68.3 % without; with them 72.2 %",
        source="[text]",
        tier="A",
        controls="other seeds",
        drawn="fignaseer_shuffle",
        cases=_cases,
    ),
)
