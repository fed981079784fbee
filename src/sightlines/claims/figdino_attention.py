"""Claims D3 to D5 and D6b: attention of the class token as segmentation (Caron et al. 2021)."""

import numpy as np

from sightlines.claims.cases import each, gather
from sightlines.claims.claim import Claim, Criterion, Premise, Reading, from_replicates
from sightlines.claims.effects import ACCURACY, OVERLAP
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.figdino_knn import by_pretraining, neighbours, patch_pairs
from sightlines.claims.probing import from_fits
from sightlines.plan.networks import Network

STUDY = "caron2021"
READS = (
    "segmentation_replicates.parquet",
    "object_auc.parquet",
    "knn_replicates.parquet",
    "knn_halves.parquet",
    "accuracy.csv",
)
MASS = 0.6
"""Share of the attention that is kept, as in the paper's figure."""
TOLD_BY_BRIGHTNESS = 0.75
"""Area under the curve of brightness alone from which on it tells where the object is."""


def overlap(evidence: Evidence, network: Network, method: str) -> np.ndarray:
    """Jaccard index by one method on the scored half of the images [1 + groups].

    Raises:
        NotMeasured: it was not held against masks.
    """
    rows = evidence.rows("segmentation_replicates.parquet", network, method=method, mass=MASS)
    return rows.sort_values("left_out")["jaccard"].to_numpy()


def area(evidence: Evidence, network: Network, name: str, block: int | None = None) -> np.ndarray:
    """Area under the curve of one map, after one block or the last one [1 + groups].

    Raises:
        NotMeasured: it was not held against masks.
    """
    rows = evidence.rows("object_auc.parquet", network, map=name)
    rows = rows[rows["block"] == (rows["block"].max() if block is None else block)]
    return rows.sort_values("left_out")["auc"].to_numpy()


def _of_brightness(evidence: Evidence) -> str:
    for model in evidence.models("vit"):
        for network in evidence.full(model)[:1]:
            try:
                value = float(area(evidence, network, "brightness", -1)[0])
            except NotMeasured:
                continue
            if value >= TOLD_BY_BRIGHTNESS:
                return (
                    f"brightness alone tells where the objects are (area under the curve "
                    f"{value:.2f}, at most {TOLD_BY_BRIGHTNESS} wanted): needs images whose "
                    "objects are no lighter than the ground"
                )
            return ""
    return ""


NOT_BY_BRIGHTNESS = Premise("objects are not told by their brightness", _of_brightness)


def _beyond_priors(evidence: Evidence, network: Network) -> list[Reading]:
    one, prior = (overlap(evidence, network, method) for method in ("fixed", "prior"))
    return [from_replicates(one - prior)]


def _divided(evidence: Evidence, network: Network) -> list[Reading]:
    oracle, one = (overlap(evidence, network, method) for method in ("oracle", "fixed"))
    return [from_replicates(oracle - one)]


def _better_heads(evidence: Evidence, one: Network, other: Network) -> list[Reading]:
    return [from_replicates(overlap(evidence, one, "oracle") - overlap(evidence, other, "oracle"))]


def _same_heads(evidence: Evidence) -> list[tuple[str, str]]:
    """Self-distilled ViTs, each with supervised ones of as many heads and patches.

    Raises:
        NotMeasured: there is no such pair.
    """
    known = evidence.config["architectures"]
    own = [by_pretraining(evidence, how, "vit") for how in ("dino", "supervised")]
    alike = [
        (one, other)
        for one in own[0]
        for other in own[1]
        if all(known[one].get(k) == known[other].get(k) for k in ("heads", "patch_px"))
    ]
    if not alike:
        raise NotMeasured("needs a ViT by dino and a supervised one of as many heads and patches")
    return alike


def _dino_patches(evidence: Evidence) -> list[tuple[str, str]]:
    own = by_pretraining(evidence, "dino", "vit")
    found = [pair for pair in patch_pairs(evidence) if {*pair} <= {*own}]
    if not found:
        raise NotMeasured("needs two ViTs by dino that differ by their patches alone")
    return found


def _smaller(evidence: Evidence, small: Network, large: Network) -> list[Reading]:
    near = from_fits(neighbours(evidence, small) - neighbours(evidence, large))
    return [near, *_better_heads(evidence, small, large)]


CLAIMS = (
    Claim(
        id="D3",
        figure="Figure 4",
        title="Self-distilled ViTs' heads segment better than supervised",
        statement="Heads of self-distilled ViTs segment better than supervised heads.",
        statistic="Jaccard index of the patches that hold 60 % of the class token's attention in "
        "the last block, best head of each mask, mean over masks and images: ViT by DINO minus "
        "supervised ViT with as many heads and patches",
        criteria=(Criterion("best head, DINO − supervised", ">=", 0.1, smallest=OVERLAP),),
        reason="half of the paper's difference",
        paper_value=".459 and .273 (ViT-S/16, VOC12)",
        source="[fig]",
        tier="B",
        controls="untrained networks",
        drawn="figdino_segmentation",
        cases=lambda evidence: gather(evidence, _same_heads(evidence), _better_heads),
    ),
    Claim(
        id="D4",
        figure="Figure 4",
        title="A trained ViT has a head that finds the object",
        statement="A trained ViT has a head that finds the object, beyond what no network need "
        "know.",
        statistic="Jaccard index as for D3 of one head, chosen on half of the images and scored on "
        "the other half, minus that of the best prior (whole image, centre, brightness), chosen "
        "alike",
        criteria=(Criterion("one head − best prior", ">=", 0.05, smallest=OVERLAP),),
        reason="a twentieth of the union: what six maps of chance gain by the choice of the best",
        paper_value="an oracle's .459, .273 (supervised) and .220 (random); no prior is shown",
        source="[fig]",
        tier="A",
        controls="untrained networks; maps that no network made",
        drawn="figdino_segmentation",
        cases=lambda evidence: each(evidence, evidence.models("vit"), _beyond_priors),
        premises=(NOT_BY_BRIGHTNESS,),
    ),
    Claim(
        id="D5",
        figure="Figures 3 and 4",
        title="Heads divide the image among them",
        statement="Heads divide the image among them.",
        statistic="Jaccard index as for D3, best head of each mask minus the one head that is "
        "chosen on the other half of the images",
        criteria=(Criterion("best head of each mask − one head", ">=", 0.1, smallest=OVERLAP),),
        reason="twice what the best of six maps of chance is ahead of one of them (.05)",
        paper_value="different heads attend to different objects",
        source="[text]",
        tier="A",
        controls="untrained networks; as many maps of chance (+.05)",
        drawn="figdino_segmentation",
        cases=lambda evidence: each(evidence, evidence.models("vit"), _divided),
    ),
    Claim(
        id="D6b",
        figure="Table 2 and Figure 4",
        title="Self-distilled: smaller patches help neighbours, not masks",
        statement="Smaller patches help neighbours of self-distilled ViTs, not their segmentation.",
        statistic="accuracy of weighted 20-NN, and Jaccard index of the best head of each mask: "
        "ViT by DINO with smaller patches minus its like with larger ones",
        criteria=(
            Criterion("k-NN, smaller − larger patches", ">=", 0.02, smallest=ACCURACY),
            Criterion("best head, smaller − larger patches", "<=", 0.0, smallest=OVERLAP),
        ),
        reason="half of the paper's gain; an order",
        paper_value="k-NN .783 and .745; Jaccard .447 and .459 (S/8, S/16)",
        source="[text]",
        tier="B",
        controls="untrained networks",
        drawn="figdino_segmentation",
        cases=lambda evidence: gather(evidence, _dino_patches(evidence), _smaller),
    ),
)
