"""Claims C4 and C5: which layers of a ViT and of a ResNet are alike (paper, Figures 2 and B.1)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from sightlines.claims.cases import each_pair, first_pairs, satisfies_all
from sightlines.claims.claim import OF_SHARES, Claim, Criterion, Reading, from_draws
from sightlines.claims.effects import DEPTH, SHARE, SIMILARITY
from sightlines.claims.evidence import Evidence
from sightlines.claims.statistics import (
    Values,
    depths,
    mean_over,
    monotone_means,
    monotone_path,
    resampled,
)
from sightlines.plan.networks import Network

QUESTION = "structure"
READS = ("cka_replicates.safetensors", "layers.csv", "accuracy.csv")

PERMUTATIONS = 19
"""Of which the true order is the best by chance once in 20 times."""
Statistics = Callable[[np.ndarray], list[Values]]
"""From maps [..., layers of a ViT, layers of a ResNet] to one number each [...]."""


def match(maps: np.ndarray, depth_of_rows: np.ndarray | None = None) -> list[Values]:
    """Of the depths a(j) of the ViT layers on the best monotone path, one a ResNet layer j.

    Args:
        maps: [..., layers of a ViT, layers of a ResNet].
        depth_of_rows: Depth of each of the ViT's layers; by default they run from 0 to 1.

    Returns:
        Median over the lower half of the ResNet, over its upper half, and the share of layers with
        a(j) below their own depth; layers at depth 0, below which there is nothing, and layers
        without a match are left out.
    """
    rows = depths(maps.shape[-2]) if depth_of_rows is None else depth_of_rows
    return _by_half(_path(maps, rows))


def matched(draws: np.ndarray, depth_of_rows: np.ndarray | None = None) -> list[Reading]:
    """Readings of `match`, which takes few values.

    A median is one of the depths that are matched, or half-way between two, and its next value is
    the next of these: as far off as the next layer of the ViT that any layer of the ResNet
    matches. Layers that match the same one move together: the share is of so many things.

    Args:
        draws: [1 + draws, layers of a ViT, layers of a ResNet].
        depth_of_rows: As for `match`.
    """
    rows = depths(draws.shape[-2]) if depth_of_rows is None else depth_of_rows
    return _with_steps(match(draws, rows), _path(draws[:1], rows)[0], rows)


def _with_steps(values: list[Values], found: np.ndarray, rows: np.ndarray) -> list[Reading]:
    """Of medians and share [1 + draws], with the depths [columns] that the first are of."""
    depth, one = depths(len(found)), float(np.max(np.diff(rows), initial=0.0))
    steps = [next_value(found[half], one) for half in (depth < 0.5, depth >= 0.5)]
    things = len(np.unique(found[np.isfinite(found)]))
    lower, upper = (from_draws(v, step) for v, step in zip(values, steps, strict=False))
    return [lower, upper, replace(from_draws(values[2]), of=things)]


def next_value(values: np.ndarray, one: float) -> float:
    """How far the median is from the values next to it that differ, the further one.

    Args:
        values: Undefined ones are left out.
        one: Where all values are the same: how far the next one would be.
    """
    own = np.unique(values[np.isfinite(values)])
    if not len(own):
        return 0.0
    middle = float(np.median(values[np.isfinite(values)]))
    gaps = [middle - own[own < middle].max(initial=-np.inf), own[own > middle].min(initial=np.inf)]
    gaps[1] -= middle
    return max((float(gap) for gap in gaps if np.isfinite(gap)), default=one)


def best_match(maps: np.ndarray) -> list[Values]:
    """`match` of the layers most similar to each, in whatever order: C4 before it was amended."""
    return _by_half(_best(maps))


def _path(maps: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Depths of the ViT layers on the best monotone path [..., layers of a ResNet]."""
    path, _ = monotone_path(maps)
    return np.where(path < 0, np.nan, rows[path])


def _best(maps: np.ndarray) -> np.ndarray:
    """Depths of the ViT layers most similar to each of the ResNet's [..., layers of a ResNet]."""
    similar = np.where(np.isfinite(maps), maps, -np.inf)
    found = depths(maps.shape[-2])[similar.argmax(axis=-2)]
    return np.where(np.isfinite(similar.max(axis=-2)), found, np.nan)


def _by_half(found: np.ndarray) -> list[Values]:
    """What `match` returns, of depths [..., layers of a ResNet], NaN for one without a match."""
    depth = depths(found.shape[-1])
    defined = np.isfinite(found).reshape(-1, len(depth)).all(axis=0)
    lower, upper, above = depth < 0.5, depth >= 0.5, depth > 0
    below = np.where(np.isfinite(found), found < depth, np.nan)
    return [
        _over(np.median, found[..., defined & lower]),
        _over(np.median, found[..., defined & upper]),
        _over(np.mean, below[..., defined & above]),
    ]


def ahead_of_permuted(maps: np.ndarray) -> Values:
    """Mean similarity of the best monotone path minus the best of PERMUTATIONS orders of rows."""
    generator, rows = np.random.Generator(np.random.PCG64(0)), maps.shape[-2]
    orders = [np.argsort(generator.bit_generator.random_raw(rows)) for _ in range(PERMUTATIONS)]
    true, *by_chance = monotone_means(maps, [np.arange(rows), *orders])
    return true - np.max(by_chance, axis=0)


def _over(function: Callable[..., Values], values: np.ndarray) -> Values:
    """A function along the last axis; NaN where that has no element."""
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    return function(values, axis=-1)


def top_third(maps: np.ndarray) -> list[Values]:
    """How much more alike the better of the ViT's lower thirds is than its top third.

    For each half of the ResNet the larger of the mean similarities of the lowest and of the middle
    third, less that of the top third; the smaller of both halves.
    """
    rows, columns = depths(maps.shape[-2]), depths(maps.shape[-1])
    thirds = rows < 1 / 3, (rows >= 1 / 3) & (rows < 2 / 3), rows >= 2 / 3
    gaps = []
    for half in (columns < 0.5, columns >= 0.5):
        low, middle, top = (mean_over(maps, third, half) for third in thirds)
        gaps.append(np.maximum(low, middle) - top)
    return [np.minimum(*gaps)]


def _match(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    """Without the ViT's embeddings, which are alike to all that has seen little of the image."""
    layers = evidence.layers(vit.model)
    computed = (layers["kind"] != "embed").to_numpy()
    maps = resampled(evidence.cka(vit, resnet))[:, computed]
    own = matched(maps, depths(len(layers))[computed])
    return [*own, from_draws(ahead_of_permuted(maps))]


def _best_match(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    maps = resampled(evidence.cka(vit, resnet))
    return _with_steps(best_match(maps), _best(maps[0]), depths(maps.shape[-2]))


def _top_third(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    return [from_draws(v) for v in top_third(resampled(evidence.cka(vit, resnet)))]


def _stands(
    evidence: Evidence, index: str, criteria: Sequence[Criterion], statistics: Statistics
) -> bool:
    """Whether every pair's block outputs fulfil the criteria under another index, first seed."""
    return all(
        satisfies_all(criteria, statistics(evidence.similarity_by(index, *pair)))
        for pair in first_pairs(evidence)
    )


MATCH = (
    Criterion("median match of the lower half", "<=", 0.25, OF_SHARES, smallest=DEPTH),
    Criterion("median match of the upper half", "<=", 0.6, OF_SHARES, smallest=DEPTH),
    Criterion("share matched below their depth", ">=", 0.8, OF_SHARES, smallest=SHARE),
)
BEST_MATCH = (
    Criterion("best match of the lower half", "<=", 0.25, OF_SHARES, smallest=DEPTH),
    Criterion("best match of the upper half", "<=", 0.6, OF_SHARES, smallest=DEPTH),
    Criterion("share best matched below their depth", ">=", 0.8, OF_SHARES, smallest=SHARE),
)
"""What MATCH was before it was amended."""
ORDERED = Criterion("path − permuted layers", ">=", 0.0, smallest=SIMILARITY)
"""Not asked of block outputs, under another index: so few come to be in order by chance."""
TOP = (Criterion("best of the lower thirds − top third", ">=", 0.0, smallest=SIMILARITY),)

CLAIMS = (
    Claim(
        id="C4",
        figure="Figure 2",
        title="Many low ResNet layers compute what few ViT layers do",
        statement="What a ResNet computes in many lower layers, a ViT computes in few: a ResNet's "
        "layers match ViT layers of less depth.",
        statistic="a ViT layer for every ResNet layer, never lower than for the one before, so "
        "that their mean CKA is largest (embeddings left out): median depth over the ResNet's "
        "lower and upper half, share below the ResNet layer's own depth, and mean CKA less the "
        "largest of 19 random orders of the ViT's layers",
        criteria=(*MATCH, ORDERED),
        reason="lowest quarter for the lower half and the third after it for the upper half, as in "
        "the paper's text; four in five layers, of all but the ResNet's first, which has nothing "
        "below it",
        paper_value="medians .11 and .28 (L/16), .08 and .27 (H/14)",
        source="[fig]",
        tier="A/B",
        controls="untrained networks; another index of similarity",
        drawn="fig02_cka_across",
        cases=lambda evidence: each_pair(evidence, evidence.vits(), evidence.resnets(), _match),
        robustness_check=lambda evidence, index: _stands(evidence, index, MATCH, match),
    ).loosened(
        "2026-11-29",
        statistic="depth of the ViT layer with the largest CKA, for every ResNet layer: median "
        "over the ResNet's lower and upper half, and share below the ResNet layer's own depth",
        criteria=BEST_MATCH,
        cases=lambda evidence: each_pair(
            evidence, evidence.vits(), evidence.resnets(), _best_match
        ),
    ),
    Claim(
        id="C5",
        figure="Figure 2",
        title="A ViT's final third of layers resembles a ResNet least",
        statement="The final third of a ViT's layers is less like any ResNet layers than the ViT's "
        "lower layers are.",
        statistic="mean CKA of a third of the ViT's layers with half of the ResNet's: larger of "
        "the two lower thirds minus top third, for the half where that is smaller",
        criteria=TOP,
        reason="the paper claims an order; means are held against means, since the best of many "
        "layers exceeds the mean of any others by chance",
        paper_value=".33–.47 (top) against .60–.65 (best below)",
        source="[fig]",
        tier="B",
        controls="untrained networks; another index of similarity",
        drawn="fig02_cka_across",
        cases=lambda evidence: each_pair(evidence, evidence.vits(), evidence.resnets(), _top_third),
        robustness_check=lambda evidence, index: _stands(evidence, index, TOP, top_third),
    ),
)
