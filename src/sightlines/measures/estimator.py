"""Whether CKA depends on how it is estimated: on the minibatch, and on which images are shown.

Source: Raghu et al. 2021, appendix A: smaller minibatches had "no noticeable effect", and images of
ImageNet and of JFT gave "no meaningful difference". Within each network on all images, first seed.

A smaller minibatch changes an entry of a map in two ways. It holds other pairs of images, which is
chance: two random partitions into minibatches of one size differ as well (`noise_floor`). And it
may change what is estimated, which is what the claim is about: chance averages out over several
random partitions, over entries, and in the product of two folds of images.
"""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.reading import GramDump
from sightlines.plan import roles
from sightlines.plan.networks import FULL
from sightlines.stats import hsic
from sightlines.stats.hsic import cka
from sightlines.stats.jackknife import ALL, group_of, leave_one_out
from sightlines.stats.means import mean_of_finite

READS = ("gram", "other_gram")
TABLES = {
    "estimator.csv": {
        "about": "Whether CKA depends on the minibatch and on which images are shown",
        "row": "network × check × source × left_out",
        "columns": (
            "network",
            (
                "check",
                "text",
                "",
                "batch_size (mean signed change), batch_size_square (mean square of an entry's "
                "change, noise taken off), noise_floor (largest change from one random partition "
                "to another of the same size), batch_size_largest (largest change with one "
                "partition), image_source",
            ),
            ("source", "text", "", "smaller minibatches' size; the other task"),
            (
                "value",
                "float",
                "",
                "change of CKA with smaller minibatches, as `check` says, over pairs of different "
                "layers; correlation of the map with that on the task's images",
            ),
            "left_out",
        ),
    },
}
PARTS = (2, 4)
"""Each minibatch is cut into so many, and its images are compared within those alone."""
PARTITIONS = 8
"""Random ones of every size; their mean is compared with the whole minibatches."""


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
        sums = _sums(dump, 1)
        rows += _minibatches(dump, sums)
        for task, others in other_gram.items():
            for other in others:
                if other.network == dump.network:
                    rows += _images(_maps(*sums), task, other)
    return {"estimator.csv": pd.DataFrame(rows)}


def within(dump: GramDump, parts: int, partition: int | None = None) -> np.ndarray:
    """CKA of all layers with each other from minibatches cut into `parts`.

    Args:
        dump: Grams of the minibatches.
        parts: In how many each is cut.
        partition: Number of a random order of a minibatch's images; None: as they come.

    Returns:
        [1 + groups, layers, layers]: of all images, then with each group of minibatches left out.
    """
    return _maps(*_sums(dump, parts, partition))


def _sums(
    dump: GramDump, parts: int, partition: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """HSIC sums by group [groups, layers, layers]; squares of the Grams by layer [layers]."""
    layers, minibatches = len(dump.layers), len(dump.batch_sizes)
    groups = group_of(minibatches - 1, minibatches) + 1
    sums, scale = np.zeros((groups, layers, layers)), np.zeros(layers)
    for minibatch, images in enumerate(dump.batch_sizes):
        packed, total = dump.packed(minibatch), sums[group_of(minibatch, minibatches)]
        place = _places(images)
        order = np.arange(images) if partition is None else _order(partition, minibatch, images)
        bounds = np.linspace(0, images, parts + 1).astype(int)
        for begin, end in itertools.pairwise(bounds.tolist()):
            if end - begin < hsic.MINIMUM_IMAGES:
                continue
            part = packed[:, _block(place, order[begin:end])]
            means, squares = hsic.centring_means(part, end - begin)
            vectors = hsic.centred_rows(part, means, range(end - begin - 1))
            total += vectors @ vectors.T
            scale += squares
    return sums, scale


def _maps(sums: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """CKA of sums by group, of all and with each left out [1 + groups, layers, layers]."""
    cross = leave_one_out(sums)
    own = np.einsum("gll->gl", cross)
    own = np.where(own[0] > hsic.CONSTANT**2 * scale, own, np.nan)
    return cka(cross, own, own)


def _order(partition: int, minibatch: int, images: int) -> np.ndarray:
    """A random order of a minibatch's images, from raw words, which no NumPy version changes."""
    words = np.random.PCG64([partition, minibatch]).random_raw(images)
    return np.argsort(words, kind="stable")


def _places(images: int) -> np.ndarray:
    """Where a packed Gram holds each pair of images [images, images]."""
    place = np.zeros((images, images), int)
    rows, columns = np.triu_indices(images)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    return place


def _block(place: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Where a packed Gram holds the packed Gram of some of its images."""
    rows, columns = np.triu_indices(len(chosen))
    return place[chosen[rows], chosen[columns]]  # type: ignore[no-any-return]


def _minibatches(dump: GramDump, sums: tuple[np.ndarray, np.ndarray]) -> list[dict[str, Any]]:
    """How much the map changes when minibatches are smaller, with replicates."""
    size, rows = min(dump.batch_sizes), []
    for parts in PARTS:
        if size // parts < 2 * hsic.MINIMUM_IMAGES:
            continue
        random = [_sums(dump, parts, partition) for partition in range(PARTITIONS)]
        parted, scale = np.mean([own for own, _ in random], axis=0), random[0][1]
        whole = _maps(*sums)
        found = {
            "batch_size": [_mean(change) for change in _maps(parted, scale) - whole],
            "batch_size_square": _squares((parted, scale), sums),
            "noise_floor": _noise([_maps(*one) for one in random]),
            "batch_size_largest": map(_largest, within(dump, parts), whole),
        }
        rows += [
            _row(dump, check, f"{size // parts} images", value, left_out)
            for check, values in found.items()
            for left_out, value in enumerate(values, ALL)
        ]
    return rows


def _squares(*both: tuple[np.ndarray, np.ndarray]) -> list[float]:
    """Mean over entries of the product of their changes in two folds of images [1 + groups].

    Even and odd groups share no image, so that their chance changes are unrelated: the product's
    expectation is the square of the change that both have, however much noise there is.
    """
    groups = len(both[0][0])
    folds = np.arange(groups) % 2 == np.arange(2)[:, None]
    found = []
    for left_out in range(ALL, groups):
        kept = folds & (np.arange(groups) != left_out)
        one, other = (np.subtract(*(_map(sums[f], scale) for sums, scale in both)) for f in kept)
        found.append(_mean(one * other))
    return found


def _map(sums: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """CKA [layers, layers] of the sums of some groups."""
    return _maps(sums.sum(axis=0)[None], scale)[0]  # type: ignore[no-any-return]


def _noise(maps: list[np.ndarray]) -> Iterable[float]:
    """Largest change between two partitions of one size, mean over neighbours [1 + groups]."""
    pairs = list(itertools.pairwise(maps))
    return np.mean([[_largest(a, b) for a, b in zip(*p, strict=True)] for p in pairs], axis=0)  # type: ignore[no-any-return]


def _mean(change: np.ndarray) -> float:
    """Over the pairs of different layers that are defined."""
    return float(mean_of_finite(change[~np.eye(len(change), dtype=bool)]))


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
