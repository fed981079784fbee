"""Synthetic tables of receptive fields, plausible enough to look at."""

import numpy as np
import pandas as pd

from sightlines.plan.networks import Network, per_cent

GROUPS, SIZE_PX, PATCH_PX = 4, 16, 4
BLOCKS = (0, 2, 4)


def receptive_fields(config):
    """One row a network, layer and replicate, for networks on all images and untrained ones."""
    rows = []
    for network, family in _networks(config):
        for name, block, variant, branch in _layers(family):
            depth = max(block, 0) / BLOCKS[-1]
            is_zero = family == "resnet" and variant == "pre" and network.fraction == "f000"
            share = np.nan if is_zero else _own_share(network, block, variant)
            for left_out in range(-1, GROUPS):
                own = share + 0.01 * left_out * (left_out >= 0)
                side = np.nan if is_zero else 4.0 + 8 * depth
                sizes = (side, side / SIZE_PX, own, own, 3.0, left_out)
                place = (8.5, 8.5) if family == "resnet" else (10.0, 10.0)
                names = (name, block, depth, variant, branch)
                rows.append((*network, *names, *sizes, *place, PATCH_PX, SIZE_PX))
    columns = "model fraction seed name block depth variant branch side_px side_share"
    columns += " own_patch_share window_share radius_px left_out centre_y_px centre_x_px"
    return pd.DataFrame(rows, columns=[*columns.split(), "patch_px", "size_px"])


def receptive_field_maps(config):
    """One row a network, layer and cell."""
    y, x = np.indices((SIZE_PX, SIZE_PX))
    frames = []
    for network, family in _networks(config):
        for name, block, variant, branch in _layers(family):
            distance = np.hypot(y - 8, x - 8)
            gradient = np.exp(-distance / (2 + max(block, 0)))
            frame = {"name": name, "block": block, "depth": max(block, 0) / BLOCKS[-1]}
            frame |= {"variant": variant, "branch": branch, "row": y.ravel(), "column": x.ravel()}
            frames.append(pd.DataFrame(network._asdict() | frame | {"gradient": gradient.ravel()}))
    return pd.concat(frames, ignore_index=True)


def _networks(config):
    found = [Network.parse(slug) for slug in config["networks"]]
    compared = [n for n in found if n.fraction in ("f000", "f100")]
    return [(n, config["families"][n.model]) for n in compared]


def _layers(family):
    first = {"resnet": "stem.conv"}.get(family, "embed.patch")
    layers = [(first, -1, "post", "embed")]
    for b in BLOCKS:
        if family == "resnet":
            layers += [(f"block{b:02}.norm3", b, "pre", "unit")]
            layers += [(f"block{b:02}.out", b, "post", "unit")]
            continue
        mixing = "mixing" if family == "mixer" else "attn"
        layers += [(f"block{b:02}.{mixing}", b, "pre", mixing)]
        layers += [(f"block{b:02}.{mixing}_out", b, "post", mixing)]
        layers += [(f"block{b:02}.mlp", b, "pre", "mlp"), (f"block{b:02}.out", b, "post", "mlp")]
    return layers


def _own_share(network, block, variant):
    if block < 0:
        return 1.0
    share = 0.9 - 0.1 * block * (1 + per_cent(network.fraction) / 100)
    return share if variant == "post" else share / 4
