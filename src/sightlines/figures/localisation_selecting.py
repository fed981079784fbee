"""Which maps of localisation a figure shows: for Figures 9, 10, D.1 to D.3."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sightlines.plan.networks import Network
from sightlines.results.selecting import Tables, full_network, rows_of, untrained_network
from sightlines.stats.jackknife import ALL
from sightlines.stats.localisation_scores import ranks, z_scores

TOKENS = ((0, 0), (2 / 6, 1 / 6), (4 / 6, 2 / 6), (4 / 6, 4 / 6))
"""The paper's four tokens (row, column), as shares of its grid of 7 x 7 patches."""
CLS = -1


@dataclass(frozen=True)
class Heatmaps:
    """Maps of one layer of one network.

    Attributes:
        grid: Rows and columns of patches.
        cka: Map of every token by its number [rows, columns]; -1 is the class token.
        baseline: The same of every patch's pixels.
        z: Own-patch z of every patch token.
        rank: Own-patch rank of every patch token.
    """

    grid: tuple[int, int]
    cka: dict[int, np.ndarray]
    baseline: dict[int, np.ndarray]
    z: dict[int, float]
    rank: dict[int, float]


def layer_names(tables: Tables, network: Network) -> list[str]:
    """Block outputs of one network in order of depth."""
    own = rows_of(tables["localisation.parquet"], network)
    own = own[own["block"] >= 0].sort_values("depth", kind="stable")
    return list(dict.fromkeys(own["name"]))


def heatmaps(tables: Tables, network: Network | None, name: str) -> Heatmaps | None:
    """Maps of a layer; None where the tables do not have them."""
    if network is None:
        return None
    own = rows_of(tables["localisation_maps.parquet"], network)
    tokens = rows_of(tables["localisation_tokens.parquet"], network)
    own, tokens = own[own["name"] == name], tokens[tokens["name"] == name].set_index("token")
    if own.empty or tokens.empty:
        return None
    grid = (int(tokens["row"].max()) + 1, int(tokens["column"].max()) + 1)
    own = own.sort_values(["token", "patch"])
    numbers = own["token"].unique().tolist()
    by_token = {token: own[own["token"] == token] for token in numbers}
    return Heatmaps(
        grid,
        {token: rows["cka"].to_numpy().reshape(grid) for token, rows in by_token.items()},
        {token: rows["baseline"].to_numpy().reshape(grid) for token, rows in by_token.items()},
        dict(zip(tokens.index.tolist(), tokens["z"].tolist(), strict=True)),
        dict(zip(tokens.index.tolist(), tokens["rank"].tolist(), strict=True)),
    )


def baseline_maps(found: Heatmaps) -> Heatmaps:
    """The same for tokens that are their patch's pixels."""
    tokens = sorted(token for token in found.baseline if token != CLS)
    matrix = np.stack([found.baseline[token].ravel() for token in tokens])
    z, rank = z_scores(matrix), ranks(matrix)
    own = {token: found.baseline[token] for token in tokens}
    return Heatmaps(
        found.grid,
        own,
        own,
        dict(zip(tokens, z.tolist(), strict=True)),
        dict(zip(tokens, rank.tolist(), strict=True)),
    )


def shown_tokens(grid: tuple[int, int]) -> list[int]:
    """The paper's four tokens on this grid: a corner, and three that are interior if any is."""
    places = [(0, 0)]
    for shares in TOKENS[1:]:
        scaled = [round(share * (side - 1)) for share, side in zip(shares, grid, strict=True)]
        inside = [
            min(max(place, 1), side - 2) if side > 2 else place
            for place, side in zip(scaled, grid, strict=True)
        ]
        places.append((inside[0], inside[1]))
    return [row * grid[1] + column for row, column in dict.fromkeys(places)]


def score(tables: Tables, network: Network | None, name: str, column: str) -> float:
    """One score of a layer over its interior tokens, all images; NaN where there is none."""
    if network is None:
        return float("nan")
    own = rows_of(tables["localisation.parquet"], network)
    wanted = (own["name"] == name) & (own["where"] == "interior") & (own["score"] == "cka")
    values = own.loc[wanted & (own["left_out"] == ALL), column]
    return float(values.iloc[0]) if len(values) else float("nan")


def final_maps(tables: Tables, config: dict[str, Any], model: str) -> list[Heatmaps | None]:
    """Maps of the last block of the trained and the untrained network."""
    full, bare = full_network(config, model), untrained_network(config, model)
    names = layer_names(tables, full) if full else []
    return [heatmaps(tables, n, names[-1]) if names else None for n in (full, bare)]
