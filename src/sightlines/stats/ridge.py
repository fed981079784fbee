"""Linear probes in closed form: ridge regression to ±1, one eigendecomposition for all penalties.

Source: Raghu et al. 2021, appendix A (regularised least squares to {−1, +1}, closed form), with
the details of the same lab's code: features standardised by the training images, and a constant
feature of 100, which leaves the bias all but unpenalised. Centred features are orthogonal to that
constant, so its weight is known by itself: the mean target times 100²N / (100²N + penalty). The
paper tunes the penalty on held-out training images but names no grid; ours is 2⁻¹⁰ to 2²⁰.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

PENALTIES = 2.0 ** np.arange(-10, 21)
CONSTANT = 100.0
"""The feature that stands for the bias."""
SMALLEST_STD = 1e-5
"""Added to the standard deviation."""
ROUNDING = 1e-6
"""A feature whose standard deviation is below this share of its mean does not vary in float32."""
CHUNK_BYTES = 2**24
"""Scores held at once."""

Features = Float[np.ndarray, "images features"]
Labels = Int[np.ndarray, " images"]


@dataclass(frozen=True)
class Probe:
    """A linear classifier for every penalty, not yet written out.

    Attributes:
        mean: Of the training features [D].
        basis: Eigenvectors, as weights of features that are centred but not scaled [D, rank].
        spectrum: Eigenvalues [rank].
        response: The targets in that basis [rank, classes].
        bias: Mean target of each class [classes].
        images: Training images.
    """

    mean: Float[np.ndarray, " features"]
    basis: Float[np.ndarray, "features rank"]
    spectrum: Float[np.ndarray, " rank"]
    response: Float[np.ndarray, "rank classes"]
    bias: Float[np.ndarray, " classes"]
    images: int

    def scores(self, features: Features, penalty: float) -> Float[np.ndarray, "images classes"]:
        """Score of every class; the largest is the answer."""
        weights = self.basis @ (self.response / (self.spectrum[:, None] + penalty))
        return (features - self.mean) @ weights + self._intercepts(np.array([penalty]))[0]  # type: ignore[no-any-return]

    def accuracies(self, features: Features, labels: Labels) -> Float[np.ndarray, " penalties"]:
        """Share of images classified right, for each of PENALTIES; of equal scores the first."""
        projected = ((features - self.mean) @ self.basis).T
        rank, classes = self.response.shape
        found = []
        for penalties in _chunks(8 * len(features) * classes):
            shrunk = self.response.T[:, None] / (self.spectrum + penalties[:, None])
            scores = (shrunk.reshape(-1, rank) @ projected).reshape(classes, len(penalties), -1)
            scores += self._intercepts(penalties).T[:, :, None]
            found.append(_is_first(scores, labels).mean(axis=1))
        return np.concatenate(found)

    def _intercepts(
        self, penalties: Float[np.ndarray, " some"]
    ) -> Float[np.ndarray, "some classes"]:
        free = CONSTANT**2 * self.images
        return (free / (free + penalties))[:, None] * self.bias  # type: ignore[no-any-return]


def fit(features: Features, labels: Labels, classes: int) -> Probe:
    """Fit a probe for all penalties at once.

    Standardised features are X. With at least as many images as features XᵀX is decomposed, with
    fewer XXᵀ, and its eigenvectors U become weights by Xᵀ. A feature that does not vary over the
    training images has no weight.

    Args:
        features: Of the training images, float64.
        labels: Their classes.
        classes: Number of classes, of which some may have no image.
    """
    mean = features.mean(axis=0)
    centred = features - mean
    scale = _scale(np.einsum("ij,ij->j", centred, centred) / len(centred), np.abs(mean))
    targets = _targets(labels, classes)
    bias = targets.mean(axis=0)
    if len(centred) >= len(mean):
        return _by_features(
            mean, scale, centred.T @ centred, centred.T @ targets, bias, len(centred)
        )
    x = centred * scale
    spectrum, vectors = np.linalg.eigh(x @ x.T)
    response = vectors.T @ targets
    basis = scale[:, None] * (x.T @ vectors)
    return Probe(mean, basis, np.maximum(spectrum, 0.0), response, bias, len(centred))


def fit_unions(
    features: Features,
    labels: Labels,
    classes: int,
    groups: Labels,
    unions: Bool[np.ndarray, "unions groups"],
) -> Iterator[Probe]:
    """Fit a probe to each of several unions of groups of images.

    What `fit` makes of the images of each, but for rounding: sums over images are made once a group
    and added up, where there are at least as many images as features.

    Args:
        features: Of the training images, float64.
        labels: Their classes.
        classes: Number of classes, of which some may have no image.
        groups: Group of each image.
        unions: Which groups each has, some images each.
    """
    count = unions.shape[1]
    images = np.bincount(groups, minlength=count)
    if (unions @ images).min() < features.shape[1]:
        for union in unions:
            chosen = union[groups]
            yield fit(features[chosen], labels[chosen], classes)
        return
    mean = features.mean(axis=0)
    centred, targets = features - mean, _targets(labels, classes)
    parts = [(centred[groups == g], targets[groups == g]) for g in range(count)]
    sums, hits = (np.array([part[i].sum(axis=0) for part in parts]) for i in (0, 1))
    squares, crossed = (np.array([part[0].T @ part[i] for part in parts]) for i in (0, 1))
    for union in unions:
        total = int(images[union].sum())
        shift, bias = (own[union].sum(axis=0) / total for own in (sums, hits))
        gram = squares[union].sum(axis=0)
        around = gram.diagonal() / total  # of which the shift's square leaves nothing but rounding
        size = np.maximum(np.abs(mean + shift), np.sqrt(around))
        scale = _scale(np.maximum(around - shift**2, 0.0), size)
        gram -= total * np.outer(shift, shift)
        cross = crossed[union].sum(axis=0) - total * np.outer(shift, bias)
        yield _by_features(mean + shift, scale, gram, cross, bias, total)


def _by_features(
    mean: Float[np.ndarray, " features"],
    scale: Float[np.ndarray, " features"],
    gram: Float[np.ndarray, "features features"],
    cross: Float[np.ndarray, "features classes"],
    bias: Float[np.ndarray, " classes"],
    images: int,
) -> Probe:
    """A probe out of what centred features make with each other, and with the targets."""
    spectrum, vectors = np.linalg.eigh(scale[:, None] * gram * scale)
    response = vectors.T @ (scale[:, None] * cross)
    return Probe(mean, scale[:, None] * vectors, np.maximum(spectrum, 0.0), response, bias, images)


def _targets(labels: Labels, classes: int) -> Float[np.ndarray, "images classes"]:
    """1 for an image's own class, -1 for all others."""
    targets = np.full((len(labels), classes), -1.0)
    targets[np.arange(len(labels)), labels] = 1.0
    return targets


def _scale(
    variance: Float[np.ndarray, " features"], size: Float[np.ndarray, " features"]
) -> Float[np.ndarray, " features"]:
    """One over each feature's standard deviation; 0 for those that do not vary [D].

    Args:
        variance: Of each feature.
        size: What its values are about as large as.
    """
    std = np.sqrt(variance)
    return np.where(std > ROUNDING * size, 1 / (std + SMALLEST_STD), 0.0)


def _chunks(bytes_each: int) -> Iterator[Float[np.ndarray, " some"]]:
    """PENALTIES, as many at once as CHUNK_BYTES allow."""
    step = max(CHUNK_BYTES // bytes_each, 1)
    for start in range(0, len(PENALTIES), step):
        yield PENALTIES[start : start + step]


def _is_first(
    scores: Float[np.ndarray, "classes penalties images"], labels: Labels
) -> Bool[np.ndarray, "penalties images"]:
    """Whether each image's own class has the largest score, of equal ones the first.

    As ``scores.argmax(axis=0) == labels``, which NumPy computes many times more slowly.
    """
    largest = scores.max(axis=0)
    is_largest = scores == largest
    own: np.ndarray = is_largest[labels, :, np.arange(len(labels))].T
    if np.count_nonzero(is_largest) == largest.size:
        return own
    return own & (is_largest.argmax(axis=0) == labels)  # type: ignore[no-any-return]


def best_penalty(accuracies: Float[np.ndarray, " penalties"]) -> int:
    """Index of the penalty with the best held-out accuracy; of equal ones the largest."""
    return len(accuracies) - 1 - int(accuracies[::-1].argmax())
