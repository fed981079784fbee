"""Command: prints what every claim says and asks for, as `claims.lock` registers it (JSON)."""

import json
import sys
from typing import Any

from sightlines.claims.judge import all_claims


def criteria() -> dict[str, Any]:
    """Each claim's number -> statement, statistic, criteria, premises, tier and figure."""
    return {
        claim.id: {
            "figure": claim.figure,
            "tier": claim.tier,
            "statement": claim.statement,
            "statistic": claim.statistic,
            "criteria": [f"{c.name} {c.direction} {c.threshold!r}" for c in claim.criteria],
            "premises": [premise.says for premise in claim.premises],
        }
        for claim in all_claims()
    }


if __name__ == "__main__":
    json.dump(criteria(), sys.stdout)
