"""Accuracies of linear probes as claims read them: by network, depth and pooling.

Those on all training images come as [1 + groups + halves]: on all test images, without each group
of these, and on all test images again by probes on each half of the training images. Any
difference and mean of them goes through at once; `from_fits` makes of it a reading.
"""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from sightlines.claims.claim import Reading, from_replicates
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network
from sightlines.results.tables import NORM
from sightlines.stats import half_samples
from sightlines.stats.nested import CONFIDENCE, satterthwaite

ALL_IMAGES, FEW_SHOTS = "probe_replicates.parquet", "few_shot_replicates.parquet"
HALVES, TOKEN_HALVES = "probe_halves.parquet", "token_probe_halves.parquet"
MIDDLE = np.linspace(0.5, 0.8, 7)
"""Depths whose mean is the mid-depth accuracy (docs/protocols.md, "Statistics")."""

Draw = int | None
"""Which draw of few images of each class probes are fitted to; None: all training images."""
Curve = tuple[np.ndarray, np.ndarray]
"""Depths [layers] and accuracies [1 + groups + halves, layers]; of few images [1 + groups, layers].
"""


def from_fits(values: np.ndarray) -> Reading:
    """A reading with its interval over test images and over which images it was fitted to.

    Args:
        values: [1 + groups + halves], as this module gives them, or a smooth function of such.

    Returns:
        value ± t · standard error, of the sum of both variances (`stats.jackknife`,
        `stats.half_samples`), with degrees of freedom by Welch and Satterthwaite; an interval
        without ends (NaN) where an error cannot be estimated.
    """
    values = np.asarray(values, np.float64)
    groups = len(values) - len(half_samples.HALVES)
    tested, fitted = from_replicates(values[:groups]), half_samples.moves(values[groups:])
    if tested.moves is None or not np.isfinite(fitted).all():
        return Reading(tested.value, np.nan, np.nan, error=np.nan)
    variances = [float(np.square(own).sum()) for own in (tested.moves, fitted)]
    freedom = float(satterthwaite(variances, [tested.freedom, half_samples.PAIRS]))
    half = stdtrit(freedom, (1 + CONFIDENCE) / 2) * sum(variances) ** 0.5 if any(variances) else 0.0
    moves = np.concatenate([tested.moves, fitted])
    ends = float(tested.value - half), float(tested.value + half)
    return Reading(tested.value, *ends, moves, freedom=freedom)


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

    Networks were tested on the same images, in the same groups, and fitted to the same images, in
    the same halves: a difference of two keeps what they share out of its interval.

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

    key = ("curve", table, network, blocks_only, *own.items())
    return evidence.once(key, lambda: _curve(evidence, network, table, own, blocks_only))


def _curve(
    evidence: Evidence,
    network: Network,
    table: str,
    own: dict[str, str | int],
    blocks_only: bool,
) -> Curve:
    accuracy = evidence.replicates(table, network, "accuracy", ["layer"], **own)
    if table == ALL_IMAGES:
        halves = evidence.halves(HALVES, network, "accuracy", ["layer"], **own)
        accuracy = pd.concat([accuracy, halves])
    layers = evidence.rows(table, network, **own).drop_duplicates("layer").set_index("layer")
    layers = layers.loc[accuracy.columns].sort_values("depth", kind="stable")
    layers = layers[layers["name"] != NORM] if blocks_only else layers
    return layers["depth"].to_numpy(), accuracy[layers.index].to_numpy()


def last(
    evidence: Evidence, network: Network, pool: str, dataset: str = "", draw: Draw = None
) -> np.ndarray:
    """Accuracy at the deepest layer [1 + groups + halves]."""
    return curve(evidence, network, pool, dataset, draw=draw)[1][:, -1]


def at(
    evidence: Evidence,
    network: Network,
    pool: str,
    depth: np.ndarray,
    dataset: str = "",
    draw: Draw = None,
) -> np.ndarray:
    """Mean accuracy at some depths, by linear interpolation [1 + groups + halves]."""
    depths, accuracy = curve(evidence, network, pool, dataset, blocks_only=True, draw=draw)
    return np.array([np.interp(depth, depths, own).mean() for own in accuracy])


def final_tokens(
    evidence: Evidence, network: Network, draw: Draw = None
) -> tuple[np.ndarray, float]:
    """Mean accuracy of the patch tokens' own probes after the last block, and chance.

    Returns:
        [1 + groups + halves]; of few images [1 + groups].

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
    accuracy, chance = deepest["accuracy"].to_numpy(), float(deepest["chance"].iloc[0])
    if draw is None:
        halves = evidence.halves(TOKEN_HALVES, network, "accuracy", ["name"])
        own = halves.reindex(columns=[deepest["name"].iloc[0]]).to_numpy()[:, 0]
        accuracy = np.concatenate([accuracy, own])
    return accuracy, chance
