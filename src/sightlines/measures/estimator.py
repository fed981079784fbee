"""Whether CKA depends on how it is estimated: on the minibatch, and on which images are shown.

Source: Raghu et al. 2021, appendix A: smaller minibatches had "no noticeable effect", and images of
ImageNet and of JFT gave "no meaningful difference". Within each network on all images, first seed.
"""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.reading import GramDump
from sightlines.plan import roles
from sightlines.plan.networks import FULL
from sightlines.stats import hsic
from sightlines.stats.hsic import cka
from sightlines.stats.jackknife import ALL, group_of, leave_one_out

READS = ("gram", "other_gram")
TABLES = {
    "estimator.csv": {
        "about": "Whether CKA depends on the minibatch and on which images are shown",
        "row": "network × check × source × left_out",
        "columns": (
            "network",
            ("check", "text", "", "batch_size, image_source"),
            ("source", "text", "", "smaller minibatches' size; the other task"),
            (
                "value",
                "float",
                "",
                "largest change of any CKA with smaller minibatches; correlation of the map with "
                "that on the task's images",
            ),
            "left_out",
        ),
    },
}
PARTS = (2, 4)
"""Each minibatch is cut into so many, and its images are compared within those alone."""


def measure(gram: list[GramDump], other_gram: dict[str, list[GramDump]]) -> dict[str, Any]:
    """One row a network and check.

    Args:
        gram: Of each network, of which each model's first on all images is looked at.
        other_gram: Of each other task, of the networks that were shown its images.
    """
    known = {dump.network: dump for dump in gram}
    rows: list[dict[str, Any]] = []
    for network in roles.first_seeds(known):
        if network.fraction != FULL:
            continue
        dump = known[network]
        whole = within(dump, 1)
        rows += _minibatches(dump, whole)
        for task, others in other_gram.items():
            for other in others:
                if other.network == dump.network:
                    rows += _images(whole, task, other)
    return {"estimator.csv": pd.DataFrame(rows)}


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


def _minibatches(dump: GramDump, whole: np.ndarray) -> list[dict[str, Any]]:
    """Largest change of any pair of layers when minibatches are smaller, with its replicates."""
    size = min(dump.batch_sizes)
    return [
        _row(dump, "batch_size", f"{size // parts} images", _largest(*maps), left_out)
        for parts in PARTS
        if size // parts >= 2 * hsic.MINIMUM_IMAGES
        for left_out, maps in enumerate(zip(within(dump, parts), whole, strict=True), ALL)
    ]


def _largest(one: np.ndarray, other: np.ndarray) -> float:
    change = np.abs(one - other)
    return float(np.nanmax(change)) if np.isfinite(change).any() else float("nan")


def _images(whole: np.ndarray, task: str, other: GramDump) -> list[dict[str, Any]]:
    """Correlation of the map with that of the same network shown another task's images.

    A replicate leaves a group out of either: the sets of images are independent.
    """
    shown = zip(whole, within(other, 1), strict=False)
    return [
        _row(other, "image_source", task, _correlation(*maps), left_out)
        for left_out, maps in enumerate(shown, ALL)
    ]


def _row(dump: GramDump, check: str, source: str, value: float, left_out: int) -> dict[str, Any]:
    place = {"check": check, "source": source, "left_out": left_out}
    return dump.network._asdict() | place | {"value": value}


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of the cells off the diagonal that both maps have."""
    cells = ~np.eye(len(one), dtype=bool) & np.isfinite(one) & np.isfinite(other)
    return float(np.corrcoef(one[cells], other[cells])[0, 1]) if cells.sum() > 2 else float("nan")
