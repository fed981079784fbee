"""Delete-one-group jackknife: how far a statistic would move with other reference images.

Every table that a claim rests on holds a statistic for all images (`left_out` = -1) and once more
with each group of minibatches left out (`left_out` = 0, 1, …).
"""

import logging
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

log = logging.getLogger(__name__)
ALL = -1
"""Value of the column `left_out` in rows that rest on all images."""
MAXIMUM_GROUPS = 20
ENOUGH_GROUPS = 8


def group_of(minibatch: int, minibatches: int) -> int:
    """Jackknife group of a minibatch: its own, or one of 20 runs of neighbours."""
    groups = min(minibatches, MAXIMUM_GROUPS)
    return minibatch * groups // minibatches


def warn_of_few(minibatches: int) -> None:
    """Say in the log where minibatches are too few for a jackknife standard error."""
    if minibatches < ENOUGH_GROUPS:
        log.warning(
            f"only {minibatches} minibatches: the jackknife standard error needs {ENOUGH_GROUPS}; "
            "raise splits.reference_batches"
        )


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


def value_and_error(
    statistic: Callable[..., Float[np.ndarray, "..."]], *parts: Float[np.ndarray, "groups ..."]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """A statistic of sums over all groups, and its delete-one-group standard error.

    What `standard_error` of the statistic of `leave_one_out` sums gives, but no two replicates are
    held at once. The groups must be disjoint sets of images: repeats of the same images make the
    error too small.

    Args:
        statistic: Of one array of sums for each of `parts`.
        parts: What each group of images adds to the sums.

    Returns:
        The statistic, and its standard error: NaN with a single group.
    """
    groups = len(parts[0])
    whole = [part.sum(0) for part in parts]
    value = statistic(*whole)
    if groups < 2:
        return value, np.full_like(value, np.nan)
    total, squares = np.zeros_like(value), np.zeros_like(value)
    for own in zip(*parts, strict=True):
        change = statistic(*(w - one for w, one in zip(whole, own, strict=True))) - value
        total += change
        squares += np.square(change)
    variance = (groups - 1) / groups * np.maximum(squares - np.square(total) / groups, 0)
    return value, np.sqrt(variance)
