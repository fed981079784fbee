"""HSIC sums from which the similarity of any subset of heads with any ResNet unit follows.

Grams of heads side by side add, and HSIC is bilinear: the HSIC of a subset is a sum of HSICs of its
heads. So heads can be sorted and chosen anew, with every group of images left out, without reading
a Gram twice.
"""

from dataclasses import dataclass

import numpy as np

from sightlines.core.errors import ConfigError, ResultError
from sightlines.dumps.heads_reading import HeadsDump
from sightlines.dumps.reading import AttentionDump, GramDump
from sightlines.stats import hsic
from sightlines.stats.jackknife import group_of, leave_one_out
from sightlines.stats.means import quotient

FOLDS = 2
"""Even and odd minibatches."""


@dataclass
class HeadSums:
    """Sums over minibatches; first axis replicates, second the fold (even, odd minibatches).

    Attributes:
        heads: [replicates, 2, heads, heads], n(n-3) HSIC₁ of heads with heads.
        cross: [replicates, 2, heads, units], of heads with the other network's units.
        units: [replicates, 2, units], of units with themselves.
        distance_px: [replicates, 2, heads], mean attention distance over the fold's images; NaN
            where a fold is empty.
    """

    heads: np.ndarray
    cross: np.ndarray
    units: np.ndarray
    distance_px: np.ndarray


def add_heads(
    heads: HeadsDump, attention: AttentionDump, other: GramDump, units: list[int]
) -> HeadSums:
    """Read two networks' minibatches once, one after the other.

    Args:
        heads: A ViT's heads.
        attention: The same ViT's attention.
        other: The network that it is compared with.
        units: Indices of that network's layers.

    Raises:
        ConfigError: a minibatch has fewer than four images.
        ResultError: the ViT's two dumps differ in the number of heads.
    """
    sizes = heads.batch_sizes
    if min(sizes) < hsic.MINIMUM_IMAGES:
        raise ConfigError(
            f"a reference minibatch has {min(sizes)} images, but unbiased HSIC needs "
            f"{hsic.MINIMUM_IMAGES}: change splits.reference_batch_size"
        )
    if attention.heads != heads.heads:
        raise ResultError(
            f"{heads.path} has {heads.heads} heads, {attention.path} {attention.heads}: delete "
            "the older one and run snakemake again"
        )
    groups, count = group_of(len(sizes) - 1, len(sizes)) + 1, heads.heads
    every = np.zeros((groups, FOLDS, count + len(units), count + len(units)))
    distance, images = np.zeros((groups, FOLDS, count)), np.zeros((groups, FOLDS, 1))
    for minibatch, size in enumerate(sizes):
        place = group_of(minibatch, len(sizes)), minibatch % FOLDS
        every[place] += minibatch_hsic(heads, other, units, minibatch)
        reach = attention.per_image("distance_px", minibatch)[:, 0]
        distance[place] += reach.sum(axis=0, dtype=np.float64)
        images[place] += size
    every, distance = leave_one_out(every), leave_one_out(distance)
    images = leave_one_out(images)
    return HeadSums(
        every[..., :count, :count],
        every[..., :count, count:],
        np.einsum("rfuu->rfu", every[..., count:, count:]),
        quotient(distance, images),
    )


def minibatch_hsic(
    heads: HeadsDump, other: GramDump, units: list[int], minibatch: int
) -> np.ndarray:
    """n(n-3) HSIC₁ of heads and units, heads first, [heads + units, heads + units] float64."""
    size = heads.batch_sizes[minibatch]
    packed = np.concatenate([heads.packed(minibatch), other.packed(minibatch)[units]])
    vectors = hsic.centred(packed, size)
    return vectors @ vectors.T  # type: ignore[no-any-return]


def subset_cka(sums: HeadSums, chosen: np.ndarray) -> np.ndarray:
    """CKA of subsets of heads with units, the folds' HSICs added; NaN without two folds.

    Args:
        sums: From `add_heads`.
        chosen: [replicates, 2, subsets, heads], 1 where a head is in a fold's subset, else 0.

    Returns:
        [replicates, subsets, units].
    """
    cross = np.einsum("rfsh,rfhu->rsu", chosen, sums.cross)
    own = np.einsum("rfsh,rfhk,rfsk->rs", chosen, sums.heads, chosen)
    units = sums.units.sum(axis=1)
    has_folds = np.isfinite(sums.distance_px).all(axis=(1, 2))
    own[~has_folds] = np.nan
    own_root = np.sqrt(np.where(own > 0, own, np.nan))
    return cross / own_root[..., None] / np.sqrt(np.where(units > 0, units, np.nan))[:, None]  # type: ignore[no-any-return]


def subset_distance_px(sums: HeadSums, chosen: np.ndarray) -> np.ndarray:
    """Mean distance of subsets on images that their CKA is not from, [replicates, subsets].

    A fold's subset has the distances of the other fold; the two are averaged.
    """
    others = sums.distance_px[:, ::-1]
    means = np.einsum("rfsh,rfh->rfs", chosen, others) / chosen.sum(axis=-1)
    return means.mean(axis=1)  # type: ignore[no-any-return]
