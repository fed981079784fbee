"""Statistics of CKA maps that claims are about (docs/protocols.md, "Statistics").

All take maps [..., layers, layers] and give [...], so that jackknife replicates go through at once;
undefined cells (NaN: a constant layer) are left out of every mean.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit
from scipy.stats import rankdata

from sightlines.stats.means import mean_of_finite, quotient

Values = Any
"""An array [...], or numpy's number where there is one map."""

DRAWS = 400

SPLITS = (0.15, 0.85)
"""Depths between which a map may be cut in two."""


def resampled(replicates: np.ndarray, draws: int = DRAWS) -> np.ndarray:
    """Draws of smooth values out of their jackknife replicates, for statistics with steps.

    Ranks, arg-maxima and shares often do not move when one group of images is left out, so that a
    jackknife of them finds no error at all. Here the values that they are taken of (cells of a map,
    distances) are drawn first: a bootstrap over groups of their linearisation, scaled so that of a
    smooth statistic the same interval comes out as from `from_replicates`. The same groups are
    drawn for every network, since all saw the same images.

    Args:
        replicates: [1 + groups, ...] in the order of `stats.jackknife.leave_one_out`.
        draws: Number of draws.

    Returns:
        [1 + draws, ...]: all images first; NaN draws where there are fewer than two groups.
    """
    values = np.asarray(replicates, np.float64)
    groups = len(values) - 1
    if groups < 2:
        return np.concatenate([values[:1], np.full((draws, *values.shape[1:]), np.nan)])
    deviations = values[1:] - values[1:].mean(axis=0)
    generator = np.random.Generator(np.random.PCG64(0))
    counts = np.array([np.bincount(d, minlength=groups) for d in _draws(generator, draws, groups)])
    widen = np.sqrt((groups - 1) / groups) * stdtrit(groups - 1, 0.975) / stdtrit(np.inf, 0.975)
    moved = np.tensordot(counts, deviations, axes=1) * -widen
    return np.concatenate([values[:1], values[:1] + moved])


def _draws(generator: np.random.Generator, draws: int, groups: int) -> np.ndarray:
    """Numbers of groups [draws, groups], from raw words, which no NumPy version changes."""
    words = generator.bit_generator.random_raw(draws * groups)
    return (words % groups).astype(int).reshape(draws, groups)


def depths(layers: int) -> np.ndarray:
    """Depth of each of so many layers, from 0 to 1."""
    return np.arange(layers) / max(layers - 1, 1)


def one_layer(maps: np.ndarray) -> float:
    """How far a depth moves when a cut of these maps moves by one layer."""
    return float(1 / max(maps.shape[-1] - 1, 1))


def mean_over(maps: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Values:
    """Mean of the cells in these rows and columns (boolean masks)."""
    cells = maps[..., rows, :][..., columns]
    return mean_of_finite(cells.reshape(*cells.shape[:-2], -1))


def mean_all(maps: np.ndarray) -> Values:
    """Mean of all cells [...]."""
    return mean_of_finite(maps.reshape(*maps.shape[:-2], -1))


def low_high(maps: np.ndarray) -> Values:
    """LH: mean similarity of the lowest quarter of depth to the highest."""
    depth = depths(maps.shape[-1])
    return mean_over(maps, depth < 0.25, depth >= 0.75)


def _within(maps: np.ndarray, first: np.ndarray) -> Values:
    """Mean of off-diagonal cells within the layers of a mask."""
    cut = maps[..., first, :][..., first]
    cells = cut[..., ~np.eye(cut.shape[-1], dtype=bool)]
    return mean_of_finite(cells)


def split(maps: np.ndarray) -> tuple[Values, Values]:
    """The cut in two of largest contrast: mean(within low, within high) minus mean(across).

    Returns:
        The contrast, and the depth of the first layer above the cut [...] each.
    """
    contrasts, cuts = _contrasts(maps)
    if not len(cuts):
        nothing = np.full(maps.shape[:-2], np.nan)
        return nothing, nothing
    return contrasts.max(axis=0), cuts[contrasts.argmax(axis=0)]


def split_contrast(maps: np.ndarray) -> Values:
    """The first of `split`."""
    return split(maps)[0]


def _contrasts(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Contrast [cuts, ...] of every cut, and the depth of the layer above it [cuts]."""
    layers = maps.shape[-1]
    depth = depths(layers)
    cuts = [c for c in range(2, layers - 1) if SPLITS[0] <= depth[c] <= SPLITS[1]]
    found = []
    for cut in cuts:
        low = np.arange(layers) < cut
        within = (_within(maps, low) + _within(maps, ~low)) / 2
        found.append(within - mean_over(maps, low, ~low))
    return np.array(found), depth[cuts]


def mid_ratio(maps: np.ndarray) -> Values:
    """Cut at half depth: mean across the halves over the mean of the two means within them."""
    low = depths(maps.shape[-1]) < 0.5
    return cut_ratio(maps, low)


def cut_ratio(maps: np.ndarray, low: np.ndarray) -> Values:
    """Partition ratio: mean across a cut over the mean of the two means within.

    A part of one layer has nothing within: then the other's mean stands alone.
    """
    within = mean_of_finite(np.stack([_within(maps, low), _within(maps, ~low)], axis=-1))
    return mean_over(maps, low, ~low) / within


def monotone_path(maps: np.ndarray) -> tuple[np.ndarray, Values]:
    """The rows r(1) ≤ r(2) ≤ …, one a column, whose mean similarity is largest.

    Dynamic time warping (Sakoe and Chiba 1978) with free ends: every column has one row, rows may
    be left out or taken again.

    Returns:
        The rows [..., columns], -1 for a column without a finite cell, which the path leaves out;
        and the mean over the path [...], NaN where no path has finite cells alone.
    """
    gain, has_any = _gains(maps)
    total, come_from = np.zeros(maps.shape[:-1]), []
    for column in range(maps.shape[-1]):
        best = np.maximum.accumulate(total, axis=-1)
        is_new = np.ones(best.shape, bool)
        is_new[..., 1:] = total[..., 1:] > best[..., :-1]
        place = np.where(is_new, np.arange(maps.shape[-2]), 0)
        come_from.append(np.maximum.accumulate(place, axis=-1))
        total = best + gain[..., column]
    rows = np.empty((*maps.shape[:-2], maps.shape[-1]), int)
    here = total.argmax(axis=-1)
    for column in range(maps.shape[-1] - 1, -1, -1):
        rows[..., column] = here
        here = np.take_along_axis(come_from[column], here[..., None], axis=-1)[..., 0]
    return np.where(has_any, rows, -1), _mean_of_path(total, has_any)


def monotone_means(maps: np.ndarray, orders: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over the path of `monotone_path`, once an order of the rows [orders, ...].

    Without the paths themselves, which take most of the time.
    """
    gain, has_any = _gains(maps)
    columns = np.ascontiguousarray(np.moveaxis(gain, -1, 0))
    found = []
    for order in orders:
        total = np.zeros(maps.shape[:-1])
        for column in columns:
            total = np.maximum.accumulate(total, axis=-1) + column[..., order]
        found.append(_mean_of_path(total, has_any))
    return np.array(found)


def _gains(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each cell adds to a path [..., rows, columns], and which columns have a finite one."""
    finite = np.isfinite(maps)
    has_any = finite.any(axis=-2)
    gain = np.where(finite, maps, -np.inf)
    return np.where(has_any[..., None, :], gain, 0.0), has_any


def _mean_of_path(total: np.ndarray, has_any: np.ndarray) -> Values:
    """Mean over the best path, of sums by the row where they end [..., rows]."""
    largest = total.max(axis=-1)
    largest = np.where(np.isfinite(largest), largest, np.nan)
    return quotient(largest, has_any.sum(axis=-1).astype(np.float64))


def swap(count: int) -> float:
    """What a rank correlation of so many values without ties changes by when two neighbours swap.

    Spearman's is 1 − 6 Σd² / (n³ − n), and from perfect order a swap makes Σd² = 2.
    """
    return 12 / (count**3 - count)


def spearman(values: np.ndarray, against: np.ndarray | None = None) -> Values:
    """Rank correlation along the last axis with `against` (by default the order) [...]."""
    ranks = rankdata(values, axis=-1)
    other = np.arange(values.shape[-1]) if against is None else against
    other = np.broadcast_to(rankdata(other, axis=-1), ranks.shape)
    a = ranks - ranks.mean(axis=-1, keepdims=True)
    b = other - other.mean(axis=-1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    product = (a * b).sum(axis=-1)
    return quotient(product, scale)
