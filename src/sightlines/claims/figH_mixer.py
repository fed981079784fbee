"""Claim C32: what an MLP-Mixer's representations look like (paper, Figures H.1 and H.2)."""

from itertools import product

from sightlines.claims.cases import gather, satisfies_all
from sightlines.claims.claim import (
    OF_SHARES,
    Claim,
    Criterion,
    Reading,
    from_draws,
    from_replicates,
)
from sightlines.claims.effects import DEPTH, SIMILARITY
from sightlines.claims.evidence import Evidence
from sightlines.claims.matching import comparable, with_matched
from sightlines.claims.statistics import Values, mean_all, one_layer, resampled, split
from sightlines.plan.networks import Network

QUESTION = "structure"
READS = ("cka_replicates.safetensors", "layers.csv", "accuracy.csv")


def _read(evidence: Evidence, mixer: Network, vit: Network, resnet: Network) -> list[Reading]:
    own = resampled(evidence.cka(mixer, mixer))
    ahead = mean_all(evidence.cka(mixer, vit)) - mean_all(evidence.cka(mixer, resnet))
    contrast, cut = split(own)
    return [from_draws(contrast), from_draws(cut, one_layer(own)), from_replicates(ahead)]


def _trios(evidence: Evidence) -> list[tuple[str, str, str]]:
    return list(product(evidence.models("mixer"), evidence.vits(), evidence.resnets()))


def _stands(evidence: Evidence, index: str) -> bool:
    """Whether it holds of block outputs under another index, first seed."""
    return all(
        satisfies_all(CRITERIA, _values(evidence, index, *trio)) for trio in _trios(evidence)
    )


def _values(evidence: Evidence, index: str, *models: str) -> list[Values]:
    mixer, vit, resnet = (evidence.full(m)[0] for m in models)
    own, with_vit, with_resnet = (
        evidence.similarity_by(index, mixer, n) for n in (mixer, vit, resnet)
    )
    return [*split(own), mean_all(with_vit) - mean_all(with_resnet)]


CRITERIA = (
    Criterion("contrast(Mixer)", ">=", 0.2, smallest=SIMILARITY),
    Criterion("depth of the cut", "<=", 0.5, OF_SHARES, smallest=DEPTH),
    Criterion("CKA(Mixer, ViT) − CKA(Mixer, ResNet)", ">=", 0.0, smallest=SIMILARITY),
)

CLAIMS = (
    Claim(
        id="C32",
        figure="Figures H.1 and H.2",
        title="A Mixer has two parts and is more like a ViT than a ResNet",
        statement="A Mixer's layers fall into a small lower and a large upper part, and are more "
        "like a ViT's than like a ResNet's.",
        statistic="within the Mixer: best two-part contrast (within − across) and the depth of "
        "that cut; mean CKA of all its layers with the ViT's, minus with the ResNet's",
        criteria=CRITERIA,
        reason="a contrast of .2 is the least that the paper shows as two parts (ResNet-152); "
        "small means less than half of the depth",
        paper_value="distinct blocks, a small one first; more like ViT",
        source="[text]",
        tier="B",
        controls="untrained networks; another index of similarity",
        drawn="figH_mixer",
        cases=lambda evidence: with_matched(
            evidence, gather(evidence, _trios(evidence), _read), _trios(evidence), _read
        ),
        robustness_check=_stands,
        premises=(comparable(_trios, _read),),
    ),
)
