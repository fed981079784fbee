"""The claims with their verdicts, as the page shows them: a row in the overview, a card each."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from sightlines.core.errors import ResultError
from sightlines.report.forest import Drawn, drawn
from sightlines.report.parts import Row
from sightlines.report.questions import Question, claim_question, used
from sightlines.results.calibration import in_words
from sightlines.results.numbers import (
    COMMON,
    bars,
    digits_apart,
    fixed,
    level,
    with_interval,
)
from sightlines.results.verdict_words import (
    DECISIVE,
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
    VERDICTS,
    of_one_run,
)

MARKS = {
    LEARNED: "✓",
    INITIAL: "○",
    HOLDS: "+",
    DEPENDS: "±",
    LOST: "↓",
    FAILS: "✗",
    UNDECIDED: "?",
    ONE_RUN: "1",
    OUT_OF_REACH: "⇡",
    NOT_RUN: "–",
}
SHORT = {
    LEARNED: "learned",
    INITIAL: "untrained too",
    DEPENDS: "depends",
    LOST: "lost",
    FAILS: "does not",
}
"""Words of a verdict where there is little room; others are short enough."""
MEANINGS = {
    LEARNED: "by training",
    INITIAL: "untrained networks too",
    HOLDS: "whether by training is open",
    DEPENDS: "holds for one, not for another",
    LOST: "true of untrained networks alone",
    FAILS: "the interval misses the threshold",
    UNDECIDED: "the interval covers the threshold",
    ONE_RUN: "there is no second seed",
    OUT_OF_REACH: "these networks cannot test it",
    NOT_RUN: "the runs lack what it needs",
}
"""What a verdict means, in the few words that stand beside its count."""
TIERS = (
    ("A", "expected at any scale"),
    ("B", "about large or pretrained networks: small ones that fail say nothing against it"),
    ("C", "about much data: networks that saw little and fail say nothing against it"),
    ("A/B", "the paper leaves it open: judged as A"),
)
"""What each tier means, for the page's legend."""

CASES_HEAD = [
    *("Network", "Statistic", "Value", "Low", "High", "Over", "Seeds", "Needed"),
    *("Outcome", "Untrained", "Trained − untrained"),
]
RATE = 0.05
"""False discovery rate that the page states."""


class ClaimRow(NamedTuple):
    """One claim as words, with its row of the picture, its readings and where it stands."""

    claim: str
    anchor: str
    question: str
    figure: str
    drawn: str
    picture: Drawn | None
    cases: list[Row]
    title: str
    statement: str
    statistic: str
    verdict: str
    short: str
    here: str
    mark: str
    because: str
    value: str
    level: str
    one_run: bool
    measured: str
    needed: str
    control: str
    difference: str
    over: str
    seeds: str
    discovery: str
    paper: str
    opinions: str
    depends: str
    tier: str
    reason: str
    amended: str
    before: str

    @property
    def is_run(self) -> bool:
        """Whether there is anything to show of it but why not."""
        return self.verdict != NOT_RUN


def verdict_part(tables: dict[str, pd.DataFrame], figures: Iterable[str]) -> dict[str, Any] | None:
    """Counts of verdicts and one row a claim with its readings; None without claims.csv.

    Args:
        tables: Tables by file name.
        figures: Names of the figures on the page, which claims link to.

    Raises:
        ResultError: a claim has a verdict that there is not.
    """
    claims = tables.get("claims.csv")
    if claims is None or claims.empty:
        return None
    shown = set(figures)
    if unknown := sorted(set(map(str, claims["verdict"])) - set(VERDICTS)):
        raise ResultError(
            f"claims.csv has the verdict {unknown[0]!r}, which there is not: it is of another "
            "version of sightlines. Delete it and run snakemake again."
        )
    counts = claims["verdict"].value_counts()
    cases: dict[str, list[Row]] = {}
    for case in _records(tables.get("claim_cases.csv")):
        cases.setdefault(str(case["claim"]), []).append(_case(case))
    taken: set[str] = set()
    rows = [_row(row, shown, cases, taken) for row in _records(claims)]
    return {
        "counts": [
            (v, MARKS[v], int(counts.get(v, 0)), _meaning(v, rows))
            for v in VERDICTS
            if counts.get(v, 0)
        ],
        "absent": [v for v in VERDICTS if not counts.get(v, 0)],
        "rows": rows,
        "anchors": {row.claim: row.anchor for row in reversed(rows)},
        "groups": groups(rows),
        "out_of_reach": _out_of_reach(rows),
        "tiers": TIERS,
        "discoveries": _discoveries(claims),
        "calibration": _calibration(tables.get("seed_calibration.csv")),
        "cases_head": CASES_HEAD,
    }


def _meaning(verdict: str, rows: list[ClaimRow]) -> str:
    """What a verdict means; of one run also how its claims came out in it."""
    shown = of_one_run(row.here for row in rows if row.verdict == verdict == ONE_RUN)
    return f"{MEANINGS[verdict]}; {shown}" if shown else MEANINGS[verdict]


def groups(rows: list[ClaimRow]) -> list[tuple[Question, list[ClaimRow]]]:
    """Claims by question, in the order of the questions."""
    return [
        (question, [row for row in rows if row.question == question.key])
        for question in used(row.question for row in rows)
    ]


def _out_of_reach(rows: list[ClaimRow]) -> list[tuple[list[ClaimRow], str]]:
    """Claims that these networks cannot test, by what is lacking: the clause that says it."""
    found: dict[str, list[ClaimRow]] = {}
    for row in rows:
        if row.verdict in (OUT_OF_REACH, NOT_RUN):
            lacking = re.search(r"(?:needs an? |the claim is about )[^;]*", row.because)
            why = lacking[0] if lacking else row.because.partition("; ")[0]
            found.setdefault(why, []).append(row)
    return [(own, why) for why, own in found.items()]


def _anchor(claim: str, taken: set[str]) -> str:
    """What links call a claim: its number, as far as a link may hold it, and once only."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", claim) or "claim"
    anchor, turn = plain, 1
    while anchor in taken:
        turn += 1
        anchor = f"{plain}-{turn}"
    taken.add(anchor)
    return anchor


def _records(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    return [] if table is None else table.to_dict("records")  # type: ignore[return-value]


def _discoveries(claims: pd.DataFrame) -> tuple[int, int, float]:
    """Decisive verdicts, how many of them are taken at RATE, and RATE."""
    decisive = claims[claims["verdict"].isin(DECISIVE)]
    return len(decisive), int((decisive["q"] <= RATE).sum()), RATE


def _calibration(table: pd.DataFrame | None) -> str:
    return "" if table is None or table.empty else in_words(table)


def _row(
    row: dict[str, Any], shown: set[str], cases: dict[str, list[Row]], taken: set[str]
) -> ClaimRow:
    value = "" if pd.isna(row["value"]) else with_interval(row, "value", "low", "high")
    deciding = f" ({row['deciding']})" if value and _text(row.get("deciding")) else ""
    claim, verdict = str(row["claim"]), row["verdict"]
    wide = _level(row)
    return ClaimRow(
        claim=claim,
        anchor=_anchor(claim, taken),
        question=claim_question(claim, _text(row.get("study")), _text(row["drawn"])),
        figure=row["figure"],
        drawn=row["drawn"] if row["drawn"] in shown else "",
        picture=drawn(row),
        cases=cases.get(claim, []),
        title=row["title"],
        statement=row["statement"],
        statistic=_text(row["statistic"]),
        verdict=verdict,
        short=SHORT.get(verdict, verdict),
        here=_text(row.get("in_this_run")),
        mark=MARKS[verdict],
        because=_text(row["because"]),
        value=value,
        level=wide,
        one_run=_text(row["over"]) == OVER_IMAGES,
        measured=value + (f", {wide}" if wide else "") + deciding,
        needed=_text(row["threshold"]),
        control=_control(row),
        difference=_difference(row),
        over=_text(row["over"]),
        seeds=_text(row["seeds"]),
        discovery="" if pd.isna(row["q"]) else f"p = {_small(row['p'])}, q = {_small(row['q'])}",
        paper=f"{_text(row['paper_value'])} {_text(row['source'])}".strip(),
        opinions=_opinions(_text(row.get("stands_under"))),
        depends=_text(row.get("depends_on")),
        tier=_text(row["tier"]),
        reason=_text(row["reason"]),
        amended=_text(row.get("amended")),
        before=_text(row.get("verdict_before")),
    )


def _level(row: dict[str, Any]) -> str:
    """Which interval a verdict is judged by, where that is not of 95 %, and why."""
    told = level(row)
    if not told:
        return ""
    comparisons = round((1 - COMMON) / (1 - float(row["level"])))
    what = "criteria" if row["verdict"] != DEPENDS else "criteria and architectures"
    return f"{told}: {comparisons} {what} keep to 95 % together"


def _control(row: dict[str, Any]) -> str:
    """The untrained networks' value, told apart from the threshold; empty without one."""
    needed = bars(row.get("threshold"), row.get("deciding"))
    digits = digits_apart([row["control"]], needed)
    return "" if pd.isna(row["control"]) else fixed(row["control"], digits)


def _difference(row: dict[str, Any]) -> str:
    if pd.isna(row["difference"]):
        return ""
    return with_interval(row, "difference", "difference_low", "difference_high")


def _small(p: float) -> str:
    return f"{p:.2g}" if p >= 0.0001 else "0.0001 or less"


def _opinions(indices: str) -> str:
    """A sentence out of "rbf; not under procrustes", whose either half may be missing."""
    if not indices or indices.startswith("no "):
        return indices
    return f"stands {indices if indices.startswith('not ') else f'under {indices}'}"


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)


def _case(row: dict[str, Any]) -> Row:
    keys = ("value", "low", "high", "control")
    digits = digits_apart([row[key] for key in keys], bars(row["threshold"]), digits=3)
    *ends, control = (fixed(row[key], digits) for key in keys)
    cells = [
        _text(row["case"]),
        _text(row["criterion"]),
        *ends,
        _text(row["over"]),
        _text(row["seeds"]),
        row["threshold"],
        row["outcome"],
        control,
        _difference(row) or "–",
    ]
    return Row([str(cell) for cell in cells], "flagged" if row["outcome"] == "fails" else "")
