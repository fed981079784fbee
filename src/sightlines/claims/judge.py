"""Holds an experiment's tables against every claim of the paper: tables in, tables out.

Claims lie one file a figure of the paper in this folder: each declares READS, the tables that it is
judged by, and CLAIMS. Their thresholds were set before there were results, and no result changes
them; what changed later, and why, stands in docs/amendments.md.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sightlines.claims import calibration
from sightlines.claims.claim import Claim
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.specification import INDICES as OTHER_INDICES
from sightlines.claims.specification import LINEAR
from sightlines.claims.verdict import CriterionResult, Verdict, judge
from sightlines.plan import registry
from sightlines.plan.studies import STUDIES, study_of
from sightlines.results.verdict_words import NOT_RUN, OUT_OF_REACH
from sightlines.stats.nested import false_discovery

TABLES = {
    "claims.csv": {
        "about": "The verdict on every claim of the paper, with the reading that decided it",
        "row": "claim",
        "columns": (
            ("claim", "text", "", "its number, C1 … V2; see docs/claims.md"),
            ("study", "text", "", "work that says it; see plan/studies.py"),
            ("figure", "text", "", "its figure there"),
            ("tier", "text", "", "A: at any scale; B: large networks; C: data at scale"),
            ("statement", "text", "", "what the paper says"),
            ("verdict", "text", "", "verdict"),
            (
                "in_this_run",
                "text",
                "",
                "of one run: what its networks show by intervals over images: holds, fails, "
                "differs (between networks), unclear",
            ),
            ("because", "text", "", "why"),
            ("statistic", "text", "", "what is measured"),
            ("deciding", "text", "", "case and criterion that decided"),
            ("value", "float", "", "its value"),
            ("low", "float", "", "lower end of its interval"),
            ("high", "float", "", "upper end of its interval"),
            (
                "over",
                "text",
                "",
                "what the interval is over: images and seeds; images: of one run; images and "
                "networks: of V1 and V2, to which seeds do not matter",
            ),
            ("seeds", "text", "", "how many seeds of what, and where else their spread is from"),
            ("threshold", "text", "", "what is needed"),
            ("reason", "text", "", "why this threshold"),
            ("control", "float", "", "value of the control"),
            ("controls", "text", "", "what the control is"),
            ("difference", "float", "", "trained minus untrained networks"),
            ("difference_low", "float", "", "lower end of its interval"),
            ("difference_high", "float", "", "upper end of its interval"),
            ("p", "float", "", "P value of its being met or not; empty: one run, out of reach"),
            ("q", "float", "", "false discovery rate at which it is taken (Benjamini-Yekutieli)"),
            ("detectable", "float", "", "smallest effect that these seeds would show 4 in 5 times"),
            (
                "seeds_needed",
                "float",
                "",
                "about how many seeds of each network would decide; empty where none",
            ),
            ("paper_value", "text", "", "the paper's value"),
            ("source", "text", "", "where the paper has it"),
            ("amended", "text", "", "when the claim was amended last; see docs/amendments.md"),
            ("verdict_before", "text", "", "verdict by the criteria before they were loosened"),
            (
                "depends_on",
                "text",
                "",
                "choices that turn the outcome around; in how many ways it holds",
            ),
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
            ("case", "text", "", "architecture, pair or place that is read; mean of several"),
            ("criterion", "text", "", "which of the claim's criteria"),
            ("value", "float", "", "the reading"),
            ("low", "float", "", "lower end of its interval"),
            ("high", "float", "", "upper end of its interval"),
            (
                "over",
                "text",
                "",
                "what the interval is over: images and seeds; images: of one run; images and "
                "networks: of V1 and V2, to which seeds do not matter",
            ),
            ("seeds", "text", "", "how many seeds of what, and where else their spread is from"),
            ("threshold", "text", "", "what is needed"),
            ("outcome", "text", "", "whether it is met, or why that is not judged"),
            ("control", "float", "", "value of the control"),
            ("control_passes", "bool", "", "whether the control meets it; empty without one"),
            ("difference", "float", "", "trained minus untrained networks"),
            ("difference_low", "float", "", "lower end of its interval"),
            ("difference_high", "float", "", "upper end of its interval"),
        ),
    },
    "seed_calibration.csv": {
        "about": "A/A: networks that differ in their seed alone, each left out in turn and held "
        "against the mean of the others, in every statistic that a claim reads",
        "row": "claim × criterion × networks × seed left out",
        "columns": (
            ("claim", "text", "", "its number"),
            ("criterion", "text", "", "which of the claim's criteria"),
            ("networks", "text", "", "model whose seeds differ, all others held"),
            ("seeds", "int", "", "how many there are"),
            ("left_out", "text", "", "networks of the seed that is left out"),
            ("value", "float", "", "their value"),
            ("difference", "float", "", "from the mean of the other seeds"),
            ("half_width", "float", "", "of its interval over images and seeds, by the others"),
            ("in_intervals", "float", "", "size of the difference over that; decisive above 1"),
            ("in_image_intervals", "float", "", "over that of an interval over images alone"),
            ("width_in_sds", "float", "", "width of the mean's interval over the seeds' spread"),
        ),
    },
    "specifications.csv": {
        "about": "Claims computed in every defensible way that was measured",
        "row": "claim × case × way of computing it × criterion",
        "columns": (
            ("claim", "text", "", "its number"),
            ("case", "text", "", "architecture, or combination of them"),
            ("criterion", "text", "", "which of the claim's criteria"),
            ("index", "text", "", "index of similarity; empty: no choice of this claim"),
            ("layers", "text", "", "all sub-layers, block outputs"),
            ("tokens", "text", "", "all tokens, without class token"),
            ("minibatch", "text", "", "images of a minibatch, such as 128 images"),
            ("probes", "text", "", "images that probes are fitted to: all images, 10 a class"),
            ("seed", "text", "", "of the networks; one that lacks it stands in with its first"),
            ("value", "float", "", "the reading of one seed"),
            ("low", "float", "", "lower end of its interval over images"),
            ("high", "float", "", "upper end of it"),
            ("threshold", "text", "", "what is needed"),
            ("outcome", "text", "", "holds, fails, unclear: where the whole interval lies"),
        ),
    },
}
INDICES = (LINEAR, *OTHER_INDICES)


def judge_all(evidence: Evidence) -> list[Verdict]:
    """Verdicts of all claims of the studies that are asked for, in their order."""
    asked = evidence.config.get("studies", STUDIES)
    return [
        judge(claim, evidence)
        for study, claims in claims_by_study().items()
        if study in asked
        for claim in claims
    ]


def all_claims() -> list[Claim]:
    """Every declared claim, study after study."""
    return [claim for claims in claims_by_study().values() for claim in claims]


def claims_by_study() -> dict[str, list[Claim]]:
    """Every study's claims, in its order: C1, C2, …, C16b, …, V1, V2."""
    found: dict[str, list[Claim]] = {study: [] for study in STUDIES}
    for name in registry.members("claims"):
        study = study_of(registry.declarations("claims", name))
        found[study] += registry.load("claims", name).CLAIMS
    return {study: sorted(claims, key=lambda c: _order(c.id)) for study, claims in found.items()}


def _order(identity: str) -> tuple[str, int, str]:
    digits = "".join(c for c in identity if c.isdigit())
    return identity[0], int(digits or 0), identity[1 + len(digits) :]


def claim_table(
    verdicts: list[Verdict], evidence: Evidence, depends: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """claims.csv: one row a claim, with the reading that decided it.

    Args:
        verdicts: Of all claims.
        evidence: What they were judged by.
        depends: What the outcome of a claim depends on (`specification.dependences`).
    """
    rows = []
    discoveries = false_discovery([_counted(v) for v in verdicts])
    registered: dict[str, str] = evidence.config.get("other_criteria", {})
    studies = {claim.id: study for study, own in claims_by_study().items() for claim in own}
    for verdict, q in zip(verdicts, discoveries, strict=True):
        claim, line = verdict.claim, verdict.deciding
        other = registered.get(claim.id, "")
        note = f"; judged by other criteria than claims.lock has: {other}" if other else ""
        former = "" if claim.former is None else judge(claim.former, evidence).word
        stands_under = _robustness(claim, verdict, evidence)
        depends_on = (depends or {}).get(claim.id) or _by_robustness(stands_under)
        is_judged = verdict.word != NOT_RUN
        drawn = claim.drawn if claim.drawn in evidence.config.get("figures", ()) else ""
        rows.append(
            {
                "claim": claim.id,
                "study": studies[claim.id],
                "figure": claim.figure,
                "tier": claim.tier,
                "statement": claim.statement,
                "verdict": verdict.word,
                "in_this_run": verdict.in_this_run,
                "because": verdict.because + note,
                "depends_on": depends_on if is_judged else "",
                "statistic": claim.statistic,
                "deciding": f"{line.case}: {line.criterion.name}" if line else "",
                "value": line.value if line else None,
                "low": line.low if line else None,
                "high": line.high if line else None,
                "over": line.over if line else "",
                "seeds": line.seeds if line else "",
                "threshold": "; ".join(f"{c.name} {c}" for c in claim.criteria),
                "reason": claim.reason,
                "control": line.control if line else None,
                "controls": claim.controls,
                **_difference(line),
                "p": None if verdict.word == OUT_OF_REACH else verdict.p,
                "q": None if verdict.word == OUT_OF_REACH else q,
                "detectable": verdict.detectable,
                "seeds_needed": verdict.needed,
                "paper_value": claim.paper_value,
                "source": claim.source,
                "amended": claim.amended,
                "verdict_before": former,
                "other_criteria": other,
                "stands_under": stands_under,
                "drawn": drawn,
            }
        )
    return pd.DataFrame(rows)


def _counted(verdict: Verdict) -> float:
    """P value by which a claim counts among those of the experiment; NaN: it was not tested.

    What is out of reach was looked at, and nothing is taken of it, however small its P value is:
    counted as found, it would make the other verdicts look safer than they are.
    """
    if verdict.p is None:
        return np.nan
    return 1.0 if verdict.word == OUT_OF_REACH else verdict.p


def _difference(line: CriterionResult | None) -> dict[str, float | None]:
    """Trained minus untrained networks, with its interval."""
    value, low, high = line.difference if line and line.difference else (None, None, None)
    return {"difference": value, "difference_low": low, "difference_high": high}


def _robustness(claim: Claim, verdict: Verdict, evidence: Evidence) -> str:
    """Under which indices of similarity a claim stands: by its values, on block outputs."""
    if claim.robustness_check is None or verdict.word == NOT_RUN:
        return ""
    found: dict[bool, list[str]] = {True: [], False: []}
    for index in INDICES:
        try:
            found[bool(claim.robustness_check(evidence, index))].append(index)
        except NotMeasured:
            continue
    if not any(found.values()):
        return "no index available"
    yes, no = (", ".join(found[stands]) for stands in (True, False))
    return "; ".join(part for part in (yes, no and f"not under {no}") if part)


def _by_robustness(stands_under: str) -> str:
    """The same of a claim whose only choice is the index: those that differ from linear CKA."""
    yes, _, no = stands_under.partition("; not under ")
    turned = yes if LINEAR in no.split(", ") else no
    return f"depends on the index of similarity ({turned})" if yes and no else ""


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
            "over": line.over,
            "seeds": line.seeds,
            "threshold": str(line.criterion),
            "outcome": line.outcome,
            "control": line.control,
            "control_passes": line.control_passes,
            **_difference(line),
        }
        for verdict in verdicts
        for line in verdict.lines
    ]
    return pd.DataFrame(rows)


def calibration_table(verdicts: list[Verdict]) -> pd.DataFrame:
    """seed_calibration.csv: one row a statistic and seed left out."""
    return calibration.table(row for verdict in verdicts for row in verdict.calibration)
