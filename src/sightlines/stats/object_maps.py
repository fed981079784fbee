"""How well maps over an image's patches find an object: overlap at a kept mass, and ranks.

Sources: Caron et al. 2021 (DINO), Figure 4, for the overlap; Hanley and McNeil 1982 for the area
under the ROC curve. Objects are counts of pixels a patch, so that overlaps are those of maps that
were scaled up patch by patch to the size of the image.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from sightlines.stats.means import quotient

ROUNDING = 1e-9
"""By which sums of shares that are equal may differ."""


def heaviest(
    maps: Float[np.ndarray, "*some patches"], mass: float
) -> Bool[np.ndarray, "*some patches"]:
    """Patches that hold the mass: sorted upwards, those whose cumulated mass exceeds 1 − mass.

    Patches of equal mass are kept or left together, so that no order decides: of a uniform map all
    are kept.

    Args:
        maps: Shares that sum to 1 over patches.
        mass: Share that is kept, at least.
    """
    order = np.argsort(maps, axis=-1, kind="stable")
    upwards = np.take_along_axis(maps, order, axis=-1)
    is_last = np.ones(upwards.shape, bool)
    is_last[..., :-1] = upwards[..., 1:] > upwards[..., :-1]
    summed = np.where(is_last, np.cumsum(upwards, axis=-1), np.inf)
    summed = np.minimum.accumulate(summed[..., ::-1], axis=-1)[..., ::-1]
    kept = np.empty(maps.shape, bool)
    np.put_along_axis(kept, order, summed > 1 - mass + ROUNDING, axis=-1)
    return kept


def jaccard(
    kept: Bool[np.ndarray, "*#some patches"],
    objects: Float[np.ndarray, "*#some patches"],
    valid: Float[np.ndarray, "*#some patches"],
) -> Float[np.ndarray, "*#some"]:
    """Pixels of both over pixels of either; those that are not labelled count nowhere.

    Args:
        kept: Patches of the map.
        objects: Pixels of each patch that are the object's.
        valid: Pixels of each patch that are labelled.
    """
    both = (kept * objects).sum(axis=-1)
    return quotient(both, (kept * valid).sum(axis=-1) + objects.sum(axis=-1) - both)


def ceiling(
    objects: Float[np.ndarray, "masks patches"], valid: Float[np.ndarray, "masks patches"]
) -> Float[np.ndarray, " masks"]:
    """The largest overlap that whole patches can have with each object."""
    order = np.argsort(-quotient(objects, valid), axis=-1, kind="stable")
    objects, valid = (np.take_along_axis(a, order, axis=-1) for a in (objects, valid))
    both = np.cumsum(objects, axis=-1)
    either = np.cumsum(valid, axis=-1) + objects.sum(axis=-1, keepdims=True) - both
    return np.nanmax(quotient(both, either), axis=-1)  # type: ignore[no-any-return]


def area_under_curve(
    maps: Float[np.ndarray, "images patches"],
    is_object: Bool[np.ndarray, "images patches"],
    is_labelled: Bool[np.ndarray, "images patches"] | None = None,
) -> Float[np.ndarray, " images"]:
    """Probability that a patch of the object has more than one beside it; ½ for equal ones.

    Args:
        maps: Of each image.
        is_object: Patches of the object.
        is_labelled: Patches of which it is known what they are, these among them; None: all.

    Returns:
        NaN of an image without patches of either kind.
    """
    known = np.ones(is_object.shape, bool) if is_labelled is None else is_labelled
    inside = (is_object & known).sum(axis=1)
    outside = known.sum(axis=1) - inside
    ranks = rankdata(np.where(known, maps, -np.inf), axis=1)  # what is not known comes first
    unknown = is_object.shape[1] - inside - outside
    above = np.where(is_object & known, ranks, 0).sum(axis=1)
    return quotient(above - inside * (unknown + (inside + 1) / 2), inside * outside)


def centre(grid: tuple[int, int]) -> Float[np.ndarray, " patches"]:
    """A normal curve around the middle, its standard deviation a quarter of the side; sums to 1."""
    row, column = ((np.arange(side) + 0.5) / side - 0.5 for side in grid)
    weights = np.exp(-8 * (np.square(row)[:, None] + np.square(column))).ravel()
    return weights / weights.sum()  # type: ignore[no-any-return]
