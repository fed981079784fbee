"""The depth at which a network stops, or starts, to care about a change of the image.

CKA of clean with changed images at one layer, unbiased, from sums over minibatches, for every
family of conditions. What the pixels alone show stands beside it (`name` pixels): the change that
the network was given. The estimator is that of Raghu et al. 2021, appendix A; the question is new.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.condition_depth_reading import DepthDump
from sightlines.dumps.conflict_depth_reading import ConflictDepthDump
from sightlines.plan.networks import Network
from sightlines.stats.jackknife import ALL, group_of, leave_one_out, standard_error, warn_of_few
from sightlines.stats.means import quotient

READS = ("occlusion_depth", "corruption_depth", "frequency_depth")
NEEDS = ("changed_images",)
TABLES = {
    "condition_depth.parquet": {
        "about": "How alike clean and changed images are to every layer",
        "row": "network × condition × severity × layer × left_out",
        "columns": (
            "network",
            ("family", "text", "", "family of conditions: occlusion, corruption, frequency"),
            ("condition", "text", "", "what is changed"),
            ("severity", "float", "", "how much of it (docs/protocols.md)"),
            ("name", "text", "", "the layer's name; pixels: the images themselves"),
            ("block", "int", "", "block or residual unit, from 0; −1: pixels, final norm"),
            ("depth", "float", "", "normalised depth, 0 (first block) … 1 (last); −1: pixels"),
            ("cka", "float", "", "unbiased linear CKA of clean with changed images"),
            "left_out",
        ),
    },
    "condition_turns.csv": {
        "about": "Where a network starts and stops to care about a change",
        "row": "network × condition × severity",
        "columns": (
            "network",
            ("family", "text", "", "family of conditions: occlusion, corruption, frequency"),
            ("condition", "text", "", "what is changed"),
            ("severity", "float", "", "how much of it (docs/protocols.md)"),
            ("pixels", "float", "", "CKA of clean with changed pixels"),
            ("lowest", "float", "", "smallest CKA of a block"),
            ("lowest_depth", "float", "", "its depth"),
            ("last", "float", "", "CKA of the last block"),
            ("last_se", "float", "", "its jackknife standard error over minibatches"),
            ("recovery", "float", "", "last less lowest: what later blocks overcome"),
            ("recovery_se", "float", "", "its jackknife standard error, at that depth"),
            ("starts", "float", "", "depth by which half of the fall to the lowest has come"),
        ),
    },
}


def measure(
    occlusion_depth: list[DepthDump],
    corruption_depth: list[DepthDump],
    frequency_depth: list[DepthDump],
) -> dict[str, Any]:
    """CKA of every condition and layer, and where it turns.

    Args:
        occlusion_depth: Of each network.
        corruption_depth: The same, of corrupted images; none where none are asked for.
        frequency_depth: The same, of images with Fourier noise.
    """
    families = {
        "occlusion": occlusion_depth,
        "corruption": corruption_depth,
        "frequency": frequency_depth,
    }
    tables = [
        table.assign(family=family)
        for family, dumps in families.items()
        for table in _each(dumps)
        if len(table)
    ]
    return {"condition_depth.parquet": tables, "condition_turns.csv": [turns(t) for t in tables]}


DepthSums = DepthDump | ConflictDepthDump


def _each(dumps: list[DepthDump]) -> Iterator[pd.DataFrame]:
    if dumps:
        warn_of_few(len(dumps[0].batch_sizes))
    return map(depth_table, dumps)


def similarities(dump: DepthSums) -> np.ndarray:
    """CKA [1 + groups, conditions, rows]; NaN where a layer is constant."""
    sizes = dump.batch_sizes
    groups = group_of(len(sizes) - 1, len(sizes)) + 1
    rows, conditions = len(dump.rows), len(dump.conditions)
    own = np.zeros((groups, 1, rows))
    changed, cross = np.zeros((2, groups, conditions, rows))
    for index in range(len(sizes)):
        group = group_of(index, len(sizes))
        own[group, 0] += dump.own(index)
        changed[group] += dump.changed(index)
        cross[group] += dump.cross(index)
    clean, other, both = map(leave_one_out, (own, changed, cross))
    norms = np.sqrt(np.maximum(clean, 0)) * np.sqrt(np.maximum(other, 0))
    return np.asarray(quotient(both, norms))


def depth_table(dump: DepthSums) -> pd.DataFrame:
    """condition_depth.parquet of one network."""
    cka = similarities(dump)
    replicate, condition, row = (index.ravel() for index in np.indices(cka.shape))
    names, severities = zip(*dump.conditions, strict=True) if dump.conditions else ((), ())
    columns = {
        "condition": np.array(names, object)[condition],
        "severity": np.array(severities, float)[condition],
        "left_out": replicate + ALL,
        "cka": cka.ravel(),
    }
    for key in ("name", "block", "depth"):
        columns[key] = np.array([each[key] for each in dump.rows])[row]
    return pd.DataFrame(columns).assign(**dict(zip(Network._fields, dump.network, strict=True)))


def turns(table: pd.DataFrame) -> pd.DataFrame:
    """condition_turns.csv of one network and family, from its rows of condition_depth.parquet."""
    rows = []
    for (condition, severity), own in table.groupby(["condition", "severity"], sort=False):
        blocks = own[own["block"] >= 0]
        matrix = blocks.pivot(index="left_out", columns="block", values="cka").sort_index()
        depths = blocks.drop_duplicates("block").set_index("block")["depth"][matrix.columns]
        first = own[(own["block"] < 0) & (own["depth"] < 0) & (own["left_out"] == ALL)]
        found = turn(float(first["cka"].iloc[0]), matrix.to_numpy(), depths.to_numpy())
        rows.append({"condition": condition, "severity": severity, **found})
    facts = {key: table[key].iloc[0] for key in (*Network._fields, "family")}
    return pd.DataFrame(rows).assign(**facts)


def turn(pixels: float, cka: np.ndarray, depths: np.ndarray) -> dict[str, float]:
    """Where a curve turns.

    Args:
        pixels: CKA of the pixels.
        cka: [1 + groups, blocks].
        depths: Of the blocks.

    Returns:
        Columns of condition_turns.csv; NaN where a block's CKA is undefined.
    """
    if not np.isfinite(cka[0]).all():
        keys = ("lowest", "lowest_depth", "last", "last_se", "recovery", "recovery_se", "starts")
        return {"pixels": pixels, **dict.fromkeys(keys, float("nan"))}
    place = int(cka[0].argmin())
    recovery = cka[:, -1] - cka[:, place]
    half = max((1 + cka[0, place]) / 2, cka[0, place])  # of no change at all both round about 1
    down = int(np.flatnonzero(cka[0] <= half)[0])
    if down == 0:
        starts = float(depths[0])
    else:
        above, below = cka[0, down - 1], cka[0, down]
        share = (above - half) / (above - below)
        starts = float(depths[down - 1] + share * (depths[down] - depths[down - 1]))
    return {
        "pixels": pixels,
        "lowest": float(cka[0, place]),
        "lowest_depth": float(depths[place]),
        "last": float(cka[0, -1]),
        "last_se": float(standard_error(cka[:, -1])),
        "recovery": float(recovery[0]),
        "recovery_se": float(standard_error(recovery)),
        "starts": starts,
    }
