"""How much of a block's output comes through its skip connection, and how much out of its branch.

Source: Raghu et al. 2021, section 6 and appendix E, Figures 7, E.1, E.2: ‖z‖/‖f(z)‖ of every token,
averaged over images (means of ratios, which the paper leaves open); the median of each minibatch,
averaged over minibatches, stands beside it, since a branch that is nearly 0 for one image would
rule the mean. Images for which the branch is 0 have no ratio: they are left out, and
`undefined_share` is their share.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.core.files import write_table
from sightlines.dumps.reading import check_together
from sightlines.dumps.skips_reading import STATISTICS, SkipsDump
from sightlines.jobs.command import Job, run
from sightlines.measures.similarity import ENOUGH_GROUPS, group_of
from sightlines.plan.networks import Network
from sightlines.results.tables import COLUMNS
from sightlines.stats.jackknife import ALL, leave_one_out

READS = ("skips",)
WRITES = ("skip_ratios.parquet", "skip_tokens.parquet")
NEEDS = ("branches",)
UNDEFINED = "undefined_share"


def main(job: Job) -> None:
    """Average each dump over images and tokens, write two tables."""
    dumps = [SkipsDump(path) for path in job.inputs.get("skips", [])]
    check_together(dumps, job.config["networks"])
    if dumps and len(dumps[0].batch_sizes) < ENOUGH_GROUPS:
        job.log.warning(
            f"only {len(dumps[0].batch_sizes)} minibatches: the jackknife standard error needs "
            f"{ENOUGH_GROUPS}; raise splits.reference_batches"
        )
    ratios, tokens = [], []
    for dump in dumps:
        means = token_means(dump)
        ratios.append(ratio_table(dump, means))
        tokens.append(token_table(dump, means))
        without = int((means["ratio_images"][0] == 0).sum())
        if without:
            job.log.info(f"{dump.network.slug}: the branch is 0 for all images at {without} places")
    _write(job, WRITES[0], ratios, UNDEFINED)
    _write(job, WRITES[1], tokens)


def _write(job: Job, name: str, parts: list[pd.DataFrame], *more: str) -> None:
    columns = [*COLUMNS[name], *(column for column in more if column not in COLUMNS[name])]
    full = [part for part in parts if len(part)]
    table = pd.concat(full, ignore_index=True) if full else pd.DataFrame(columns=columns)
    write_table(job.output(name.removesuffix(".parquet")), table[columns])


def token_means(dump: SkipsDump) -> dict[str, np.ndarray]:
    """Means over images of every branch's tokens, of all images and with each group left out.

    Returns:
        `ratio`, `ratio_median`, `cosine` and `ratio_images`, the number of images that have a
        ratio, each [replicates, places] float64; NaN where no image has one.
    """
    sizes = dump.batch_sizes
    groups: list[Any] = [0.0] * (group_of(len(sizes) - 1, len(sizes)) + 1)
    for minibatch in range(len(sizes)):
        own = dict(zip(STATISTICS, dump.minibatch(minibatch), strict=True))
        own["ratio_median"] = own["ratio_median"] * own["ratio_images"]
        group = group_of(minibatch, len(sizes))
        groups[group] = groups[group] + np.stack(list(own.values()))
    replicates = leave_one_out(np.stack(groups)).swapaxes(0, 1)
    sums = dict(zip(STATISTICS, replicates, strict=True))
    return {
        "ratio": _divide(sums["ratio_sum"], sums["ratio_images"]),
        "ratio_median": _divide(sums["ratio_median"], sums["ratio_images"]),
        "cosine": _divide(sums["cosine_sum"], sums["cosine_images"]),
        "ratio_images": sums["ratio_images"],
    }


def ratio_table(dump: SkipsDump, means: dict[str, np.ndarray]) -> pd.DataFrame:
    """skip_ratios.parquet of one network: means over tokens, the class token apart."""
    images = _images(dump)
    parts = []
    for index, row in enumerate(dump.branches):
        own = {name: values[:, dump.places(index)] for name, values in means.items()}
        for tokens, chosen in _kinds_of_tokens(dump, row["tokens"]).items():
            defined = own["ratio_images"][:, chosen].sum(axis=1)
            shown = images * len(range(*chosen.indices(row["tokens"])))
            columns = {
                name: _mean_of_defined(own[name][:, chosen])
                for name in ("ratio", "ratio_median", "cosine")
            }
            columns[UNDEFINED] = 1 - _divide(defined, shown)
            columns["left_out"] = np.arange(len(images)) + ALL
            parts.append(pd.DataFrame(columns).assign(**_facts(dump, row), tokens=tokens))
    return pd.concat(parts, ignore_index=True)


def _images(dump: SkipsDump) -> np.ndarray:
    """Images shown, of all groups and with each left out, [replicates]."""
    sizes = dump.batch_sizes
    groups = np.zeros(group_of(len(sizes) - 1, len(sizes)) + 1)
    for minibatch, size in enumerate(sizes):
        groups[group_of(minibatch, len(sizes))] += size
    return leave_one_out(groups)


def _kinds_of_tokens(dump: SkipsDump, tokens: int) -> dict[str, slice]:
    cls = {"cls": slice(0, 1)} if dump.has_cls else {}
    return cls | {"spatial": slice(dump.prefix_tokens, tokens)}


def token_table(dump: SkipsDump, means: dict[str, np.ndarray]) -> pd.DataFrame:
    """skip_tokens.parquet of one network: the class token where there is one, then the patches.

    The locations of convolutional maps are left out: they are many, and differ between stages. So
    are registers and distillation tokens.
    """
    parts = []
    for index, row in enumerate(dump.branches):
        if row["branch"] == "unit":
            continue
        kinds = _kinds_of_tokens(dump, row["tokens"]).values()
        chosen = np.concatenate([np.arange(row["tokens"])[kind] for kind in kinds])
        own = {name: means[name][0, dump.places(index)][chosen] for name in ("ratio", "cosine")}
        part = pd.DataFrame(own | {"token": np.arange(len(chosen))})
        parts.append(part.assign(**_facts(dump, row)))
    empty = pd.DataFrame(columns=list(COLUMNS["skip_tokens.parquet"]))
    return pd.concat(parts, ignore_index=True) if parts else empty


def _facts(dump: SkipsDump, row: dict[str, Any]) -> dict[str, Any]:
    keys = dict(zip(Network._fields, dump.network, strict=True))
    depth = row["block"] / max(dump.blocks - 1, 1)
    return keys | {"block": row["block"], "depth": depth, "branch": row["branch"]}


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Mean over tokens [replicates, tokens] of what is not NaN; NaN where nothing is."""
    is_defined = np.isfinite(values)
    return _divide(np.where(is_defined, values, 0).sum(axis=1), is_defined.sum(axis=1) * 1.0)


if __name__ == "__main__":
    run(main)
