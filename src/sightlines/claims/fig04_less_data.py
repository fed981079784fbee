"""Claims C9 and C10: whether local heads need much data (paper, Figures 4 and C.5)."""

import numpy as np

from sightlines.claims.cases import of_seeds
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import DISTANCE
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.fig03_attention_distance import most_local
from sightlines.claims.premises import has_local_heads, less_data_hurts
from sightlines.plan.networks import Network, per_cent

QUESTION = "data"
READS = ("attention_replicates.parquet", "accuracy.csv")


def _loss(evidence: Evidence, less: Network, full: Network) -> np.ndarray:
    """How much further the most local head looks with less data [1 + groups]."""
    return np.asarray(most_local(evidence, less) - most_local(evidence, full))


def _pairs(evidence: Evidence) -> list[tuple[Network, Network]]:
    """The largest ViT on all images and on its smallest fraction, seed by seed."""
    large = evidence.by_size(evidence.vits())[-1]
    return _on_less(evidence, large, evidence.fractions(large)[0])


def _pairs_shared(evidence: Evidence) -> list[tuple[Network, Network]]:
    """The largest ViT on all images and on the fraction on which it is held against a small one."""
    _, large, fraction = _two_sizes(evidence)
    return _on_less(evidence, large, fraction)


def _on_less(evidence: Evidence, model: str, fraction: str) -> list[tuple[Network, Network]]:
    return [(evidence.same_seed(model, less), less) for less in evidence.on(model, fraction)]


def _large(evidence: Evidence) -> list[Case]:
    large = evidence.by_size(evidence.vits())[-1]
    fractions = evidence.fractions(large)
    if not fractions:
        raise NotMeasured(f"needs the largest ViT, {large}, on a fraction below f100 as well")
    seeds = [[less, full] for full, less in _on_less(evidence, large, fractions[0])]

    def read(evidence: Evidence, less: Network, full: Network) -> list[Reading]:
        return [from_replicates(_loss(evidence, less, full))]

    return [of_seeds(evidence, _label(evidence, [large], fractions[0]), seeds, read)]


def _two_sizes(evidence: Evidence) -> tuple[str, str, str]:
    """The smallest and the largest ViT, and the smallest fraction on which both are trained."""
    models = evidence.by_size(evidence.vits())
    small, large = models[0], models[-1]
    shared = [f for f in evidence.fractions(large) if f in evidence.fractions(small)]
    if small == large or not shared:
        raise NotMeasured("needs ViTs of two sizes on f100 and on the same smaller fraction")
    return small, large, shared[0]


def _small(evidence: Evidence) -> list[Case]:
    small, large, fraction = _two_sizes(evidence)
    others, seeds = evidence.on(small, fraction), []
    for less in evidence.on(large, fraction):
        other = next((n for n in others if n.seed == less.seed), others[0])
        seeds.append(
            [n for own in (other, less) for n in (own, evidence.same_seed(own.model, own))]
        )

    def read(evidence: Evidence, *networks: Network) -> list[Reading]:
        of_small, of_large = _loss(evidence, *networks[:2]), _loss(evidence, *networks[2:])
        return [from_replicates(v) for v in (of_large / 2 - of_small, of_large)]

    return [of_seeds(evidence, _label(evidence, [small, large], fraction), seeds, read)]


def _label(evidence: Evidence, models: list[str], fraction: str) -> str:
    names = " × ".join(evidence.label(model) for model in models)
    return f"{names}, {per_cent(fraction)} % of the images"


CLAIMS = (
    Claim(
        id="C9",
        figure="Figure 4",
        title="With less data a large ViT learns no local heads",
        statement="With less data a large ViT's lowest blocks do not learn local heads.",
        statistic="smallest relative attention distance of the heads of the lowest two blocks, "
        "largest ViT: on its smallest fraction minus on all images",
        criteria=(Criterion("rise of the most local head", ">=", 0.2, smallest=DISTANCE),),
        reason="a fifth of uniform attention's reach; the paper's heads move by .5 or more",
        paper_value=".7–.8 against at most .22",
        source="[fig]",
        tier="C",
        controls="none: untrained networks have no data; the recipe is that of all images",
        drawn="fig04_attention_distance_less_data",
        cases=_large,
        premises=(less_data_hurts(_pairs), has_local_heads(_pairs)),
    ),
    Claim(
        id="C10",
        figure="Figure C.5",
        title="Less data costs a small ViT's local heads far less",
        statement="A small ViT loses its local heads with less data much less than a large one.",
        statistic="the same rise of the most local head: half of the largest ViT's minus the "
        "smallest ViT's; and the largest ViT's",
        criteria=(
            Criterion(
                "half the rise of the large − rise of the small ViT", ">=", 0.0, smallest=DISTANCE
            ),
            Criterion("rise of the large ViT", ">=", 0.2, smallest=DISTANCE),
        ),
        reason="much smaller is taken as at most half; a large ViT that loses nothing (C9) leaves "
        "nothing to be smaller than",
        paper_value="B/32 is still local",
        source="[text]",
        tier="C",
        controls="none: untrained networks have no data",
        drawn="fig04_attention_distance_less_data",
        cases=_small,
        premises=(less_data_hurts(_pairs_shared), has_local_heads(_pairs_shared)),
    ),
)
