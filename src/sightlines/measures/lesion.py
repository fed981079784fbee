"""What networks answer when places inside of them are zeroed, or change places.

Source: Naseer et al. 2021, appendix, Tables 6 and 7.
"""

import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from sightlines.dumps.responses_reading import ResponsesDump
from sightlines.measures.responding import response_tables

READS = ("lesions",)
USES = ("seed",)
NEEDS = ("changed_images", "branches")
TABLES = {
    "lesion.parquet": {
        "about": "What networks answer when places of a representation are zeroed or shuffled",
        "row": "network × condition × severity × left_out",
        "columns": (
            "network",
            ("site", "text", "", "block: input of a block; stage: of a stage, or the pooling"),
            ("place", "int", "", "block, from 0; stage, from 1; −1: nothing is changed"),
            ("change", "text", "", "zero, shuffle; empty: nothing is changed"),
            "response",
        ),
    },
}
NAMED = re.compile(r"(zero|shuffle)_(block|stage)(\d+)")


def measure(lesions: list[ResponsesDump], seed: int) -> dict[str, Any]:
    """Statistics of every lesion.

    Args:
        lesions: Of each network.
        seed: The experiment's root seed.
    """
    return {"lesion.parquet": _placed(response_tables(lesions, seed))}


def _placed(tables: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Tables with what their conditions' names say."""
    for table in tables:
        parts = table["condition"].str.extract(f"^{NAMED.pattern}$")
        yield table.assign(
            change=parts[0].fillna(""),
            site=parts[1].fillna(""),
            place=parts[2].fillna("-1").astype("int64"),
        )
