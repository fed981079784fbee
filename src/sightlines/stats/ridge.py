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
    scale = _scale(mean, centred)
    targets = np.full((len(labels), classes), -1.0)
    targets[np.arange(len(labels)), labels] = 1.0
    if len(centred) >= len(mean):
        gram = scale[:, None] * (centred.T @ centred) * scale
        spectrum, vectors = np.linalg.eigh(gram)
        response = vectors.T @ (scale[:, None] * (centred.T @ targets))
        basis = scale[:, None] * vectors
    else:
        x = centred * scale
        spectrum, vectors = np.linalg.eigh(x @ x.T)
        response = vectors.T @ targets
        basis = scale[:, None] * (x.T @ vectors)
    spectrum = np.maximum(spectrum, 0.0)
    return Probe(mean, basis, spectrum, response, targets.mean(axis=0), len(centred))


def _scale(mean: Float[np.ndarray, " features"], centred: Features) -> np.ndarray:
    """One over each feature's standard deviation; 0 for those that do not vary [D]."""
    std = np.sqrt(np.einsum("ij,ij->j", centred, centred) / len(centred))
    return np.where(std > ROUNDING * np.abs(mean), 1 / (std + SMALLEST_STD), 0.0)


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
