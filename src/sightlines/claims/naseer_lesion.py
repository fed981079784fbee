"""Claims N12: places zeroed inside of a network (Naseer et al. 2021, appendix, Tables 6 and 7)."""

from dataclasses import replace
from functools import partial

import numpy as np

from sightlines.claims.cases import each_pair
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import SHARE
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.responding import LESION, RETENTION, public, trained_here
from sightlines.claims.several import least
from sightlines.plan.networks import Network

STUDY = "naseer2021"
READS = ("lesion.parquet", "accuracy.csv")

QUARTER = 0.25
"""Share of the places that is zeroed."""


def _at_sites(evidence: Evidence, network: Network, site: str) -> np.ndarray:
    """Accuracy kept with a quarter of the places zeroed [1 + groups, sites].

    Raises:
        NotMeasured: there is none, or what is kept is undefined.
    """
    own = {"site": site, "change": "zero", "severity": QUARTER}
    values = evidence.replicates(LESION, network, RETENTION, ["place"], **own).to_numpy()
    if not np.isfinite(values[0]).all():
        raise NotMeasured(f"{network.slug}: its accuracy on clean images is below 3 × chance")
    return values


def _fragile(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    blocks, stages = _at_sites(evidence, vit, "block"), _at_sites(evidence, resnet, "stage")
    return [from_replicates(stages[:, 0]), least(list(blocks.T))]


def _pairs(evidence: Evidence, are_public: bool) -> list[Case]:
    chosen = public if are_public else trained_here
    vits, resnets = chosen(evidence, evidence.vits()), chosen(evidence, evidence.resnets())
    return each_pair(evidence, vits, resnets, _fragile)


def _criteria(most: float, least: float) -> tuple[Criterion, ...]:
    return (
        Criterion("ResNet, first stage", "<=", most, smallest=SHARE),
        Criterion("ViT, weakest block", ">=", least, smallest=SHARE),
    )


N12 = Claim(
    id="N12",
    figure="Tables 6 and 7",
    title="A CNN's early maps are fragile, a ViT's blocks are sturdy",
    statement="Early maps of a CNN are fragile, a ViT's blocks are all alike sturdy.",
    statistic="accuracy above chance that is kept with a quarter of the places zeroed that enter "
    "the ResNet's first stage; and the smallest of that over the inputs of the ViT's blocks",
    criteria=_criteria(0.3, 0.4),
    reason="less than a third and more than two fifths leave no doubt which of the two it is; the "
    "paper's are .002 and .59",
    paper_value="ResNet50 stage 1 .002 (.14 %), ViT-L and DeiT-B at least .59",
    source="[table]",
    tier="A",
    controls="the same places shuffled instead of zeroed, in the figure; an untrained network has "
    "nothing to keep",
    drawn="fignaseer_lesion",
    cases=partial(_pairs, are_public=False),
)
CLAIMS = (
    N12,
    replace(
        N12,
        id="N12b",
        title="A public CNN's early maps are fragile, a ViT's are sturdy",
        statement="Early maps of a public CNN are fragile, a public ViT's blocks are all alike "
        "sturdy.",
        criteria=_criteria(0.1, 0.5),
        reason="near to the paper's .002 and .59",
        tier="A/B",
        cases=partial(_pairs, are_public=True),
    ),
)
