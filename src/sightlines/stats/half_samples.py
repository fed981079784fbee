"""How far a statistic moves with the images that it was fitted to: balanced half-samples.

Source: McCarthy 1969 ("Pseudo-replication: half samples", Review of the International Statistical
Institute 37, 239), with complements as in Nadeau and Bengio 2003 ("Inference for the generalization
error", Machine Learning 52, 239; section 4.2). Images are put into GROUPS groups at random, in each
class alike. Four of them make a half, the other four its complement; the PAIRS ways of choosing are
orthogonal (rows of a Hadamard matrix), so that of a linear statistic each pair is one degree of
freedom of its own.

Two halves share no image. A statistic's difference between them has twice the variance that it has
at half of the images, whatever the statistic. What is assumed is that at all images the variance is
half of that: exact of a mean. Of classifiers near their best it falls faster, so that the estimate
is too large. In part it falls more slowly: single test images change sides. That part is in the
jackknife over test images as well, so that the sum of both is rather too large than too small.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

GROUPS = 8
PAIRS = 5
SIGNS = np.array([[(-1) ** (row & group).bit_count() for group in range(8)] for row in range(1, 8)])
"""Rows of Sylvester's Hadamard matrix of order 8 without that of ones [7, GROUPS]."""
HALVES: Bool[np.ndarray, "halves groups"] = np.stack(
    [SIGNS[:PAIRS] > 0, SIGNS[:PAIRS] < 0], axis=1
).reshape(2 * PAIRS, GROUPS)
"""Which groups each half has: first half and complement of the first pair, of the second, …."""


def groups_of(
    labels: Int[np.ndarray, " images"], generator: np.random.Generator
) -> Int[np.ndarray, " images"]:
    """A group of each image, at random; of each class, and of all, as many in each but for one.

    Args:
        labels: Classes of the images.
        generator: Of random numbers.
    """
    order = generator.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    groups = np.empty(len(labels), np.int64)
    groups[order] = np.arange(len(labels)) % GROUPS
    return groups


def moves(halves: Float[np.ndarray, "halves ..."]) -> Float[np.ndarray, "pairs ..."]:
    """How a statistic moves with the images that it was fitted to.

    Args:
        halves: Its value of each of HALVES.

    Returns:
        Half of the difference in each pair, so scaled that the sum of squares is the variance for
        the draw of as many images as both halves have together; with PAIRS degrees of freedom.
    """
    values = np.asarray(halves, np.float64)
    return np.asarray((values[0::2] - values[1::2]) / (2 * np.sqrt(PAIRS)))
