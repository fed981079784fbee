"""Synthetic tables of neighbours, embeddings and attention of the class token."""

import numpy as np
import pandas as pd

from sightlines.core.seeds import generator
from sightlines.plan.networks import Network, per_cent
from sightlines.results.selecting import settings
from tests.figures import probe_tables

GRID, HEADS, BLOCKS, PICTURES, SIDE = (4, 4), 3, 5, 2, 16
GROUPS = 6
METHODS = {"oracle": 0.45, "fixed": 0.35, "random_oracle": 0.25, "random_fixed": 0.2}
METHODS |= {"whole": 0.22, "centre": 0.4, "brightness": 0.3, "prior": 0.4, "ceiling": 0.7}


def knn(config):
    """As many rows as the probes' table has, once a number of neighbours."""
    table = probe_tables.probes(config, shots=(0,))
    table = table[table["pool"].isin(["cls", "mean"])]
    frames = [
        table.assign(neighbours=k, accuracy=0.95 * table["accuracy"] - k / 5000)
        for k in (10, 20, 100)
    ]
    columns = ["model", "fraction", "seed", "layer", "name", "depth", "pool", "neighbours"]
    both = pd.concat(frames, ignore_index=True).assign(support_images=1000)
    return both[[*columns, "accuracy", "support_images", "test_images", "chance"]]


def of_vits(config):
    """Networks with attention, as the dumps have them."""
    networks = [Network.parse(slug) for slug in config["networks"]]
    return [n for n in networks if n.fraction in ("f000", "f100")]


def embedding_statistics(config):
    rows = []
    for network in of_vits(config):
        trained = network.fraction != "f000"
        numbers = (0.6 if trained else 0.1, 0.2 * trained, 0.02, 0.01, 0.02)
        filters = (0.5, 0.3) if trained else (1.0, 0.6)
        if settings(config, network.model).get("pool") == "gap":
            numbers = (np.nan,) * 5
        rows.append((*network, *GRID, *numbers, *filters))
    columns = "model fraction seed rows columns distance_correlation row_column_excess"
    columns += " random_correlation_sd random_excess_sd isotropic_excess filter_frequency"
    return pd.DataFrame(rows, columns=[*columns.split(), "filter_components"])


def _indices(*shape):
    return [axis.ravel() for axis in np.indices(shape)]


def position_similarity(config):
    frames = []
    for network in of_vits(config):
        if settings(config, network.model).get("pool") == "gap":
            continue
        row, column, other_row, other_column = _indices(*GRID, *GRID)
        own = {"row": row, "column": column, "other_row": other_row, "other_column": other_column}
        cosine = (
            np.exp(-np.hypot(row - other_row, column - other_column))
            * (per_cent(network.fraction) or 5)
            / 100
        )
        frames.append(pd.DataFrame(own | {"cosine": cosine}).assign(**network._asdict()))
    return pd.concat(frames, ignore_index=True)


def embedding_filters(config):
    frames = []
    for network in of_vits(config):
        component, row, column = _indices(10, 4, 4)
        wave = np.cos(component * (2 * row + 1) / 8) * np.cos(component % 3 * column)
        own = {"component": component, "share": 0.1, "row": row, "column": column}
        colours = {"red": wave, "green": wave / 2, "blue": -wave}
        frames.append(pd.DataFrame(own | colours).assign(**network._asdict()))
    return pd.concat(frames, ignore_index=True)


def segmentation_replicates(config):
    rows = []
    for network in of_vits(config):
        for mass in (0.6, 0.9):
            for method, value in METHODS.items():
                noise = generator(6, network.slug, method).normal(0, 0.01, GROUPS)
                lost = 0.1 * (network.fraction == "f000") + 0.02 * (mass == 0.9)
                for left_out, own in enumerate([0.0, *noise], -1):
                    head = 1 if method == "fixed" else -1
                    rows.append((*network, mass, method, value - lost + own, head, left_out))
    columns = "model fraction seed mass method jaccard head left_out"
    return pd.DataFrame(rows, columns=columns.split())


def object_auc(config):
    rows = []
    for network in of_vits(config):
        for name in ("centre", "brightness", "attention", "rollout", "weighted"):
            for block in [-1] if name in ("centre", "brightness") else range(BLOCKS):
                noise = generator(7, network.slug, name, block).normal(0, 0.01, GROUPS)
                value = 0.55 + 0.05 * len(name) / 5 + 0.05 * block * (network.fraction != "f000")
                for left_out, own in enumerate([0.0, *noise], -1):
                    rows.append((*network, block, name, value + own, left_out))
    return pd.DataFrame(rows, columns="model fraction seed block map auc left_out".split())


def attention_pictures(config):
    frames = []
    for network in _pictured(config):
        names = [*(f"head {h}" for h in range(HEADS)), "attention", "rollout", "weighted", "object"]
        for image in range(PICTURES):
            for place, name in enumerate(names):
                row, column = _indices(*GRID)
                share = np.exp(-np.hypot(row - place % 4, column - image))
                share = (share > 0.3) * 1.0 if name == "object" else share / share.sum()
                own = {"row": row, "column": column, "share": share, "image": image, "map": name}
                frames.append(pd.DataFrame(own).assign(**network._asdict()))
    return pd.concat(frames, ignore_index=True)


def pictured_images(config):
    frames = []
    for network in _pictured(config):
        image, row, column = _indices(PICTURES, SIDE, SIDE)
        own = {"image": image, "row": row, "column": column, "red": 12 * row, "green": 12 * column}
        frames.append(pd.DataFrame(own | {"blue": 99}).assign(**network._asdict()))
    return pd.concat(frames, ignore_index=True)


def _pictured(config):
    first = {}
    for network in of_vits(config):
        first.setdefault(network[:2], network)
    return list(first.values())


def rollout_own(config):
    rows = []
    for network in of_vits(config):
        for block in range(BLOCKS):
            kept = 0.5 ** (block + 1)
            rows.append((*network, block, kept + 0.05, kept + (1 - kept) / 17))
    return pd.DataFrame(rows, columns="model fraction seed block own uniform".split())
