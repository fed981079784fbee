"""Claim P5: who bears a filled square (Paul & Chen 2021, Table 6).

The one that ends in ``b`` is of public weights on photographs, with a threshold of its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from sightlines.claims.cases import each_pair
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import ACCURACY
from sightlines.claims.evidence import Evidence
from sightlines.claims.responding import column, public, trained_here
from sightlines.plan.networks import Network

STUDY = "paul2022"
READS = ("cutout.parquet", "accuracy.csv")
AREA = 0.4
"""Share of the image that is covered: about what the paper's factor of .5 covers in the mean."""
Chosen = Callable[[Evidence, Iterable[str]], list[str]]
"""Those of some models that are trained here, or elsewhere."""


def _against_resnet(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    own, other = (
        column(evidence, "cutout.parquet", n, "cutout_black", AREA) for n in (vit, resnet)
    )
    return [from_replicates(own - other)]


def _cases(evidence: Evidence, chosen: Chosen) -> list[Case]:
    vits, resnets = (chosen(evidence, own) for own in (evidence.vits(), evidence.resnets()))
    return each_pair(evidence, vits, resnets, _against_resnet)


HERE = Claim(
    id="P5",
    figure="Table 6",
    title="ViTs bear a cut-out square better than CNNs",
    statement="ViTs bear it better than CNNs that a square of the image is cut out.",
    statistic="accuracy above chance with 40 % of the area black over that on clean images, the "
    "same squares for all, ViT minus ResNet",
    criteria=(Criterion("kept, ViT − ResNet", ">=", 0.0, smallest=ACCURACY),),
    reason="the paper claims an order; 40 % is what its factor of .5 covers in the mean",
    paper_value="L/16 83.0 → 60.4 %, m-r101x3 79.0 → 52.0 %, which is .73 and .66 kept",
    source="[code]",
    tier="A",
    controls="in the figure the mean colour in place of black; untrained networks have nothing to "
    "keep",
    drawn="figpaul_cutout",
    cases=partial(_cases, chosen=trained_here),
)
CLAIMS = (
    HERE,
    replace(
        HERE,
        id="P5b",
        title="Public ViTs bear a cut-out square better than CNNs",
        statement="ViTs with public weights bear it better than CNNs that a square of the image is "
        "cut out.",
        criteria=(Criterion("kept, ViT − ResNet", ">=", 0.02, smallest=ACCURACY),),
        reason="two points, a third of the difference of the paper's two networks",
        cases=partial(_cases, chosen=public),
    ),
)
