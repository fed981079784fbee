"""Claims C28 to C30: how linear probes rise with depth (paper, Figures 13, F.1 and F.2)."""

from functools import partial

import numpy as np

from sightlines.claims.cases import each_pair, measured, of_seeds, untrained
from sightlines.claims.claim import Case, Claim, Criterion, Reading
from sightlines.claims.effects import ACCURACY
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.premises import less_data_hurts
from sightlines.claims.probing import MIDDLE, Draw, at, from_fits, last
from sightlines.plan.networks import Network

QUESTION = "data"
READS = ("probe_replicates.parquet", "probe_halves.parquet", "accuracy.csv")
POOL = "mean"
"""Features are pooled over tokens or positions, as in the paper's Figure 13."""
TIMES = 2
"""How much larger the gap at mid depth must be than that at the end; 3 before it was amended."""


def differences(
    evidence: Evidence, one: Network, other: Network, dataset: str = "", draw: Draw = None
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy of one network's probes minus the other's, at mid depth and at the last layer."""
    pair = (one, other)
    middle = np.subtract(*(at(evidence, n, POOL, MIDDLE, dataset, draw) for n in pair))
    end = np.subtract(*(last(evidence, n, POOL, dataset, draw) for n in pair))
    return middle, end


def _gaps(
    evidence: Evidence, more: Network, less: Network, dataset: str = "", times: int = TIMES
) -> list[Reading]:
    """Gap at mid depth, and that less so many times the gap at the last layer."""
    middle, end = differences(evidence, more, less, dataset)
    return [from_fits(middle), from_fits(middle - times * end)]


def more_and_less(evidence: Evidence) -> list[tuple[Network, Network]]:
    """For every seed: the largest ViT on all images, and on its smallest fraction.

    Raises:
        NotMeasured: no ViT is trained on a fraction.
    """
    models = [m for m in evidence.by_size(evidence.vits()) if evidence.fractions(m)]
    if not models:
        raise NotMeasured("needs a ViT trained on f100 and on a smaller fraction")
    large = models[-1]
    fewest = evidence.fractions(large)[0]
    return [(evidence.same_seed(large, n), n) for n in evidence.on(large, fewest)]


def _data(evidence: Evidence, times: int = TIMES) -> list[Case]:
    seeds = more_and_less(evidence)
    label = evidence.label(seeds[0][0].model)
    return [of_seeds(evidence, label, seeds, partial(_gaps, times=times))]


def largest(evidence: Evidence) -> str:
    """The ViT with most parameters."""
    return evidence.by_size(evidence.vits())[-1]


def _ahead(evidence: Evidence, vit: Network, resnet: Network, dataset: str = "") -> list[Reading]:
    return [from_fits(v) for v in differences(evidence, vit, resnet, dataset)]


def _elsewhere(evidence: Evidence, times: int = TIMES) -> list[Case]:
    tasks = evidence.config.get("tasks", {})
    if not tasks:
        raise NotMeasured("needs tasks under transfer, whose images the networks are probed on")
    resnets = evidence.resnets()
    return measured(partial(_on_task, evidence, r, task, times) for task in tasks for r in resnets)


def _on_task(evidence: Evidence, resnet: str, task: str, times: int) -> Case:
    large, seeds = largest(evidence), []
    for pair in more_and_less(evidence):
        vit = evidence.same_seed(large, pair[1])
        seeds.append([*pair, vit, evidence.same_seed(resnet, vit)])

    def read(evidence: Evidence, *networks: Network) -> list[Reading]:
        more, less, vit, other = networks
        return _gaps(evidence, more, less, task, times) + _ahead(evidence, vit, other, task)

    def read_untrained(evidence: Evidence, vit: Network, other: Network) -> list[Reading | None]:
        """What C30 shares with C29; of what it shares with C28 there is no control."""
        return [None, None, *_ahead(evidence, vit, other, task)]

    label = f"{evidence.label(large)} × {evidence.label(resnet)} on {task}"
    bare = untrained(evidence, [large, resnet])
    return of_seeds(evidence, label, seeds, read, bare, read_untrained=read_untrained)


def _more_data(times: int) -> tuple[Criterion, ...]:
    return (
        Criterion("gap at mid depth, all − fewest images", ">=", 0.0, smallest=ACCURACY),
        Criterion(
            f"gap at mid depth − {times} × gap at the last layer", ">=", 0.0, smallest=ACCURACY
        ),
    )


def _in_front(end: float) -> tuple[Criterion, ...]:
    return (
        Criterion("ViT − ResNet at mid depth", ">=", 0.0, smallest=ACCURACY),
        Criterion("ViT − ResNet at the last layer", ">=", end, smallest=ACCURACY),
    )


MORE_DATA, MORE_DATA_BEFORE = _more_data(TIMES), _more_data(3)
IN_FRONT, IN_FRONT_BEFORE = _in_front(-0.02), _in_front(0.0)
"""As good at the end: by two points, which is how closely the paper's figure can be read."""
AMENDED = "2026-11-29"
PREMISES = (less_data_hurts(more_and_less),)
CLAIMS = (
    Claim(
        id="C28",
        figure="Figure 13a",
        title="More data helps a large ViT's middle layers most",
        statement="More training data helps a large ViT's middle layers most: there the gap is at "
        "least twice that at the end.",
        statistic="accuracy of probes on pooled tokens, all images minus the smallest fraction: "
        "mean over depth .5 to .8, and that less twice the last layer's",
        criteria=MORE_DATA,
        reason="the paper's gaps are 18–30 points in the middle and 2.5–9 at the end; an analogue: "
        "our networks differ in the share of one dataset, the paper's in the dataset",
        paper_value="18–30 points in the middle layers against 2.5–9 at the end",
        source="[fig]",
        tier="C",
        controls="none: an untrained network has no training data",
        drawn="fig13_probes_by_depth",
        cases=_data,
        premises=PREMISES,
    ).loosened(AMENDED, criteria=MORE_DATA_BEFORE, cases=partial(_data, times=3)),
    Claim(
        id="C29",
        figure="Figure 13b",
        title="A large ViT beats a ResNet midway and equals it at the end",
        statement="A large ViT's middle layers are better than a ResNet's, and its end is as good.",
        statistic="accuracy of probes on pooled tokens, ViT minus ResNet: mean over depth .5 to "
        ".8, and at the last layer",
        criteria=IN_FRONT,
        reason="an order; the ViT's end must be as good to two points, as in the paper's figure "
        "(77 and 80 % against 75 %), so that no better middle is bought by a worse end; at small "
        "scale it likely turns around (small ViTs lag behind ResNets)",
        paper_value="42–48 % against 27 % at half depth",
        source="[fig]",
        tier="C",
        controls="untrained networks",
        drawn="fig13_probes_by_depth",
        cases=lambda evidence: each_pair(evidence, [largest(evidence)], evidence.resnets(), _ahead),
    ).loosened(AMENDED, criteria=IN_FRONT_BEFORE),
    Claim(
        id="C30",
        figure="Figures F.1 and F.2",
        title="What probes show holds on other datasets",
        statement="What holds of probes on the training dataset holds on other datasets.",
        statistic="those of C28 and C29 on the images of every task under transfer",
        criteria=(*MORE_DATA, *IN_FRONT),
        reason="those of C28 and C29",
        paper_value="same conclusions on CIFAR-10 and CIFAR-100",
        source="[text]",
        tier="C",
        controls="untrained networks, for what it shares with C29",
        drawn="figF_probes_other_datasets",
        cases=_elsewhere,
        premises=PREMISES,
    ).loosened(
        AMENDED,
        criteria=(*MORE_DATA_BEFORE, *IN_FRONT_BEFORE),
        cases=partial(_elsewhere, times=3),
    ),
)
