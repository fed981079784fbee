"""The page's question answered in a few sentences, out of the verdicts on its four main claims.

Each respect in which the paper finds that ViTs and convolutional networks differ comes with the
number that decided, its 95 % interval, and how sure that is. What is open is said to be open.
"""

from typing import Any

import pandas as pd

from sightlines.results.numbers import fixed, with_interval
from sightlines.results.verdict_words import (
    DEPENDS,
    FAILS,
    HOLDS,
    INITIAL,
    LEARNED,
    LOST,
    NOT_RUN,
    ONE_RUN,
    OUT_OF_REACH,
    UNDECIDED,
)

DIFFERENCES = {
    "C1": "a ViT’s lowest and highest layers are more alike than a ResNet’s",
    "C6": "a ViT’s lowest blocks hold global heads beside local ones",
    "C15": "more comes over a ViT’s skips than over a ResNet’s",
    "C20b": "a ViT’s tokens keep their places better than a ResNet’s units",
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
HELD = {LEARNED: "learned", INITIAL: "untrained networks as well", HOLDS: ""}
"""Verdicts by which a difference is there, and what else they say."""
LOST_TOO = "though it does in untrained networks"
OPEN = {
    DEPENDS: "It depends on the architecture whether",
    UNDECIDED: "Undecided is whether",
    OUT_OF_REACH: "Out of reach of these networks is whether",
}
"""How sentences begin on what is neither there nor not, by verdict."""
IN_ONE_RUN = {
    "holds": ("it holds that", "and that"),
    "fails": ("it does not hold that", "nor that"),
    "differs": ("networks differ in whether", "and whether"),
    "unclear": ("it is unclear whether", "and whether"),
}
"""What is said of claims of one run, by what that run shows."""
BRACKETS = "Brackets: 95 % intervals over images and seeds, of one run over images alone."


def headline(claims: pd.DataFrame) -> list[str]:
    """Whether these networks see alike, as far as they can say: sentences, the answer first.

    Args:
        claims: Rows of ``claims.csv``.
    """
    rows = claims[claims["claim"].isin(DIFFERENCES) & (claims["verdict"] != NOT_RUN)]
    found = {str(row["claim"]): row for row in rows.to_dict("records")}
    told = [found[claim] for claim in DIFFERENCES if claim in found]
    if not told:
        return ["These runs cannot say: none of the comparisons that would answer was made."]
    held = [_clause(row, HELD[row["verdict"]]) for row in told if row["verdict"] in HELD]
    alone = [row for row in told if row["verdict"] == ONE_RUN]
    sentences = [_answer(held, len(told), len(alone))]
    fails = [
        _clause(row, LOST_TOO if row["verdict"] == LOST else "")
        for row in told
        if row["verdict"] in (FAILS, LOST)
    ]
    if fails:
        sentences.append(f"It does not hold that {_joined(fails, 'nor that')}.")
    if alone:
        sentences.append(_of_one_run(alone))
    for verdict, beginning in OPEN.items():
        if own := [_clause(row, "") for row in told if row["verdict"] == verdict]:
            sentences.append(f"{beginning} {_joined(own, 'and whether')}.")
    if "[" in " ".join(sentences):
        sentences.append(BRACKETS)
    return sentences


def _of_one_run(rows: list[dict[Any, Any]]) -> str:
    """What these networks show, of which there is one run each."""
    shown: dict[str, list[str]] = {key: [] for key in IN_ONE_RUN}
    for row in rows:
        key = row.get("in_this_run")
        shown[key if key in shown else "unclear"].append(_clause(row, ""))
    parts = [
        f"{beginning} {_joined(shown[key], word)}"
        for key, (beginning, word) in IN_ONE_RUN.items()
        if shown[key]
    ]
    return f"Of these networks alone, one run each, {'; '.join(parts)}."


def _answer(held: list[str], count: int, alone: int) -> str:
    """The first sentence: what is shown of all that was asked."""
    if alone == count:
        return "Open for such networks in general: there is one run of each."
    if not held:
        where = f"in none of {count} respects" if count > 1 else "not in the one respect measured"
        return f"Not shown: {where} do these networks prove to see differently."
    among = "" if len(held) == count else f", in {len(held)} of {count} respects"
    return f"No{among}: {_joined(held, 'and')}."


def _clause(row: dict[Any, Any], more: str) -> str:
    """What the paper says of one difference, with the number that decided."""
    said = [_measured(row)] if pd.notna(row["value"]) else []
    said += [more] if more else []
    return DIFFERENCES[str(row["claim"])] + (f" ({'; '.join(said)})" if said else "")


def _measured(row: dict[Any, Any]) -> str:
    deciding = "" if pd.isna(row["deciding"]) else str(row["deciding"])
    what = deciding.rpartition(": ")[2]
    for short, words in NUMBERS.items():
        what = words + what.removeprefix(short) if what.startswith(short) else what
    is_bare = pd.isna(row["low"]) or pd.isna(row["high"])
    value = fixed(row["value"]) if is_bare else with_interval(row, "value", "low", "high")
    return f"{what}: {value}" if what else value


def _joined(clauses: list[str], word: str) -> str:
    if len(clauses) == 1:
        return clauses[0]
    return f"{', '.join(clauses[:-1])}, {word} {clauses[-1]}"
