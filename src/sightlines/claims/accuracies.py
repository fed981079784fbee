"""How much better some networks are than others: over test images, and over seeds."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from sightlines.claims.cases import Read, of_seeds
from sightlines.claims.claim import Reading, Source, from_shares
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.seeds import Known, Prior, Spread, spread
from sightlines.plan.networks import FULL, UNTRAINED, Network
from sightlines.stats.nested import between_seeds

NAME = "accuracy"
"""Of these statistics in a table of spreads (`seed_spread.SeedSpread`), in place of a claim."""
OF_ONE, OF_TWO = "test accuracy", "difference of test accuracies"
"""In place of a criterion: of a network, and of two of one model, trained on two fractions. What
they are asked for changes nothing: the spread of a difference is the same either way round."""


def ahead(evidence: Evidence, pairs: Iterable[Sequence[Network]], what: str) -> Spread:
    """Test accuracy of the first network of a pair minus the second's, mean over pairs.

    Args:
        evidence: The tables.
        pairs: One a seed.
        what: What it is, in words.

    Returns:
        With its error over images and seeds. Of one seed the spread is that which is shipped, or
        the widest that is known of networks of this experiment; `alone` where there is none.

    Raises:
        NotMeasured: of no pair both accuracies are known.
    """
    case = of_seeds(evidence, what, pairs, _difference)
    found = spread([(1.0, case.trained)], 0, _known(evidence))
    assert found is not None  # every pair has a reading
    return found


def sources(evidence: Evidence) -> Iterator[tuple[str, Source]]:
    """What the accuracies of an experiment vary with from seed to seed, as `ahead` asks for it.

    Yields:
        OF_ONE with the seeds of a model on one fraction; OF_TWO with those on a smaller fraction,
        each beside the same seed's on all images. Without those whose accuracy is not known.
    """
    for model in evidence.models():
        fewer = evidence.fractions(model)
        for fraction in (*fewer, FULL):
            own = evidence.on(model, fraction)
            yield from _sources(evidence, OF_ONE, [[n] for n in own], _accuracy)
        for fraction in fewer:
            pairs = [(evidence.same_seed(model, n), n) for n in evidence.on(model, fraction)]
            yield from _sources(evidence, OF_TWO, pairs, _difference)


def _sources(
    evidence: Evidence, which: str, seeds: Iterable[Sequence[Network]], read: Read
) -> Iterator[tuple[str, Source]]:
    with contextlib.suppress(NotMeasured):
        for source in of_seeds(evidence, which, seeds, read).trained.sources:
            yield which, source


def _accuracy(evidence: Evidence, network: Network) -> list[Reading]:
    accuracy, _, images = evidence.accuracy(network)
    return [from_shares([(1.0, accuracy, images)])]


def _difference(evidence: Evidence, one: Network, other: Network) -> list[Reading]:
    (own, _, images), (less, _, others) = map(evidence.accuracy, (one, other))
    return [from_shares([(1.0, own, images), (-1.0, less, others)])]


def _known(evidence: Evidence) -> Known:
    def of(source: Source) -> Prior | None:
        which = OF_ONE if len(source.units[0]) == 1 else OF_TWO
        shipped: Known | None = evidence.spread and evidence.spread.known(NAME, which)
        if shipped and (prior := shipped(source)):
            return prior
        if len(source.units) > 1 or (widest := widest_spread(evidence)) is None:
            return None
        variance, freedom, label = widest
        networks = len(source.units[0])  # their accuracies vary each by itself
        return Prior(networks * variance, freedom, f"widest spread of accuracy here, {label}'s")

    return of


def widest_spread(evidence: Evidence) -> tuple[float, float, str] | None:
    """The largest variance of accuracy between seeds of a network, trained on one fraction.

    With the degrees of freedom of all networks that have several seeds: where all vary alike it is
    at least the variance that is pooled over them, of which these are the degrees of freedom.

    Returns:
        The variance, its degrees of freedom and the network's label; None where none has two seeds.
    """
    found = []
    trained = [n for n in evidence.networks if n.fraction != UNTRAINED]
    for model, fraction in dict.fromkeys((n.model, n.fraction) for n in trained):
        values = [evidence.accuracy(n)[0] for n in evidence.on(model, fraction)]
        variance, freedom = between_seeds(values)
        if freedom and variance >= 0:  # not NaN, where an accuracy is unknown
            found.append((float(variance), freedom, evidence.label(model)))
    if not found:
        return None
    variance, _, label = max(found)
    return variance, sum(freedom for _, freedom, _ in found), label
