"""Claims P1 and P2: who bears corruptions (Paul & Chen 2021, section 4.1; Bai et al. 2021).

The one that ends in ``b`` is of public weights on photographs, with a threshold of its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import combinations, product

import numpy as np

from sightlines.claims.cases import gather
from sightlines.claims.claim import Case, Claim, Criterion, Premise, Reading, from_replicates
from sightlines.claims.effects import ACCURACY
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.matching import NOT_SHOWN, are_equal, first
from sightlines.claims.responding import pairs_of_one_origin, public, trained_here
from sightlines.measures.corruption import excess
from sightlines.plan.networks import Network

STUDY = "paul2022"
READS = ("corruption.parquet", "accuracy.csv")
WEIGHTS = ("weights", "arguments", "model")
"""Settings of a network from elsewhere that say by which recipe its weights were made."""


Chosen = Callable[[Evidence, Iterable[str]], list[str]]
"""Those of some models that are trained here, or elsewhere."""


def _excess(evidence: Evidence, network: Network) -> np.ndarray:
    """Mean error over corruptions and severities less the clean error [1 + groups]."""
    rows = evidence.rows("corruption.parquet", network)
    if rows["accuracy"].isna().all():
        raise NotMeasured(f"which outputs of {network.slug} stand for the classes is not known")
    try:
        return excess(rows)
    except KeyError as error:
        raise NotMeasured("needs corruptions that count: see conditions.corruption") from error


def _against_resnet(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    return [from_replicates(_excess(evidence, resnet) - _excess(evidence, vit))]


def _pairs(evidence: Evidence, chosen: Chosen) -> list[tuple[str, str]]:
    """Every ViT with every ResNet."""
    return list(product(chosen(evidence, evidence.vits()), chosen(evidence, evidence.resnets())))


def equally_accurate(evidence: Evidence, chosen: Chosen) -> list[tuple[str, str]]:
    """Every ViT with every ResNet that is shown to be as accurate on clean images, to 3 points."""
    return [own for own in _pairs(evidence, chosen) if are_equal(evidence, first(evidence, own))]


def _cases(evidence: Evidence, chosen: Chosen) -> list[Case]:
    """Of networks that are equally accurate; of all where the premise says that none are."""
    groups = equally_accurate(evidence, chosen) or _pairs(evidence, chosen)
    return gather(evidence, groups, _against_resnet)


def _unequal(evidence: Evidence, chosen: Chosen) -> str:
    if equally_accurate(evidence, chosen):
        return ""
    pairs = [first(evidence, own) for own in _pairs(evidence, chosen)]
    known = dict.fromkeys(n.model for own in pairs for n in own)
    means = {m: np.mean([evidence.accuracy(n)[0] for n in evidence.full(m)]) for m in known}
    values = ", ".join(f"{evidence.label(model)} {value:.1%}" for model, value in means.items())
    if any(are_equal(evidence, own) is None for own in pairs):
        return (
            f"{NOT_SHOWN}: of no ViT and ResNet do the accuracies on clean images differ by at "
            f"most 3 points with the whole interval ({values}): needs more test images, or recipes "
            "that make them equal"
        )
    return (
        f"no ViT and ResNet are within 3 points of accuracy on clean images ({values}): needs "
        "recipes or fractions that make them equal"
    )


def two_recipes(evidence: Evidence) -> list[tuple[str, str, str]]:
    """Every ViT with a ResNet, and another network of that ResNet's architecture.

    Raises:
        NotMeasured: no two ResNets are of one architecture.
    """
    known = evidence.config["architectures"]

    def what(model: str) -> dict[str, object]:
        return {k: v for k, v in known[model].items() if k not in WEIGHTS}

    twins = [own for own in combinations(evidence.resnets(), 2) if what(own[0]) == what(own[1])]
    if not twins:
        raise NotMeasured("needs two ResNets of one architecture, trained by two recipes")
    alike = {*pairs_of_one_origin(evidence, evidence.vits(), evidence.resnets())}
    trios = [(vit, one, other) for vit in evidence.vits() for one, other in twins]
    found = [own for own in trios if {(own[0], own[1]), (own[0], own[2])} <= alike]
    if not found:
        raise NotMeasured("needs a ViT and both ResNets trained here, or public weights of all")
    return found


def _recipe(evidence: Evidence, vit: Network, one: Network, other: Network) -> list[Reading]:
    own, first_cnn, second_cnn = (_excess(evidence, n) for n in (vit, one, other))
    return [from_replicates(np.abs(first_cnn - own) - np.abs(first_cnn - second_cnn))]


EQUAL = "accuracies on clean images are shown to be equal to 3 points"
HERE = Claim(
    id="P1",
    figure="Table 2",
    title="ViTs bear corruptions better than equally accurate CNNs",
    statement="ViTs are more robust to corruptions than equally accurate CNNs.",
    statistic="error on corrupted less error on clean images, mean over corruptions (those of "
    "ImageNet-C without frost) and severities, ResNet minus ViT",
    criteria=(Criterion("ResNet − ViT", ">=", 0.0, smallest=ACCURACY),),
    reason="an order; of networks whose accuracy on clean images is equal to 3 points, since "
    "the paper's ViTs are better, larger and trained on more as well",
    paper_value="mCE of L/16 45.5, of BiT-M r101x3 58.3, not verified",
    source="[notes]",
    tier="A",
    controls="untrained networks; second seeds",
    drawn="figpaul_corruption",
    cases=partial(_cases, chosen=trained_here),
    premises=(Premise(EQUAL, partial(_unequal, chosen=trained_here)),),
)
CLAIMS = (
    HERE,
    replace(
        HERE,
        id="P1b",
        title="Public ViTs bear corruptions better than equal CNNs",
        statement="ViTs with public weights are more robust to corruptions than equally accurate "
        "CNNs.",
        criteria=(Criterion("ResNet − ViT", ">=", 0.02, smallest=ACCURACY),),
        reason="two points; of networks whose accuracy on clean images is equal to 3 points, since "
        "the paper's ViTs are better, larger and trained on more as well",
        cases=partial(_cases, chosen=public),
        premises=(Premise(EQUAL, partial(_unequal, chosen=public)),),
    ),
    Claim(
        id="P2",
        figure="section 4.1",
        title="Robustness is more of the architecture than of the recipe",
        statement="For robustness to corruptions the architecture matters more than the recipe.",
        statistic="error on corrupted less error on clean images, mean over corruptions and "
        "severities: difference of ViT and CNN without sign, minus that of the CNN and the same "
        "CNN by another recipe",
        criteria=(
            Criterion("|ViT − CNN| − |CNN − CNN, other recipe|", ">=", 0.0, smallest=ACCURACY),
        ),
        reason="an order: what the paper puts down to attention may be the recipe's (Bai et al. "
        "2021)",
        paper_value="not measured: its networks differ in data, size and recipe as well",
        source="[none]",
        tier="A",
        controls="untrained networks",
        drawn="figpaul_corruption",
        cases=lambda evidence: gather(evidence, two_recipes(evidence), _recipe),
    ),
)
