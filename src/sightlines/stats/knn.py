"""Weighted k nearest neighbours of frozen features, the same answer on every machine.

Source: Caron et al. 2021 (DINO), section 3.2 and the code's `eval_knn.py`: rows are scaled to unit
length, s is their cosine, the k nearest support images vote for their class with exp(s / τ), τ
.07, without further normalisation. Of equally near support images the first is taken; of classes
with equal votes the first. Similarities count in steps of 2⁻⁴⁰, so that the last bit of a sum,
which differs between processors, decides nothing.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

TEMPERATURE = 0.07
STEPS = 2**40
"""Steps of a similarity between 0 and 1."""
MOST_SUPPORT = 2**21
"""Support images of which similarity and place fit one whole number of 64 bits."""
CHUNK = 256
"""Test images at once."""


class Ranked(NamedTuple):
    """Support images from near to far, of every test image.

    Attributes:
        similarity: Cosine with each [test, most].
        places: Which they are, among the support images [test, most].
    """

    similarity: Float[np.ndarray, "test most"]
    places: Int[np.ndarray, "test most"]


def rank(
    support: Float[np.ndarray, "support features"],
    test: Float[np.ndarray, "test features"],
    most: int,
) -> Ranked:
    """The nearest support images of every test image.

    Args:
        support: Features of images whose class is known.
        test: Features of images whose class is asked for.
        most: How many, at most the number of support images.

    Raises:
        ValueError: more support images than can be ordered, or fewer than `most`.
    """
    count = len(support)
    if count > MOST_SUPPORT or most > count:
        raise ValueError(f"{most} neighbours of {count} support images (at most {MOST_SUPPORT})")
    unit, queries = scaled(support), scaled(test)
    found = Ranked(np.empty((len(test), most)), np.empty((len(test), most), np.int64))
    for begin in range(0, len(test), CHUNK):
        rows = slice(begin, begin + CHUNK)
        found.similarity[rows], found.places[rows] = nearest(unit, queries[rows], most)
    return found


def rank_among(
    chosen: Bool[np.ndarray, " support"],
    ranked: Ranked,
    support: Float[np.ndarray, "support features"],
    test: Float[np.ndarray, "test features"],
    most: int,
) -> Ranked:
    """The nearest of some support images; places are among all.

    What `rank` finds of these alone. A test image of which too few are among the ranked is ranked
    again.

    Args:
        chosen: Which support images.
        ranked: The nearest of all.
        support: Features of all.
        test: Features of images whose class is asked for.
        most: How many, at most the number of chosen ones.
    """
    own = np.flatnonzero(chosen)
    is_own = chosen[ranked.places]
    is_short = is_own.sum(axis=1) < most
    is_own &= np.cumsum(is_own, axis=1) <= most
    is_own[is_short] = np.arange(is_own.shape[1]) < most
    kept = Ranked(*(part[is_own].reshape(len(test), most) for part in ranked))
    if is_short.any():
        again = rank(support[own], test[is_short], most)
        kept.similarity[is_short], kept.places[is_short] = again.similarity, own[again.places]
    return kept


def vote(
    ranked: Ranked,
    labels: Int[np.ndarray, " support"],
    classes: int,
    k: int,
    temperature: float = TEMPERATURE,
) -> Int[np.ndarray, " test"]:
    """Class of every test image, by its k nearest.

    Args:
        ranked: The nearest of each.
        labels: Classes of the support images.
        classes: Number of classes.
        k: How many vote, at most those ranked.
        temperature: τ.
    """
    votes = np.exp(ranked.similarity[:, :k] / temperature)
    return _elected(votes, labels[ranked.places[:, :k]], classes)


def scaled(features: Float[np.ndarray, "images features"]) -> Float[np.ndarray, "images features"]:
    """Rows of unit length, float64; a row of zeros stays what it is."""
    rows = np.asarray(features, np.float64)
    length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)  # type: ignore[no-any-return]


def nearest(
    support: Float[np.ndarray, "support features"],
    queries: Float[np.ndarray, "queries features"],
    most: int,
) -> tuple[Float[np.ndarray, "queries most"], Int[np.ndarray, "queries most"]]:
    """Similarities of the nearest support images, from near to far, and their places.

    Args:
        support: Rows of unit length.
        queries: Rows of unit length.
        most: How many.
    """
    count = len(support)
    steps = np.rint(queries @ support.T * STEPS).astype(np.int64)
    order = steps * count + (count - 1 - np.arange(count))  # no two are equal
    kept = np.partition(order, count - most, axis=1)[:, count - most :]
    kept = np.sort(kept, axis=1)[:, ::-1]
    return kept // count / STEPS, count - 1 - kept % count


def _elected(
    votes: Float[np.ndarray, "test k"], labels: Int[np.ndarray, "test k"], classes: int
) -> Int[np.ndarray, " test"]:
    """The class with most votes; those of one class are added from near to far."""
    rows = np.arange(len(votes))[:, None] * classes + labels
    tally = np.bincount(rows.ravel(), votes.ravel(), minlength=len(votes) * classes)
    return tally.reshape(len(votes), classes).argmax(axis=1)  # type: ignore[no-any-return]
