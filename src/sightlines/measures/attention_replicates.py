"""Attention distance with groups of images left out, and where heads look relative to the query.

Source: Raghu et al. 2021, section 4, Figures 3 and 4: the distance of Figure 3 relative to that of
attention which is uniform over the patches, so that claims about it carry an uncertainty. The map
of offsets tells a head that looks around itself from one that looks a fixed step away.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.reading import AttentionDump
from sightlines.stats.jackknife import ALL, group_of, leave_one_out, warn_of_few
from sightlines.stats.means import quotient

READS = ("attention",)
TABLES = {
    "attention_replicates.parquet": {
        "about": "Attention distance relative to uniform attention, jackknifed",
        "row": "network × block × head × left_out",
        "columns": (
            "network",
            "block",
            "head",
            ("relative", "float", "", "mean distance ÷ that of attention uniform over patches"),
            "left_out",
        ),
    },
    "attention_offsets.parquet": {
        "about": "Where heads look relative to the query",
        "row": "network × block × head × offset",
        "columns": (
            "network",
            "block",
            "head",
            ("row", "int", "patches", "row of the key − row of the query"),
            ("column", "int", "patches", "column of the key − column of the query"),
            ("mass", "float", "share", "mean attention over query patches and images"),
        ),
    },
}


def measure(attention: list[AttentionDump]) -> dict[str, Any]:
    """Both tables of every network.

    Args:
        attention: Of each network.
    """
    if attention:
        warn_of_few(len(attention[0].batch_sizes))
    return {
        "attention_replicates.parquet": (replicate_table(dump) for dump in attention),
        "attention_offsets.parquet": (offset_table(dump) for dump in attention),
    }


def replicate_table(dump: AttentionDump) -> pd.DataFrame:
    """attention_replicates.parquet of one network: `relative` = mean distance / uniform."""
    sizes = dump.batch_sizes
    groups = group_of(len(sizes) - 1, len(sizes)) + 1
    sums, images = np.zeros((groups, dump.blocks, dump.heads)), np.zeros((groups, 1, 1))
    for minibatch, size in enumerate(sizes):
        group = group_of(minibatch, len(sizes))
        sums[group] += dump.per_image("distance_px", minibatch).sum(axis=0, dtype=np.float64)
        images[group] += size
    total, shown = leave_one_out(sums), leave_one_out(images)
    means = quotient(total, shown)
    replicate, block, head = (axis.ravel() for axis in np.indices(means.shape))
    columns = {"block": block, "head": head, "relative": means.ravel() / dump.uniform_px}
    return pd.DataFrame(columns | {"left_out": replicate + ALL}).assign(**dump.network._asdict())


def offset_table(dump: AttentionDump) -> pd.DataFrame:
    """attention_offsets.parquet of one network: `mass` at key - query in patches.

    Averaged over query patches and images, not renormalised: a head's masses sum to its attention
    to patches.
    """
    mass = dump.offset_mass()
    block, head, row, column = (axis.ravel() for axis in np.indices(mass.shape))
    height, width = dump.grid
    columns = {
        "block": block,
        "head": head,
        "row": row - (height - 1),
        "column": column - (width - 1),
        "mass": mass.ravel().astype(np.float64),
    }
    return pd.DataFrame(columns).assign(**dump.network._asdict())
