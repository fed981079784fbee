"""Accuracies of linear probes as claims read them: by network, depth and pooling."""

import numpy as np

from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network
from sightlines.results.tables import NORM

ALL_IMAGES, FEW_SHOTS = "probe_replicates.parquet", "few_shot_replicates.parquet"
MIDDLE = np.linspace(0.5, 0.8, 7)
"""Depths whose mean is the mid-depth accuracy (docs/protocols.md, "Statistics")."""

Draw = int | None
"""Which draw of few images of each class probes are fitted to; None: all training images."""
Curve = tuple[np.ndarray, np.ndarray]
"""Depths [layers] and accuracies [1 + groups, layers]."""


def draws(evidence: Evidence) -> list[int]:
    """Draws of few images of each class that probes were fitted to."""
    return sorted(int(draw) for draw in evidence.table(FEW_SHOTS)["draw"].unique())


def curve(
    evidence: Evidence,
    network: Network,
    pool: str,
    dataset: str = "",
    blocks_only: bool = False,
    draw: Draw = None,
) -> Curve:
    """Depths and accuracies of a network's probes, by depth.

    Networks were tested on the same images, in the same groups: a difference of two keeps what
    they share out of its interval.

    Args:
        evidence: The tables.
        network: Whose probes.
        pool: What they are fitted to.
        dataset: Another task's name; empty: the experiment's own images.
        blocks_only: Without the final norm, which ResNets lack.
        draw: What they are fitted to.

    Raises:
        NotMeasured: there are none with that pooling.
    """
    table, own = ALL_IMAGES, dict[str, str | int](pool=pool, dataset=dataset)
    if draw is not None:
        table, own = FEW_SHOTS, own | {"draw": draw}
    accuracy = evidence.replicates(table, network, "accuracy", ["layer"], **own)
    layers = evidence.rows(table, network, **own).drop_duplicates("layer").set_index("layer")
    layers = layers.loc[accuracy.columns].sort_values("depth", kind="stable")
    layers = layers[layers["name"] != NORM] if blocks_only else layers
    return layers["depth"].to_numpy(), accuracy[layers.index].to_numpy()


def last(
    evidence: Evidence, network: Network, pool: str, dataset: str = "", draw: Draw = None
) -> np.ndarray:
    """Accuracy at the deepest layer [1 + groups]."""
    return curve(evidence, network, pool, dataset, draw=draw)[1][:, -1]


def at(
    evidence: Evidence,
    network: Network,
    pool: str,
    depth: np.ndarray,
    dataset: str = "",
    draw: Draw = None,
) -> np.ndarray:
    """Mean accuracy at some depths, by linear interpolation [1 + groups]."""
    depths, accuracy = curve(evidence, network, pool, dataset, blocks_only=True, draw=draw)
    return np.array([np.interp(depth, depths, own).mean() for own in accuracy])


def final_tokens(
    evidence: Evidence, network: Network, draw: Draw = None
) -> tuple[np.ndarray, float]:
    """Mean accuracy of the patch tokens' own probes after the last block [1 + groups], and chance.

    Raises:
        NotMeasured: the network's tokens were not probed.
    """
    if draw is None:
        rows = evidence.rows("token_probe_replicates.parquet", network)
    else:
        rows = evidence.rows("few_shot_token_replicates.parquet", network, draw=draw)
    rows = rows[rows["name"] != NORM]
    if rows.empty:
        raise NotMeasured(f"no tokens of {network.slug} were probed after its last block")
    deepest = rows[rows["depth"] == rows["depth"].max()].sort_values("left_out")
    return deepest["accuracy"].to_numpy(), float(deepest["chance"].iloc[0])
