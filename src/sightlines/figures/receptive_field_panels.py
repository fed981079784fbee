"""What the figures of effective receptive fields share: which rows they show, and their names."""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.results.selecting import (
    full_network,
    other_seeds,
    require_some,
    rows_of,
    trained_models,
    untrained_network,
)
from sightlines.stats.jackknife import ALL

BRANCHES = {"attn": "attention", "mixing": "mixing", "mlp": "MLP", "unit": "unit"}
FIRST_BRANCHES = ("attn", "mixing", "unit")
"""The branch that mixes positions, of every family: what Figure 6 shows."""
SHOWN = 5
"""Blocks of each network in Figure 6, as in the paper."""


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
    """Layers of one network that Figure 6 shows, in order: the first, then sums after branches.

    Of more than SHOWN blocks so many, evenly spread, the first and the last included.
    """
    is_shown = (rows["variant"] == "post") & rows["branch"].isin(["embed", *FIRST_BRANCHES])
    layers = rows[is_shown][["name", "block", "branch"]].drop_duplicates()
    layers = layers.sort_values("block", kind="stable", ignore_index=True)
    blocks = layers[layers["branch"] != "embed"]
    places = np.unique(np.round(np.linspace(0, len(blocks) - 1, min(SHOWN, len(blocks)))))
    kept = [*layers.index[layers["branch"] == "embed"], *blocks.index[places.astype(int)]]
    return layers.loc[sorted(kept)].reset_index(drop=True)


def seeds_of(table: pd.DataFrame, config: dict[str, Any], model: str) -> list[pd.DataFrame]:
    """Rows of a model's other seeds on all images, one table a seed that was measured."""
    full = full_network(config, model)
    found = [rows_of(table, n) for n in (other_seeds(config, full) if full else [])]
    return [rows for rows in found if not rows.empty]


def layer_title(block: int, branch: str) -> str:
    """What a layer is called above its map."""
    if branch == "embed":
        return "first layer"
    return f"{BRANCHES[branch]} {block}"


def last_branch(rows: pd.DataFrame) -> str:
    """The branch whose sum is the block's output."""
    return "unit" if (rows["branch"] == "unit").any() else "mlp"
