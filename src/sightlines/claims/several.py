"""One reading of several statistics that must all hold."""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from sightlines.claims.claim import Reading, from_replicates
from sightlines.stats.nested import CONFIDENCE


def least(several: Sequence[np.ndarray]) -> Reading:
    """The least of several statistics that must all be at least something.

    All are where the lowest of the lower ends is (an intersection-union test). That one is not is
    said where an upper end is not, of intervals that are wide enough for all at once (Bonferroni).
    The jackknife of their minimum is no such interval: which of them is smallest changes from
    replicate to replicate, and one is so by chance as well.

    Args:
        several: [1 + groups] values each, in the order of `stats.jackknife.leave_one_out`; an
            undefined one makes the result undefined.
    """
    readings = [from_replicates(values) for values in several]
    if len(readings) == 1:
        return readings[0]
    freedom, tail = len(several[0]) - 2, (1 - CONFIDENCE) / 2
    widen = stdtrit(freedom, 1 - tail / len(several)) / stdtrit(freedom, 1 - tail)
    return Reading(
        float(np.min([r.value for r in readings])),
        float(np.min([r.low for r in readings])),
        float(np.min([r.value + widen * (r.high - r.value) for r in readings])),
    )


def greatest(several: Sequence[np.ndarray]) -> Reading:
    """The greatest of several statistics that must all be at most something; see `least`."""
    found = least([-np.asarray(values) for values in several])
    moves = None if found.moves is None else -found.moves
    return Reading(-found.value, -found.high, -found.low, moves, found.error, found.freedom)
