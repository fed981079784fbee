"""Does a conclusion hang on how it was reached? Specification curves of claims.

Source: Simonsohn, Simmons and Nelson 2020 (Nature Human Behaviour 4, 1208): every defensible way of
computing a statistic gives one value with its interval, all of them side by side. Here: the index
of similarity, all sub-layers or block outputs, with or without the class token, the size of
minibatches, the seed, and how many images probes are fitted to. What a claim is judged by is one of
these ways; an outcome that another way turns around is said in the verdict's words.

Which ways there are follows from what was measured: not every choice is combined with every other.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sightlines.claims.claim import Criterion, Reading
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network

LINEAR = "linear"
INDICES = ("deconfounded", "without_top", "rbf", "procrustes", "neighbours")
"""Other than linear CKA."""
ALL, BLOCKS = "all sub-layers", "block outputs"
EVERY, SPATIAL = "all tokens", "without class token"
NAMES = {
    "index": "the index of similarity",
    "layers": "which layers are compared",
    "tokens": "the class token",
    "minibatch": "the size of minibatches",
    "probes": "the number of images that probes are fitted to",
    "seed": "the seed",
}
"""Choice -> what it is, for readers."""
OPPOSITE = frozenset(("holds", "fails"))


@dataclass(frozen=True)
class Choice:
    """One way of computing a claim's statistics; an empty value is no choice of this claim.

    Attributes:
        index: Of similarity.
        layers: ALL or BLOCKS.
        tokens: EVERY or SPATIAL.
        minibatch: Images of a minibatch, such as "128 images".
        probes: Images that probes are fitted to: "all images", or such as "10 a class".
        seed: Of the networks.
    """

    index: str = ""
    layers: str = ""
    tokens: str = ""
    minibatch: str = ""
    probes: str = ""
    seed: str = ""


@dataclass(frozen=True)
class Case:
    """One architecture, or one combination of them.

    Attributes:
        label: As readers know it.
        seeds: Seed -> its networks; one that lacks the seed stands in with its first.
        read: From the evidence, a choice and the networks of one seed to one reading a criterion.
    """

    label: str
    seeds: Mapping[str, Sequence[Network]]
    read: Callable[..., list[Reading]]


@dataclass(frozen=True)
class Specified:
    """A claim that can be computed in several ways.

    Attributes:
        claim: Its number.
        criteria: Those that make sense in every way of computing it.
        cases: Reads the cases off the tables.
        choices: The ways, the claim's own first; without seeds.
    """

    claim: str
    criteria: tuple[Criterion, ...]
    cases: Callable[[Evidence], list[Case]]
    choices: Callable[[Evidence], list[Choice]]


def specification_table(evidence: Evidence, specified: Iterable[Specified]) -> pd.DataFrame:
    """specifications.csv: one row a claim, case, criterion and way of computing it."""
    return pd.DataFrame([row for own in specified for row in _rows(evidence, own)])


def _rows(evidence: Evidence, own: Specified) -> Iterator[dict[str, Any]]:
    try:
        cases, choices = own.cases(evidence), own.choices(evidence)
    except NotMeasured:
        return
    seeds = [(case, *own_seed) for case in cases for own_seed in case.seeds.items()]
    for (case, seed, networks), choice in itertools.product(seeds, choices):
        try:
            readings = case.read(evidence, choice, *networks)
        except NotMeasured:
            continue
        for criterion, reading in zip(own.criteria, readings, strict=True):
            yield {
                "claim": own.claim,
                "case": case.label,
                "criterion": criterion.name,
                **asdict(replace(choice, seed=seed)),
                "value": reading.value,
                "low": reading.low,
                "high": reading.high,
                "threshold": str(criterion),
                "outcome": criterion.outcome(reading.low, reading.high),
            }


def dependences(table: pd.DataFrame) -> dict[str, str]:
    """What each claim's outcome depends on, in words, with how many ways it holds in.

    It depends on a choice where, all else equal, another value than the claim's own turns an
    outcome around for some case: from holding with its whole interval to failing with it, or back.
    """
    found = {}
    for claim, rows in table.groupby("claim", sort=False) if len(table) else ():
        held, ways = _share(rows)
        words = [
            f"{NAMES[choice]} ({', '.join(values)})"
            for choice in NAMES
            if (values := _turned(rows, choice))
        ]
        share = f"holds in {held} of {ways} ways of computing it"
        found[str(claim)] = f"depends on {' and '.join(words)}: {share}" if words else share
    return found


def _share(rows: pd.DataFrame) -> tuple[int, int]:
    """In how many ways all criteria hold, and how many ways there are, cases counted apart."""
    ways = rows.groupby(["case", *NAMES], sort=False)["outcome"]
    holding = ways.agg(lambda outcomes: int((outcomes == "holds").all()))
    return int(holding.sum()), len(holding)


def _turned(rows: pd.DataFrame, choice: str) -> list[str]:
    """Values of one choice under which an outcome is the opposite of the one of its first value."""
    values = list(dict.fromkeys(rows[choice]))
    others = [name for name in NAMES if name != choice]
    turned: set[str] = set()
    for _, same in rows.groupby(["case", "criterion", *others], sort=False):
        outcomes = dict(zip(same[choice], same["outcome"], strict=True))
        own = outcomes.get(values[0], "")
        turned |= {v for v, o in outcomes.items() if frozenset((own, o)) == OPPOSITE}
    return [value for value in values if value in turned]


# -- maps of similarity ---------------------------------------------------------------------------


def similarity(evidence: Evidence, choice: Choice, a: Network, b: Network) -> np.ndarray:
    """Maps of two networks by a choice [1 + groups, layers of a, layers of b].

    Raises:
        NotMeasured: this was not computed of these two.
    """
    if choice.index != LINEAR:
        return evidence.index_cka(choice.index, a, b)
    maps = _linear(evidence, choice, a, b)
    if choice.layers == BLOCKS:
        return maps[:, evidence.blocks(a.model)][:, :, evidence.blocks(b.model)]
    return maps


def _linear(evidence: Evidence, choice: Choice, a: Network, b: Network) -> np.ndarray:
    images = int(choice.minibatch.partition(" ")[0] or 0)
    if images and images != evidence.minibatches()[0]:
        return evidence.smaller_cka(images, a, b)
    models = evidence.config["architectures"]
    with_token = [n for n in (a, b) if models[n.model].get("pool", "") == "cls"]
    if choice.tokens != SPATIAL or not with_token:
        return evidence.cka(a, b)
    if a in with_token:
        return evidence.token_cka("spatial", a, b)
    return evidence.token_cka("spatial", b, a).transpose(0, 2, 1)


def ways_of_similarity(evidence: Evidence, layers: Sequence[str] = (ALL, BLOCKS)) -> list[Choice]:
    """Ways of comparing layers, the claims' own first.

    Args:
        evidence: The tables.
        layers: Which layers linear CKA is of; the other indices are of block outputs.
    """
    try:
        sizes = [f"{images} images" for images in evidence.minibatches()]
    except NotMeasured:
        sizes = [""]
    base = Choice(LINEAR, "", EVERY, sizes[0])
    by_token = itertools.product((EVERY, SPATIAL), layers)
    by_size = itertools.product(sizes[1:], layers)
    of_blocks = layers[-1]
    return [
        *(replace(base, tokens=tokens, layers=which) for tokens, which in by_token),
        *(replace(base, minibatch=images, layers=which) for images, which in by_size),
        *(replace(base, index=index, layers=of_blocks) for index in INDICES),
    ]


def of_models(evidence: Evidence, models: Sequence[str], read: Callable[..., Any]) -> Case:
    """The case of some models, with one seed for every one that a model of them has."""
    own = [network for model in models for network in evidence.full(model)]
    first = {n.seed: n for n in reversed(own)}
    order = dict.fromkeys(n.seed for n in own)
    seeds = {seed: [evidence.same_seed(m, first[seed]) for m in models] for seed in order}
    return Case(" × ".join(evidence.label(m) for m in models), seeds, read)
