"""How well a score tells two kinds apart. Arrays only."""

import numpy as np
from jaxtyping import Bool, Float


def average_precision(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """Area under the curve of precision over recall, as steps; equal scores are one step.

    Args:
        scores: Higher for what is taken as positive.
        positive: What is.

    Returns:
        Of scores without information the share of positives, in the mean; NaN without any.
    """
    count = int(positive.sum())
    if not count:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    found = hits[last]
    precision = found / (np.flatnonzero(last) + 1)
    return float((np.diff(found, prepend=0) / count) @ precision)
