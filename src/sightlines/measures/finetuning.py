"""Similarity of each block before and after a network was trained further on another task.

Source: Raghu et al. 2021, appendix G, Figure G.1. Both networks are shown the experiment's own
reference images, which the paper leaves open: so the same images serve every task.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from sightlines.core.errors import ResultError
from sightlines.core.files import write_table
from sightlines.dumps.predictions_reading import PredictionsDump
from sightlines.dumps.reading import GramDump, check_together
from sightlines.jobs.command import Job, run
from sightlines.measures import similarity_indices
from sightlines.measures.scoring import score
from sightlines.measures.similarity import cka, group_of
from sightlines.measures.tasks import task_of
from sightlines.plan.networks import Network
from sightlines.results import tables
from sightlines.stats import hsic
from sightlines.stats.jackknife import ALL, leave_one_out

READS = ("gram", "tuned_gram", "tuned_predictions", "pixels")
WRITES = ("finetuning.parquet", "finetuning_indices.parquet", "tuned_accuracy.csv")
NEEDS = ("tuned",)
COLUMNS = [*Network._fields, "task", "domain", "block", "depth", "cka", "left_out"]
INDICES = list(tables.COLUMNS["finetuning_indices.parquet"])
SCORES = [*Network._fields, "task", "domain", "accuracy", "chance"]


def main(job: Job) -> None:
    """Compare every tuned network with the one that it started from."""
    before = dict(zip(job.config["networks"], job.inputs["gram"], strict=True))
    domains: dict[str, str] = job.config["tasks"]
    pixels = GramDump(job.input("pixels"))
    parts: list[pd.DataFrame] = []
    opinions: list[pd.DataFrame] = []
    for path in job.inputs.get("tuned_gram", []):
        task, slug = task_of(path.with_suffix(""))
        pair = GramDump(before[slug]), GramDump(path)
        parts.append(compare(*pair, task, domains[task]))
        own = second_opinions(*pair, pixels, job.config.get("seed", 0))
        opinions.append(own.assign(task=task, domain=domains[task])[INDICES])
    write_table(job.output("finetuning"), _joined(parts, COLUMNS))
    write_table(job.output("finetuning_indices"), _joined(opinions, INDICES))
    tuned: dict[str, list[PredictionsDump]] = {}
    for path in job.inputs.get("tuned_predictions", []):
        tuned.setdefault(task_of(path.with_suffix(""))[0], []).append(PredictionsDump(path))
    rows = list(_scores(tuned, domains))
    write_table(job.output("tuned_accuracy"), pd.DataFrame(rows, columns=SCORES))


def _joined(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def second_opinions(before: GramDump, after: GramDump, pixels: GramDump, seed: int) -> pd.DataFrame:
    """Other indices of similarity of each block's output with itself; see `similarity_indices`."""
    check_together([before, pixels], [before.network.slug, similarity_indices.PIXELS])
    sides = similarity_indices.place([before, after])
    pair = (sides[0], sides[1], True)
    sums = similarity_indices.add_up(sides, pixels, [pair], seed)
    table = similarity_indices.pair_table([pair], sums)
    block = {layer["index"]: layer["block"] for layer in before.layers}
    names = {f"{key}_a": key for key in Network._fields}
    return table.assign(block=table["layer_a"].map(block)).rename(columns=names)


def compare(before: GramDump, after: GramDump, task: str, domain: str) -> pd.DataFrame:
    """CKA of each block's output with itself, with the jackknife's replicates.

    Raises:
        ResultError: the two have different layers, or saw different images.
    """
    check_together([before, after], [before.network.slug, before.network.slug])
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
    return pd.DataFrame(rows, columns=COLUMNS)


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
        with threadpool_limits(1):
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


if __name__ == "__main__":
    run(main)
