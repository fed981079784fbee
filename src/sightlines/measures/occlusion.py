"""How much of an image, or of its arrangement, networks can do without.

Source: Naseer et al. 2021, sections 3.1 to 3.3 and appendices A and B, Figures 3, 10, 18 to 25,
Table 1.
"""

from typing import Any

from sightlines.core.errors import ResultError
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
            ("cells", "int", "", "cells along a side of the grid from which cells are dropped"),
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
            table.assign(
                grid=own_grid(dump), cells=dropped_grid(dump), positions=dump.has_positions
            )
            for table, dump in tables
        )
    }


def own_grid(dump: ResponsesDump) -> int:
    """Side of a network's grid of tokens, or of its last map; 0 where that is not square."""
    rows, columns = dump.grid
    return rows if rows == columns else 0


def dropped_grid(dump: ResponsesDump) -> int:
    """Side of the grid from which cells are dropped.

    Raises:
        ResultError: the dump does not say.
    """
    try:
        return int(dump.meta["cells"])
    except (KeyError, TypeError, ValueError) as error:
        raise ResultError(
            f"{dump.path}: its description lacks {error}. Delete it and run snakemake again to "
            "rebuild it."
        ) from error
