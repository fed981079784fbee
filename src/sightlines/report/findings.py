"""What was found, in sentences with numbers: made from the tables of verdicts alone.

Each number comes with its 95 % interval, with what it is of, and with the untrained networks' where
these were measured; where several networks or pairs were read, each is named, up to two, and of
more the lowest and highest value are. Their mean stands for them, unless each decided by itself.
"""

from collections.abc import Sequence
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
    OVER_IMAGES,
    UNDECIDED,
    of_one_run,
)

TOLD: dict[str, tuple[tuple[str, str, str], ...]] = {
    "structure": (
        (
            "C1",
            "LH(ViT) − LH(ResNet), all sub-layers",
            "CKA between the lowest and the highest quarter of layers, ViT minus ResNet, is {}.",
        ),
        (
            "C4",
            "median match of the lower half",
            "Layers of a ResNet’s lower half are most like ViT layers at depth {} (0: first, 1: "
            "last).",
        ),
    ),
    "local_and_global": (
        (
            "C6",
            "most local head",
            "In a ViT’s two lowest blocks the most local head looks {} as far as uniform attention "
            "would.",
        ),
        (
            "C7",
            "most local head",
            "In the two highest the most local head looks {} as far.",
        ),
    ),
    "skips": (
        (
            "C15",
            "attention ÷ ResNet",
            "The norm of a ViT’s skip over that of its attention branch, over the same ratio in a "
            "ResNet, is {}.",
        ),
        (
            "C17",
            "across ÷ within",
            "Without the skips of one block, CKA of layers below with layers above it, over CKA "
            "within either side, is {}.",
        ),
    ),
    "places": (
        (
            "C19",
            "own patch first",
            "The share of a ViT’s inner tokens at the last block that are more like their own "
            "patch of the image than like any other is {}.",
        ),
        (
            "C22",
            "d(CLS) − d(GAP)",
            "The own patch stands out more with a class token than with average pooling, in effect "
            "sizes by {}.",
        ),
    ),
    "data": (
        (
            "C26",
            "Spearman(block, CKA)",
            "The rank correlation of a block’s number with its CKA to the network trained on all "
            "images is {}.",
        ),
        (
            "C28",
            "gap at mid depth, all − fewest images",
            "At half depth probes of the network on all images are ahead of those on fewest by {} "
            "(shares of test images).",
        ),
    ),
    "transfer": (
        (
            "C31",
            "lowest third, in domain",
            "After fine-tuning on images like its own, the lowest third of a ViT’s blocks has a "
            "CKA with what it was of {}.",
        ),
        (
            "C31",
            "in − out of domain",
            "On images unlike its own, CKA with what it was is lower by {}.",
        ),
    ),
    "measurement": (
        ("V1", "mean change", "With smaller minibatches CKA changes on average by {}."),
        (
            "V2",
            "correlation of the maps",
            "Maps of similarity from two sources of images correlate by {}.",
        ),
    ),
}
"""Question -> claim, criterion and sentence, with a place for the values."""
MEAN = "mean of "
"""How the case of a mean over cases begins."""
NAMED = 2
"""Cases that a sentence names, of more the lowest and highest value stand for all."""
HELD = (LEARNED, INITIAL, HOLDS)
BEYOND = "out of reach of these networks"


def found(question: str, claims: pd.DataFrame, cases: pd.DataFrame | None) -> list[str]:
    """Two or three sentences on one question: what was measured, then how its claims came out.

    Args:
        question: Its key.
        claims: Rows of ``claims.csv`` that belong to it.
        cases: ``claim_cases.csv``; None: there is none.
    """
    told = []
    for claim, criterion, sentence in TOLD.get(question, ()):
        if values := _values(cases, claim, criterion, _by_mean(claims, claim)):
            told.append(sentence.format(values))
    if not told:
        told = [said for row in _telling(claims) if (said := _of_claim(row))]
    return [*told, *([tally(claims)] if len(claims) else [])]


def tally(claims: pd.DataFrame) -> str:
    """How claims came out, in one sentence.

    Args:
        claims: Rows of ``claims.csv``.
    """
    counts: dict[str, int] = {str(k): int(v) for k, v in claims["verdict"].value_counts().items()}

    def count(*words: str) -> int:
        return sum(counts.get(word, 0) for word in words)

    held = count(*HELD)
    how = [
        f"{n} {said}"
        for n, said in (
            (count(LEARNED), "learned in training"),
            (count(INITIAL), "true of untrained networks as well"),
        )
        if n
    ]
    alone = claims[claims["verdict"] == ONE_RUN]
    shown = of_one_run(map(_text, alone["in_this_run"])) if "in_this_run" in alone else ""
    verb = "" if held else " hold"
    parts = [
        _some(held, "holds", "hold", ", ".join(how)),
        _some(count(DEPENDS), "depends on the architecture", "depend on the architecture", ""),
        _some(count(FAILS, LOST), f"does not{verb}", f"do not{verb}", ""),
        _some(count(UNDECIDED), "is undecided", "are undecided", ""),
        _some(count(ONE_RUN), "rests on one run", "rest on one run each", shown),
        _some(count(OUT_OF_REACH), f"is {BEYOND}", f"are {BEYOND}", ""),
        _some(count(NOT_RUN), "was not run", "were not run", ""),
    ]
    said = [part for part in parts if part]
    if len(claims) == 1:
        return f"Its one claim {said[0].partition(' ')[2]}."
    return f"Of {len(claims)} claims {_listed(said)}."


def short_tally(verdicts: Sequence[str]) -> str:
    """The same in few words, for the heading of a folded group."""
    groups = (
        (HELD, "holds", "hold"),
        ((DEPENDS,), "depends", "depend"),
        ((FAILS, LOST), "does not", "do not"),
        ((UNDECIDED,), "open", "open"),
        ((ONE_RUN,), "of one run", "of one run"),
        ((OUT_OF_REACH, NOT_RUN), "not tested", "not tested"),
    )
    counted = [(sum(v in words for v in verdicts), *said) for words, *said in groups]
    return ", ".join(f"{n} {one if n == 1 else several}" for n, one, several in counted if n)


def _some(count: int, one: str, several: str, more: str) -> str:
    if not count:
        return ""
    return f"{count} {one if count == 1 else several}" + (f" ({more})" if more else "")


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _by_mean(claims: pd.DataFrame, claim: str) -> bool:
    """Whether a claim was decided by the mean of its cases, and not by each of them."""
    own = claims.loc[claims["claim"] == claim] if len(claims) else claims
    decided = own["verdict"].isin([*HELD, FAILS, LOST, DEPENDS]).any()
    return not decided or _text(own["deciding"].iloc[0]).startswith(MEAN)


def _values(cases: pd.DataFrame | None, claim: str, criterion: str, by_mean: bool) -> str:
    """The readings of one criterion in words; empty where none has a value.

    Args:
        cases: ``claim_cases.csv``.
        claim: Its number.
        criterion: One of its criteria.
        by_mean: Whether the mean over cases stands for them.
    """
    if cases is None:
        return ""
    own = cases[(cases["claim"] == claim) & (cases["criterion"] == criterion)]
    own = own.drop_duplicates("case")  # a value that is held against two thresholds
    rows = [row for row in own.to_dict("records") if not pd.isna(row["value"])]
    wanted = [row for row in rows if _text(row["case"]).startswith(MEAN) == by_mean]
    rows = wanted or rows
    if len(rows) <= NAMED:
        return _listed([_value(row) for row in rows]) if rows else ""
    values, controls = (
        sorted(row[key] for row in rows if not pd.isna(row[key])) for key in ("value", "control")
    )
    spread = f"{fixed(values[0])} to {fixed(values[-1])} over {len(rows)} cases"
    return spread + (
        f" (untrained {fixed(controls[0])} to {fixed(controls[-1])})" if controls else ""
    )


def _value(row: dict[Any, Any]) -> str:
    """One reading: value, interval, what it is of, untrained."""
    said = fixed(row["value"])
    if not (pd.isna(row["low"]) or pd.isna(row["high"])):
        alone = ", one run" if _text(row["over"]) == OVER_IMAGES else ""
        said = with_interval(row, "value", "low", "high", alone)
    about = [_text(row["case"])] if _text(row["case"]) else []
    if not pd.isna(row["control"]):
        about.append(f"untrained {fixed(row['control'])}")
    return f"{said} ({'; '.join(about)})" if about else said


def _telling(claims: pd.DataFrame) -> list[dict[Any, Any]]:
    """The two claims whose verdicts are the surest."""
    known = claims[claims["value"].notna()].sort_values("q", kind="stable", na_position="last")
    return known.head(NAMED).to_dict("records")


def _of_claim(row: dict[Any, Any]) -> str:
    """A claim with the reading that decided it, in one sentence."""
    where, _, what = _text(row["deciding"]).partition(": ")
    value = _value({**row, "case": where})
    return f"{_text(row['statement']).rstrip('.')}: {row['verdict']}, {what or 'measured'} {value}."


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)
