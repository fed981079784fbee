"""Claim C22: a ViT trained to classify mean tokens loses localisation (paper, Figure 10)."""

from functools import partial

from sightlines.claims.cases import gather
from sightlines.claims.claim import OF_CORRELATIONS, Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import CORRELATION, DEVIATION
from sightlines.claims.evidence import Evidence
from sightlines.claims.fig09_localisation import AMENDED, EFFECT, final, stands
from sightlines.claims.matching import comparable, with_matched
from sightlines.plan.networks import Network

QUESTION = "places"
READS = ("localisation.parquet", "layers.csv", "accuracy.csv")


def _loss(
    evidence: Evidence, cls: Network, gap: Network, score: str = "cka", column: str = EFFECT
) -> list[Reading]:
    values = (
        final(evidence, cls, column, score) - final(evidence, gap, column, score),
        final(evidence, gap, "token_correlation", score),
    )
    return [from_replicates(v) for v in values]


LOSS = (
    Criterion("d(CLS) − d(GAP)", ">=", 3.6, smallest=DEVIATION),
    Criterion("correlation of tokens, GAP", ">=", 0.6, OF_CORRELATIONS, smallest=CORRELATION),
)
CLAIMS = (
    Claim(
        id="C22",
        figure="Figure 10",
        title="A mean-pooled ViT's tokens lose their places",
        statement="A ViT that classifies the mean of its tokens does not keep them about their own "
        "patches.",
        statistic="interior tokens after the last block: effect size d of the own patch (C19), "
        "class-token ViT minus its mean-pooled twin; mean correlation of the maps of two tokens of "
        "the twin",
        criteria=LOSS,
        reason="half of the difference of the paper's interior tokens, 7.0 and −.3; the "
        "correlation as for a ResNet (C20)",
        paper_value="z .1 against 4.2, which is d .1 against 5.8; correlation .93",
        source="[fig]",
        tier="A",
        controls="untrained networks; pixels regressed out",
        drawn="fig10_localisation_gap",
        cases=lambda evidence: with_matched(
            evidence, gather(evidence, evidence.pooled(), _loss), evidence.pooled(), _loss
        ),
        robustness_check=stands(LOSS, Evidence.pooled, _loss),
        premises=(comparable(Evidence.pooled, _loss),),
    ).loosened(
        AMENDED,
        premises=(),
        statistic="interior tokens after the last block: mean z of the own patch, class-token ViT "
        "minus its mean-pooled twin; mean correlation of the maps of two tokens of the twin",
        criteria=(Criterion("z(CLS) − z(GAP)", ">=", 2.0, smallest=DEVIATION), LOSS[1]),
        reason="half of the paper's difference; the correlation as for a ResNet (C20)",
        cases=lambda evidence: gather(evidence, evidence.pooled(), partial(_loss, column="z")),
    ),
)
