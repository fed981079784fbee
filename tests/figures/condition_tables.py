"""Synthetic tables of occlusions, lesions and where they are noticed, as measures write them."""

import numpy as np
import pandas as pd

from sightlines.core.seeds import generator
from sightlines.plan.networks import Network, per_cent

CHANCE, GROUPS = 0.1, 4
DROPPED = [("drop_black", s) for s in (0.1, 0.25, 0.5, 0.75, 0.9)]
DROPPED += [("drop_mean", s) for s in (0.25, 0.5, 0.75)]
DROPPED += [("drop_salient", 0.5), ("drop_unsalient", 0.5)]
DROPPED += [("drop_shifted", 0.5), ("drop_grid4", 0.5), ("drop_grid16", 0.5)]
PARTS = [("drop_object", 1.0), ("drop_anywhere", 1.0), ("drop_ground", 1.0)]
SHUFFLED = [("shuffle", float(n)) for n in (2, 4, 8, 16)]
NETWORK = ["model", "fraction", "seed"]


def _kept(network, family, condition, severity):
    if condition == "clean":
        return 1.0
    if not per_cent(network.fraction):
        return 0.0
    falls = {"vit": 0.3, "mixer": 0.5}.get(family, 0.9)
    if condition == "shuffle":
        return max(0.05, falls * (1 - severity / 20))
    harm = {"drop_object": 1.0, "drop_anywhere": 0.5, "drop_ground": 0.2}.get(condition)
    harm = severity if harm is None else harm
    return max(0.0, 1 - falls * harm - 0.1 * (condition == "drop_shifted"))


def responses(config, conditions, name="occlusion"):
    rows = []
    for slug in config["networks"]:
        network = Network.parse(slug)
        if per_cent(network.fraction) not in (0, 100):
            continue
        family = config["families"][network.model]
        random = generator(11, name, slug)
        top = CHANCE if not per_cent(network.fraction) else 0.8
        for condition, severity in [("clean", 0.0), *conditions]:
            kept = _kept(network, family, condition, severity) - 0.02 * random.uniform()
            for left_out in range(-1, GROUPS):
                value = kept + 0.01 * (left_out + 1) * (condition != "clean")
                accuracy = CHANCE + (top - CHANCE) * value
                own = dict(zip(NETWORK, network, strict=True))
                own |= {"condition": condition, "severity": severity, "left_out": left_out}
                own |= {"accuracy": accuracy, "accuracy_among": accuracy}
                own |= {"above_chance": (accuracy - CHANCE) / (1 - CHANCE), "chance": CHANCE}
                own |= {
                    "retention": value if top > 3 * CHANCE else np.nan,
                    "agreement": 0.5 * value,
                }
                own |= {"log_p": -value, "margin": value, "confidence": 0.5, "floor": 0.3}
                own |= {"correlation": 0.3 + 0.7 * value, "excess": value}
                own |= {"correlation_normed": 0.2 + 0.8 * value, "excess_normed": 0.9 * value}
                own |= {"changed_share": severity, "change_rms": 0.1, "images": 97}
                rows.append(own)
    return pd.DataFrame(rows)


def occlusion(config):
    return responses(config, [*DROPPED, *SHUFFLED, *PARTS]).assign(grid=8, cells=8, positions=True)


def lesion(config, blocks=5, stages=4):
    tables = []
    for slug in config["networks"]:
        network = Network.parse(slug)
        is_map = config["families"][network.model] == "resnet"
        places = range(1, stages + 1) if is_map else range(blocks)
        sites = [("stage" if is_map else "block", place) for place in places]
        named = {
            f"{change}_{site}{place:02d}": (change, site, place)
            for site, place in sites
            for change in ("zero", "shuffle")
        }
        conditions = [(name, 0.25) for name in named]
        table = responses(config | {"networks": [slug]}, conditions, "lesion")
        if table.empty:
            continue
        told = [named.get(name, ("", "", -1)) for name in table["condition"]]
        for column, values in zip(
            ("change", "site", "place"), zip(*told, strict=True), strict=True
        ):
            table[column] = values
        early = (table["site"] == "stage") & (table["place"] == 1)
        table.loc[early, "retention"] *= 0.1
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


OCCLUDED = [("drop_black", 0.5), ("drop_mean", 0.5), ("shuffle", 2.0), ("shuffle", 8.0)]
CONFLICTING = [("other_texture", 1.0), ("other_shape", 1.0)]


def every_depth(config):
    parts = [
        condition_depth(config),
        condition_depth(config, "corruption", [("fog", 3.0), ("gaussian_noise", 5.0)]),
        condition_depth(config, "frequency", [("wave_ring", 2.0)]),
    ]
    return pd.concat(parts, ignore_index=True)


def conflict_depth(config):
    return condition_depth(config, "conflict", CONFLICTING).drop(columns="family")


def conflict_lead(config):
    table = conflict_depth(config)
    table = table[table["left_out"] == -1]
    by = [*NETWORK, "name", "block", "depth"]
    wide = table.pivot(index=by, columns="condition", values="cka").reset_index()
    lead = wide["other_texture"] - wide["other_shape"]
    pixels = lead[wide["name"] == "pixels"].iloc[0]
    return wide[by].assign(lead=lead, lead_se=0.01, beyond_pixels=lead - pixels)


def condition_depth(config, kind="occlusion", conditions=OCCLUDED, blocks=5):
    rows = []
    for slug in config["networks"]:
        network = Network.parse(slug)
        if per_cent(network.fraction) not in (0, 100):
            continue
        family = config["families"][network.model]
        layers = [("pixels", -1, -1.0)]
        layers += [(f"block{b:02d}.out", b, b / (blocks - 1)) for b in range(blocks)]
        layers += [("norm", -1, 1.0)] * (family != "resnet")
        for place, (condition, severity) in enumerate(conditions):
            for name, block, depth in layers:
                value = 0.7 - 0.1 * place + 0.2 * max(depth, 0) * (family == "vit")
                for left_out in range(-1, GROUPS):
                    own = dict(zip(NETWORK, network, strict=True))
                    own |= {"family": kind, "condition": condition, "severity": severity}
                    own |= {"name": name, "block": block, "depth": depth, "left_out": left_out}
                    rows.append(own | {"cka": value + 0.01 * left_out})
    return pd.DataFrame(rows)
