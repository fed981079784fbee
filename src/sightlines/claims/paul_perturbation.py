"""Claims P6 and P7: minimal perturbations and attacks (Paul & Chen 2021).

The one that ends in ``b`` is of public weights on photographs, with a threshold of its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from sightlines.claims.cases import gather
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import ACCURACY, RATIO
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.responding import pairs_of_one_origin, public, trained_here
from sightlines.plan.networks import Network

STUDY = "paul2022"
READS = ("perturbation.csv", "attack.csv", "accuracy.csv")

Chosen = Callable[[Evidence, Iterable[str]], list[str]]
"""Those of some models that are trained here, or elsewhere."""


def spectrum(evidence: Evidence, network: Network, column: str) -> np.ndarray:
    """A statistic of a network's minimal perturbations [1 + groups].

    Raises:
        NotMeasured: no perturbation was found.
    """
    rows = evidence.rows("perturbation.csv", network).sort_values("left_out")
    values = rows[column].to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise NotMeasured(f"no perturbation changes a right answer of {network.slug}")
    return values


def success(evidence: Evidence, network: Network, rank: int) -> np.ndarray:
    """Share of attacks that succeed [1 + groups].

    Args:
        evidence: The tables.
        network: What is attacked.
        rank: Of the budget, smallest first; -1: the largest.

    Raises:
        NotMeasured: no image was answered rightly before.
    """
    rows = evidence.rows("attack.csv", network)
    budget = sorted(rows["budget"].unique())[rank]
    values = rows[rows["budget"] == budget].sort_values("left_out")["success"].to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise NotMeasured(f"{network.slug} answers no image rightly that could be attacked")
    return values  # type: ignore[no-any-return]


def _spread(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    low = [spectrum(evidence, network, "low_share") for network in (resnet, vit)]
    spread = [spectrum(evidence, network, "entropy") for network in (vit, resnet)]
    return [from_replicates(low[0] - low[1]), from_replicates(spread[0] - spread[1])]


def _resists(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    return [
        from_replicates(success(evidence, resnet, rank) - success(evidence, vit, rank))
        for rank in (0, -1)
    ]


def _spectra(evidence: Evidence) -> list[Case]:
    pairs = pairs_of_one_origin(evidence, evidence.vits(), evidence.resnets())
    return gather(evidence, pairs, _spread)


def _attacks(evidence: Evidence, chosen: Chosen) -> list[Case]:
    vits, resnets = (chosen(evidence, m) for m in (evidence.vits(), evidence.resnets()))
    return gather(evidence, product(vits, resnets), _resists)


HERE = Claim(
    id="P7",
    figure="PGD",
    title="ViTs resist attacks of one size better than CNNs",
    statement="ViTs resist attacks of one size better than CNNs do.",
    statistic="images answered rightly that projected gradient descent makes be answered wrongly "
    "within a budget (ℓ∞, levels from 0 to 1, equal steps), at the smallest and the largest "
    "budget, ResNet minus ViT",
    criteria=(
        Criterion("smallest budget, ResNet − ViT", ">=", 0.0, smallest=ACCURACY),
        Criterion("largest budget, ResNet − ViT", ">=", 0.0, smallest=ACCURACY),
    ),
    reason="an order, at budgets that are kept: Bai et al. 2021 find none under one recipe",
    paper_value="44 of 88 attacks on ViT-L/16 succeed, 72 of 79 on BiT-M r101x3, whose "
    "perturbations are never projected and reach 20 times the ViT's",
    source="[notes]",
    tier="A",
    controls="random signs of the same size, in the table",
    drawn="figpaul_perturbation",
    cases=partial(_attacks, chosen=trained_here),
)
CLAIMS = (
    Claim(
        id="P6",
        figure="DCT figure",
        title="Attacks on a ViT are spread over frequencies, on a CNN low",
        statement="The smallest changes that change a ViT's answer are spread over frequencies, a "
        "CNN's lie at low ones.",
        statistic="energy of minimal perturbations (ℓ2 DeepFool, orthonormal DCT, every image's "
        "energy 1, images answered rightly): share in the lowest eighth of both frequencies, "
        "ResNet minus ViT; entropy over bands of frequency, as a share of white noise's, ViT minus "
        "ResNet",
        criteria=(
            Criterion("lowest frequencies, ResNet − ViT", ">=", 0.0, smallest=ACCURACY),
            Criterion("entropy, ViT − ResNet", ">=", 0.0, smallest=RATIO),
        ),
        reason="the paper claims an order, and in its code the panel of ResNet-50 attacks the ViT",
        paper_value="seen in the maps",
        source="[fig]",
        tier="A",
        controls="untrained networks",
        drawn="figpaul_perturbation",
        cases=_spectra,
    ),
    HERE,
    replace(
        HERE,
        id="P7b",
        title="Public ViTs resist attacks of one size better than CNNs",
        statement="ViTs with public weights resist attacks of one size better than CNNs do.",
        criteria=(
            Criterion("smallest budget, ResNet − ViT", ">=", 0.1, smallest=ACCURACY),
            Criterion("largest budget, ResNet − ViT", ">=", 0.1, smallest=ACCURACY),
        ),
        reason="ten points: the paper claims 41, at budgets that differ by 20",
        cases=partial(_attacks, chosen=public),
    ),
)
