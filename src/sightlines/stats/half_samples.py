"""How far a statistic moves with the images that it was fitted to: balanced half-samples.

Source: McCarthy 1969 ("Pseudo-replication: half samples", Review of the International Statistical
Institute 37, 239), with complements as in Nadeau and Bengio 2003 ("Inference for the generalization
error", Machine Learning 52, 239; section 4.2). Images are put into GROUPS groups at random, in each
class alike. Four of them make a half, the other four its complement; the PAIRS ways of choosing are
orthogonal (rows of a Hadamard matrix), so that of a linear statistic each pair is one degree of
freedom of its own.

Two halves share no image: half of the mean square of a statistic's differences between them is its
variance at half of the images, whatever the statistic, and the most that it can be at all of them
(Nadeau and Bengio's conservative estimate). FALL is by how much less it is taken to be at all. Of a
mean it would be 2. Of probes' accuracies, and of differences of two, it is less: single test images
change sides, which falls with the root of the number of images, and another penalty is chosen.
Measured on eighths, quarters and halves of the images of two experiments, a doubling divided the
variance of a difference by 1.3 to 1.7, on average by the root of 2, which is taken. What single
test images add is in the jackknife over test images too. In eight simulated settings the sum of
both was .7 to 1.7 of the true variance.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

GROUPS = 8
PAIRS = 5
FALL = 2**0.5
"""What twice the images divide the variance by."""
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
        The difference in each pair, so scaled that the sum of squares is the variance for the draw
        of as many images as both halves have together; with PAIRS degrees of freedom.
    """
    values = np.asarray(halves, np.float64)
    return np.asarray((values[0::2] - values[1::2]) / np.sqrt(2 * FALL * PAIRS))
