"""CKA and its uncertainty from HSIC sums: the ratio of sums, never the mean of ratios."""

import numpy as np
from jaxtyping import Float

MAXIMUM_GROUPS = 20
ENOUGH_GROUPS = 8


def group_of(minibatch: int, minibatches: int) -> int:
    """Jackknife group of a minibatch: its own, or one of 20 runs of neighbours."""
    groups = min(minibatches, MAXIMUM_GROUPS)
    return minibatch * groups // minibatches


def cka(
    cross: Float[np.ndarray, "... layers_a layers_b"],
    own_a: Float[np.ndarray, "... layers_a"],
    own_b: Float[np.ndarray, "... layers_b"],
) -> Float[np.ndarray, "... layers_a layers_b"]:
    """Linear CKA from HSIC sums over minibatches; not clamped, NaN where a layer is constant.

    Source: Raghu et al. 2021, appendix A; Nguyen et al. 2021, equation 3, with each minibatch
    weighted by n(n-3), which leaves equal minibatches as they were.

    Args:
        cross: Sums of n(n-3) HSIC₁(a, b).
        own_a: Sums of n(n-3) HSIC₁(a, a).
        own_b: Sums of n(n-3) HSIC₁(b, b).
    """
    a = np.sqrt(np.where(own_a > 0, own_a, np.nan))[..., :, None]
    b = np.sqrt(np.where(own_b > 0, own_b, np.nan))[..., None, :]
    return cross / a / b


def jackknife(
    cross: Float[np.ndarray, "groups layers_a layers_b"],
    own_a: Float[np.ndarray, "groups layers_a"],
    own_b: Float[np.ndarray, "groups layers_b"],
) -> tuple[Float[np.ndarray, "layers_a layers_b"], Float[np.ndarray, "layers_a layers_b"]]:
    """CKA of all minibatches, and its delete-one-group standard error.

    The groups must be disjoint sets of images: repeats of the same images make it too small.

    Returns:
        CKA, and its standard error: NaN with a single group.
    """
    groups = len(cross)
    whole, whole_a, whole_b = cross.sum(0), own_a.sum(0), own_b.sum(0)
    value = cka(whole, whole_a, whole_b)
    if groups < 2:
        return value, np.full_like(value, np.nan)
    total, squares = np.zeros_like(value), np.zeros_like(value)
    for one, one_a, one_b in zip(cross, own_a, own_b, strict=True):
        change = cka(whole - one, whole_a - one_a, whole_b - one_b) - value
        total += change
        squares += np.square(change)
    variance = (groups - 1) / groups * np.maximum(squares - np.square(total) / groups, 0)
    return value, np.sqrt(variance)
