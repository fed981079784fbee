"""How good answers to a question with several answers are: ranks, likelihood, calibration.

Arrays only. Sums are in float64, whatever the outputs are in.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

BINS = 15
"""Bins of confidence of equal width, as in Guo et al. 2017."""


class Answers(NamedTuple):
    """What a network answers to each of some images, and how good that is.

    Attributes:
        taken: The most probable output; of equal ones the first.
        confidence: Its probability.
        rank: Place of the right output by probability, from 0; 0 where it is `taken`.
        loss: Negative logarithm of the right output's probability, in nats.
    """

    taken: Int64[np.ndarray, " images"]
    confidence: Float64[np.ndarray, " images"]
    rank: Int64[np.ndarray, " images"]
    loss: Float64[np.ndarray, " images"]


def judge(
    logits: Float[np.ndarray, "images outputs"], right: Int64[np.ndarray, " images"]
) -> Answers:
    """Hold outputs against the right ones.

    Args:
        logits: Logarithms of probabilities, but for a summand of each image.
        right: The output that is right for each image.
    """
    values = logits.astype(np.float64)
    images = np.arange(len(values))
    taken = values.argmax(axis=1)
    values -= values[images, taken][:, None]
    log_total = np.log(np.exp(values).sum(axis=1))
    own = values[images, right]
    is_before = np.arange(values.shape[1]) < right[:, None]
    ahead = (values > own[:, None]) | ((values == own[:, None]) & is_before)
    return Answers(taken, np.exp(-log_total), ahead.sum(axis=1), log_total - own)


class Reliability(NamedTuple):
    """Confidence and accuracy by bins of confidence, lowest first.

    Attributes:
        images: Images of each bin.
        confidence: Their mean confidence; NaN where there are none.
        accuracy: Share of them that were got right; NaN where there are none.
    """

    images: Int64[np.ndarray, " bins"]
    confidence: Float64[np.ndarray, " bins"]
    accuracy: Float64[np.ndarray, " bins"]

    def calibration_error(self) -> float:
        """Expected calibration error: mean of |accuracy - confidence| over images, bin by bin.

        Source: Guo et al. 2017, equation 3.
        """
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(self.images * gaps) / self.images.sum())


def reliability(
    confidence: Float64[np.ndarray, " images"], is_right: Bool[np.ndarray, " images"]
) -> Reliability:
    """Confidence and accuracy in BINS bins of equal width, ((m-1)/BINS, m/BINS].

    Source: Guo et al. 2017, section 2.
    """
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    images = np.bincount(place, minlength=BINS)
    sums = (np.bincount(place, weights, BINS) for weights in (confidence, is_right))
    with np.errstate(invalid="ignore"):
        means = [total / images for total in sums]
    return Reliability(images, *means)
