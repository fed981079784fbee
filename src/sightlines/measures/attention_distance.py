"""How far each attention head looks: mean distance between query and key patches.

Source: Raghu et al. 2021, section 4, Figures 3 and 4: prefix tokens (CLS, registers) dropped as
queries and as keys without renormalising; the renormalised variant stands beside it, since
otherwise a head that looks at CLS seems local. Queries whose attention lies on prefix tokens alone
have no renormalised distance: they are left out of it, and `undefined_share` is their share.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.reading import AttentionDump
from sightlines.stats.means import quotient

READS = ("attention",)
TABLES = {
    "attention_distance.csv": {
        "about": "How far each attention head looks",
        "row": "network × block × head",
        "columns": (
            "network",
            "block",
            "head",
            (
                "distance_px",
                "float",
                "px",
                "mean distance between query and key patches, prefix tokens dropped without "
                "renormalising",
            ),
            ("distance_std_px", "float", "px", "its sample standard deviation over images"),
            (
                "distance_renormalised_px",
                "float",
                "px",
                "the same with attention renormalised over patches",
            ),
            ("relative", "float", "", "`distance_px` ÷ `uniform_px`"),
            ("relative_renormalised", "float", "", "`distance_renormalised_px` ÷ `uniform_px`"),
            ("prefix_mass", "float", "share", "attention of patch queries on prefix tokens"),
            ("entropy_nats", "float", "nats", "entropy of the attention"),
            ("uniform_px", "float", "px", "distance of attention that is uniform over patches"),
            ("images", "int", "images", "reference images"),
            ("undefined_share", "float", "share", "queries without attention on any patch"),
        ),
    },
}


def measure(attention: list[AttentionDump]) -> dict[str, Any]:
    """Average each dump over images.

    Args:
        attention: Of each network.
    """
    return {"attention_distance.csv": (head_table(dump) for dump in attention)}


def head_table(dump: AttentionDump) -> pd.DataFrame:
    """One row a head: means over images in pixels and relative to uniform attention.

    `distance_std_px` is the sample standard deviation over images of the primary distance.
    """
    distance, spread = _mean_and_std(dump, "distance_px")
    renormalised, share = _mean_of_defined(dump)
    block, head = np.indices(distance.shape)
    columns = {
        **dump.network._asdict(),
        "block": block.ravel(),
        "head": head.ravel(),
        "distance_px": distance.ravel(),
        "distance_std_px": spread.ravel(),
        "distance_renormalised_px": renormalised.ravel(),
        "relative": distance.ravel() / dump.uniform_px,
        "relative_renormalised": renormalised.ravel() / dump.uniform_px,
        "prefix_mass": _mean_and_std(dump, "prefix_mass")[0].ravel(),
        "entropy_nats": _mean_and_std(dump, "entropy_nats")[0].ravel(),
        "uniform_px": dump.uniform_px,
        "images": sum(dump.batch_sizes),
        "undefined_share": 1 - share.ravel(),
    }
    return pd.DataFrame(columns)


def _mean_of_defined(dump: AttentionDump) -> tuple[np.ndarray, np.ndarray]:
    """Mean over images and queries that attend to any patch, and the share of these queries.

    NaN for a head none of whose queries does.
    """
    sums, shares = np.zeros((2, dump.blocks, dump.heads))
    for minibatch in range(len(dump.batch_sizes)):
        distance, share = (
            dump.per_image(name, minibatch).astype(np.float64)
            for name in ("distance_renormalised_px", "renormalised_share")
        )
        sums += (distance * share).sum(axis=0)
        shares += share.sum(axis=0)
    mean = quotient(sums, shares)
    return mean, shares / sum(dump.batch_sizes)


def _mean_and_std(dump: AttentionDump, statistic: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sample standard deviation over images, a minibatch at a time, float64."""
    count, mean, squares = 0, np.zeros((dump.blocks, dump.heads)), 0.0
    for minibatch in range(len(dump.batch_sizes)):
        values = dump.per_image(statistic, minibatch).astype(np.float64)
        new, new_mean = len(values), values.mean(axis=0)
        shift = new_mean - mean
        squares = (
            squares
            + np.square(values - new_mean).sum(axis=0)
            + np.square(shift) * count * new / (count + new)
        )
        count += new
        mean = mean + shift * new / count
    return mean, np.sqrt(squares / max(count - 1, 1))
