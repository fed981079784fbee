"""What the figures of effective receptive fields share: which rows they show, and their names."""

from typing import Any

import pandas as pd

from sightlines.results.selecting import (
    full_network,
    require_some,
    rows_of,
    trained_models,
    untrained_network,
)
from sightlines.stats.jackknife import ALL

BRANCHES = {"attn": "attention", "mixing": "mixing", "mlp": "MLP", "unit": "unit"}
FIRST_BRANCHES = ("attn", "mixing", "unit")
"""The branch that mixes positions, of every family: what Figure 6 shows."""


def found_networks(table: pd.DataFrame, config: dict[str, Any]) -> dict[str, list[pd.DataFrame]]:
    """Rows of each model: of its network on all images, and of the untrained one (may be empty).

    Raises:
        ResultError: the table has no network on all images.
    """
    found = {}
    for model in trained_models(config):
        pair = [
            rows_of(table, network) if network else table.iloc[:0]
            for network in (full_network(config, model), untrained_network(config, model))
        ]
        if not pair[0].empty:
            found[model] = pair
    require_some(found, "the tables have no receptive fields of a network on all images")
    return found


def whole(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that rest on all images."""
    return rows[rows["left_out"] == ALL]


def columns_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Layers of one network that Figure 6 shows, in order: the first, then sums after branches."""
    is_shown = (rows["variant"] == "post") & rows["branch"].isin(["embed", *FIRST_BRANCHES])
    layers = rows[is_shown][["name", "block", "branch"]].drop_duplicates()
    return layers.sort_values("block", kind="stable", ignore_index=True)


def layer_title(block: int, branch: str) -> str:
    """What a layer is called above its map."""
    if branch == "embed":
        return "first layer"
    return f"{BRANCHES[branch]} {block}"


def last_branch(rows: pd.DataFrame) -> str:
    """The branch whose sum is the block's output."""
    return "unit" if (rows["branch"] == "unit").any() else "mlp"
