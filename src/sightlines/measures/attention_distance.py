"""How far each attention head looks: mean distance between query and key patches.

Source: Raghu et al. 2021, section 4, Figures 3 and 4: prefix tokens (CLS, registers) dropped as
queries and as keys without renormalising; the renormalised variant stands beside it, since
otherwise a head that looks at CLS seems local. Queries whose attention lies on prefix tokens alone
have no renormalised distance: they are left out of it, and `undefined_share` is their share.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from sightlines.core.files import write_table
from sightlines.dumps.reading import AttentionDump, check_together
from sightlines.jobs.command import Job, run
from sightlines.plan.networks import Network

READS = ("attention",)
WRITES = ("attention_distance.csv",)
COLUMNS = [
    *("model", "fraction", "seed", "block", "head", "distance_px", "distance_std_px"),
    *("distance_renormalised_px", "relative", "relative_renormalised", "prefix_mass"),
    *("entropy_nats", "uniform_px", "images", "undefined_share"),
]


def main(job: Job) -> None:
    """Average each dump over images."""
    dumps = [AttentionDump(path) for path in job.inputs.get("attention", [])]
    check_together(dumps, job.config["networks"])
    tables = [head_table(dump) for dump in dumps]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    write_table(job.output(Path(WRITES[0]).stem), table)


def head_table(dump: AttentionDump) -> pd.DataFrame:
    """One row a head: means over images in pixels and relative to uniform attention.

    `distance_std_px` is the sample standard deviation over images of the primary distance.
    """
    distance, spread = _mean_and_std(dump, "distance_px")
    renormalised, share = _mean_of_defined(dump)
    block, head = np.indices(distance.shape)
    columns = {
        **dict(zip(Network._fields, dump.network, strict=True)),
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
    return pd.DataFrame(columns)[COLUMNS]


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
    mean = np.divide(sums, shares, out=np.full_like(sums, np.nan), where=shares > 0)
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


if __name__ == "__main__":
    run(main)
