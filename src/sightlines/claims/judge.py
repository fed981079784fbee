"""Holds an experiment's tables against every claim of the paper: tables in, tables out.

Claims lie one file a figure of the paper in this folder: each declares READS, the tables that it is
judged by, and CLAIMS. Their thresholds were set before there were results, and no result changes
them; what changed later, and why, stands in docs/amendments.md.
"""

from typing import Any

import pandas as pd

from sightlines.claims.claim import Claim
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.verdict import Verdict, judge
from sightlines.plan import registry
from sightlines.results.verdict_words import NOT_RUN

TABLES = {
    "claims.csv": {
        "about": "The verdict on every claim of the paper, with the reading that decided it",
        "row": "claim",
        "columns": (
            ("claim", "text", "", "its number, C1 … V2; see docs/claims.md"),
            ("figure", "text", "", "figure of the paper"),
            ("tier", "text", "", "A: at any scale; B: large networks; C: data at scale"),
            ("statement", "text", "", "what the paper says"),
            ("verdict", "text", "", "verdict"),
            ("because", "text", "", "why"),
            ("statistic", "text", "", "what is measured"),
            ("deciding", "text", "", "case and criterion that decided"),
            ("value", "float", "", "its value"),
            ("low", "float", "", "lower end of its interval"),
            ("high", "float", "", "upper end of its interval"),
            ("threshold", "text", "", "what is needed"),
            ("reason", "text", "", "why this threshold"),
            ("control", "float", "", "value of the control"),
            ("controls", "text", "", "what the control is"),
            ("paper_value", "text", "", "the paper's value"),
            ("source", "text", "", "where the paper has it"),
            ("amended", "text", "", "when the claim was amended last; see docs/amendments.md"),
            ("verdict_before", "text", "", "verdict by the criteria before they were loosened"),
            (
                "other_criteria",
                "text",
                "",
                "where `claims.lock` registered other criteria before the first run: what is other",
            ),
            ("stands_under", "text", "", "indices of similarity under which the claim stands"),
            ("drawn", "text", "", "figure of this experiment that shows it"),
        ),
    },
    "claim_cases.csv": {
        "about": "Every reading behind the verdicts",
        "row": "claim × case × criterion",
        "columns": (
            ("claim", "text", "", "its number"),
            ("case", "text", "", "architecture, pair or place that is read"),
            ("criterion", "text", "", "which of the claim's criteria"),
            ("value", "float", "", "the reading"),
            ("low", "float", "", "lower end of its interval"),
            ("high", "float", "", "upper end of its interval"),
            ("threshold", "text", "", "what is needed"),
            ("outcome", "text", "", "whether it is met, or why that is not judged"),
            ("control", "float", "", "value of the control"),
            ("control_passes", "bool", "", "whether the control behaves; empty without one"),
        ),
    },
}
INDICES = ("linear", "deconfounded", "without_top", "rbf", "procrustes", "neighbours")


def judge_all(evidence: Evidence) -> list[Verdict]:
    """Verdicts of all claims, in the paper's order."""
    return [judge(claim, evidence) for claim in all_claims()]


def all_claims() -> list[Claim]:
    """Every declared claim, in the paper's order: C1, C2, …, C16b, …, V1, V2."""
    found = [c for name in registry.members("claims") for c in registry.load("claims", name).CLAIMS]
    return sorted(found, key=lambda claim: _order(claim.id))


def _order(identity: str) -> tuple[str, int, str]:
    digits = "".join(c for c in identity if c.isdigit())
    return identity[0], int(digits or 0), identity[1 + len(digits) :]


def claim_table(verdicts: list[Verdict], evidence: Evidence) -> pd.DataFrame:
    """claims.csv: one row a claim, with the reading that decided it."""
    rows = []
    registered: dict[str, str] = evidence.config.get("other_criteria", {})
    for verdict in verdicts:
        claim, line = verdict.claim, verdict.deciding
        other = registered.get(claim.id, "")
        note = f"; judged by other criteria than claims.lock has: {other}" if other else ""
        former = "" if claim.former is None else judge(claim.former, evidence).word
        drawn = claim.drawn if claim.drawn in evidence.config.get("figures", ()) else ""
        rows.append(
            {
                "claim": claim.id,
                "figure": claim.figure,
                "tier": claim.tier,
                "statement": claim.statement,
                "verdict": verdict.word,
                "because": verdict.because + note,
                "statistic": claim.statistic,
                "deciding": f"{line.case}: {line.criterion.name}" if line else "",
                "value": line.value if line else None,
                "low": line.low if line else None,
                "high": line.high if line else None,
                "threshold": "; ".join(f"{c.name} {c}" for c in claim.criteria),
                "reason": claim.reason,
                "control": line.control if line else None,
                "controls": claim.controls,
                "paper_value": claim.paper_value,
                "source": claim.source,
                "amended": claim.amended,
                "verdict_before": former,
                "other_criteria": other,
                "stands_under": _opinions(claim, verdict, evidence),
                "drawn": drawn,
            }
        )
    return pd.DataFrame(rows)


def _opinions(claim: Claim, verdict: Verdict, evidence: Evidence) -> str:
    """Under which indices of similarity a claim stands: by its values, on block outputs."""
    if claim.opinion is None or verdict.word == NOT_RUN:
        return ""
    found: dict[bool, list[str]] = {True: [], False: []}
    for index in INDICES:
        try:
            found[bool(claim.opinion(evidence, index))].append(index)
        except NotMeasured:
            continue
    if not any(found.values()):
        return "no index available"
    yes, no = (", ".join(found[stands]) for stands in (True, False))
    return "; ".join(part for part in (yes, no and f"not under {no}") if part)


def case_table(verdicts: list[Verdict]) -> pd.DataFrame:
    """claim_cases.csv: one row a claim, case and criterion."""
    rows: list[dict[str, Any]] = [
        {
            "claim": verdict.claim.id,
            "case": line.case,
            "criterion": line.criterion.name,
            "value": line.value,
            "low": line.low,
            "high": line.high,
            "threshold": str(line.criterion),
            "outcome": line.outcome,
            "control": line.control,
            "control_passes": line.control_passes,
        }
        for verdict in verdicts
        for line in verdict.lines
    ]
    return pd.DataFrame(rows)
