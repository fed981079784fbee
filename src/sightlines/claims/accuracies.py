"""How much better some networks are than others: over test images, and over seeds."""

from collections.abc import Iterable, Sequence

from sightlines.claims.cases import of_seeds
from sightlines.claims.claim import Reading, Source, from_shares
from sightlines.claims.evidence import Evidence
from sightlines.claims.seeds import Known, Prior, Spread, spread
from sightlines.plan.networks import UNTRAINED, Network
from sightlines.stats.nested import between_seeds

NAME = "accuracy"
"""Of these differences in a table of spreads (`seed_spread.SeedSpread`), in place of a claim."""


def ahead(evidence: Evidence, pairs: Iterable[Sequence[Network]], criterion: str) -> Spread:
    """Test accuracy of the first network of a pair minus the second's, mean over pairs.

    Args:
        evidence: The tables.
        pairs: One a seed.
        criterion: What it is, by which a spread may be known.

    Returns:
        With its error over images and seeds. Of one seed the spread is that which is shipped, or
        the widest that is known of networks of this experiment; `alone` where there is none.
    """

    def read(evidence: Evidence, one: Network, other: Network) -> list[Reading]:
        (own, _, images), (less, _, others) = map(evidence.accuracy, (one, other))
        return [from_shares([(1.0, own, images), (-1.0, less, others)])]

    case = of_seeds(evidence, criterion, pairs, read)
    found = spread([(1.0, case.trained)], 0, _known(evidence, criterion))
    assert found is not None  # every pair has a reading
    return found


def _known(evidence: Evidence, criterion: str) -> Known:
    def of(source: Source) -> Prior | None:
        shipped: Known | None = evidence.spread and evidence.spread.known(NAME, criterion)
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
