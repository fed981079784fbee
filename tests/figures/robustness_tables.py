"""Synthetic tables of corruptions, waves, squares and foreign images, as measures write them."""

import numpy as np
import pandas as pd

from sightlines.conditions.corruption import NAMES
from sightlines.conditions.frequency import around_grid, frequencies, grid_frequencies, on_rings
from sightlines.core.seeds import generator
from sightlines.plan.networks import Network, per_cent
from tests.figures.condition_tables import GROUPS, NETWORK, responses

SEVERITIES = (1.0, 3.0, 5.0)
SQUARES = [("cutout_black", s) for s in (0.1, 0.2, 0.4)] + [("cutout_mean", 0.4)]


def shown(config):
    networks = [Network.parse(slug) for slug in config["networks"]]
    return [n for n in networks if per_cent(n.fraction) in (0, 100)]


def cutout(config):
    return responses(config, SQUARES, "cutout")


def corruption(config, names=NAMES):
    wanted = [(name, severity) for name in names for severity in SEVERITIES]
    table = responses(config, wanted, "corruption")
    fall = 0.1 * table["severity"] * (1 + table["condition"].str.len() / 20)
    return table.assign(accuracy=np.maximum(0.05, 0.8 - fall / 2))


def corruption_error(config, names=NAMES):
    rows = []
    for network in shown(config):
        random = generator(3, "corruption", network.slug)
        for name in (*names, "mean"):
            error = random.uniform(0.3, 0.7)
            own = dict(zip(NETWORK, network, strict=True)) | {"corruption": name}
            own |= {"corruptions": len(names) if name == "mean" else 1, "severities": 3}
            own |= {"error": error, "error_se": 0.02, "clean_error": 0.2, "ce": np.nan}
            rows.append(own | {"excess": error - 0.2, "excess_se": 0.02, "relative_ce": np.nan})
    return pd.DataFrame(rows)


def frequency(config, side=32, cells=8, whole=True):
    of_map = frequencies(side) if whole else on_rings(side)
    waves = sorted({*of_map, *around_grid(side, cells)})
    down, right = np.array(waves).T
    grid = {*grid_frequencies(side, cells)}
    radius = np.hypot(down, right)
    frames = []
    for place, network in enumerate(shown(config)):
        excess = 0.4 * np.exp(-((radius - 4 - place) ** 2) / 30)
        for left_out in range(-1, GROUPS):
            own = dict(zip(NETWORK, network, strict=True))
            own |= {"down": down, "right": right, "radius": radius}
            own |= {"relative_radius": radius / side, "norm": 4.0, "realised_norm": 3.8}
            own |= {"of_map": [int(w in {*of_map}) for w in waves]}
            own |= {"on_grid": [int(w in grid) for w in waves]}
            own |= {"excess": excess + 0.001 * left_out, "error": excess + 0.2}
            frames.append(pd.DataFrame(own | {"images": 97, "left_out": left_out}))
    return pd.concat(frames, ignore_index=True)


def frequency_grid(config, cells=8):
    rows = []
    for network in shown(config):
        for left_out in range(-1, GROUPS):
            own = dict(zip(NETWORK, network, strict=True)) | {"cells": cells, "grid": cells}
            rows.append(own | {"frequencies": 9, "grid_contrast": 1.0, "left_out": left_out})
    return pd.DataFrame(rows)


def foreign(config, tasks=("textures", "sketches")):
    rows = []
    for network in shown(config):
        random = generator(5, "foreign", network.slug)
        for task in tasks:
            value = random.uniform(0.5, 0.9)
            for left_out in range(-1, GROUPS):
                own = dict(zip(NETWORK, network, strict=True)) | {"task": task}
                own |= {"aupr": value + 0.01 * left_out, "base_rate": 0.5, "left_out": left_out}
                own |= {"accuracy": np.nan, "accuracy_among": np.nan}
                own |= {"own_confidence": 0.8, "foreign_confidence": 0.4}
                rows.append(own | {"own_images": 97, "foreign_images": 97})
    return pd.DataFrame(rows)


def backgrounds(config):
    rows = []
    for network in shown(config):
        same = generator(6, "backgrounds", network.slug).uniform(0.6, 0.9)
        for left_out in range(-1, GROUPS):
            own = dict(zip(NETWORK, network, strict=True)) | {"left_out": left_out}
            other = same - 0.2 + 0.01 * left_out
            own |= {"same": same, "other": other, "gap": same - other}
            rows.append(own | {"images": 97, "chance": 0.1})
    return pd.DataFrame(rows)


def attack(config, budgets=(2 / 255, 4 / 255)):
    rows = []
    for place, network in enumerate(shown(config)):
        for budget in budgets:
            for left_out in range(-1, GROUPS):
                own = dict(zip(NETWORK, network, strict=True)) | {"budget": budget, "steps": 10}
                own |= {"images": 90, "clean_error": 0.2, "by_signs": 0.02, "left_out": left_out}
                success = min(1, 60 * budget + 0.05 * place + 0.01 * left_out)
                rows.append(own | {"success": success})
    return pd.DataFrame(rows)


def perturbation(config):
    rows = []
    for place, network in enumerate(shown(config)):
        for left_out in range(-1, GROUPS):
            own = dict(zip(NETWORK, network, strict=True)) | {"images": 90, "norm": 0.3}
            own |= {"low_share": 0.2 + 0.05 * place + 0.01 * left_out, "entropy": 0.8}
            rows.append(own | {"left_out": left_out})
    return pd.DataFrame(rows)


def perturbation_bands(config, bands=32):
    down, right = (place.ravel() for place in np.indices((bands, bands)))
    frames = []
    for place, network in enumerate(shown(config)):
        energy = np.exp(-np.hypot(down, right) / (4 + place))
        own = dict(zip(NETWORK, network, strict=True)) | {"down": down, "right": right}
        frames.append(pd.DataFrame({**own, "bands": bands, "energy": energy / energy.sum()}))
    return pd.concat(frames, ignore_index=True)


def texture_match(config, doses=(0.1, 0.4, 0.7, 1.0)):
    rows = []
    for place, network in enumerate(n for n in shown(config) if per_cent(n.fraction) == 100):
        for dose in doses:
            for left_out in range(-1, GROUPS):
                own = dict(zip(NETWORK, network, strict=True)) | {"task": f"match_{dose * 10:g}"}
                own |= {"texture_match": dose, "bias": 0.9 - 0.6 * dose, "cue_accuracy": 0.8}
                own |= {"chance": 0.2, "clean_error": 0.2, "left_out": left_out}
                rows.append(own | {"error": 0.6 - 0.2 * dose + 0.01 * (place + left_out)})
    return pd.DataFrame(rows)
