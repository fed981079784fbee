"""Synthetic similarity_indices.parquet and diagnostics.csv, as the measures write them."""

import pandas as pd

from sightlines.plan.networks import Network
from sightlines.results.tables import required

INDICES = ("linear", "deconfounded", "without_top", "rbf", "procrustes", "neighbours")
BLOCKS = [7, 13, 19, 25]


def similarity_indices(config):
    """Every network with itself: what the figure reads."""
    rows = []
    for slug in config["networks"]:
        n = Network.parse(slug)
        for place, index in enumerate(INDICES):
            for i, a in enumerate(BLOCKS):
                for j, b in enumerate(BLOCKS):
                    value = 1 - 0.1 * abs(i - j) - 0.02 * place * (i != j)
                    rows.append((*n, a, *n, b, index, value, 0.1 * place))
    return pd.DataFrame(rows, columns=required("similarity_indices.parquet"))


def layer_diagnostics(config):
    """Thirty layers a network, four of them block outputs."""
    rows = []
    for slug in config["networks"]:
        n = Network.parse(slug)
        for layer in range(30):
            kind = "residual" if layer in BLOCKS else "attn"
            numbers = (0.5 + 0.01 * layer, 9.0 + layer, 30.0 * (layer + 1), 4.0, 17)
            rows.append((*n, layer, f"layer{layer}", kind, layer // 6, layer / 29, *numbers))
    return pd.DataFrame(rows, columns=required("diagnostics.csv"))
