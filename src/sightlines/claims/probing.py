"""Accuracies of linear probes as claims read them: by network, depth and pooling."""

import numpy as np
import pandas as pd

from sightlines.claims.claim import NotMeasured, Reading, from_shares
from sightlines.claims.evidence import Evidence
from sightlines.networks import Network
from sightlines.tables import NORM

MIDDLE = np.linspace(0.5, 0.8, 7)
"""Depths whose mean is the mid-depth accuracy (docs/protocols.md, "Statistics")."""

Share = tuple[float, float, int]
"""Weight, accuracy, test images."""


def curve(
    evidence: Evidence, network: Network, pool: str, dataset: str = "", blocks_only: bool = False
) -> tuple[np.ndarray, np.ndarray, int, float]:
    """Depths and accuracies of a network's probes on all training images, by depth.

    Args:
        evidence: The tables.
        network: Whose probes.
        pool: What they are fitted to.
        dataset: Another task's name; empty: the experiment's own images.
        blocks_only: Without the final norm, which ResNets lack.

    Returns:
        depth [layers], accuracy [layers], test images, chance.

    Raises:
        NotMeasured: there are none with that pooling.
    """
    rows = evidence.rows("probes.parquet", network, pool=pool, dataset=dataset, shots=0)
    rows = rows.sort_values("depth", kind="stable")
    rows = rows[rows["name"] != NORM] if blocks_only else rows
    first = rows.iloc[0]
    return (
        rows["depth"].to_numpy(),
        rows["accuracy"].to_numpy(),
        int(first["test_images"]),
        float(first["chance"]),
    )


def last(
    evidence: Evidence, network: Network, pool: str, weight: float = 1.0, dataset: str = ""
) -> Share:
    """Accuracy at the deepest layer."""
    _, accuracy, images, _ = curve(evidence, network, pool, dataset)
    return weight, float(accuracy[-1]), images


def at(
    evidence: Evidence,
    network: Network,
    pool: str,
    depth: np.ndarray,
    weight: float = 1.0,
    dataset: str = "",
) -> Share:
    """Mean accuracy at some depths, by linear interpolation."""
    depths, accuracy, images, _ = curve(evidence, network, pool, dataset, blocks_only=True)
    return weight, float(np.interp(depth, depths, accuracy).mean()), images


def final_tokens(evidence: Evidence, network: Network) -> tuple[float, int, float]:
    """Mean accuracy of the patch tokens' own probes after the last block, images, chance.

    Raises:
        NotMeasured: the network's tokens were not probed.
    """
    rows = evidence.rows("token_probes.parquet", network, shots=0)
    rows = rows[(rows["row"] >= 0) & (rows["name"] != NORM)]
    if rows.empty:
        raise NotMeasured(f"no tokens of {network.slug} were probed after its last block")
    deepest: pd.DataFrame = rows[rows["depth"] == rows["depth"].max()]
    first = deepest.iloc[0]
    return (
        float(deepest["accuracy"].to_numpy().mean()),
        int(first["test_images"]),
        float(first["chance"]),
    )


def difference(*terms: Share) -> Reading:
    """A weighted sum of accuracies with its binomial interval."""
    return from_shares(terms)
