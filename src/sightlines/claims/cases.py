"""Cases out of networks: a reading a seed, where it varies from, untrained networks beside it."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from sightlines.claims.claim import Case, Criterion, Reading, Sample, Source
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.seeds import linked, mean
from sightlines.claims.statistics import Values
from sightlines.plan.networks import Network

Read = Callable[..., list[Any]]
"""From the evidence and one network of every model of a case: a list of the claim's readings."""


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
    return of_seeds(evidence, label, seeds, read, untrained(evidence, models), learned)


def untrained(evidence: Evidence, models: Sequence[str]) -> list[list[Network]]:
    """The models' untrained controls, once an initialisation; none where a model has none."""
    controls = [evidence.controls(model) for model in models]
    if not all(controls):
        return []
    most = max(map(len, controls))
    return [[own[number % len(own)] for own in controls] for number in range(most)]


def of_seeds(
    evidence: Evidence,
    label: str,
    seeds: Iterable[Sequence[Network]],
    read: Read,
    untrained: Iterable[Sequence[Network]] = (),
    learned: slice = slice(None),
    read_untrained: Read | None = None,
) -> Case:
    """One case of given networks, without seeds of which the tables lack something.

    Args:
        evidence: The tables.
        label: The case's.
        seeds: For every seed what `read` is given.
        read: Reads the networks of one seed.
        untrained: What it is given for the control, once an initialisation; none is no control.
        learned: Those of a seed that must have learned.
        read_untrained: What reads the control where `read` cannot; None in place of a reading
            that would say nothing of untrained networks.

    Raises:
        NotMeasured: no seed has all that is needed.
    """
    missing: dict[str, None] = {}
    found = _read(evidence, map(tuple, seeds), read, missing)
    if not found:
        raise NotMeasured("; ".join(missing) or f"needs {label} on f100 among the runs")
    slugs = dict.fromkeys(n.slug for networks in found for n in networks[learned])
    bare = [tuple(networks) for networks in untrained]
    control = _control(evidence, bare, read_untrained or read)
    return Case(
        label,
        list(slugs),
        [*found.values()],
        control.readings[0] if control else None,
        tuple(missing),
        _sources(evidence, found, read),
        control,
    )


Group = tuple[Network, ...]
"""What is read together: networks of one seed."""


def _read(
    evidence: Evidence, groups: Iterable[Group], read: Read, missing: dict[str, None]
) -> dict[Group, list[Any]]:
    """Readings of the groups that have all that is needed; adds what others are missing."""
    found = {}
    for networks in groups:
        try:
            found[networks] = read(evidence, *networks)
        except NotMeasured as reason:
            missing[str(reason)] = None
    return found


def _sources(evidence: Evidence, found: dict[Group, list[Any]], read: Read) -> tuple[Source, ...]:
    """One source a model: its networks of every seed, with those of the other models held.

    Where networks of different seeds cannot be read together (pairs that were not compared), the
    seeds of all models are one source.
    """
    first, *_ = found
    models = dict.fromkeys(n.model for n in first)
    parts = [[place for place, n in enumerate(first) if n.model == model] for model in models]
    try:
        return tuple(_source(evidence, found, part, read) for part in parts)
    except NotMeasured:
        return (_source(evidence, found, [*range(len(first))], read),)


def _source(
    evidence: Evidence, found: dict[Group, list[Any]], part: Sequence[int], read: Read
) -> Source:
    """What networks at some places of the groups make, all others held as in the first group."""
    first, *_ = found
    own = [tuple(group[place] for place in part) for group in found]
    units = linked(dict.fromkeys(own), lambda networks: [n.slug for n in networks])
    label = " × ".join(dict.fromkeys(evidence.label(first[place].model) for place in part))
    slugs = tuple(tuple(dict.fromkeys(n.slug for group in u for n in group)) for u in units)
    weights = tuple(sum(group in unit for group in own) / len(own) for unit in units)
    if len(units) < 2:
        return Source(label, slugs, None, weights)

    def reading(networks: Group) -> list[Any]:
        held = list(first)
        for place, network in zip(part, networks, strict=True):
            held[place] = network
        group = tuple(held)
        if group not in found:
            return read(evidence, *group)
        return found[group]

    readings: list[list[Reading | None]] = []
    for unit in units:
        each_one = [reading(networks) for networks in unit]
        readings.append([mean(own) for own in zip(*each_one, strict=True)])
    return Source(label, slugs, tuple(readings), weights)


def _control(evidence: Evidence, groups: Sequence[Group], read: Read) -> Sample | None:
    """Readings of the untrained networks; None where they are missing or all undefined."""
    found = _read(evidence, groups, read, {})
    values = [r.value for own in found.values() for r in own if r is not None]
    if not np.isfinite(values).any():
        return None
    return Sample([*found.values()], _sources(evidence, found, read))


def satisfies_all(criteria: Sequence[Criterion], values: Iterable[Values]) -> bool:
    """Whether another index's values fulfil all criteria.

    Raises:
        NotMeasured: one of them is undefined.
    """
    found = [float(value) for value in values]
    if not np.isfinite(found).all():
        raise NotMeasured("this index is undefined here")
    return all(c.admits(value) for c, value in zip(criteria, found, strict=True))
