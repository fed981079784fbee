"""How much of an image, or of its arrangement, networks can do without.

Source: Naseer et al. 2021, sections 3.1 to 3.3 and appendices A and B, Figures 3, 10, 18 to 25,
Table 1.
"""

from typing import Any

from sightlines.dumps.responses_reading import ResponsesDump
from sightlines.measures.responding import response_tables

READS = ("occlusions",)
USES = ("seed",)
NEEDS = ("changed_images",)
TABLES = {
    "occlusion.parquet": {
        "about": "What networks answer to occluded and shuffled images",
        "row": "network × condition × severity × left_out",
        "columns": (
            "network",
            (
                "grid",
                "int",
                "",
                "cells along a side of the network's own grid, of tokens or of its last map; 0: "
                "it is not square",
            ),
            ("positions", "bool", "", "whether a position embedding is added to its tokens"),
            "response",
        ),
    },
}


def measure(occlusions: list[ResponsesDump], seed: int) -> dict[str, Any]:
    """Statistics of every condition.

    Args:
        occlusions: Of each network.
        seed: The experiment's root seed.
    """
    tables = zip(response_tables(occlusions, seed), occlusions, strict=True)
    return {
        "occlusion.parquet": (
            table.assign(grid=own_grid(dump), positions=dump.has_positions)
            for table, dump in tables
        )
    }


def own_grid(dump: ResponsesDump) -> int:
    """Side of a network's grid of tokens, or of its last map; 0 where that is not square."""
    rows, columns = dump.grid
    return rows if rows == columns else 0
