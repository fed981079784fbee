"""Claim P9: who leans on backgrounds (Paul & Chen 2021, Table 4; Xiao et al. 2020)."""

from functools import partial

from sightlines.claims.cases import Read, gather
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import ACCURACY
from sightlines.claims.evidence import Evidence
from sightlines.claims.responding import pairs_of_one_origin
from sightlines.plan.networks import Network

STUDY = "paul2022"
READS = ("backgrounds.csv", "accuracy.csv")


def _against_resnet(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    own, other = (
        evidence.rows("backgrounds.csv", n).sort_values("left_out")["gap"].to_numpy()
        for n in (vit, resnet)
    )
    return [from_replicates(other - own)]


def _cases(evidence: Evidence, read: Read) -> list[Case]:
    pairs = pairs_of_one_origin(evidence, evidence.vits(), evidence.resnets())
    return gather(evidence, pairs, read)


CLAIMS = (
    Claim(
        id="P9",
        figure="Table 4",
        title="ViTs lean less on backgrounds than CNNs",
        statement="ViTs lean less on backgrounds than CNNs.",
        statistic="accuracy on objects on grounds of their own class less that on grounds of "
        "another, cut out by true masks, ResNet minus ViT",
        criteria=(Criterion("gap, ResNet − ViT", ">=", 0.0, smallest=ACCURACY),),
        reason="the paper claims an order",
        paper_value="its own numbers say the opposite: 6.8 points of L/16, 4.6 of BiT-M r101x3",
        source="[code]",
        tier="A",
        controls="untrained networks; where grounds tell nothing of the class (`ground_match` 0) "
        "the gap is 0 by design",
        drawn="figpaul_backgrounds",
        cases=partial(_cases, read=_against_resnet),
    ),
)
