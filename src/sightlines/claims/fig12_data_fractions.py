"""Claims C26 and C27: which blocks need how much data (paper, Figure 12)."""

import contextlib
from dataclasses import replace
from functools import partial

import numpy as np

from sightlines.claims.cases import measured, of_seeds, satisfies_all, untrained
from sightlines.claims.claim import (
    OF_CORRELATIONS,
    Case,
    Claim,
    Criterion,
    Reading,
    from_draws,
    from_replicates,
)
from sightlines.claims.effects import RANK, SIMILARITY
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.statistics import Values, resampled, spearman, swap
from sightlines.plan.networks import Network
from sightlines.results.numbers import interval, significant

QUESTION = "data"
READS = ("cka_replicates.safetensors", "layers.csv", "accuracy.csv")

FEWEST = 4
"""Blocks below which a rank correlation says nothing."""


def _own_blocks(evidence: Evidence, network: Network, full: Network) -> np.ndarray:
    """CKA of each block with the same block of the network on all images [1 + groups, blocks]."""
    blocks = evidence.blocks(network.model)
    return evidence.cka(network, full)[:, blocks, blocks]


def _with_less_data(evidence: Evidence) -> list[str]:
    found = [m for m in evidence.vits() if evidence.fractions(m)]
    if not found:
        raise NotMeasured("needs a ViT trained on f100 and on a smaller fraction")
    return found


def _ordered(evidence: Evidence) -> list[str]:
    """ViTs with two networks or more to hold against the one on all images."""
    vits = _with_less_data(evidence)
    found = [m for m in vits if len(evidence.fractions(m)) + len(evidence.full(m)) > 2]
    if not found:
        raise NotMeasured("needs two fractions of a ViT below f100, or a second seed on f100")
    return found


def _seeds(evidence: Evidence, vit: str) -> list[list[Network]]:
    """For every seed: on all images, then on each fraction, smallest first."""
    first, *others = evidence.fractions(vit)
    return [
        [evidence.same_seed(vit, n), n, *(_like(n, evidence.on(vit, f)) for f in others)]
        for n in evidence.on(vit, first)
    ]


def _like(network: Network, others: list[Network]) -> Network:
    """The one with the same seed, or else the first."""
    return next((n for n in others if n.seed == network.seed), others[0])


def _seconds(evidence: Evidence, full: Network) -> list[Network]:
    """Other seeds on all images, the one first with which this one makes a pair.

    What two seeds have in common is the same for both, so that a pair is one unit of the spread;
    where seeds are paired off (s0 with s1, s2 with s3), four make two of these. The last of an odd
    number joins a pair.
    """
    own = evidence.full(full.model)
    place = own.index(full)
    partner = place + 1 if place % 2 == 0 and place + 1 < len(own) else place - 1
    others = [n for n in own if n != full]
    return sorted(others, key=lambda n: own.index(n) != partner)


def _second(evidence: Evidence, full: Network) -> list[Network]:
    """The first of these that it was compared with, if there is one."""
    for other in _seconds(evidence, full):
        with contextlib.suppress(NotMeasured):
            evidence.cka(other, full)
            return [other]
    return []


def _with_seconds(
    evidence: Evidence, seeds: list[list[Network]], places: tuple[int, ...] = (0,)
) -> list[list[Network]]:
    """Networks of every seed, and second seeds of those at some places where all have one.

    Seeds that lack one which others have are left out: of them the claim would be another.
    """
    found = []
    for networks in seeds:
        own = [_second(evidence, networks[place]) for place in places]
        found.append([*networks, *(n for second in own for n in second if all(own))])
    longest = max(map(len, found))
    return [networks for networks in found if len(networks) == longest]


def _order(less: list[np.ndarray], second: list[np.ndarray], each_step: bool) -> list[Values]:
    """Fall with depth of the weakest fraction, and rise of the mean with the images.

    Args:
        less: By fraction, similarity of each block with itself on all images [..., blocks].
        second: The same of a second seed on all images, to which the last rise is.
        each_step: Whether the rise is the smallest from a fraction to the next, or that from the
            fewest images to the most.
    """
    if less[0].shape[-1] < FEWEST:
        raise NotMeasured(f"needs a ViT with {FEWEST} blocks or more")
    falls = [spearman(curve) for curve in less]
    means = [curve.mean(axis=-1) for curve in (*less, *second)]
    rise = np.min(np.diff(means, axis=0), axis=0) if each_step else means[-1] - means[0]
    return [np.max(falls, axis=0), rise]


def _read(
    evidence: Evidence, full: Network, *others: Network, fractions: int, each_step: bool
) -> list[Reading]:
    """Of a network on all images, on each fraction, and perhaps a second seed on all images."""
    of_others = [resampled(_own_blocks(evidence, n, full)) for n in others]
    fall, rise = _order(of_others[:fractions], of_others[fractions:], each_step)
    return [from_draws(fall, swap(of_others[0].shape[-1])), from_draws(rise)]


def _fractions(evidence: Evidence, each_step: bool = False) -> list[Case]:
    return measured(partial(_of_vit, evidence, vit, each_step) for vit in _ordered(evidence))


def _of_vit(evidence: Evidence, vit: str, each_step: bool) -> Case:
    """With the fall of an untrained network, and what a second seed on all images has of it."""
    seeds = _seeds(evidence, vit)
    read = partial(_read, fractions=len(seeds[0]) - 1, each_step=each_step)
    full = seeds[0][0]
    bare = [(full, network) for (network,) in untrained(evidence, [vit])]
    own = _with_seconds(evidence, seeds)
    label = evidence.label(vit)
    case = of_seeds(evidence, label, own, read, bare, read_untrained=_fall_alone)
    beside = [_of_second(evidence, full, second) for second in _second(evidence, full)]
    return replace(case, beside=tuple(beside))


def _fall_alone(evidence: Evidence, full: Network, other: Network) -> list[Reading | None]:
    """Fall with depth of a network that was not trained on fewer images; it has no rise."""
    own = _own_blocks(evidence, other, full)
    return [from_draws(spearman(resampled(own)), swap(own.shape[-1])), None]


def _of_second(evidence: Evidence, full: Network, second: Network) -> str:
    """The fall of a second seed on all images: what comes of another start, not of fewer images."""
    fall, _ = _fall_alone(evidence, full, second)
    assert fall is not None
    ends = interval((fall.value, fall.low, fall.high), (ORDER[0].threshold,), write=significant)
    return (
        f"a second seed of {evidence.label(full.model)} on all images has {ORDER[0].name} {ends} "
        "over images"
    )


def _two_sizes(evidence: Evidence) -> tuple[str, str, list[str]]:
    """The smallest and the largest ViT, and the smaller fractions that both are trained on.

    Raises:
        NotMeasured: there are no two, or no such fraction.
    """
    models = evidence.by_size(_with_less_data(evidence))
    if len(models) < 2:
        raise NotMeasured("needs two sizes of ViT trained on f100 and on a smaller fraction")
    small, large = models[0], models[-1]
    shared = [f for f in evidence.fractions(small) if f in evidence.fractions(large)]
    if not shared:
        raise NotMeasured(f"{small} and {large} have no smaller fraction in common")
    return small, large, shared


def _sizes(evidence: Evidence, has_ceiling: bool = True) -> list[Case]:
    small, large, shared = _two_sizes(evidence)
    return measured(partial(_of_fraction, evidence, small, large, f, has_ceiling) for f in shared)


def _of_fraction(
    evidence: Evidence, small: str, large: str, fraction: str, has_ceiling: bool
) -> Case:
    seeds = []
    for less in evidence.on(large, fraction):
        other = _like(less, evidence.on(small, fraction))
        seeds.append(
            [n for own in (other, less) for n in (own, evidence.same_seed(own.model, own))]
        )
    full = [evidence.full(m)[0] for m in (small, large)]
    bare = [[one, full[0], two, full[1]] for one, two in untrained(evidence, [small, large])]
    label = f"{evidence.label(small)} × {evidence.label(large)}, {fraction}"
    if has_ceiling:
        seeds, bare = (_with_seconds(evidence, own, (1, 3)) if own else [] for own in (seeds, bare))
    case = of_seeds(evidence, label, seeds, _upper_halves, bare)
    alone = [m for m in (small, large) if len(evidence.full(m)) < 2]
    if not alone or not has_ceiling:
        return case
    lacking = f"a second seed of {' and '.join(map(evidence.label, alone))} on all images"
    return replace(case, missing=(*case.missing, f"{lacking}, as the ceiling"))


def _upper_halves(evidence: Evidence, *networks: Network) -> list[Reading]:
    """Small ViT's upper half minus large ViT's: for each a network, and one on all images.

    The same difference of second seeds on all images, where they are given, is the ceiling and is
    taken off: of a large ViT already two seeds may agree less than of a small one.
    """
    small, small_full, large, large_full, *seconds = networks
    lead = _lead(evidence, (small, small_full), (large, large_full))
    if seconds:
        of_small, of_large = seconds
        lead = lead - _lead(evidence, (of_small, small_full), (of_large, large_full))
    return [from_replicates(lead)]


def _lead(
    evidence: Evidence, small: tuple[Network, Network], large: tuple[Network, Network]
) -> np.ndarray:
    """Upper half of the small pair's blocks minus that of the large pair's [1 + groups]."""
    curves = [_own_blocks(evidence, *pair) for pair in (small, large)]
    one, other = (curve[:, curve.shape[1] // 2 :].mean(axis=1) for curve in curves)
    return np.asarray(one - other)


def _sizes_stand(evidence: Evidence, index: str) -> bool:
    """Whether the small ViT's upper half stays ahead of the large one's under another index."""
    small, large, shared = _two_sizes(evidence)
    full = [evidence.full(model)[0] for model in (small, large)]
    seconds = [_seconds(evidence, network)[:1] for network in full]

    def lead(*others: Network) -> float:
        curves = [
            np.diagonal(evidence.similarity_by(index, *p)) for p in zip(full, others, strict=True)
        ]
        return float(np.subtract(*(curve[len(curve) // 2 :].mean() for curve in curves)))

    ceiling = lead(seconds[0][0], seconds[1][0]) if all(seconds) else 0.0
    less = [[evidence.on(model, f)[0] for model in (small, large)] for f in shared]
    return all(satisfies_all(SIZES, [lead(*pair) - ceiling]) for pair in less)


def _stands(evidence: Evidence, index: str) -> bool:
    """Whether it holds of every ViT's first seed under another index."""
    for vit in _ordered(evidence):
        full, *less = _seeds(evidence, vit)[0]
        of_less, of_second = (
            [np.diagonal(evidence.similarity_by(index, n, full)) for n in networks]
            for networks in (less, _seconds(evidence, full)[:1])
        )
        if not satisfies_all(ORDER, _order(of_less, of_second, each_step=False)):
            return False
    return True


ORDER = (
    Criterion("Spearman(block, CKA)", "<=", -0.8, OF_CORRELATIONS, smallest=RANK),
    Criterion("rise of mean CKA, fewest to most images", ">=", 0.0, smallest=SIMILARITY),
)
STEPS = (ORDER[0], Criterion("rise of mean CKA with the fraction", ">=", 0.0, smallest=SIMILARITY))
"""What ORDER was before it was amended."""
SIZES = (Criterion("upper half, small − large", ">=", 0.0, smallest=SIMILARITY),)
CLAIMS = (
    Claim(
        id="C26",
        figure="Figure 12",
        title="Fewer images harm a ViT's upper blocks more than its lower",
        statement="Trained on fewer images, a ViT's lower blocks come closer to the fully trained "
        "network than its higher ones; more images bring all of them closer.",
        statistic="Spearman correlation of block index and CKA(fraction, all images), weakest "
        "fraction; rise of the mean CKA from the smallest fraction to the largest (to a second "
        "seed on all images where there is one)",
        criteria=ORDER,
        reason="-.8 lets neighbouring blocks swap but no trend turn; the rise is an order",
        paper_value=".97 → .05 (L/16, 10 %); .94 → .59 (B/32, 3 %)",
        source="[fig]",
        tier="C",
        controls="an untrained network against the fully trained one; beside it a second seed on "
        "all images, which falls without the lack of data",
        drawn="fig12_data_fractions",
        cases=_fractions,
        robustness_check=_stands,
    ).loosened(
        "2026-11-29",
        statistic="Spearman correlation of block index and CKA(fraction, all images), weakest "
        "fraction; rise of the mean CKA from each fraction to the next (last to a second seed on "
        "all images), smallest",
        criteria=STEPS,
        cases=partial(_fractions, each_step=True),
    ),
    Claim(
        id="C27",
        figure="Figure 12",
        title="Few images harm a larger ViT's upper blocks more",
        statement="With equally few images, a larger ViT's upper blocks are further from their "
        "fully trained form than a smaller one's.",
        statistic="mean CKA(fraction, all images) over the upper half of the blocks, small ViT "
        "minus large ViT, less the same of CKA(second seed, all images) where both have one",
        criteria=SIZES,
        reason="the paper claims an order; it shows no second seeds, which are the most that two "
        "networks agree by",
        paper_value="at most .2 (L/16) against at least .6 (B/32)",
        source="[fig]",
        tier="C",
        controls="untrained networks; another index of similarity",
        drawn="fig12_data_fractions",
        cases=_sizes,
        robustness_check=_sizes_stand,
    ).loosened(
        "2026-11-29",
        statistic="mean CKA(fraction, all images) over the upper half of the blocks, small ViT "
        "minus large ViT",
        reason="the paper claims an order",
        cases=partial(_sizes, has_ceiling=False),
    ),
)
