"""The claims of the paper with their verdicts, as the top of the page shows them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from sightlines.report.parts import Row, number
from sightlines.results.verdict_words import VERDICTS

MARKS = {
    "reproduced": "✓",
    "not reproduced": "✗",
    "inconclusive": "?",
    "uninformative": "○",
    "out of reach": "⇡",
    "not run": "–",
}
MEANINGS = {
    "reproduced": "holds for every architecture, with its whole interval",
    "not reproduced": "fails for some architecture, with its whole interval",
    "inconclusive": "an interval covers the threshold",
    "uninformative": "holds, but untrained networks pass as well",
    "out of reach": "cannot be tested on these networks: what they lack is said",
    "not run": "something that it needs is not among the runs",
}

CASES_HEAD = [
    *("Claim", "Network", "Statistic", "Value", "Low", "High", "Needed", "Outcome", "Untrained"),
]


class ClaimRow(NamedTuple):
    """One claim as words."""

    claim: str
    figure: str
    drawn: str
    statement: str
    verdict: str
    mark: str
    because: str
    measured: str
    needed: str
    control: str
    paper: str
    opinions: str
    depends: str
    tier: str
    reason: str
    amended: str
    before: str


def verdict_part(tables: dict[str, pd.DataFrame], figures: Iterable[str]) -> dict[str, Any] | None:
    """Counts of verdicts, one row a claim, and one row a case; None without claims.csv.

    Args:
        tables: Tables by file name.
        figures: Names of the figures on the page, which claims link to.
    """
    claims = tables.get("claims.csv")
    if claims is None or claims.empty:
        return None
    shown = set(figures)
    counts = claims["verdict"].value_counts()
    rows = [_row(row, shown) for row in _records(claims)]
    return {
        "counts": [(v, MARKS[v], int(counts.get(v, 0)), MEANINGS[v]) for v in VERDICTS],
        "rows": rows,
        "cases": [_case(row) for row in _records(tables.get("claim_cases.csv"))],
        "cases_head": CASES_HEAD,
    }


def _records(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    return [] if table is None else table.to_dict("records")  # type: ignore[return-value]


def _row(row: dict[str, Any], shown: set[str]) -> ClaimRow:
    value = row["value"]
    measured = ""
    if not pd.isna(value):
        measured = f"{number(value)} [{number(row['low'])}, {number(row['high'])}]"
        measured += f" ({row['deciding']})" if _text(row.get("deciding")) else ""
    return ClaimRow(
        claim=row["claim"],
        figure=row["figure"],
        drawn=row["drawn"] if row["drawn"] in shown else "",
        statement=row["statement"],
        verdict=row["verdict"],
        mark=MARKS[row["verdict"]],
        because=_text(row["because"]),
        measured=measured,
        needed=_text(row["threshold"]),
        control="" if pd.isna(row["control"]) else number(row["control"]),
        paper=f"{_text(row['paper_value'])} {_text(row['source'])}".strip(),
        opinions=_opinions(_text(row.get("stands_under"))),
        depends=_text(row.get("depends_on")),
        tier=_text(row["tier"]),
        reason=_text(row["reason"]),
        amended=_text(row.get("amended")),
        before=_text(row.get("verdict_before")),
    )


def _opinions(indices: str) -> str:
    """A sentence out of "rbf; not under procrustes", whose either half may be missing."""
    if not indices or indices.startswith("no "):
        return indices
    return f"stands {indices if indices.startswith('not ') else f'under {indices}'}"


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)


def _case(row: dict[str, Any]) -> Row:
    control = "–" if pd.isna(row["control"]) else number(row["control"], 3)
    cells = [
        row["claim"],
        _text(row["case"]),
        _text(row["criterion"]),
        *(number(row[key], 3) for key in ("value", "low", "high")),
        row["threshold"],
        row["outcome"],
        control,
    ]
    return Row([str(cell) for cell in cells], "flagged" if row["outcome"] == "fails" else "")
