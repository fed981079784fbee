"""How much accuracy networks keep where one square of the image is filled.

Source: Paul & Chen 2021, Table 6, at the area that is really covered.
"""

from typing import Any

from sightlines.dumps.responses_reading import ResponsesDump
from sightlines.measures.responding import response_tables

READS = ("cutouts",)
USES = ("seed",)
NEEDS = ("cutout",)
TABLES = {
    "cutout.parquet": {
        "about": "What networks answer to images of which a square was filled",
        "row": "network × condition × severity × left_out",
        "columns": ("network", "response"),
    },
}


def measure(cutouts: list[ResponsesDump], seed: int) -> dict[str, Any]:
    """Statistics of every condition.

    Args:
        cutouts: Of each network.
        seed: The experiment's root seed.
    """
    return {"cutout.parquet": response_tables(cutouts, seed)}
