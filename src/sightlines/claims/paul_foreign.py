"""Claim P8: who notices foreign images (Paul & Chen 2021, Table 5)."""

from functools import partial

from sightlines.claims.cases import Read, gather
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import ACCURACY
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.responding import pairs_of_one_origin
from sightlines.plan.networks import Network

STUDY = "paul2022"
READS = ("foreign.csv", "accuracy.csv")


def _against_resnet(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    """Of the mean over tasks."""
    found = []
    for network in (vit, resnet):
        rows = evidence.rows("foreign.csv", network)
        tasks = rows.pivot_table(index="left_out", columns="task", values="aupr").sort_index()
        if tasks.isna().to_numpy().any():
            raise NotMeasured(f"tasks of {network.slug} have unlike numbers of groups of images")
        found.append(tasks.mean(axis=1).to_numpy())
    own, other = found
    return [from_replicates(own - other)]


def _cases(evidence: Evidence, read: Read) -> list[Case]:
    pairs = pairs_of_one_origin(evidence, evidence.vits(), evidence.resnets())
    return gather(evidence, pairs, read)


CLAIMS = (
    Claim(
        id="P8",
        figure="Table 5",
        title="ViTs notice foreign images better than CNNs",
        statement="ViTs notice foreign images better than CNNs.",
        statistic="area under precision over recall, foreign images as positive, minus the largest "
        "softmax probability as the score; mean over tasks out of the domain, ViT minus ResNet",
        criteria=(Criterion("AUPR, ViT − ResNet", ">=", 0.0, smallest=ACCURACY),),
        reason="the paper claims an order",
        paper_value="ImageNet-O; its table could not be read",
        source="[none]",
        tier="A",
        controls="untrained networks; the share of foreign images, which a score without "
        "information reaches",
        drawn="figpaul_foreign",
        cases=partial(_cases, read=_against_resnet),
    ),
)
