"""The mean of a claim's statistic over its cases, with random effects of the architectures.

Cases are often pairs, and pairs that share a network go together: ViT i against ResNet j is nearly
what ViT i is against any other ResNet. So θ_ij = μ + a_i + b_j + c_ij, and the mean over n ViTs and
m ResNets has, for the sake of its being these, the variance σ_a²/n + σ_b²/m + σ_c²/(nm). The means
of the ViTs over all ResNets differ by σ_a² + σ_c²/m, those of the ResNets by σ_b² + σ_c²/n: over n
and over m they add up to that variance, with the last part counted twice, so that it comes out too
large rather than too small (crossed random effects, by the method of moments: Searle, Casella and
McCulloch 1992, "Variance components", chapter 4). Taken for independent draws, pairs of 2 ViTs
with 4 ResNets would have a seventh of σ_a²/n.
"""

from collections.abc import Sequence
from dataclasses import replace

from sightlines.claims.claim import Sample
from sightlines.claims.seeds import Known, Spread, Terms, spread
from sightlines.stats.nested import between_architectures


def pooled(cases: Sequence[Terms], index: int, known: Known | None) -> Spread | None:
    """The mean over cases of a weighted sum of samples, of one criterion.

    Args:
        cases: Each one's samples with their weights: its networks', or these and minus the
            untrained ones'.
        index: The criterion's place.
        known: What is known from elsewhere of the spread between seeds; None: they do not matter.

    Returns:
        With one part of its variance for every kind of architecture, of which there are several;
        None where one of the samples says nothing of it, and of no case.
    """
    found = _mean(cases, index, known) if cases else None
    if found is None:
        return None
    estimate, parts = found.estimate, 0
    for groups in crossed([terms[0][1] for terms in cases]):
        own = [_mean([cases[case] for case in group], index, known) for group in groups]
        means = [one.estimate for one in own if one is not None]
        errors = [mean.error**2 for mean in means]
        part = between_architectures([m.value for m in means], errors, found.estimate.error**2)
        estimate, parts = estimate.with_part(part, len(means) - 1), parts + 1
    return replace(found, estimate=estimate, architectures=parts)


def crossed(samples: Sequence[Sample]) -> list[list[list[int]]]:
    """By which kinds of architecture cases differ.

    Args:
        samples: One a case.

    Returns:
        For every kind its architectures, each with the places of its cases: of a ViT with two
        ResNets the two cases, of two ViTs with two ResNets two ViTs, then two ResNets, of two cases
        each. Where cases are of the same networks (other tasks), each case by itself. Empty for one
        case.
    """
    by_itself = [[case] for case in range(len(samples))]
    if len(samples) < 2:
        return []
    levels = [_levels(sample) for sample in samples]
    if len({*levels}) < len(levels) or len({*map(len, levels)}) > 1:
        return [by_itself]
    found: list[list[list[int]]] = []
    for kind in zip(*levels, strict=True):
        names = dict.fromkeys(kind)
        groups = [[case for case, name in enumerate(kind) if name == own] for own in names]
        if len(groups) > 1 and groups not in found:  # two kinds that go together count once
            found.append(groups)
    return found


def _levels(sample: Sample) -> tuple[str, ...]:
    """The models of a case, each with the share of the images on which it was trained."""
    slugs = [slug for source in sample.sources for slug in source.units[0]]
    return tuple(dict.fromkeys(slug.rpartition("/")[0] for slug in slugs))


def _mean(cases: Sequence[Terms], index: int, known: Known | None) -> Spread | None:
    terms = [(weight / len(cases), sample) for own in cases for weight, sample in own]
    return spread(terms, index, known)
