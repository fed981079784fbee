"""Whether CKA depends on how it is estimated: on the minibatch, and on which images are shown.

Source: Raghu et al. 2021, appendix A: smaller minibatches had "no noticeable effect", and images of
ImageNet and of JFT gave "no meaningful difference". Within each network on all images, first seed.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from sightlines.core.files import write_table
from sightlines.dumps.reading import GramDump, check_together
from sightlines.jobs.command import Job, run
from sightlines.measures.similarity import cka, group_of
from sightlines.measures.tasks import task_of
from sightlines.plan.networks import FULL, Network
from sightlines.stats import hsic
from sightlines.stats.jackknife import ALL, leave_one_out

READS = ("gram", "other_gram")
WRITES = ("estimator.csv",)
PARTS = (2, 4)
"""Each minibatch is cut into so many, and its images are compared within those alone."""
COLUMNS = [*Network._fields, "check", "source", "value", "left_out"]


def main(job: Job) -> None:
    """Write one row a network and check."""
    first: dict[str, GramDump] = {}
    for slug, path in zip(job.config["networks"], job.inputs["gram"], strict=True):
        network = Network.parse(slug)
        if network.fraction == FULL and network.model not in first:
            first[network.model] = GramDump(path)
    others = [(task_of(p.with_suffix("")), p) for p in job.inputs.get("other_gram", [])]
    rows = []
    for dump in first.values():
        whole = within(dump, 1)
        rows += _minibatches(dump, whole)
        for (task, slug), path in others:
            if slug == dump.network.slug:
                rows += _images(dump, whole, task, path)
    write_table(job.output("estimator"), pd.DataFrame(rows, columns=COLUMNS))


def within(dump: GramDump, parts: int) -> np.ndarray:
    """CKA of all layers with each other from minibatches cut into `parts`.

    Returns:
        [1 + groups, layers, layers]: of all images, then with each group of minibatches left out.
    """
    layers, minibatches = len(dump.layers), len(dump.batch_sizes)
    groups = group_of(minibatches - 1, minibatches) + 1
    sums, scale = np.zeros((groups, layers, layers)), np.zeros(layers)
    for minibatch, images in enumerate(dump.batch_sizes):
        packed, total = dump.packed(minibatch), sums[group_of(minibatch, minibatches)]
        bounds = np.linspace(0, images, parts + 1).astype(int)
        for begin, end in itertools.pairwise(bounds.tolist()):
            if end - begin < hsic.MINIMUM_IMAGES:
                continue
            with threadpool_limits(1):
                part = _block(packed, images, begin, end)
                means, squares = hsic.centring_means(part, end - begin)
                vectors = hsic.centred_rows(part, means, range(end - begin - 1))
                total += vectors @ vectors.T
                scale += squares
    cross = leave_one_out(sums)
    own = np.einsum("gll->gl", cross)
    own = np.where(own[0] > hsic.CONSTANT**2 * scale, own, np.nan)
    return cka(cross, own, own)


def _block(packed: np.ndarray, images: int, begin: int, end: int) -> np.ndarray:
    """The packed Grams of some neighbouring images out of those of a minibatch."""
    rows, columns = np.triu_indices(images)
    inside = (rows >= begin) & (columns < end)
    return packed[:, inside]


def _minibatches(dump: GramDump, whole: np.ndarray) -> list[tuple[Any, ...]]:
    """Largest change of any pair of layers when minibatches are smaller, with its replicates."""
    size = min(dump.batch_sizes)
    return [
        (*dump.network, "batch_size", f"{size // parts} images", _largest(*maps), left_out)
        for parts in PARTS
        if size // parts >= 2 * hsic.MINIMUM_IMAGES
        for left_out, maps in enumerate(zip(within(dump, parts), whole, strict=True), ALL)
    ]


def _largest(one: np.ndarray, other: np.ndarray) -> float:
    change = np.abs(one - other)
    return float(np.nanmax(change)) if np.isfinite(change).any() else float("nan")


def _images(dump: GramDump, whole: np.ndarray, task: str, path: Path) -> list[tuple[Any, ...]]:
    """Correlation of the map with that of the same network shown another task's images.

    A replicate leaves a group out of either: the sets of images are independent.
    """
    other = GramDump(path)
    check_together([other], [dump.network.slug])
    shown = zip(whole, within(other, 1), strict=False)
    return [
        (*dump.network, "image_source", task, _correlation(*maps), left_out)
        for left_out, maps in enumerate(shown, ALL)
    ]


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of the cells off the diagonal that both maps have."""
    cells = ~np.eye(len(one), dtype=bool) & np.isfinite(one) & np.isfinite(other)
    return float(np.corrcoef(one[cells], other[cells])[0, 1]) if cells.sum() > 2 else float("nan")


if __name__ == "__main__":
    run(main)
