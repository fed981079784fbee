"""Claims D1, D1b, D2, D6 and D6b: nearest neighbours of frozen features (Caron et al. 2021)."""

import numpy as np

from sightlines.claims.cases import each, gather
from sightlines.claims.claim import Case, Claim, Criterion, Premise, Reading
from sightlines.claims.effects import ACCURACY, IN_POINTS
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.probing import from_fits, last
from sightlines.plan.architectures import PRETRAINING, twins
from sightlines.plan.networks import Network

STUDY = "caron2021"
READS = (
    "knn_replicates.parquet",
    "knn_halves.parquet",
    "probe_replicates.parquet",
    "probe_halves.parquet",
    "accuracy.csv",
)
PATCH = ("patch_px",)
"""The setting by which two ViTs differ that are alike but for their patches."""
SATURATED = 0.97
"""Accuracy above which two networks cannot be told apart by their neighbours."""
POINTS = 100


def read_out(evidence: Evidence, model: str) -> str:
    """What of a network is one vector an image: its class token, or the mean of its last map."""
    settings = evidence.config["architectures"].get(model, {})
    own = settings.get("pool", "cls" if settings.get("family") == "vit" else "")
    return "cls" if own == "cls" else "mean"


def neighbours(evidence: Evidence, network: Network) -> np.ndarray:
    """k-NN accuracy at the deepest layer [1 + groups + halves], k = 20; see `claims.probing`.

    Raises:
        NotMeasured: its features were not kept.
    """
    pool = read_out(evidence, network.model)
    rows = evidence.rows("knn_replicates.parquet", network, pool=pool)
    layer = rows["layer"].max()
    deepest = rows[rows["layer"] == layer].sort_values("left_out")
    own = {"pool": pool, "layer": layer}
    halves = evidence.halves("knn_halves.parquet", network, "accuracy", ["layer"], **own)
    return np.concatenate([deepest["accuracy"], halves[layer]])


def _behind(evidence: Evidence, network: Network) -> list[Reading]:
    """How many points linear probes are better, on the same images."""
    probed = last(evidence, network, read_out(evidence, network.model))
    return [from_fits(POINTS * (probed - neighbours(evidence, network)))]


def by_pretraining(evidence: Evidence, how: str, family: str) -> list[str]:
    """Models of one family whose weights were learned in one way.

    Raises:
        NotMeasured: there is none.
    """
    known = evidence.config["architectures"]
    found = [m for m in evidence.models() if known.get(m, {}).get("family") == family]
    found = [m for m in found if (known[m].get(PRETRAINING) or "supervised") == how]
    if not found:
        raise NotMeasured(
            f"needs a {family} with weights learned by {how} among the runs (timm's tag .dino, or "
            "the model's key pretraining)"
        )
    return found


def _dino_pairs(evidence: Evidence) -> list[tuple[str, str]]:
    vits, resnets = (by_pretraining(evidence, "dino", f) for f in ("vit", "resnet"))
    return [(vit, resnet) for vit in vits for resnet in resnets]


def _both_behind(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    return [*_behind(evidence, vit), *_behind(evidence, resnet)]


def _ahead(evidence: Evidence, one: Network, other: Network) -> list[Reading]:
    return [from_fits(neighbours(evidence, one) - neighbours(evidence, other))]


def patch_pairs(evidence: Evidence) -> list[tuple[str, str]]:
    """Each ViT with smaller patches, and its like with larger ones.

    Raises:
        NotMeasured: no two ViTs differ by their patches alone.
    """
    known = evidence.config["architectures"]
    vits = evidence.models("vit")
    found = [
        (small, large)
        for small in vits
        for large in twins(known, small, PATCH)
        if large in vits and known[small].get("patch_px", 0) < known[large].get("patch_px", 0)
    ]
    if not found:
        raise NotMeasured(
            "needs two ViTs that differ by patch_px alone (and require_equal_grids: false)"
        )
    return found


def _cases(evidence: Evidence) -> list[Case]:
    return gather(evidence, patch_pairs(evidence), _ahead)


def _not_saturated(evidence: Evidence) -> str:
    for pair in _dino_pairs(evidence):
        for model in pair:
            value = float(neighbours(evidence, evidence.full(model)[0])[0])
            if value > SATURATED:
                return (
                    f"{evidence.label(model)} has {value:.1%} of its neighbours' answers right, "
                    "so that there is nothing left to be better at: needs a harder dataset"
                )
    return ""


CLAIMS = (
    Claim(
        id="D1",
        figure="Table 2",
        title="Nearest neighbours are nearly as good as a linear classifier",
        statement="Nearest neighbours of frozen features are nearly as good as a linear "
        "classifier, also of supervised networks.",
        statistic="accuracy of the linear probe minus accuracy of weighted 20-NN at the last "
        "layer, in points, same test images (class token, or mean of the last map)",
        criteria=(Criterion("probe − k-NN, points", "<=", 5.0, smallest=IN_POINTS),),
        reason="the paper's DINO ViTs have 1.4 to 2.7 points, its supervised networks 0; one "
        "number in both columns of these means that k-NN is as good there too, or was not "
        "measured",
        paper_value="1.4–2.7 points (DINO ViT), 0 (supervised), 7.8 (DINO ResNet-50)",
        source="[text]",
        tier="A",
        controls="untrained networks",
        drawn="figdino_knn",
        cases=lambda evidence: each(evidence, evidence.models(), _behind),
    ),
    Claim(
        id="D1b",
        figure="Table 2",
        title="Neighbours match probes in DINO's ViTs, not in its ResNets",
        statement="Of self-distilled networks that holds of ViTs and not of ResNets.",
        statistic="the same of a ViT and of a ResNet that were trained by DINO",
        criteria=(
            Criterion("probe − k-NN, ViT, points", "<=", 5.0, smallest=IN_POINTS),
            Criterion("probe − k-NN, ResNet, points", ">=", 5.0, smallest=IN_POINTS),
        ),
        reason="half-way between the paper's 2.5 points of ViT-S/16 and its 7.8 of ResNet-50",
        paper_value="2.5 and 7.8 points",
        source="[text]",
        tier="B",
        controls="untrained networks",
        drawn="figdino_knn",
        cases=lambda evidence: gather(evidence, _dino_pairs(evidence), _both_behind),
    ),
    Claim(
        id="D2",
        figure="Table 2",
        title="DINO's ViT beats its ResNet at nearest neighbours",
        statement="DINO's ViT is a better nearest-neighbour classifier than its ResNet.",
        statistic="accuracy of weighted 20-NN, ViT minus ResNet, both trained by DINO",
        criteria=(Criterion("k-NN, ViT − ResNet", ">=", 0.03, smallest=ACCURACY),),
        reason="nearly half of the paper's difference",
        paper_value=".745 and .675",
        source="[text]",
        tier="B",
        controls="untrained networks",
        drawn="figdino_knn",
        cases=lambda evidence: gather(evidence, _dino_pairs(evidence), _ahead),
        premises=(Premise("k-NN leaves something to be better at", _not_saturated),),
    ),
    Claim(
        id="D6",
        figure="Table 2",
        title="Smaller patches do not harm nearest neighbours",
        statement="Smaller patches do not harm nearest neighbours.",
        statistic="accuracy of weighted 20-NN at the last layer, ViT with smaller patches minus "
        "its like with larger ones",
        criteria=(Criterion("k-NN, smaller − larger patches", ">=", 0.0, smallest=ACCURACY),),
        reason="an order; the paper's gain is .013 to .038",
        paper_value=".783 (S/8) and .745 (S/16); .774 and .761 (B)",
        source="[text]",
        tier="A",
        controls="untrained networks",
        drawn="figdino_knn",
        cases=_cases,
    ),
)
