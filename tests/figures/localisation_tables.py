"""The three tables of localisation as the measure writes them, made up."""

import numpy as np
import pandas as pd

from sightlines.core.seeds import generator
from sightlines.plan.networks import Network, per_cent
from sightlines.results.selecting import settings
from sightlines.results.tables import required
from sightlines.stats.jackknife import ALL
from sightlines.stats.localisation_scores import interior, ranks, z_scores

SCORES = ("cka", "less_baseline", "deconfounded")


def localisation_tables(config, grid=(5, 5), blocks=4):
    """ViTs keep their places when trained, other families lose them with depth."""
    parts = {"localisation": [], "localisation_tokens": [], "localisation_maps": []}
    for slug in config["networks"]:
        network = Network.parse(slug)
        if 0 < per_cent(network.fraction) < 100:
            continue
        for name, table in _network_tables(config, network, grid, blocks).items():
            keys = dict(zip(Network._fields, network, strict=True))
            parts[name].append(table.assign(**keys))
    return {
        f"{name}.parquet": pd.concat(own, ignore_index=True)[list(required(f"{name}.parquet"))]
        for name, own in parts.items()
    }


def _has_class_token(config, network):
    is_pooled = settings(config, network.model).get("pool") == "gap"
    return config["families"][network.model] == "vit" and not is_pooled


def _network_tables(config, network, grid, blocks):
    is_vit = config["families"][network.model] != "resnet"
    first = -1 if _has_class_token(config, network) else 0
    random, tokens = generator(11, network.slug), grid[0] * grid[1]
    names = [f"block{b:02}.out" for b in range(blocks)] + ["norm"] * is_vit
    row, column = (index.ravel() for index in np.indices(grid))
    near = np.exp(-np.hypot(row[:, None] - row, column[:, None] - column))
    found, rows = {"localisation_tokens": [], "localisation_maps": []}, []
    for layer, name in enumerate(names):
        depth = layer / (len(names) - 1)
        share = 0.3 * depth if is_vit or not per_cent(network.fraction) else 0.9 * depth
        maps = (1 - share) * near + share * near[tokens // 2] + 0.02 * random.random(near.shape)
        facts = {"name": name, "depth": depth}
        place = {"row": row, "column": column, "is_interior": interior(grid), "patches": tokens}
        place |= {"token": np.arange(tokens), "z": z_scores(maps), "rank": ranks(maps)}
        found["localisation_tokens"].append(pd.DataFrame(place).assign(layer=layer, **facts))
        if layer >= len(names) - 3:
            token, patch = np.indices((tokens - first, tokens))
            values = {"token": token.ravel() + first, "patch": patch.ravel()}
            values["cka"] = maps[token + first, patch].ravel()
            values["baseline"] = near[token + first, patch].ravel()
            shown = pd.DataFrame(values).assign(**facts)
            shown.loc[shown["token"] < 0, "baseline"] = np.nan
            found["localisation_maps"].append(shown)
        for score in SCORES:
            for where in ("interior", "all"):
                for left_out in range(ALL, 8):
                    facts |= {"layer": layer, "block": -1 if name == "norm" else layer}
                    facts |= {"where": where, "score": score, "left_out": left_out}
                    scores = {"z": z_scores(maps).mean() + 0.05 * random.normal()}
                    scores["effect"] = 1.4 * scores["z"]
                    scores |= {"rank_1_share": 1 - share, "token_correlation": share}
                    scores |= {"border_cka": 0.2, "interior_cka": 0.1}
                    rows.append(facts | scores)
    joined = {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}
    return {"localisation": pd.DataFrame(rows)} | joined


def branch_places(config, blocks=4, groups=8):
    """Branches of ViTs and FNets: of these no place, and a mirror from the second block on."""
    rows = []
    for slug in config["networks"]:
        network = Network.parse(slug)
        family, own = config["families"][network.model], settings(config, network.model)
        if family not in ("vit", "fnet") or 0 < per_cent(network.fraction) < 100:
            continue
        kind = "attn" if family == "vit" else "mixing"
        for block in range(blocks):
            places = 0.9 - 0.15 * block if family == "vit" else 0.05
            mirror = 0.2 * (own.get("mixing") == "fourier" and block > 0)
            for left_out in range(ALL, groups):
                values = (places + 0.001 * left_out, mirror - 0.001 * left_out, left_out)
                name = f"block{block:02}.{kind}"
                rows.append((*network, name, kind, block, block / (blocks - 1), *values))
    return pd.DataFrame(rows, columns=list(required("branch_places.parquet")))
