"""Similarity of each block before and after a network was trained further on another task.

Source: Raghu et al. 2021, appendix G, Figure G.1. Both networks are shown the experiment's own
reference images, which the paper leaves open: so the same images serve every task.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core.errors import ResultError
from sightlines.dumps.predictions_reading import PredictionsDump
from sightlines.dumps.reading import GramDump
from sightlines.measures import similarity_indices
from sightlines.measures.scoring import score
from sightlines.plan.networks import Network
from sightlines.stats import hsic
from sightlines.stats.hsic import cka
from sightlines.stats.jackknife import ALL, group_of, leave_one_out

READS = ("gram", "tuned_gram", "tuned_predictions", "pixels")
USES = ("seed", "tasks")
NEEDS = ("tuned",)
TABLES = {
    "finetuning.parquet": {
        "about": "CKA of each block's output before and after fine-tuning on another task",
        "row": "network × task × block × left_out",
        "columns": (
            "network",
            "task",
            "block",
            "depth",
            ("cka", "float", "", "CKA before × after"),
            "left_out",
        ),
    },
    "finetuning_indices.parquet": {
        "about": "The same by other indices of similarity",
        "row": "network × task × block × index",
        "columns": ("network", "task", "block", "index"),
    },
    "tuned_accuracy.csv": {
        "about": "What fine-tuned networks are worth on their task",
        "row": "network × task",
        "columns": (
            "network",
            "task",
            ("accuracy", "float", "share", "accuracy on the task's test images"),
            "chance",
        ),
    },
}


def measure(
    gram: list[GramDump],
    tuned_gram: dict[str, list[GramDump]],
    tuned_predictions: dict[str, list[PredictionsDump]],
    pixels: GramDump,
    seed: int,
    tasks: dict[str, str],
) -> dict[str, Any]:
    """Compare every tuned network with the one that it started from.

    Args:
        gram: Of the networks before.
        tuned_gram: Of each task, after.
        tuned_predictions: Of each task, on its images.
        pixels: The images' own Grams.
        seed: Root seed, for the shuffled images.
        tasks: Each with its domain.

    Raises:
        ResultError: a network has different layers before and after.
    """
    before = {dump.network: dump for dump in gram}
    pairs = [(task, before[d.network], d) for task, dumps in tuned_gram.items() for d in dumps]
    return {
        "finetuning.parquet": [compare(a, b, task, tasks[task]) for task, a, b in pairs],
        "finetuning_indices.parquet": [
            second_opinions(a, b, pixels, seed).assign(task=task, domain=tasks[task])
            for task, a, b in pairs
        ],
        "tuned_accuracy.csv": pd.DataFrame(_scores(tuned_predictions, tasks)),
    }


def second_opinions(before: GramDump, after: GramDump, pixels: GramDump, seed: int) -> pd.DataFrame:
    """Other indices of similarity of each block's output with itself; see `similarity_indices`."""
    sides = similarity_indices.place([before, after])
    pair = (sides[0], sides[1], True)
    sums = similarity_indices.add_up(sides, pixels, [pair], seed)
    table = similarity_indices.pair_table([pair], sums)
    block = {layer["index"]: layer["block"] for layer in before.layers}
    names = {f"{key}_a": key for key in Network._fields}
    found = table.assign(block=table["layer_a"].map(block)).rename(columns=names)
    return found[[*Network._fields, "block", "index", "value", "shuffled"]]


def compare(before: GramDump, after: GramDump, task: str, domain: str) -> pd.DataFrame:
    """CKA of each block's output with itself, with the jackknife's replicates.

    Raises:
        ResultError: the two have different layers.
    """
    if before.layers != after.layers:
        raise ResultError(f"{before.path} and {after.path} have different layers")
    chosen = [layer for layer in before.layers if layer["kind"] == "residual"]
    index = [layer["index"] for layer in chosen]
    sums = _add(before, after, index)
    values = [leave_one_out(part) for part in sums]
    cross, own_a, own_b = (v[..., None] for v in values)
    found = cka(cross[..., None], own_a, own_b)[..., 0, 0]
    last = max(len(chosen) - 1, 1)
    rows = [
        (*before.network, task, domain, layer["block"], place / last, value, left_out)
        for left_out, replicate in enumerate(found, ALL)
        for place, (layer, value) in enumerate(zip(chosen, replicate, strict=True))
    ]
    names = ("task", "domain", "block", "depth", "cka", "left_out")
    return pd.DataFrame(rows, columns=[*Network._fields, *names])


def _add(before: GramDump, after: GramDump, index: list[int]) -> tuple[np.ndarray, ...]:
    """HSIC sums [groups, layers] of a layer before with after, before, and after.

    The latter two are NaN where a layer varies by no more than float32 rounding.
    """
    sizes = before.batch_sizes
    groups = group_of(len(sizes) - 1, len(sizes)) + 1
    sums = tuple(np.zeros((groups, len(index))) for _ in range(3))
    scales = np.zeros((2, len(index)))
    for minibatch, images in enumerate(sizes):
        group = group_of(minibatch, len(sizes))
        vectors = []
        for scale, dump in zip(scales, (before, after), strict=True):
            packed = dump.packed(minibatch)[index]
            means, squares = hsic.centring_means(packed, images)
            vectors.append(hsic.centred_rows(packed, means, range(images - 1)))
            scale += squares
        a, b = vectors
        for total, (one, other) in zip(sums, ((a, b), (a, a), (b, b)), strict=True):
            total[group] += np.einsum("lp,lp->l", one, other)
    for own, scale in zip(sums[1:], scales, strict=True):
        own[:, own.sum(axis=0) <= hsic.CONSTANT**2 * scale] = np.nan
    return sums


def _scores(
    predictions: dict[str, list[PredictionsDump]], domains: dict[str, str]
) -> Iterator[dict[str, Any]]:
    for task, dumps in predictions.items():
        for dump in dumps:
            yield dump.network._asdict() | {
                "task": task,
                "domain": domains[task],
                "accuracy": score(dump, "test").accuracy,
                "chance": dump.chance,
            }
