"""Unbiased HSIC sums of many layers at once, from packed Gram matrices, and CKA from the sums.

U-centring (Székely and Rizzo 2014) turns the unbiased estimator of Song et al. 2012 into a dot
product, so that all pairs of layers are one matrix product per minibatch.
"""

import numpy as np
from jaxtyping import Float, Int

MINIMUM_IMAGES = 4
CONSTANT = 1e-6
"""Norm of the U-centred Gram, relative to the Gram's, below which it is float32 rounding."""


def centring_means(
    packed: Float[np.ndarray, "layers packed"], images: int
) -> tuple[Float[np.ndarray, "layers images"], Float[np.ndarray, " layers"]]:
    """What U-centring subtracts from row i and column i of each Gram, and the Grams' squared norms.

    Args:
        packed: Upper triangles with diagonals, row after row.
        images: n, the size of each Gram [n, n].

    Raises:
        ValueError: fewer than four images, for which the estimator does not exist.
    """
    if images < MINIMUM_IMAGES:
        raise ValueError(f"the unbiased estimator needs {MINIMUM_IMAGES} images, got {images}")
    sums = np.zeros((len(packed), images))
    squares = np.zeros(len(packed))
    for row, place in enumerate(_row_starts(images)):
        right = packed[:, place : place + images - row].astype(np.float64)
        squares += 2 * np.einsum("lp,lp->l", right, right) - np.square(right[:, 0])
        sums[:, row] += right[:, 1:].sum(axis=1)
        sums[:, row + 1 :] += right[:, 1:]
    means = sums / (images - 2)
    return means - means.sum(axis=1, keepdims=True) / (2 * (images - 1)), squares


def centred_rows(
    packed: Float[np.ndarray, "layers packed"],
    means: Float[np.ndarray, "layers images"],
    rows: range,
    out: Float[np.ndarray, "layers pairs"] | None = None,
) -> Float[np.ndarray, "layers pairs"]:
    """U-centred entries right of the diagonal, times √2: HSIC becomes a dot product.

    Args:
        packed: Upper triangles with diagonals.
        means: From `centring_means`.
        rows: Rows of the Gram.
        out: Where they are put, instead of a new array.
    """
    images = means.shape[1]
    starts = _row_starts(images)
    if out is None:
        out = np.empty((len(packed), pairs_in(rows, images)))
    at = 0
    for row in rows:
        count = images - 1 - row
        entries = packed[:, starts[row] + 1 : starts[row] + 1 + count]
        part = out[:, at : at + count]
        np.subtract(entries, means[:, row : row + 1], out=part)
        part -= means[:, row + 1 :]
        at += count
    out *= np.sqrt(2)
    return out


def shuffled_rows(
    packed: Float[np.ndarray, "layers packed"],
    means: Float[np.ndarray, "layers images"],
    rows: range,
    order: Int[np.ndarray, " images"],
) -> Float[np.ndarray, "layers pairs"]:
    """The same entries after the images were put in another order.

    Args:
        packed: Upper triangles with diagonals.
        means: From `centring_means`.
        rows: Rows of the reordered Gram.
        order: Which image comes first, second, ….
    """
    images = means.shape[1]
    starts = _row_starts(images)
    centred = np.empty((len(packed), pairs_in(rows, images)))
    at = 0
    for row in rows:
        others = order[row + 1 :]
        low, high = np.minimum(order[row], others), np.maximum(order[row], others)
        part = centred[:, at : at + len(others)]
        np.subtract(packed[:, starts[low] + high - low], means[:, others], out=part)
        part -= means[:, order[row], None]
        at += len(others)
    centred *= np.sqrt(2)
    return centred


def pairs_in(rows: range, images: int) -> int:
    """Entries right of the diagonal in these rows of a Gram."""
    return sum(images - 1 - row for row in rows)


def _row_starts(images: int) -> np.ndarray:
    """Where each row of a packed upper triangle begins."""
    return np.concatenate([[0], np.cumsum(np.arange(images, 1, -1))])


def centred(
    packed: Float[np.ndarray, "layers packed"], images: int
) -> Float[np.ndarray, "layers pairs"]:
    """U-centred Grams as vectors [layers, n(n-1)/2]: their dot products are n(n-3) HSIC₁."""
    means, _ = centring_means(packed, images)
    return centred_rows(packed, means, range(images - 1))


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
