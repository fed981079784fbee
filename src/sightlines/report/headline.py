"""The page's question answered in a sentence, and what that rests on: its four main claims.

Each respect in which the paper finds that ViTs and convolutional networks differ comes in a line,
with its verdict, the number that decided and its interval. What is open is said to be open.
"""

from typing import Any, NamedTuple

import pandas as pd

from sightlines.report.forest import threshold
from sightlines.report.verdicts import MARKS, SHORT
from sightlines.results.numbers import fixed, level, with_interval
from sightlines.results.verdict_words import HOLDS, INITIAL, LEARNED, NOT_RUN, ONE_RUN, VERDICTS

DIFFERENCES = {
    "C1": "A ViT’s lowest and highest layers are more alike than a ResNet’s",
    "C6": "A ViT’s lowest blocks hold global heads beside local ones",
    "C15": "More comes over a ViT’s skips than over a ResNet’s",
    "C20b": "A ViT’s tokens keep their places best, a ResNet’s last units worst",
}
"""Claims in which the paper's answer lies: structure, local and global, skips, places."""
NUMBERS = {
    "LH(ViT) − LH(ResNet)": "CKA of the lowest with the highest quarter of layers, ViT − ResNet",
    "most local head": "distance of the most local head over that of uniform attention",
    "most global head": "distance of the most global head over that of uniform attention",
    "attention ÷ ResNet": "skip over attention branch, ViT ÷ ResNet",
    "MLP ÷ ResNet": "skip over MLP branch, ViT ÷ ResNet",
    "d, ": "effect size of the own patch, ",
}
"""How their criteria begin, and what that is to whoever has read nothing else yet."""
HELD = (LEARNED, INITIAL, HOLDS)
"""Verdicts by which a difference is there."""
NOTE = (
    "Brackets: the interval that decides, of 95 % where nothing else is said, over images and "
    "seeds; of one run over images alone. Needed: the threshold that was set beforehand."
)


class Respect(NamedTuple):
    """One difference that the paper names, and how it came out.

    Attributes:
        claim: Its claim's number.
        verdict: Its verdict.
        short: The same where there is little room.
        mark: The verdict's mark.
        here: What one run shows; empty where there are more.
        says: What the paper says.
        measured: The number that decided, with what it is and its interval; empty without one.
    """

    claim: str
    verdict: str
    short: str
    mark: str
    here: str
    says: str
    measured: str


class Headline(NamedTuple):
    """The answer in a sentence, what it rests on, and how to read that."""

    answer: str
    respects: list[Respect]
    note: str


def headline(claims: pd.DataFrame) -> Headline:
    """Whether these networks see alike, as far as they can say.

    Args:
        claims: Rows of ``claims.csv``.

    Returns:
        The answer, and the differences that were looked at, those first that are there.
    """
    rows = claims[claims["claim"].isin(DIFFERENCES) & (claims["verdict"] != NOT_RUN)]
    found = {str(row["claim"]): row for row in rows.to_dict("records")}
    told = [found[claim] for claim in DIFFERENCES if claim in found]
    if not told:
        answer = "These runs cannot say: none of the comparisons that would answer was made."
        return Headline(answer, [], "")
    told.sort(key=lambda row: VERDICTS.index(row["verdict"]))
    respects = [_respect(row) for row in told]
    has_brackets = any("[" in respect.measured for respect in respects)
    return Headline(_answer(respects), respects, NOTE if has_brackets else "")


def _answer(respects: list[Respect]) -> str:
    """What is shown of all that was asked."""
    count = len(respects)
    held = sum(respect.verdict in HELD for respect in respects)
    if all(respect.verdict == ONE_RUN for respect in respects):
        return "Open for such networks in general: there is one run of each."
    if count == 1:
        if held:
            return "No, they differ: the one difference looked at shows in these networks."
        return "Not shown: not in the one way looked at."
    what = f"the paper’s {count} main differences"
    if count < len(DIFFERENCES):
        what = f"{count} main differences looked at"
    if not held:
        return f"Not shown: of {what} none is sure in these networks."
    if held == count:
        return f"No, they differ: all of {what} show in these networks."
    shows = "shows" if held == 1 else "show"
    return f"No, they differ: {held} of {what} {shows} in these networks."


def _respect(row: dict[Any, Any]) -> Respect:
    """One claim's row, as the page's head tells it."""
    verdict = str(row["verdict"])
    here = row.get("in_this_run")
    return Respect(
        claim=str(row["claim"]),
        verdict=verdict,
        short=SHORT.get(verdict, verdict),
        mark=MARKS[verdict],
        here=str(here) if verdict == ONE_RUN and here and not pd.isna(here) else "",
        says=DIFFERENCES[str(row["claim"])],
        measured=_measured(row) if pd.notna(row["value"]) else "",
    )


def _measured(row: dict[Any, Any]) -> str:
    deciding = "" if pd.isna(row["deciding"]) else str(row["deciding"])
    what = deciding.rpartition(": ")[2]
    for short, words in NUMBERS.items():
        what = words + what.removeprefix(short) if what.startswith(short) else what
    is_bare = pd.isna(row["low"]) or pd.isna(row["high"])
    wide = f", {told}" if (told := level(row)) else ""
    value = fixed(row["value"]) if is_bare else with_interval(row, "value", "low", "high", wide)
    needed = threshold(str(row.get("threshold", "")), deciding, float(row["value"]))
    bar = f", needed {needed[0]}\N{NO-BREAK SPACE}{needed[1]:g}".replace("-", "−") if needed else ""
    return (f"{what}: {value}" if what else value) + bar
