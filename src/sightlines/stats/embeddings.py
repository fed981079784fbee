"""Statistics of a ViT's first layer: how position embeddings lie, how smooth patch filters are.

Source: Dosovitskiy et al. 2020 (ViT), section 4.5, Figures 7 (left, centre) and 10, which show
pictures; the numbers are ours.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.fft import dctn
from scipy.stats import rankdata

from sightlines.stats.means import quotient

VARIANCE = 0.9
"""Share of the variance that components are counted for."""


class Places(NamedTuple):
    """All pairs of patches of one grid, each once.

    Attributes:
        first: The one patch of each pair.
        second: The other.
        distance: Between their middles, in patches.
        is_aligned: Whether they are of one row or of one column.
    """

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    is_aligned: np.ndarray


def pairs_of(grid: tuple[int, int]) -> Places:
    """All pairs of patches of a grid of so many rows and columns."""
    row, column = (axis.ravel() for axis in np.indices(grid))
    first, second = np.triu_indices(len(row), 1)
    down, right = row[second] - row[first], column[second] - column[first]
    return Places(first, second, np.hypot(down, right), (down == 0) | (right == 0))


def cosines(embeddings: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n n"]:
    """Cosine of every two embeddings; NaN where one is 0."""
    length = np.sqrt(np.square(embeddings).sum(axis=1, keepdims=True))
    unit = embeddings / np.where(length > 0, length, np.nan)
    return unit @ unit.T


def encodes_distance(similarity: Float[np.ndarray, "n n"], places: Places) -> float:
    """Spearman's correlation of similarity and nearness, over pairs; NaN of a constant.

    1: the nearer two patches are, the more alike are their embeddings.
    """
    values = similarity[places.first, places.second]
    if not np.isfinite(values).all() or np.ptp(values) == 0 or np.ptp(places.distance) == 0:
        return np.nan
    return float(np.corrcoef(rankdata(values), rankdata(-places.distance))[0, 1])


def along_rows_and_columns(similarity: Float[np.ndarray, "n n"], places: Places) -> float:
    """Mean similarity within rows and columns, less that of other pairs equally far apart.

    Distances count in halves of a patch: in whole ones pairs of a row lie nearer than the others.
    Each distance weighs as it has pairs of one row or column; those without any other pair are left
    out.
    """
    values = similarity[places.first, places.second]
    bins = np.rint(2 * places.distance).astype(int)
    aligned = places.is_aligned.astype(float)
    count = np.bincount(bins, aligned), np.bincount(bins, 1 - aligned)
    total = np.bincount(bins, values * aligned), np.bincount(bins, values * (1 - aligned))
    both = (count[0] > 0) & (count[1] > 0)
    if not both.any():
        return np.nan
    gap = quotient(total[0], count[0])[both] - quotient(total[1], count[1])[both]
    return float(np.average(gap, weights=count[0][both]))


class Filters(NamedTuple):
    """Principal components of patch filters.

    Attributes:
        components: [components, channels, height, width], of unit length, from the strongest on;
            of either sign the one whose largest entry is positive.
        share: Of the variance [components].
        frequency: Mean frequency of the filters' power over that of white filters; 1: white.
        needed: Components for VARIANCE of the variance, as a share of all.
    """

    components: np.ndarray
    share: np.ndarray
    frequency: float
    needed: float


def analyse_filters(filters: Float[np.ndarray, "n channels height width"]) -> Filters:
    """Components and smoothness of patch filters; their mean is taken off.

    The frequency of entry (u, v) of a filter's cosine transform is √((u/height)² + (v/width)²).
    """
    count, shape = len(filters), filters.shape[1:]
    centred = filters - filters.mean(axis=0)
    _, values, components = np.linalg.svd(centred.reshape(count, -1), full_matrices=False)
    power = np.square(dctn(centred, axes=(2, 3), norm="ortho")).sum(axis=(0, 1))
    frequency = np.hypot(
        *(index / side for index, side in zip(np.indices(shape[1:]), shape[1:], strict=True))
    )
    largest = np.abs(components).argmax(axis=1)
    sign = np.sign(components[np.arange(len(components)), largest])
    share = quotient(np.square(values), np.square(values).sum())
    whole, white = float(power.sum()), float(frequency.mean())
    smooth = float((power * frequency).sum() / whole / white) if whole and white else np.nan
    needed = np.searchsorted(np.cumsum(share), VARIANCE - 1e-12) + 1
    return Filters(
        (components * sign[:, None]).reshape(-1, *shape),
        share,
        smooth,
        float(needed / len(share)) if whole else np.nan,
    )
