"""Measured values in words: a value, its interval, and what it is held against.

Rounded, an end of an interval can read like the threshold that it lies beyond ("does not hold,
0.71 [0.66, 0.76]; needed ≥ 0.76"). There digits are added until the two differ.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

COMMON = 0.95
"""Level of an interval of which nothing else is said."""
MOST = 8
"""Digits; what differs by less is equal in words."""
BAR = re.compile(r"(?:^|; )(?:(?P<name>(?:(?!; ).)*) )?[≥≤<>] (?P<bar>[-−]?[\d.]+(?:e[-+]?\d+)?)")
"""One criterion in a table: "mean CKA ≥ 0.5" or, where its name stands elsewhere, "≥ 0.5"."""

Write = Callable[[float, int], str]
"""A value with so many digits."""


def is_known(value: Any) -> bool:
    """Whether there is a value: no NaN, no missing one."""
    return value is not None and not math.isnan(value)


def fixed(value: Any, digits: int = 2) -> str:
    """A measured value with `digits` decimals; a dash where there is none."""
    if not is_known(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.") else text.replace("-", "−")


def significant(value: Any, digits: int = 3) -> str:
    """A measured value with `digits` significant digits; a dash where there is none."""
    return f"{value:.{digits}g}".replace("-", "−") if is_known(value) else "–"


def bars(needed: Any, deciding: Any = "") -> tuple[float, ...]:
    """The thresholds in a criterion's words.

    Args:
        needed: As in `claims.csv`, every criterion of a claim, or in `claim_cases.csv`, one.
        deciding: Case and criterion that decided, where only that one's are wanted.
    """
    found = [*BAR.finditer(needed)] if isinstance(needed, str) else []
    if isinstance(deciding, str) and deciding:
        found = [one for one in found if deciding.endswith(f": {one['name']}")]
    return tuple(float(one["bar"].replace("−", "-")) for one in found)


def digits_apart(
    values: Iterable[Any], against: Iterable[float], write: Write = fixed, digits: int = 2
) -> int:
    """Digits, `digits` at least, with which no value reads like a threshold that it is not.

    Args:
        values: That are told; unknown ones count for nothing.
        against: Thresholds.
        write: How values are told.
        digits: Where there is no such pair.
    """
    pairs = [(v, bar) for v in values if is_known(v) for bar in against if v != bar]
    while digits < MOST and any(write(v, digits) == write(bar, digits) for v, bar in pairs):
        digits += 1
    return digits


def interval(
    values: Sequence[Any],
    against: Iterable[float] = (),
    more: str = "",
    write: Write = fixed,
    digits: int | None = None,
) -> str:
    """A value with its interval in brackets.

    Args:
        values: The value, the lower and the upper end.
        against: Thresholds that it is held against.
        more: What else is said in the brackets.
        write: How values are told.
        digits: At least; by default two decimals, of small values three, of large ones one.
    """
    if digits is None:
        largest = max((abs(v) for v in values if is_known(v)), default=1.0)
        digits = 3 if largest < 0.05 else 1 if largest >= 100 else 2
    digits = digits_apart(values, against, write, digits)
    middle, low, high = (write(v, digits) for v in values)
    return f"{middle} [{low}, {high}{more}]"


def level(row: Mapping[Any, Any]) -> str:
    """The confidence of an interval that is another than 95 %, such as "98.3 %"; else empty.

    Args:
        row: Of a table; without a `level` its interval is of 95 %.
    """
    share = row.get("level")
    if share is None or not is_known(share) or abs(share - COMMON) < 1e-9:
        return ""
    return f"{100 * share:.3g} %"


def with_interval(row: Mapping[Any, Any], value: str, low: str, high: str, more: str = "") -> str:
    """A value of a table with its interval, told apart from what it is held against.

    Args:
        row: Of a table; of one of claims its `threshold` counts for `value`, and 0 for a
            `difference`.
        value: Its column with the value.
        low: With the lower end of its interval.
        high: With the upper end.
        more: What else is said in the brackets.
    """
    against: tuple[float, ...] = (0.0,) if value == "difference" else ()
    if value == "value":
        against = bars(row.get("threshold"), row.get("deciding"))
    return interval([row[key] for key in (value, low, high)], against, more)
