"""Quotients and means: NaN where there is nothing to divide by, or nothing to average."""

from typing import Any

import numpy as np


def quotient(top: Any, bottom: Any) -> Any:
    """Numbers [...] over others that are broadcast to them; NaN where these are not above 0."""
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)


def mean_of_finite(values: np.ndarray) -> Any:
    """Mean over the last axis of what is finite; NaN where nothing is.

    Args:
        values: [..., items].

    Returns:
        [...].
    """
    finite = np.isfinite(values)
    return quotient(np.where(finite, values, 0.0).sum(axis=-1), finite.sum(axis=-1))
