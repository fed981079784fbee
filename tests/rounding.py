"""What rounding allows between a result and its twin: c · √terms · eps · size, and no more.

A sum of n terms comes out differently on each processor: wider registers add in another order.
Each of the n roundings errs by at most eps/2 of the size of the sum, up or down, so together they
walk about √n · eps · size away (Higham, Accuracy and Stability of Numerical Algorithms, chapter 2).
`c` covers that both sides round, the quotients and roots after the sum, and the luck of the worst
of many values; it is 4, or 8 at most. Through a chain of sums, as in a network, `terms` is the
terms of the longest sum times the number of sums.

A test that would not see a wrong scale of 1 % is refused here, whatever it compares.
"""

from typing import Any, TypeAlias

import numpy as np

USUAL_C, LARGEST_C = 4, 8
SCALE = 0.01
Dtype: TypeAlias = type[np.float32] | type[np.float64]


def bound(size: Any, terms: float, dtype: Dtype = np.float64, c: float = USUAL_C) -> Any:
    """How far two roundings of the same sum may lie apart.

    Args:
        size: Largest magnitude of the sum and its parts; an array bounds each value by its own.
        terms: Summands of the longest sum, times the number of sums that follow each other.
        dtype: What the coarser of both sides computes or stores in.
        c: Roundings of the two sides for each term, 8 at most.
    """
    if not 0 < c <= LARGEST_C:
        raise ValueError(f"c is {c}; rounding explains {LARGEST_C} at most")
    if terms < 1:
        raise ValueError(f"{terms} terms: a sum has one at least")
    return c * np.sqrt(terms) * float(np.finfo(dtype).eps) * np.abs(as_array(size))


class rounded:
    """`found == rounded(expected, terms=…)`: equal but for rounding.

    Args:
        expected: Number, list, array, tensor, or a dictionary of numbers.
        terms, dtype, c: See `bound`.
        size: Magnitude of the parts where they cancel; else the largest of the expected values.
        nan_ok: NaN is expected where `expected` has it; elsewhere it is never equal.

    Raises:
        ValueError: a result that is 1 % too large could pass.
    """

    __array_ufunc__ = None  # NumPy leaves == to this class.
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        expected: Any,
        *,
        terms: float,
        dtype: Dtype = np.float64,
        size: Any = None,
        c: float = USUAL_C,
        nan_ok: bool = False,
    ):
        self.keys = list(expected) if isinstance(expected, dict) else None
        self.expected = as_array(expected)
        self.nan_ok = nan_ok
        magnitudes = np.abs(self.expected[np.isfinite(self.expected)])
        largest = float(magnitudes.max(initial=0))
        if size is None:
            if not largest:
                raise ValueError("every expected value is 0: say the size of the summands")
            size = largest
        self.bound = bound(as_array(size), terms, dtype, c)
        room = SCALE * (np.abs(self.expected) if largest else as_array(size))
        if not (room > 2 * self.bound).any():
            raise ValueError(
                f"a result that is 1 % too large could pass: values up to {largest:.3g} with "
                f"a bound of {self.bound.min():.3g}; compare all values at once, or fewer terms"
            )

    def excess(self, found: Any) -> np.ndarray:
        """How often the bound each value is off; NaN or inf on one side alone is inf."""
        values = as_array(found)
        if self.expected.ndim and values.shape != self.expected.shape:
            raise AssertionError(f"shape {values.shape}, expected {self.expected.shape}")
        expected = np.broadcast_to(self.expected, values.shape)
        same = (values == expected) | (self.nan_ok & np.isnan(values) & np.isnan(expected))
        finite = np.isfinite(values) & np.isfinite(expected)
        apart = np.abs(np.where(finite, values, 0) - np.where(finite, expected, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.where(apart > 0, apart / self.bound, 0.0)
        return np.where(same, 0.0, np.where(finite, times, np.inf))

    def __eq__(self, found: object) -> bool:
        if self.keys is not None and (not isinstance(found, dict) or set(found) != set(self.keys)):
            return False
        try:
            values = as_array([found[key] for key in self.keys] if self.keys is not None else found)
            return bool((self.excess(values) <= 1).all())
        except AssertionError:
            return False

    def __repr__(self) -> str:
        return f"rounded({self.expected.tolist()} ± {self.bound.tolist()})"


def assert_rounded(found: Any, expected: Any, name: Any = "", **how: Any) -> None:
    """Hold an array against its twin; `how` as in `rounded`.

    Raises:
        AssertionError: with the worst place, both values and the bound.
    """
    allowed = rounded(expected, **how)
    excess = allowed.excess(found)
    if not (excess <= 1).all():
        place = np.unravel_index(excess.argmax(), excess.shape)
        value = as_array(found)[place]
        wanted = np.broadcast_to(allowed.expected, excess.shape)[place]
        limit = np.broadcast_to(allowed.bound, excess.shape)[place]
        raise AssertionError(
            f"{name} at {tuple(map(int, place))}: {value!r}, expected {wanted!r} ± {limit:.3g} "
            f"({excess.max():.3g} times the bound; {(excess > 1).sum()} of {excess.size} values)"
        )


def as_array(values: Any) -> np.ndarray:
    """As float64, from numbers, nested lists, arrays, tensors, series, or a dictionary's values."""
    if isinstance(values, dict):
        values = list(values.values())
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, np.float64)
