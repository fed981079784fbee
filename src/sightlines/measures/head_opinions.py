"""Other indices of similarity between subsets of a ViT's heads and a ResNet's lower units.

Grams of heads side by side add, so a subset's Gram is the sum of its heads'.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.heads_reading import HeadsDump
from sightlines.dumps.reading import GramDump
from sightlines.measures.head_sums import FOLDS
from sightlines.measures.similarity_indices import Side, add_up, pair_table
from sightlines.plan.networks import Network


@dataclass
class Subsets:
    """Subsets of heads, read as if they were a network's layers.

    Attributes:
        heads: The heads' Grams.
        chosen: [2, subsets, heads], 1 where a head is in the subset of even, of odd minibatches.
        network: Whose heads.
        layers: None: they are not in a table of layers.
    """

    heads: HeadsDump
    chosen: np.ndarray
    network: Network
    layers: list[dict[str, Any]] = field(default_factory=list)

    def packed(self, minibatch: int) -> np.ndarray:
        """Upper triangles with diagonals [subsets, n(n+1)/2]."""
        return self.chosen[minibatch % FOLDS] @ self.heads.packed(minibatch).astype(np.float64)  # type: ignore[no-any-return]


def head_opinions(
    vit: HeadsDump,
    chosen: np.ndarray,
    other: GramDump,
    units: Mapping[int, int],
    pixels: GramDump,
    seed: int,
) -> pd.DataFrame:
    """Every index of each subset with each unit, beside its value for shuffled images.

    Args:
        vit: A ViT's heads.
        chosen: [2, subsets, heads], as in `Subsets`.
        other: A ResNet's layers.
        units: Rank of a unit -> its layer.
        pixels: The images' own Grams.
        seed: Root seed, for the shuffled images.
    """
    count = chosen.shape[1]
    subsets = Side(Subsets(vit, chosen, vit.network), np.arange(count), np.arange(count))
    layers = np.array(list(units.values()), int)
    lower = Side(other, layers, count + np.arange(len(layers)))
    pair = (subsets, lower, False)
    table = pair_table([pair], add_up([subsets, lower], pixels, [pair], seed))
    ranks = {layer: rank for rank, layer in units.items()}
    names = {f"{key}_a": key for key in Network._fields}
    names |= {"layer_a": "subset", "model_b": "other_model"}
    found = table.assign(unit_rank=table["layer_b"].map(ranks)).rename(columns=names)
    return found.drop(columns=["fraction_b", "seed_b", "layer_b"])
