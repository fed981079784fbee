"""Claims N9 and N11: who goes by outlines, and whether two tokens do (Naseer et al. 2021).

N9 holds ViTs against convolutional networks. N11 is about weights that the authors trained, and is
never run.
"""

import numpy as np

from sightlines.claims.cases import gather
from sightlines.claims.claim import Case, Claim, Criterion, Premise, Reading, from_replicates
from sightlines.claims.effects import ACCURACY, CORRELATION
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.responding import pairs_of_one_origin
from sightlines.plan.networks import Network

STUDY = "naseer2021"
READS = ("shape_bias.csv", "accuracy.csv")
TIMES_CHANCE = 3
"""Of the cue accuracy, below which a network's answers name neither cue often enough."""
FULL_MATCH = 1.0
"""Share of images whose surface is their class's own, at which both cues tell the class."""


def bias(evidence: Evidence, network: Network) -> np.ndarray:
    """Shape bias of a network [1 + groups].

    Raises:
        NotMeasured: it has none, or names one of the two cues too rarely.
    """
    rows = evidence.rows("shape_bias.csv", network, category="all").sort_values("left_out")
    whole = rows.iloc[0]
    needed = TIMES_CHANCE * whole["chance"]
    if not whole["cue_accuracy"] >= needed:
        raise NotMeasured(
            f"{network.slug} names outline or surface of {whole['cue_accuracy']:.0%} of the images "
            f"(needed: {needed:.0%}): its shape bias says nothing"
        )
    return rows["bias"].to_numpy()


def _ahead(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    return [from_replicates(bias(evidence, vit) - bias(evidence, resnet))]


def _cases(evidence: Evidence) -> list[Case]:
    pairs = pairs_of_one_origin(evidence, evidence.models("vit"), evidence.resnets())
    return gather(evidence, pairs, _ahead)


def _cues_differ(evidence: Evidence) -> str:
    match = evidence.table("shape_bias.csv")["cue_match"].min()
    if np.isfinite(match) and match < FULL_MATCH:
        return (
            f"the surface tells the class of {match:.0%} of the dataset's images, the outline that "
            "of all: a network that learns well goes by outlines, whatever its architecture "
            "prefers. Needs dataset.texture_match 1, where both tell it always, or photographs "
            "under conflicts.folder"
        )
    return ""


def _of_two_tokens(evidence: Evidence) -> list[Case]:
    """Raise NotMeasured: nothing here is a network whose distillation token learned shape."""
    del evidence
    raise NotMeasured(
        "needs weights that cannot be had here: the authors' DeiT-T and DeiT-S, whose distillation "
        "token was taught by a ResNet-50 trained on stylised images; timm and the hubs have DeiTs "
        "distilled on natural images alone, nothing here trains such a token, and no dump keeps "
        "its answers apart from the class token's"
    )


CLAIMS = (
    Claim(
        id="N9",
        figure="Section 3.2",
        title="ViTs go by outlines more than convolutional networks do",
        statement="ViTs go by outlines more than convolutional networks do.",
        statistic="shape bias, of the answers to cue conflicts that name outline or surface the "
        "share that name the outline, ViT minus ResNet, of images paired; both name one of the two "
        f"at least {TIMES_CHANCE} times as often as guessing would",
        criteria=(Criterion("bias(ViT) − bias(ResNet)", ">=", 0.05, smallest=ACCURACY),),
        reason="five points: as many as JPEG compression and the choice of mean move it by, twice",
        paper_value="ViTs above CNNs of their size (plot only); DeiT-S trained on stylised images "
        ".93",
        source="[fig]",
        tier="A",
        controls="untrained networks, whose answers name neither cue; silhouettes in the table; "
        "chance is .5, also for one answer to all",
        drawn="fignaseer_shape_bias",
        cases=_cases,
        premises=(
            Premise(
                "outline and surface tell the class of the dataset's images equally well, or "
                "images are photographs",
                _cues_differ,
            ),
        ),
    ),
    Claim(
        id="N11",
        figure="Table 3",
        title="Two tokens of one ViT can hold two cues",
        statement="Two tokens of one ViT can hold two cues: the distillation token outlines, the "
        "class token surfaces.",
        statistic="shape bias of what the distillation token answers minus that of what the class "
        "token answers; and the cosine of both tokens at the end",
        criteria=(
            Criterion("bias, distillation − class token", ">=", 0.05, smallest=ACCURACY),
            Criterion("cosine of both tokens", "<=", 0.8, smallest=CORRELATION),
        ),
        reason="five points as for N9; the cosine lies between those of tokens that were taught "
        "shape (.35 and .68) and of plain distillation (.94 and .96)",
        paper_value="bias .44 and .35 (DeiT-T), .47 and .39 (DeiT-S); cosine .35 and .68",
        source="[table]",
        tier="A",
        controls="DeiTs distilled on natural images",
        drawn="fignaseer_shape_bias",
        cases=_of_two_tokens,
    ),
)
