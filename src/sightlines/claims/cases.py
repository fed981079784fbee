"""Cases out of networks: one reading a seed, the untrained networks' values beside them."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from sightlines.claims.claim import Case, Criterion, Reading
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.statistics import Values
from sightlines.plan.networks import Network

Read = Callable[..., list[Reading]]
"""From the evidence and one network of every model of a case: the claim's readings."""


def each(evidence: Evidence, models: Iterable[str], read: Read) -> list[Case]:
    """One case a model; see `gather`."""
    return gather(evidence, [(model,) for model in models], read)


def each_pair(
    evidence: Evidence, first: Iterable[str], second: Iterable[str], read: Read
) -> list[Case]:
    """One case a model of the first with one of the second; see `gather`."""
    return gather(evidence, itertools.product(first, second), read)


def first_pairs(evidence: Evidence) -> list[tuple[Network, Network]]:
    """Every ViT's first network with every ResNet's, of the same seed where there is one.

    Raises:
        NotMeasured: there is no ViT or no ResNet.
    """
    vits = [evidence.full(vit)[0] for vit in evidence.vits()]
    return [(vit, evidence.same_seed(r, vit)) for vit in vits for r in evidence.resnets()]


def gather(
    evidence: Evidence, groups: Iterable[Sequence[str]], read: Read, learned: slice = slice(None)
) -> list[Case]:
    """One case a group of models, without those of which the tables lack something.

    Args:
        evidence: The tables.
        groups: The models of each case.
        read: Reads networks of one group: of each seed of the first model, and untrained.
        learned: Those of a group that must have learned.

    Raises:
        NotMeasured: no group has all that is needed.
    """
    return measured(partial(_of_models, evidence, g, read, learned) for g in groups)


def measured(makers: Iterable[Callable[[], Case]]) -> list[Case]:
    """The cases of which the tables lack nothing.

    Raises:
        NotMeasured: there is none.
    """
    cases: list[Case] = []
    missing: dict[str, None] = {}
    for make in makers:
        try:
            cases.append(make())
        except NotMeasured as reason:
            missing[str(reason)] = None
    if not cases:
        raise NotMeasured(
            "; ".join(missing) or "no network of the runs is what this claim is about"
        )
    first, *others = cases
    return [replace(first, missing=(*first.missing, *missing)), *others]


def _of_models(evidence: Evidence, models: Sequence[str], read: Read, learned: slice) -> Case:
    own = [network for model in models for network in evidence.full(model)]
    first = {
        seed: next(n for n in own if n.seed == seed) for seed in dict.fromkeys(n.seed for n in own)
    }
    seeds = [[evidence.same_seed(m, network) for m in models] for network in first.values()]
    label = " × ".join(evidence.label(m) for m in models)
    bare = [evidence.untrained(m) for m in models]
    return of_seeds(evidence, label, seeds, read, bare, learned)


def of_seeds(
    evidence: Evidence,
    label: str,
    seeds: Iterable[Sequence[Network]],
    read: Read,
    untrained: Sequence[Network | None] = (),
    learned: slice = slice(None),
) -> Case:
    """One case of given networks, without seeds of which the tables lack something.

    Args:
        evidence: The tables.
        label: The case's.
        seeds: For every seed what `read` is given.
        read: Reads the networks of one seed.
        untrained: What it is given for the control; none, or None among them, is no control.
        learned: Those of a seed that must have learned.

    Raises:
        NotMeasured: no seed has all that is needed.
    """
    readings, slugs = [], []
    missing: dict[str, None] = {}
    for networks in seeds:
        try:
            readings.append(read(evidence, *networks))
        except NotMeasured as reason:
            missing[str(reason)] = None
            continue
        slugs += [n.slug for n in networks[learned]]
    if not readings:
        raise NotMeasured("; ".join(missing) or f"needs {label} on f100 among the runs")
    control = _control(evidence, untrained, read)
    return Case(label, list(dict.fromkeys(slugs)), readings, control, tuple(missing))


def _control(
    evidence: Evidence, untrained: Sequence[Network | None], read: Read
) -> list[Reading] | None:
    """Readings of the untrained networks; None where they are missing or all undefined."""
    if not untrained or None in untrained:
        return None
    try:
        readings = read(evidence, *untrained)
    except NotMeasured:
        return None
    return readings if np.isfinite([reading.value for reading in readings]).any() else None


def stand(criteria: Sequence[Criterion], values: Iterable[Values]) -> bool:
    """Whether another index's values fulfil all criteria.

    Raises:
        NotMeasured: one of them is undefined.
    """
    found = [float(value) for value in values]
    if not np.isfinite(found).all():
        raise NotMeasured("this index is undefined here")
    return all(c.admits(value) for c, value in zip(criteria, found, strict=True))
