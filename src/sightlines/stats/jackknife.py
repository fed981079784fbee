"""Delete-one-group jackknife: how far a statistic would move with other reference images.

Every table that a claim rests on holds a statistic for all images (`left_out` = -1) and once more
with each group of minibatches left out (`left_out` = 0, 1, …).
"""

import numpy as np
from jaxtyping import Float

ALL = -1
"""Value of the column `left_out` in rows that rest on all images."""


def leave_one_out(parts: Float[np.ndarray, "groups ..."]) -> Float[np.ndarray, "replicates ..."]:
    """Sums over all groups, then over all but the first, all but the second, ….

    Args:
        parts: What each group of images adds to a sum.

    Returns:
        One more row than there are groups, float64; row 0 has all groups.
    """
    parts = np.asarray(parts, np.float64)
    total = parts.sum(axis=0)
    return np.concatenate([total[None], total[None] - parts])


def standard_error(replicates: Float[np.ndarray, "replicates ..."]) -> Float[np.ndarray, "..."]:
    """Jackknife standard error of a statistic from its values in the order of `leave_one_out`.

    The groups must be disjoint sets of images: repeats of the same images make it too small.

    Returns:
        NaN where there are fewer than two groups, or a value is not finite.
    """
    left_out = np.asarray(replicates, np.float64)[1:]
    groups = len(left_out)
    if groups < 2:
        return np.full(np.shape(replicates)[1:], np.nan)
    spread = np.square(left_out - left_out.mean(axis=0)).sum(axis=0)
    return np.asarray(np.sqrt((groups - 1) / groups * spread))
