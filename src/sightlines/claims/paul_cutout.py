"""Claim P5: who bears a filled square (Paul & Chen 2021, Table 6)."""

import numpy as np

from sightlines.claims.cases import each_pair
from sightlines.claims.claim import Claim, Criterion, Reading, from_replicates
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network

STUDY = "paul2022"
READS = ("cutout.parquet", "accuracy.csv")
AREA = 0.4
"""Share of the image that is covered: about what the paper's factor of .5 covers in the mean."""


def kept(evidence: Evidence, network: Network, condition: str = "cutout_black") -> np.ndarray:
    """Accuracy above chance that is kept at AREA [1 + groups].

    Raises:
        NotMeasured: it was not measured, or there was none to keep.
    """
    rows = evidence.rows("cutout.parquet", network, condition=condition, severity=AREA)
    values = rows.sort_values("left_out")["retention"].to_numpy()
    if not np.isfinite(values).all():
        raise NotMeasured(f"{network.slug} has hardly any accuracy above chance to keep")
    return values


def _against_resnet(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    return [from_replicates(kept(evidence, vit) - kept(evidence, resnet))]


CLAIMS = (
    Claim(
        id="P5",
        figure="Table 6",
        statement="ViTs bear it better than CNNs that a square of the image is cut out.",
        statistic="accuracy above chance with 40 % of the area black over that on clean images, "
        "the same squares for all, ViT minus ResNet",
        criteria=(Criterion("kept, ViT − ResNet", ">=", 0.0),),
        reason="the paper claims an order; 40 % is what its factor of .5 covers in the mean",
        paper_value="L/16 83.0 → 60.4 %, m-r101x3 79.0 → 52.0 %, which is .73 and .66 kept",
        source="[text]",
        tier="A",
        controls="in the figure the mean colour in place of black; untrained networks have "
        "nothing to keep",
        drawn="figpaul_cutout",
        cases=lambda evidence: each_pair(
            evidence, evidence.vits(), evidence.resnets(), _against_resnet
        ),
    ),
)
