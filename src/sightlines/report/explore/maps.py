"""Similarity of layers for the explorer: which pairs of networks, and their numbers."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sightlines.plan import roles
from sightlines.plan.networks import FULL, Network
from sightlines.report.explore.packing import BLOCKS, NOTHING, Numbers, Wish, choose

CKA = "cka"
NAMES = {
    CKA: "linear CKA",
    "deconfounded": "CKA, pixels regressed out",
    "without_top": "CKA without the first principal component",
    "rbf": "CKA, Gaussian kernel",
    "procrustes": "Procrustes similarity",
    "neighbours": "shared nearest neighbours",
}
"""Indices of similarity; all but the first are of block outputs alone."""
KEYS = ["model_a", "fraction_a", "seed_a", "model_b", "fraction_b", "seed_b"]

Pair = tuple[Network, Network]
Layers = dict[str, pd.DataFrame]


class Pairs:
    """Values of a table of pairs of networks, by the pair."""

    def __init__(self, table: pd.DataFrame | None, columns: tuple[str, str]) -> None:
        """Of `cka.parquet`, or of one index of `similarity_indices.parquet`.

        Args:
            table: With the columns of two networks and two layers.
            columns: Of the value, and of what stands beside it.
        """
        self._columns = columns
        self._arrays: dict[str, np.ndarray] = {}
        self._rows: dict[Pair, np.ndarray] = {}
        if table is not None and len(table):
            kept = ("layer_a", "layer_b", *columns)
            self._arrays = {name: table[name].to_numpy() for name in kept}
            found: Any = table.groupby(KEYS, sort=False, observed=True).indices
            for key, rows in found.items():
                self._rows[Network(*key[:3]), Network(*key[3:])] = rows

    def __contains__(self, pair: object) -> bool:
        return pair in self._rows

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._rows)

    def count(self, pair: Pair) -> int:
        """Rows of the table that are of a pair."""
        return len(self._rows[pair])

    def matrices(self, pair: Pair, shape: tuple[int, int]) -> list[np.ndarray]:
        """Values and what stands beside them [layers of a, layers of b]; NaN where there is none.

        Layers beyond the shape are left out: another version of a network may have had them.
        """
        places = self._rows[pair]
        rows, columns = self._arrays["layer_a"][places], self._arrays["layer_b"][places]
        inside = (rows < shape[0]) & (columns < shape[1])
        found = []
        for name in self._columns:
            matrix = np.full(shape, np.nan)
            matrix[rows[inside], columns[inside]] = self._arrays[name][places[inside]]
            found.append(matrix)
        return found


def in_order(pairs: list[Pair], networks: list[Network]) -> list[Pair]:
    """Pairs as readers need them: what is likely to be looked at before what is not.

    A network with itself; full networks and their first controls with each other; a model's
    networks with each other; the rest.
    """
    full = {n for n in networks if n == roles.full_network(networks, n.model)}
    first = {roles.control(networks, model) for model in roles.models(networks)}

    def rank(pair: Pair) -> int:
        a, b = pair
        if a == b:
            return 0 if a in full or a in first else 1
        if {a, b} <= full or {a, b} <= first:
            return 2
        if a.model == b.model:
            return 3 if a in full or b in full else 4
        return 5 if a.fraction == b.fraction == FULL else 6

    return sorted(pairs, key=rank)


def by_model(layers: pd.DataFrame) -> Layers:
    """Each model's layers, in order."""
    found = {}
    for model, own in layers.groupby("model", sort=False):
        found[str(model)] = own.sort_values("layer", ignore_index=True)
    return found


def block_outputs(layers: pd.DataFrame) -> np.ndarray:
    """Places of the block outputs among a model's layers."""
    return np.flatnonzero((layers["kind"] == "residual").to_numpy())


def flat(matrix: np.ndarray, is_symmetric: bool) -> np.ndarray:
    """A map's cells row after row; of a symmetric one those of the upper triangle."""
    return matrix[np.triu_indices(len(matrix))] if is_symmetric else matrix.ravel()


def add_cka(
    pairs: Sequence[Pairs], networks: list[Network], layers: Layers, numbers: Numbers, limit: int
) -> list[dict[str, Any]]:
    """Put maps of CKA among the numbers, as many as there is room for.

    Args:
        pairs: Of `cka.parquet`; of two experiments, which are drawn as their difference, of each.
        networks: In the experiment's order.
        layers: Of each model.
        numbers: What they are added to.
        limit: How many numbers the maps may be.

    Returns:
        Of each pair that was measured: its networks by their place, what of it is on the page, and
        the places of its values and standard errors among the numbers.
    """
    measured = [p for p in pairs[0] if all(p in other for other in pairs[1:])]
    known = {network for network in networks if network.model in layers}
    wanted = in_order([p for p in measured if known.issuperset(p)], networks)
    wishes = [_wish(pair, layers, len(pairs)) for pair in wanted]
    found = []
    for pair, (which, with_errors) in zip(wanted, choose(wishes, limit), strict=True):
        made = _named(pair, networks) | {"index": CKA, "layers": which}
        if which != NOTHING:
            planes = [_planes(own, pair, layers, which) for own in pairs]
            made["values"] = [numbers.add(values) for values, _ in planes]
            made["errors"] = [numbers.add(errors) for _, errors in planes] if with_errors else []
        found.append(made)
    return found


def add_indices(
    table: pd.DataFrame, networks: list[Network], layers: Layers, numbers: Numbers, limit: int
) -> list[dict[str, Any]]:
    """Put maps of other indices among the numbers: block outputs, and beside them shuffled images.

    Pairs of networks of which blocks are compared one by one have no map.
    """
    known = {network for network in networks if network.model in layers}
    found = []
    for index in [name for name in NAMES if name != CKA]:
        pairs = Pairs(table[table["index"] == index], ("value", "shuffled"))
        for pair in in_order([p for p in pairs if known.issuperset(p)], networks):
            values, shuffled = _planes(pairs, pair, layers, BLOCKS)
            is_line = pairs.count(pair) < values.size  # blocks were compared one by one
            if is_line or numbers.count + 2 * values.size > limit:
                continue
            made = _named(pair, networks) | {"index": index, "layers": BLOCKS}
            found.append(
                made | {"values": [numbers.add(values)], "errors": [numbers.add(shuffled)]}
            )
    return found


def _named(pair: Pair, networks: list[Network]) -> dict[str, Any]:
    return {"a": networks.index(pair[0]), "b": networks.index(pair[1])}


def _wish(pair: Pair, layers: Layers, runs: int) -> Wish:
    def cells(sizes: list[int]) -> int:
        return runs * (sizes[0] * (sizes[0] + 1) // 2 if pair[0] == pair[1] else math.prod(sizes))

    both = [layers[network.model] for network in pair]
    return Wish(cells([len(own) for own in both]), cells([len(block_outputs(own)) for own in both]))


def _planes(pairs: Pairs, pair: Pair, layers: Layers, which: str) -> list[np.ndarray]:
    """Values and what stands beside them, as they are packed."""
    both = [layers[network.model] for network in pair]
    planes = pairs.matrices(pair, (len(both[0]), len(both[1])))
    if which == BLOCKS:
        planes = [plane[np.ix_(*map(block_outputs, both))] for plane in planes]
    return [flat(plane, pair[0] == pair[1]) for plane in planes]
