"""Synthetic skip_ratios.parquet and skip_tokens.parquet, as `skip_ratios` writes them."""

import numpy as np
import pandas as pd

from sightlines.core.seeds import generator
from sightlines.plan.networks import Network, per_cent
from sightlines.results.selecting import settings

NETWORK = ["model", "fraction", "seed"]


def skip_ratios(config, blocks=5, groups=3):
    rows = []
    for slug in config["networks"]:
        network = Network.parse(slug)
        if per_cent(network.fraction) not in (0, 100):
            continue
        family = config["families"][network.model]
        branches = {"vit": ("attn", "mlp"), "mixer": ("mixing", "mlp")}.get(family, ("unit",))
        has_cls = family == "vit" and settings(config, network.model).get("pool") != "gap"
        random = generator(9, slug)
        for block in range(blocks):
            depth = block / (blocks - 1)
            for branch in branches:
                for tokens in ("cls", "spatial") if has_cls else ("spatial",):
                    ratio = _ratio(network, branch, tokens, depth) + 0.2 * random.uniform()
                    undefined = float(np.isnan(ratio))
                    cosine = 1.0 if undefined else ratio / np.hypot(1, ratio)
                    for left_out in range(-1, groups):
                        value = ratio + 0.01 * (left_out + 1)
                        rest = (value, 0.9 * value, cosine, left_out, undefined)
                        rows.append((*network, block, depth, branch, tokens, *rest))
    columns = [*NETWORK, "block", "depth", "branch", "tokens", "ratio", "ratio_median", "cosine"]
    return pd.DataFrame(rows, columns=[*columns, "left_out", "undefined_share"])


def _ratio(network, branch, tokens, depth):
    if not per_cent(network.fraction):
        return np.nan if branch == "unit" else {"cls": 2.0, "spatial": 20.0}[tokens]
    if branch == "unit":
        return 1.4
    return 2 + 6 * (1 - depth if tokens == "cls" else depth) + (branch == "attn")


def skip_tokens(config, blocks=5, patches=16):
    ratios = skip_ratios(config, blocks, groups=0)
    rows = []
    for row in ratios[ratios.branch != "unit"].itertuples():
        key = (row.model, row.fraction, row.seed, row.block, row.branch)
        numbers = [0] if row.tokens == "cls" else range(1, patches + 1)
        rows += [(*key, token, row.ratio + 0.01 * token, row.cosine) for token in numbers]
    columns = [*NETWORK, "block", "branch", "token", "ratio", "cosine"]
    return pd.DataFrame(rows, columns=columns)
