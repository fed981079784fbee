"""Slow float64 twin of the attention statistics: loops over queries and keys, one by one."""

import math

import numpy as np


def head_statistics(attention, grid, patch_px, prefix):
    """Statistics of one head for one image.

    Args:
        attention: [tokens, tokens] rows summing to 1, prefix tokens first.
        grid: Rows and columns of patches.
        patch_px: Side of a patch.
        prefix: Number of prefix tokens.
    """
    height, width = grid
    out = {"distance_px": 0.0, "renormalised_share": 0.0}
    out |= {"prefix_mass": 0.0, "entropy_nats": 0.0}
    renormalised = []
    offsets = np.zeros((2 * height - 1, 2 * width - 1))
    patches = height * width
    for qy in range(height):
        for qx in range(width):
            row = attention[prefix + qy * width + qx]
            reach = mass = 0.0
            for ky in range(height):
                for kx in range(width):
                    weight = float(row[prefix + ky * width + kx])
                    reach += weight * patch_px * math.hypot(ky - qy, kx - qx)
                    mass += weight
                    offsets[ky - qy + height - 1, kx - qx + width - 1] += weight / patches
            out["distance_px"] += reach / patches
            if mass > 0:
                renormalised.append(reach / mass)
            out["prefix_mass"] += sum(float(p) for p in row[:prefix]) / patches
            out["entropy_nats"] -= sum(float(p) * math.log(p) for p in row if p > 0) / patches
    out["renormalised_share"] = len(renormalised) / patches
    out["distance_renormalised_px"] = sum(renormalised) / max(len(renormalised), 1)
    return out | {"offset_mass": offsets}
