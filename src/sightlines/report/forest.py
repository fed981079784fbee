"""The picture that answers: every claim's value with its interval, held against its threshold.

Statistics of claims have units of their own. Each row is drawn on its own scale, so that the
threshold is one line down the picture and what fulfils the claim lies to the right of it. A row is
an SVG whose coordinates are shares of its width: it needs no script, prints, and follows the
page's colours. Intervals are those that verdicts are judged by, so that none lies wholly on one
side of the threshold where the verdict is open.
"""

import math
import re
from typing import Any, NamedTuple

import pandas as pd

from sightlines.report.paper_figures import MARKS as PAPER
from sightlines.results.numbers import digits_apart, fixed, level
from sightlines.results.verdict_words import FAILS, HOLDS, INITIAL, LEARNED, LOST

EDGE = 46.0
"""How far from the middle the farthest mark of a row stands, in per cent of its width."""
FAR = 2.5
"""A control or a value of the paper's that is more than so many times farther from the threshold
than all of the own interval is drawn at the edge, as an arrow: it would hide the interval."""
FILLED = (LEARNED, INITIAL, HOLDS)
SQUARE = (FAILS, LOST)


class Mark(NamedTuple):
    """A mark of a row: where it stands in per cent of the width, and whether it is beyond it."""

    at: float
    beyond: int


class Drawn(NamedTuple):
    """One row of the picture.

    Attributes:
        value: Its value.
        low: Lower end of its interval, by place on the page; None: it has none.
        high: Its upper end.
        control: Value of the untrained control.
        paper: Ends of what the paper's networks give; once where they are one.
        shape: Of the value's mark: ``disc`` where the claim holds, ``square`` where it does not,
            ``ring`` where that is open.
        words: All of it in words, for those who do not see it.
    """

    value: Mark
    low: float | None
    high: float | None
    control: Mark | None
    paper: tuple[Mark, ...]
    shape: str
    words: str


def drawn(row: dict[str, Any]) -> Drawn | None:
    """The picture of one claim; None where nothing was measured, or no threshold is known.

    Args:
        row: Of ``claims.csv``.
    """
    if not _known(row["value"]):
        return None
    needed, deciding = (str(row.get(key, "")) for key in ("threshold", "deciding"))
    found = threshold(needed, deciding, float(row["value"]))
    if found is None:
        return None
    sense, bar = found
    sign = 1.0 if sense == "≥" else -1.0

    def away(value: Any) -> float | None:
        return sign * (float(value) - bar) if _known(value) else None

    value, control = away(row["value"]), away(row["control"])
    ends = [end for end in (away(row["low"]), away(row["high"])) if end is not None]
    ends = ends if len(ends) == 2 else []
    low, high = (min(ends), max(ends)) if ends else (None, None)
    paper = [a for a in map(away, paper_value(row)) if a is not None]
    assert value is not None
    own = max(map(abs, (value, *ends)))
    others = [abs(a) for a in (control, *paper) if a is not None]
    near = [a for a in others if a <= FAR * own]
    scale = max([own, *near]) or max(others, default=0.0) or 1.0

    def mark(distance: float) -> Mark:
        place = distance / scale
        return Mark(_place(place), (place > 1) - (place < -1))

    return Drawn(
        mark(value),
        None if low is None else _place(low / scale),
        None if high is None else _place(high / scale),
        None if control is None else mark(control),
        tuple(dict.fromkeys(mark(a) for a in sorted(paper))),
        _shape(str(row["verdict"])),
        _words(row, sense, bar),
    )


def threshold(needed: str, deciding: str, value: float) -> tuple[str, float] | None:
    """Sense and threshold of the criterion that decided; of two on one statistic the nearer one.

    Args:
        needed: As in ``claims.csv``: every criterion of the claim with its threshold.
        deciding: Case and criterion that decided.
        value: What was measured.
    """
    found = []
    for part in needed.split("; "):
        match = re.fullmatch(r"(.*) ([≥≤<>]) ([-−]?[\d.]+(?:e-?\d+)?)", part)
        if match and deciding.endswith(f": {match[1]}"):
            sense = {"<": "≤", ">": "≥"}.get(match[2], match[2])
            bar = float(match[3].replace("−", "-"))
            found.append(((value - bar) * (1 if sense == "≥" else -1), sense, bar))
    return min(found)[1:] if found else None


def paper_value(row: dict[str, Any]) -> tuple[float, ...]:
    """What the paper's networks give of the criterion that decided: lowest and highest, or none."""
    for (claim, criterion), ends in PAPER.items():
        if claim == row["claim"] and str(row.get("deciding", "")).endswith(f": {criterion}"):
            return tuple(dict.fromkeys(ends))
    return ()


def _place(share: float) -> float:
    return round(50 + EDGE * max(-1.0, min(1.0, share)), 1)


def _shape(verdict: str) -> str:
    return "disc" if verdict in FILLED else "square" if verdict in SQUARE else "ring"


def _words(row: dict[str, Any], sense: str, bar: float) -> str:
    told = [row[key] for key in ("value", "low", "high", "control")]
    digits = digits_apart(told, [bar])
    words, low, high, control = (fixed(own, digits) for own in told)
    if _known(row["low"]) and _known(row["high"]):
        words += f", {level(row)} interval {low} to {high}".replace(",  ", ", ")
    words += f"; needed {sense} {bar:g}".replace("-", "−")
    if _known(row["control"]):
        words += f"; untrained {control}"
    if paper := paper_value(row):
        words += f"; Raghu et al. {' to '.join(fixed(p) for p in paper)}"
    return words


def _known(value: Any) -> bool:
    return value is not None and not pd.isna(value) and math.isfinite(float(value))
