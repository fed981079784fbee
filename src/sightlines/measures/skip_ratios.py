"""How much of a block's output comes through its skip connection, and how much out of its branch.

Source: Raghu et al. 2021, section 6 and appendix E, Figures 7, E.1, E.2: ‖z‖/‖f(z)‖ of every token,
averaged over images (means of ratios, which the paper leaves open); the median of each minibatch,
averaged over minibatches, stands beside it, since a branch that is nearly 0 for one image would
rule the mean. Images for which the branch is 0 have no ratio: they are left out, and
`undefined_share` is their share.
"""

import logging
from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.skips_reading import STATISTICS, SkipsDump
from sightlines.stats.jackknife import ALL, group_of, leave_one_out, warn_of_few
from sightlines.stats.means import mean_of_finite, quotient

READS = ("skips",)
NEEDS = ("branches",)
TABLES = {
    "skip_ratios.parquet": {
        "about": "How much of a block's output comes through its skip connection",
        "row": "network × block × branch × tokens × left_out",
        "columns": (
            "network",
            "block",
            "depth",
            ("branch", "text", "", "attn, mlp, mixing, unit (of a ResNet)"),
            ("tokens", "text", "", "spatial, cls"),
            ("ratio", "float", "", "‖skip‖ ÷ ‖branch‖, mean over images and tokens"),
            ("ratio_median", "float", "", "the same, median over a minibatch's images"),
            ("cosine", "float", "", "cosine of skip and branch, mean over images and tokens"),
            "left_out",
            (
                "undefined_share",
                "float",
                "share",
                "places whose branch is 0, left out of the means",
            ),
        ),
    },
    "skip_tokens.parquet": {
        "about": "The same of single tokens, but not of a ResNet's locations",
        "row": "network × block × branch × token",
        "columns": (
            "network",
            "block",
            ("branch", "text", "", "attn, mlp, mixing"),
            ("token", "int", "", "class token, if there is one, then patches"),
            ("ratio", "float", "", "‖skip‖ ÷ ‖branch‖, mean over images"),
            ("cosine", "float", "", "cosine of skip and branch, mean over images"),
        ),
    },
}
log = logging.getLogger(__name__)
UNDEFINED = "undefined_share"


def measure(skips: list[SkipsDump]) -> dict[str, Any]:
    """Average each dump over images and tokens.

    Args:
        skips: Of each network.
    """
    if skips:
        warn_of_few(len(skips[0].batch_sizes))
    ratios, tokens = [], []
    for dump in skips:
        means = token_means(dump)
        ratios.append(ratio_table(dump, means))
        tokens.append(token_table(dump, means))
        without = int((means["ratio_images"][0] == 0).sum())
        if without:
            log.info(f"{dump.network.slug}: the branch is 0 for all images at {without} places")
    return {"skip_ratios.parquet": ratios, "skip_tokens.parquet": tokens}


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
        "ratio": quotient(sums["ratio_sum"], sums["ratio_images"]),
        "ratio_median": quotient(sums["ratio_median"], sums["ratio_images"]),
        "cosine": quotient(sums["cosine_sum"], sums["cosine_images"]),
        "ratio_images": sums["ratio_images"],
    }


def ratio_table(dump: SkipsDump, means: dict[str, np.ndarray]) -> pd.DataFrame:
    """skip_ratios.parquet of one network: means over tokens, the class token apart."""
    images, last = _images(dump), max(dump.blocks - 1, 1)
    parts = []
    for index, row in enumerate(dump.branches):
        own = {name: values[:, dump.places(index)] for name, values in means.items()}
        for tokens, chosen in _kinds_of_tokens(dump, row["tokens"]).items():
            defined = own["ratio_images"][:, chosen].sum(axis=1)
            shown = images * len(range(*chosen.indices(row["tokens"])))
            columns = {
                name: mean_of_finite(own[name][:, chosen])
                for name in ("ratio", "ratio_median", "cosine")
            }
            columns[UNDEFINED] = 1 - quotient(defined, shown)
            columns["left_out"] = np.arange(len(images)) + ALL  # type: ignore[assignment]
            facts = {"block": row["block"], "depth": row["block"] / last, "branch": row["branch"]}
            parts.append(pd.DataFrame(columns).assign(**facts, tokens=tokens))
    return pd.concat(parts, ignore_index=True).assign(**dump.network._asdict())


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
        facts = dump.network._asdict() | {"block": row["block"], "branch": row["branch"]}
        parts.append(pd.DataFrame(own | {"token": np.arange(len(chosen))}).assign(**facts))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
