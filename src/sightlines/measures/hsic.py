"""Unbiased HSIC sums of many layers at once, from packed Gram matrices.

U-centring (Székely and Rizzo 2014) turns the unbiased estimator of Song et al. 2012 into a dot
product, so that all pairs of layers are one matrix product per minibatch.
"""

import numpy as np
from jaxtyping import Float

MINIMUM_IMAGES = 4
CONSTANT = 1e-6
"""Norm of the U-centred Gram, relative to the Gram's, below which it is float32 rounding."""


def centring_means(
    packed: Float[np.ndarray, "layers packed"], images: int
) -> Float[np.ndarray, "layers images"]:
    """What U-centring subtracts from row i and column i of each Gram.

    Args:
        packed: Upper triangles with diagonals, row after row.
        images: n, the size of each Gram [n, n].

    Raises:
        ValueError: fewer than four images, for which the estimator does not exist.
    """
    if images < MINIMUM_IMAGES:
        raise ValueError(f"the unbiased estimator needs {MINIMUM_IMAGES} images, got {images}")
    sums = np.zeros((len(packed), images))
    start = 0
    for row in range(images - 1):
        right = packed[:, start + 1 : start + images - row].astype(np.float64)
        sums[:, row] += right.sum(axis=1)
        sums[:, row + 1 :] += right
        start += images - row
    means = sums / (images - 2)
    return means - means.sum(axis=1, keepdims=True) / (2 * (images - 1))


def centred_rows(
    packed: Float[np.ndarray, "layers packed"],
    means: Float[np.ndarray, "layers images"],
    rows: range,
    order: np.ndarray | None = None,
) -> Float[np.ndarray, "layers pairs"]:
    """U-centred entries right of the diagonal, times √2: HSIC becomes a dot product.

    Args:
        packed: Upper triangles with diagonals.
        means: From `centring_means`.
        rows: Rows of the Gram.
        order: A permutation of the images, taken before; none by default.
    """
    images = means.shape[1]
    first = np.concatenate([np.full(images - 1 - row, row) for row in rows])
    second = np.concatenate([np.arange(row + 1, images) for row in rows])
    if order is not None:
        first, second = order[first], order[second]
    low, high = np.minimum(first, second), np.maximum(first, second)
    entries = np.asarray(packed).take(low * images - low * (low - 1) // 2 + high - low, axis=1)
    centred = entries.astype(np.float64)
    centred -= means.take(first, axis=1)
    centred -= means.take(second, axis=1)
    centred *= np.sqrt(2)
    return centred


def centred(
    packed: Float[np.ndarray, "layers packed"], images: int
) -> Float[np.ndarray, "layers pairs"]:
    """U-centred Grams as vectors [layers, n(n-1)/2]: their dot products are n(n-3) HSIC₁."""
    return centred_rows(packed, centring_means(packed, images), range(images - 1))


def row_groups(images: int, layers: int, budget_bytes: int) -> list[range]:
    """Divide a Gram's rows so that the centred entries of `layers` layers fit a budget."""
    limit = max(budget_bytes // (8 * layers), images)
    groups, begin, held = [], 0, 0
    for row in range(images - 1):
        if held and held + images - 1 - row > limit:
            groups.append(range(begin, row))
            begin, held = row, 0
        held += images - 1 - row
    return [*groups, range(begin, images - 1)]


def gram_scale(
    packed: Float[np.ndarray, "layers packed"], images: int
) -> Float[np.ndarray, " layers"]:
    """Squared Frobenius norm of each Gram: what a self-HSIC is compared with."""
    values = np.asarray(packed, np.float64)
    diagonal = np.cumsum([0, *range(images, 1, -1)])
    squares = np.einsum("lp,lp->l", values, values)
    return 2 * squares - np.square(values[:, diagonal]).sum(axis=1)
