"""Networks of equal accuracy: what two architectures differ by, and not by how far they got.

Networks that differ by more than MARGIN in accuracy differ in what they learned as well as in what
they are. Where the better one was also trained on fewer images and is then as good as the other,
the two are compared a second time, at equal accuracy. Where they differ by more than FARTHEST,
that second case alone is judged.

Accuracies are means over a network's seeds, with their error over images: it is these networks that
are compared, and not others that might be more or less alike. That two are equal is not what is
left where no difference is shown: it is shown by two one-sided tests, each at 5 % (Schuirmann 1987,
"A comparison of the two one-sided tests procedure and the power approach for assessing the
equivalence of average bioavailability"), which the interval of 90 % within the margin is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from sightlines.claims.cases import Read, each_pair, of_seeds
from sightlines.claims.claim import Case, Criterion, Premise, Reading, from_shares
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network, per_cent
from sightlines.stats.nested import Estimate

MARGIN = 0.03
"""Of test accuracy."""
FARTHEST = 0.10
"""Difference of test accuracies up to which networks are compared without a match: the paper itself
compares ViT-L/16 with ResNet-50, 87.1 against 77.5 % (Dosovitskiy et al. 2021, Tables 5 and 6)."""
EQUIVALENT = 0.9
"""Of the interval that two one-sided tests at 5 % look at."""
NOT_SHOWN = "comparable accuracy not shown"
Groups = Callable[[Evidence], Iterable[Sequence[str]]]
"""From the evidence to the models of every case."""


def with_matched(
    evidence: Evidence, cases: list[Case], groups: Iterable[Sequence[str]], read: Read
) -> list[Case]:
    """Cases, and of networks that are not of equal accuracy others that are, where there are such.

    These are of every seed that was measured. Networks that are more than FARTHEST apart make room
    for them: `comparable` says that they cannot be compared.

    Args:
        evidence: The tables.
        cases: Of those models, on all images.
        groups: The models of every case, which are compared with each other.
        read: Reads networks of one group.
    """
    found, apart = [], set()
    for models in groups:
        networks = first(evidence, models)
        others = matched(evidence, networks)
        if others is None or others == networks:
            continue
        try:
            second = _second(evidence, others, read)
        except NotMeasured:
            continue
        name = " × ".join(map(evidence.label, models))
        like = next((c for c in cases if c.label == name), None)
        if like:
            second = replace(second, control=like.control, controls=like.controls)
        found.append(second)
        if _ahead(evidence, networks, FARTHEST):
            apart.add(name)
    return [*(case for case in cases if case.label not in apart), *found]


def pairs(evidence: Evidence) -> list[tuple[str, str]]:
    """Every ViT with every ResNet."""
    return list(product(evidence.vits(), evidence.resnets()))


def each_pair_matched(evidence: Evidence, read: Read) -> list[Case]:
    """One case a ViT and ResNet, and of those that are not of equal accuracy one that is."""
    cases = each_pair(evidence, evidence.vits(), evidence.resnets(), read)
    return with_matched(evidence, cases, pairs(evidence), read)


def comparable(groups: Groups, read: Read) -> Premise:
    """Networks that are compared differ in accuracy by at most FARTHEST, or there is a second case.

    Args:
        groups: Models that are compared with each other.
        read: Reads networks of one group: whether the tables have the second case.
    """

    def unmet(evidence: Evidence) -> str:
        return "; ".join(dict.fromkeys(filter(None, map(partial(say, evidence), groups(evidence)))))

    def say(evidence: Evidence, models: Sequence[str]) -> str:
        networks = first(evidence, models)
        if not _ahead(evidence, networks, FARTHEST):
            return ""
        others = matched(evidence, networks)
        told = (
            f"{_told(evidence, networks)} are more than {100 * FARTHEST:g} points of accuracy apart"
        )
        if others is None:
            better = sorted({evidence.label(n.model) for n in _ahead(evidence, networks)})
            return (
                f"{told}: needs {' and '.join(better)} on a fraction of the images with which the "
                "accuracies are equal, or recipes that make them so"
            )
        try:
            _second(evidence, others, read)
        except NotMeasured as reason:
            return f"{told}: {_told(evidence, others)} are not, but {reason}"
        return ""

    def caveat(evidence: Evidence) -> str:
        """Of networks of which more than FARTHEST is neither shown nor excluded."""
        pairs = [first(evidence, models) for models in groups(evidence)]
        open_ones = [own for own in pairs if are_equal(evidence, own, FARTHEST) is None]
        told = "; ".join(dict.fromkeys(_told(evidence, own) for own in open_ones))
        return told and f"{NOT_SHOWN}, to {100 * FARTHEST:g} points: {told}"

    return Premise("networks that are compared are of comparable accuracy", unmet, caveat=caveat)


def first(evidence: Evidence, models: Sequence[str]) -> list[Network]:
    """First networks on all images, of one seed where there are such."""
    lead = evidence.full(models[0])[0]
    return [lead, *(evidence.same_seed(model, lead) for model in models[1:])]


def matched(evidence: Evidence, networks: list[Network]) -> list[Network] | None:
    """The same models with accuracies that are equal to MARGIN; None where there are none.

    Each network that is clearly better than the poorest is replaced by its like on the fraction
    with which it comes closest. Where the networks are equal, or nothing is known of their
    accuracy, they stand as they are.
    """
    ahead = _ahead(evidence, networks)
    if not ahead:
        return networks
    least = min(_accuracy(evidence, n)[0] for n in _finite(evidence, networks))
    return _replaced(evidence, networks, ahead, least)


def are_equal(
    evidence: Evidence, networks: Sequence[Network], margin: float = MARGIN
) -> bool | None:
    """Whether accuracies differ by at most a margin, in the mean of all seeds.

    Returns:
        True and False where that is shown; None where the intervals are too wide for either. What
        is not known of a network's accuracy is left out.
    """
    known = _finite(evidence, networks)
    if _ahead(evidence, known, margin):
        return False
    if len(known) < 2:
        return True
    poorest = min(known, key=lambda n: _accuracy(evidence, n)[0])
    away = [_difference(evidence, n, poorest) for n in known if n != poorest]
    ends = [Estimate(d.value, [d.error**2], [d.freedom]).interval(EQUIVALENT) for d in away]
    return True if all(-margin <= low and high <= margin for low, high in ends) else None


def _second(evidence: Evidence, others: list[Network], read: Read) -> Case:
    """Networks of equal accuracy, of every seed that was measured.

    Raises:
        NotMeasured: none was.
    """
    own = [evidence.on(n.model, n.fraction) for n in others]
    names = dict.fromkeys(n.seed for networks in own for n in networks)
    seeds = [[next((n for n in o if n.seed == seed), o[0]) for o in own] for seed in names]
    return replace(of_seeds(evidence, _label(evidence, others), seeds, read), missing=())


def _replaced(
    evidence: Evidence, networks: list[Network], ahead: list[Network], least: float
) -> list[Network] | None:
    chosen = []
    for network in networks:
        if network not in ahead:
            chosen.append(network)
            continue
        fractions = evidence.fractions(network.model)
        less = [evidence.on(network.model, fraction)[0] for fraction in fractions]
        away = {n: abs(_accuracy(evidence, n)[0] - least) for n in less}
        closest = min(away, key=lambda n: away[n], default=None)
        if closest is None or not away[closest] <= MARGIN:
            return None
        chosen.append(closest)
    return chosen


def _ahead(
    evidence: Evidence, networks: Sequence[Network], margin: float = MARGIN
) -> list[Network]:
    """Networks whose accuracy is above the poorest's by more than a margin, with its interval."""
    apart = Criterion("difference of accuracies", "<=", margin)
    known = _finite(evidence, networks)
    if not known:
        return []
    poorest = min(known, key=lambda n: _accuracy(evidence, n)[0])
    differences = {n: _difference(evidence, n, poorest) for n in known}
    return [n for n, d in differences.items() if apart.outcome(d.low, d.high) == "fails"]


def _difference(evidence: Evidence, one: Network, other: Network) -> Reading:
    (more, images), (less, others) = (_accuracy(evidence, n) for n in (one, other))
    return from_shares([(1.0, more, images), (-1.0, less, others)])


def _accuracy(evidence: Evidence, network: Network) -> tuple[float, int]:
    """Of all seeds of a network the mean test accuracy, and the number of images."""
    seeds = [evidence.accuracy(n) for n in evidence.on(network.model, network.fraction)]
    return float(np.mean([accuracy for accuracy, _, _ in seeds])), min(n for _, _, n in seeds)


def _finite(evidence: Evidence, networks: Sequence[Network]) -> list[Network]:
    return [n for n in networks if np.isfinite(_accuracy(evidence, n)[0])]


def _told(evidence: Evidence, networks: Sequence[Network]) -> str:
    return ", ".join(f"{_name(evidence, n)} ({_accuracy(evidence, n)[0]:.1%})" for n in networks)


def _name(evidence: Evidence, network: Network) -> str:
    share, name = per_cent(network.fraction), evidence.label(network.model)
    return name if share == 100 else f"{name} with {share} % of the images"


def _label(evidence: Evidence, others: list[Network]) -> str:
    names = [_name(evidence, other) for other in others]
    how = "equally accurate" if are_equal(evidence, others) else NOT_SHOWN
    return f"{' × '.join(names)}, {how}"
