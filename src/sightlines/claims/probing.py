"""Accuracies of linear probes as claims read them: by network, depth and pooling."""

import numpy as np

from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network
from sightlines.results.tables import NORM

MIDDLE = np.linspace(0.5, 0.8, 7)
"""Depths whose mean is the mid-depth accuracy (docs/protocols.md, "Statistics")."""

Curve = tuple[np.ndarray, np.ndarray]
"""Depths [layers] and accuracies [1 + groups, layers]."""


def curve(
    evidence: Evidence, network: Network, pool: str, dataset: str = "", blocks_only: bool = False
) -> Curve:
    """Depths and accuracies of a network's probes on all training images, by depth.

    Networks were tested on the same images, in the same groups: a difference of two keeps what
    they share out of its interval.

    Args:
        evidence: The tables.
        network: Whose probes.
        pool: What they are fitted to.
        dataset: Another task's name; empty: the experiment's own images.
        blocks_only: Without the final norm, which ResNets lack.

    Raises:
        NotMeasured: there are none with that pooling.
    """
    table, own = "probe_replicates.parquet", {"pool": pool, "dataset": dataset}
    accuracy = evidence.replicates(table, network, "accuracy", ["layer"], **own)
    layers = evidence.rows(table, network, **own).drop_duplicates("layer").set_index("layer")
    layers = layers.loc[accuracy.columns].sort_values("depth", kind="stable")
    layers = layers[layers["name"] != NORM] if blocks_only else layers
    return layers["depth"].to_numpy(), accuracy[layers.index].to_numpy()


def last(evidence: Evidence, network: Network, pool: str, dataset: str = "") -> np.ndarray:
    """Accuracy at the deepest layer [1 + groups]."""
    return curve(evidence, network, pool, dataset)[1][:, -1]


def at(
    evidence: Evidence, network: Network, pool: str, depth: np.ndarray, dataset: str = ""
) -> np.ndarray:
    """Mean accuracy at some depths, by linear interpolation [1 + groups]."""
    depths, accuracy = curve(evidence, network, pool, dataset, blocks_only=True)
    return np.array([np.interp(depth, depths, own).mean() for own in accuracy])


def final_tokens(evidence: Evidence, network: Network) -> tuple[np.ndarray, float]:
    """Mean accuracy of the patch tokens' own probes after the last block [1 + groups], and chance.

    Raises:
        NotMeasured: the network's tokens were not probed.
    """
    table = "token_probe_replicates.parquet"
    rows = evidence.rows(table, network)
    rows = rows[rows["name"] != NORM]
    if rows.empty:
        raise NotMeasured(f"no tokens of {network.slug} were probed after its last block")
    deepest = rows[rows["depth"] == rows["depth"].max()].sort_values("left_out")
    return deepest["accuracy"].to_numpy(), float(deepest["chance"].iloc[0])
