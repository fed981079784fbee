"""Networks of equal accuracy: what two architectures differ by, and not by how far they got.

Networks that differ by more than MARGIN in accuracy differ in what they learned as well as in what
they are. Where the better one was also trained on fewer images and is then as good as the other,
the two are compared a second time, at equal accuracy. Where they differ by more than FARTHEST,
that second case alone is judged.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product

import numpy as np

from sightlines.claims.cases import Read, each_pair
from sightlines.claims.claim import Case, Criterion, Premise, Reading, from_shares
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network, per_cent

MARGIN = 0.03
"""Of test accuracy."""
FARTHEST = 0.10
"""Difference of test accuracies up to which networks are compared without a match: the paper itself
compares ViT-L/16 with ResNet-50, 87.1 against 77.5 % (Dosovitskiy et al. 2021, Tables 5 and 6)."""
Groups = Callable[[Evidence], Iterable[Sequence[str]]]
"""From the evidence to the models of every case."""


def with_matched(
    evidence: Evidence, cases: list[Case], groups: Iterable[Sequence[str]], read: Read
) -> list[Case]:
    """Cases, and of networks that are not of equal accuracy others that are, where there are such.

    Those that are more than FARTHEST apart make room for the others: `comparable` says that they
    cannot be compared.

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
            readings = read(evidence, *others)
        except NotMeasured:
            continue
        name = " × ".join(map(evidence.label, models))
        control = next((c.control for c in cases if c.label == name), None)
        slugs = [n.slug for n in others]
        found.append(Case(_label(evidence, others), slugs, [readings], control))
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
            read(evidence, *others)
        except NotMeasured as reason:
            return f"{told}: {_told(evidence, others)} are not, but {reason}"
        return ""

    return Premise("networks that are compared are of comparable accuracy", unmet)


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
    least = min(_known(evidence, networks))
    return _replaced(evidence, networks, ahead, least)


def _replaced(
    evidence: Evidence, networks: list[Network], ahead: list[Network], least: float
) -> list[Network] | None:
    chosen = []
    for network in networks:
        if network not in ahead:
            chosen.append(network)
            continue
        less = [n for f in evidence.fractions(network.model) for n in evidence.on(network.model, f)]
        away = {n: abs(evidence.accuracy(n)[0] - least) for n in less}
        closest = min(away, key=lambda n: away[n], default=None)
        if closest is None or not away[closest] <= MARGIN:
            return None
        chosen.append(closest)
    return chosen


def _ahead(evidence: Evidence, networks: list[Network], margin: float = MARGIN) -> list[Network]:
    """Networks whose accuracy is above the poorest's by more than a margin, with its interval."""
    apart = Criterion("difference of accuracies", "<=", margin)
    known = [n for n in networks if np.isfinite(evidence.accuracy(n)[0])]
    if not known:
        return []
    poorest = min(known, key=lambda n: evidence.accuracy(n)[0])
    differences = {n: _difference(evidence, n, poorest) for n in known}
    return [n for n, d in differences.items() if apart.outcome(d.low, d.high) == "fails"]


def _difference(evidence: Evidence, one: Network, other: Network) -> Reading:
    (more, _, images), (less, _, others) = map(evidence.accuracy, (one, other))
    return from_shares([(1.0, more, images), (-1.0, less, others)])


def _known(evidence: Evidence, networks: list[Network]) -> list[float]:
    return [a for n in networks if np.isfinite(a := evidence.accuracy(n)[0])]


def _told(evidence: Evidence, networks: list[Network]) -> str:
    return ", ".join(f"{_name(evidence, n)} ({evidence.accuracy(n)[0]:.1%})" for n in networks)


def _name(evidence: Evidence, network: Network) -> str:
    share, name = per_cent(network.fraction), evidence.label(network.model)
    return name if share == 100 else f"{name} with {share} % of the images"


def _label(evidence: Evidence, others: list[Network]) -> str:
    names = [_name(evidence, other) for other in others]
    return f"{' × '.join(names)}, equally accurate"
