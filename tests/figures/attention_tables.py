"""Synthetic tables of heads, as the measures write them: local heads that resemble a ResNet."""

import itertools
import math

import numpy as np
import pandas as pd

from sightlines.core.seeds import generator
from sightlines.plan.networks import Network, per_cent
from sightlines.results.tables import required

UNIFORM_PX = 16.5
UNITS = {0: "block00.out", 1: "block01.out", 3: "block02.out", 4: "block03.out"}


def head_subsets(config, heads=6, groups=3, local=0.8):
    """ViTs on f100 and f000 with every ResNet on f100; heads of a trained ViT become local."""
    networks = [Network.parse(slug) for slug in config["networks"]]
    others = [
        n for n in networks if config["families"][n.model] == "resnet" and n.fraction == "f100"
    ]
    rows = []
    for vit in networks:
        if config["families"][vit.model] == "resnet" or vit.fraction not in ("f000", "f100"):
            continue
        distance = UNIFORM_PX * np.linspace(1 - local * (vit.fraction == "f100"), 1, heads)
        random = generator(8, *vit)
        for other in {n.model: n for n in others if n.seed == "s0"}.values():
            for kind, subset, members in _subsets(heads):
                reach = distance[list(members)].mean()
                for rank, unit in UNITS.items():
                    for left_out in range(-1, groups):
                        cka = 0.6 - 0.02 * reach - 0.03 * rank + 0.01 * random.normal()
                        text = " ".join(map(str, members))
                        rest = (unit, rank, kind, subset, text, reach, reach / UNIFORM_PX)
                        rows.append((*vit, *other, *rest, cka, left_out))
    return pd.DataFrame(rows, columns=list(required("head_subsets.parquet")))


def _subsets(heads):
    size = math.ceil(heads / 4)
    for start in range(heads - size + 1):
        yield "window", start, tuple(range(start, start + size))
    for head in range(heads):
        yield "single", head, (head,)
    for place, members in enumerate(itertools.combinations(range(heads), size)):
        yield "random", place, members


def attention_offsets(config, blocks=7, heads=5, side=4):
    """Heads of the lower blocks of trained ViTs look at themselves, the lower the head the more."""
    steps = np.arange(1 - side, side)
    row, column = (axis.ravel() for axis in np.meshgrid(steps, steps, indexing="ij"))
    uniform = (side - np.abs(row)) * (side - np.abs(column)) / side**4
    parts = []
    for slug in config["networks"]:
        network = Network.parse(slug)
        if config["families"][network.model] == "resnet":
            continue
        share = per_cent(network.fraction) / 100
        for block, head in itertools.product(range(blocks), range(heads)):
            local = share * (1 - block / blocks) * head / heads
            mass = (1 - local) * uniform + local * ((row == 0) & (column == 0))
            part = {"block": block, "head": head, "row": row, "column": column, "mass": mass}
            parts.append(pd.DataFrame(part).assign(**network._asdict()))
    return pd.concat(parts, ignore_index=True)[list(required("attention_offsets.parquet"))]


def attention_sites(config, sites=6, heads=3):
    """Of every network of the config: windows up to half depth, then the whole image."""
    frames = []
    for place, slug in enumerate(config["networks"]):
        own = pd.DataFrame(
            [(site, head) for site in range(sites) for head in range(heads)],
            columns=["site", "head"],
        )
        draw = np.random.default_rng(place)
        own["distance_px"] = 2.0 + 2.0 * own["site"] + draw.uniform(0, 2, len(own))
        own["distance_std_px"] = draw.uniform(0.1, 0.4, len(own))
        model, fraction, seed = slug.split("/")
        blank = {"module": "blocks", "queries": 64, "keys": 64, "outside_mass": 0.0, "images": 97}
        own = own.assign(model=model, fraction=fraction, seed=seed, applied="", **blank)
        own["windows"] = np.where(own["site"] < sites // 2, 4, 1)
        own["distance_renormalised_px"] = own["distance_px"]
        own["entropy_nats"], own["uniform_px"] = 2.0, 16.5
        own["relative"] = own["distance_px"] / own["uniform_px"]
        frames.append(own)
    return pd.concat(frames, ignore_index=True)
