"""Quotients and means: NaN where there is nothing to divide by, or nothing to average."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def quotient(top: Any, bottom: Any) -> NDArray[np.float64]:
    """Numbers [...] over others that are broadcast to them; NaN where these are not above 0."""
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)  # type: ignore[no-any-return]


def mean_of_finite(values: np.ndarray) -> NDArray[np.float64]:
    """Mean over the last axis of what is finite; NaN where nothing is.

    Args:
        values: [..., items].

    Returns:
        [...].
    """
    finite = np.isfinite(values)
    return quotient(np.where(finite, values, 0.0).sum(axis=-1), finite.sum(axis=-1))
