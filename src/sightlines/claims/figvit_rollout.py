"""Claim V1r: rollout and the object (Dosovitskiy et al. 2020, Figures 6 and 14)."""

import numpy as np

from sightlines.claims.cases import each
from sightlines.claims.claim import Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import OVERLAP
from sightlines.claims.evidence import Evidence
from sightlines.claims.figdino_attention import NOT_BY_BRIGHTNESS, area
from sightlines.claims.several import least
from sightlines.plan.networks import Network

STUDY = "dosovitskiy2020"
READS = ("object_auc.parquet", "accuracy.csv")
PRIORS = ("centre", "brightness")


def _better(evidence: Evidence, network: Network) -> list[Reading]:
    rolled, last = (area(evidence, network, name) for name in ("rollout", "attention"))
    priors: list[np.ndarray] = [area(evidence, network, name, -1) for name in PRIORS]
    return [from_replicates(rolled - last), least([rolled - prior for prior in priors])]


CLAIMS = (
    Claim(
        id="V1r",
        figure="Figures 6 and 14",
        title="Rollout finds the object better than the last block does",
        statement="Rollout finds the object better than the last block's attention does, and "
        "better than what no network need know.",
        statistic="area under the ROC curve over patches, half of which or more are the object's: "
        "rollout of all blocks minus mean attention of the last block's heads, and minus the best "
        "prior (centre, brightness)",
        criteria=(
            Criterion("rollout − last block", ">=", 0.0, smallest=OVERLAP),
            Criterion("rollout − best prior", ">=", 0.0, smallest=OVERLAP),
        ),
        reason="an order; the paper shows pictures, and no other map beside them",
        paper_value="attends to image regions that are semantically relevant",
        source="[text]",
        tier="A",
        controls="untrained networks; rollout of uniform attention has ½",
        drawn="figvit_rollout",
        amended="2026-11-29",
        cases=lambda evidence: each(evidence, evidence.models("vit"), _better),
        premises=(NOT_BY_BRIGHTNESS,),
    ),
)
