"""Other indices of similarity than linear CKA, each from the Gram matrices of two layers.

A Gram is K = X_c X_cᵀ [n, n] of one layer and one minibatch of n images, X_c [n, features] centred
over images. Two kinds of index:

* Unbiased, 0 for unrelated layers: another kernel in the place of K, then unbiased HSIC and CKA as
  for linear CKA (`rbf`, `without_top`), or the part of K that the pixels do not explain
  (`deconfound`).
* Biased where there are fewer images than features, so that unrelated layers do not read 0:
  `procrustes` and `overlap`. They mean something only beside their value for shuffled images.
"""

import functools

import numpy as np
from jaxtyping import Bool, Float, Int

BANDWIDTH = 0.4
"""Width of the Gaussian kernel, as a share of the median distance between two images."""
NEIGHBOURS = 10
"""Nearest neighbours of each image, where a minibatch has three times as many other images."""

Grams = Float[np.ndarray, "layers images images"]
Packed = Float[np.ndarray, "layers packed"]


def unpack(packed: Packed, images: int) -> Grams:
    """Whole symmetric Grams, float64, from upper triangles with diagonals."""
    return packed.take(_packed_places(images), axis=1).astype(np.float64, copy=False)


@functools.lru_cache(maxsize=4)
def _packed_places(images: int) -> Int[np.ndarray, "images images"]:
    """Where each entry of a Gram lies in its packed upper triangle."""
    rows, columns = np.triu_indices(images)
    places = np.empty((images, images), np.intp)
    places[rows, columns] = places[columns, rows] = np.arange(len(rows))
    return places


@functools.lru_cache(maxsize=4)
def _upper_places(images: int, above: int) -> Int[np.ndarray, " packed"]:
    """Where the entries on the diagonal so many `above` the main one, and beyond, lie in a Gram."""
    rows, columns = np.triu_indices(images, above)
    return rows * images + columns


def pack(grams: Grams) -> Packed:
    """Upper triangles with diagonals, row after row."""
    return grams.reshape(len(grams), -1).take(_upper_places(grams.shape[1], 0), axis=1)


def squared_distances(grams: Grams) -> Grams:
    """Squared Euclidean distances of each layer's representations, 0 on the diagonal."""
    squares = np.einsum("lii->li", grams)
    distances = squares[:, :, None] + squares[:, None, :]
    distances -= 2 * grams
    return np.maximum(distances, 0, out=distances)  # type: ignore[no-any-return]


def rbf(grams: Grams, bandwidth: float = BANDWIDTH) -> Grams:
    """Gaussian kernels exp(-d² / 2σ²); σ is `bandwidth` times the layer's median distance d.

    Source: Kornblith et al. 2019, section 3 (σ = 0.2, 0.4 or 0.8 times the median). Close images
    count most, so a few far ones cannot decide. All 0 where most images have one representation.
    """
    squared = squared_distances(grams)
    pairs = squared.reshape(len(grams), -1).take(_upper_places(grams.shape[1], 1), axis=1)
    medians = np.median(np.sqrt(pairs), axis=1)
    varies = (medians > 0)[:, None, None]
    width = np.where(medians > 0, bandwidth * medians, 1.0)[:, None, None]
    return np.where(varies, np.exp(-squared / (2 * np.square(width))), 0.0)


def decompose(
    grams: Grams,
) -> tuple[Float[np.ndarray, "layers images"], Grams]:
    """Eigenvalues of each Gram, smallest first, and its eigenvectors in columns."""
    values, vectors = np.linalg.eigh(grams)
    return np.maximum(values, 0), vectors


def without_top(
    grams: Grams,
    values: Float[np.ndarray, "layers images"],
    vectors: Grams,
    components: int = 1,
) -> Grams:
    """Grams of representations less their projection on their first principal components.

    Source: the massive activations of Sun et al. 2024 and the dominant components of Nguyen et al.
    2022: linear CKA weighs by variance, so that one shared direction can decide it alone.

    Args:
        grams: Of layers.
        values: From `decompose`.
        vectors: From `decompose`.
        components: How many components go.
    """
    top = vectors[:, :, -components:]
    return grams - (top * values[:, None, -components:]) @ top.transpose(0, 2, 1)  # type: ignore[no-any-return]


def square_roots(values: Float[np.ndarray, "layers images"], vectors: Grams) -> Grams:
    """Symmetric square roots K^½ from `decompose`."""
    return (vectors * np.sqrt(values)[:, None, :]) @ vectors.transpose(0, 2, 1)  # type: ignore[no-any-return]


def procrustes(
    root: Float[np.ndarray, "images images"], gram: Float[np.ndarray, "images images"]
) -> float:
    """Orthogonal Procrustes similarity ‖XᵀY‖_* / (‖X‖ ‖Y‖), between 0 and 1.

    1 - d²/2, where d is the distance of X and Y, both scaled to norm 1, after the best rotation
    of one onto the other (Ding et al. 2021; Williams et al. 2021). The nuclear norm of XᵀY is the
    sum of the square roots of the eigenvalues of K^½ L K^½. Biased upwards: independent features
    reach .98 at 256 images and 4,096 features.

    Args:
        root: K^½ of the one layer, from `square_roots`.
        gram: L of the other.

    Returns:
        NaN where a layer does not vary.
    """
    scale = np.square(root).sum() * np.trace(gram)
    if not scale > 0:
        return float("nan")
    squares = np.linalg.eigvalsh(root @ gram @ root)
    return float(np.sqrt(np.maximum(squares, 0)).sum() / np.sqrt(scale))


def neighbour_count(images: int) -> int:
    """How many neighbours of an image are looked at in a minibatch of so many images."""
    return min(NEIGHBOURS, (images - 1) // 3)


def neighbours(grams: Grams, count: int) -> Bool[np.ndarray, "layers images images"]:
    """Which images are among the `count` nearest of each image (row), by Euclidean distance.

    An image is no neighbour of itself; of images equally far away the earlier one is nearer.
    """
    distances = squared_distances(grams)
    np.einsum("lii->li", distances)[...] = np.inf
    last = np.partition(distances, count - 1, axis=2)[:, :, count - 1, None]
    chosen: np.ndarray = distances <= last
    if np.count_nonzero(chosen) > chosen[:, :, 0].size * count:
        nearer = distances < last
        tied = distances == last
        left = count - nearer.sum(axis=2, keepdims=True)
        chosen = nearer | (tied & (tied.cumsum(axis=2) <= left))
    return chosen


def overlap(
    chosen: Bool[np.ndarray, "layers_a images images"],
    other: Bool[np.ndarray, "layers_b images images"],
) -> Float[np.ndarray, "layers_a layers_b"]:
    """Share of common nearest neighbours, mean over images; `count` / (n - 1) by chance.

    Args:
        chosen: From `neighbours`.
        other: From `neighbours`, with the same count and images.
    """
    a = chosen.reshape(len(chosen), -1).astype(np.float32)
    b = other.reshape(len(other), -1).astype(np.float32)
    return (a @ b.T).astype(np.float64) / a[:1].sum(dtype=np.float64)  # type: ignore[no-any-return]


def deconfound(
    products: Float[np.ndarray, "all all"], own: Float[np.ndarray, "all all"]
) -> Float[np.ndarray, "layers layers"]:
    """Inner products of U-centred Grams after the pixels' Gram is regressed out of each.

    Source: Cui et al. 2022 (deconfounded CKA): regress the entries of K on those of the pixel Gram
    K⁰ and compare the residuals K - αK⁰. Here with the unbiased estimator: regression and
    comparison both take place among U-centred Grams, where the residual is the projection of
    Székely and Rizzo 2014 (partial distance covariance), and α is one number for all minibatches.
    Residuals may have negative eigenvalues. They are kept: no distance or root is taken of a
    residual, and clipping them, as Cui et al. propose, would make unrelated layers read above 0.

    Args:
        products: Sums over minibatches of inner products; the pixels come first, then the layers.
            Rows are of one copy of the images, columns of another.
        own: The same with both copies in one order: it says how much the pixels explain.
    """
    explained = own[1:, 0] / own[0, 0] if own[0, 0] > 0 else np.full(len(own) - 1, np.nan)
    return (  # type: ignore[no-any-return]
        products[1:, 1:]
        - explained[:, None] * products[0, 1:]
        - products[1:, :1] * explained
        + np.outer(explained, explained) * products[0, 0]
    )
