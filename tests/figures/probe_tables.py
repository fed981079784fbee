"""Synthetic probes.parquet and token_probes.parquet, as the measures write them."""

import numpy as np
import pandas as pd

from sightlines.core.seeds import generator
from sightlines.plan.networks import Network, per_cent
from sightlines.results.selecting import settings
from sightlines.results.tables import required

SIDE = 3
CHANCE = 0.1


def config(vits=("small", "large"), gaps=("gap",), resnets=("res",), extra=(), fractions=None):
    """Networks of ViTs with a class token, pooled ones, and ResNets."""
    sizes = {m: 48 * (1 + i) for i, m in enumerate(vits)} | dict.fromkeys(gaps, 48)
    own = {m: {"family": "vit", "pool": "cls", "width": sizes[m]} for m in vits}
    own |= {m: {"family": "vit", "pool": "gap", "width": sizes[m]} for m in gaps}
    own |= {m: {"family": "resnet"} for m in resnets} | dict(extra)
    fractions = fractions or ("f000", "f010", "f100")
    slugs = [f"{m}/{f}/s0" for m in own for f in fractions]
    slugs += [f"{m}/f100/s1" for m in own]
    return {
        "experiment": "synthetic",
        "networks": slugs,
        "labels": {m: m.upper() for m in own},
        "families": {m: s["family"] for m, s in own.items()},
        "architectures": own,
    }


def _layers(config, network, count=5):
    """Name -> depth; a ViT's final norm is as deep as its last block."""
    depths = {f"block{i:02d}.out": i / (count - 1) for i in range(count)}
    return depths | ({"norm": 1.0} if config["families"][network.model] == "vit" else {})


def _lift(name):
    """What the final norm's probe knows more than that of the last block."""
    return 0.03 * (name == "norm")


def _accuracy(network, depth, shots):
    trained = per_cent(network.fraction) / 100
    return CHANCE + trained**0.3 * (0.1 + 0.5 * depth) * (0.6 if shots else 1)


def probes(config, datasets=("",), shots=(0, 10)):
    rows = []
    for slug in config["networks"]:
        network = Network.parse(slug)
        pools = {"cls": ("cls", "mean", "all", "first"), "gap": ("mean", "first")}.get(
            settings(config, network.model).get("pool"), ("mean",)
        )
        for dataset in datasets:
            for layer, (name, depth) in enumerate(_layers(config, network).items()):
                for place, pool in enumerate(pools):
                    for count in shots:
                        for draw in range(3 if count else 1):
                            value = _accuracy(network, depth, count)
                            value += 0.01 * place + 0.02 * draw - 0.05 * bool(dataset)
                            value += _lift(name)
                            key = (dataset, layer, name, depth, pool, count, draw, 1.0)
                            images = (10 * count or 1000, 500)
                            rows.append((*network, *key, value, value, *images, CHANCE))
    return pd.DataFrame(rows, columns=required("probes.parquet"))


def token_probes(config, shots=(0, 10)):
    rows = []
    for slug in config["networks"]:
        network = Network.parse(slug)
        if network.fraction == "f010" or network.seed != "s0":
            continue
        cls = settings(config, network.model).get("pool") == "cls"
        for layer, (name, depth) in enumerate(_layers(config, network).items()):
            if layer in (1, 3):
                continue
            noise = generator(4, slug, layer).normal(0, 0.02, SIDE**2)
            for token in range(-1 if cls else 0, SIDE**2):
                row, column = divmod(token, SIDE) if token >= 0 else (-1, -1)
                for count in shots:
                    for draw in range(3 if count else 1):
                        value = _accuracy(network, depth, count) + noise[token] + 0.01 * draw
                        value = 0.9 if token < 0 else value + _lift(name)
                        key = (name, depth, token, row, column, count, draw)
                        rows.append((*network, *key, value, 10 * count or 400, 500, CHANCE))
    return pd.DataFrame(rows, columns=required("token_probes.parquet"))


def tables(config, datasets=("",)):
    return {
        "probes.parquet": probes(config, datasets),
        "token_probes.parquet": token_probes(config),
    }


def mean_of_tokens(table, slug, shots):
    """Mean over patch tokens and draws of every layer, in %, in order of depth."""
    model, fraction, seed = slug.split("/")
    own = table[(table.model == model) & (table.fraction == fraction) & (table.seed == seed)]
    own = own[(own.row >= 0) & (own.shots == shots)]
    return 100 * np.array([rows.accuracy.mean() for _, rows in own.groupby("name")])
