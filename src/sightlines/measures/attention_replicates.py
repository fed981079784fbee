"""Attention distance with groups of images left out, and where heads look relative to the query.

Source: Raghu et al. 2021, section 4, Figures 3 and 4: the distance of Figure 3 relative to that of
attention which is uniform over the patches, so that claims about it carry an uncertainty. The map
of offsets tells a head that looks around itself from one that looks a fixed step away.
"""

import numpy as np
import pandas as pd

from sightlines.core.files import write_table
from sightlines.dumps.reading import AttentionDump, check_together
from sightlines.jobs.command import Job, run
from sightlines.measures.similarity import ENOUGH_GROUPS, group_of
from sightlines.plan.networks import Network
from sightlines.results.tables import COLUMNS
from sightlines.stats.jackknife import ALL, leave_one_out

READS = ("attention",)
WRITES = ("attention_replicates.parquet", "attention_offsets.parquet")


def main(job: Job) -> None:
    """Read each dump once, write both tables."""
    dumps = [AttentionDump(path) for path in job.inputs.get("attention", [])]
    check_together(dumps, job.config["networks"])
    if dumps and len(dumps[0].batch_sizes) < ENOUGH_GROUPS:
        job.log.warning(
            f"only {len(dumps[0].batch_sizes)} minibatches: the jackknife standard error needs "
            f"{ENOUGH_GROUPS}; raise splits.reference_batches"
        )
    makers = (replicate_table, offset_table)
    for name, maker in zip(WRITES, makers, strict=True):
        columns = list(COLUMNS[name])
        parts = [maker(dump) for dump in dumps]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
        write_table(job.output(name.removesuffix(".parquet")), table[columns])


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
    means = np.divide(total, shown, out=np.full_like(total, np.nan), where=shown > 0)
    replicate, block, head = (axis.ravel() for axis in np.indices(means.shape))
    columns = {"block": block, "head": head, "relative": means.ravel() / dump.uniform_px}
    return pd.DataFrame(columns | {"left_out": replicate + ALL}).assign(**_keys(dump))


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
    return pd.DataFrame(columns).assign(**_keys(dump))


def _keys(dump: AttentionDump) -> dict[str, str]:
    return dict(zip(Network._fields, dump.network, strict=True))


if __name__ == "__main__":
    run(main)
