"""Robustness checks: similarity of block outputs by six indices, from the same Grams as CKA.

Source: Davari et al. 2023 and Cui et al. 2022 on where linear CKA misleads; the indices and their
sources are in `indices`. Indices made of HSICs are ratios of sums over minibatches, as CKA is; the
others are means over minibatches. Beside each value stands the one for shuffled images: the same
layers, the second one's images permuted inside their minibatch, so that nothing is shared. Each
block's output is also compared with the next block's attention branch, for the grid of Figure 1.
Values with groups of minibatches left out give every index an interval.
"""

import functools
import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from sightlines.core import seeds
from sightlines.core.files import TensorFile, TensorShapes
from sightlines.core.progress import Progress
from sightlines.dumps.reading import GramDump
from sightlines.plan import roles
from sightlines.plan.architectures import lacks_skips
from sightlines.plan.networks import FULL, UNTRAINED, Network
from sightlines.stats import hsic, indices
from sightlines.stats.hsic import cka
from sightlines.stats.jackknife import group_of

READS = ("gram", "pixels")
USES = ("architectures", "seed")
TABLES = {
    "similarity_indices.parquet": {
        "about": "Robustness checks: similarity of block outputs by six indices",
        "row": "pair of networks × pair of blocks × index",
        "columns": ("network_a", "layer_a", "network_b", "layer_b", "index"),
    },
    "branch_indices.parquet": {
        "about": "The same of each block's output with the next block's attention",
        "row": "network × pair of layers × index",
        "columns": ("network_a", "layer_a", "network_b", "layer_b", "index"),
    },
}
FILES = {
    "index_replicates.safetensors": {
        "about": "The same indices of all images and with each group of minibatches left out, "
        "biased ones less their value for shuffled images: tensor `<index>|<network>|<network>` "
        "[1 + groups, blocks, blocks] float32 of networks whose blocks are compared each with "
        "each, and `<index>|<network>|branches` [1 + groups, blocks − 1] of block outputs with "
        "the next block's attention",
        "row": "index × pair of networks",
    },
}
PROCRUSTES_MINIBATCHES = 4
"""Procrustes costs n³ a pair and minibatch, so it is a mean over the first four."""
BUDGET_BYTES = 128 * 2**20
BIASED = ("procrustes", "neighbours")
"""Indices that read more than 0 for unrelated layers."""


@runtime_checkable
class Grams(Protocol):
    """What a dump of Grams gives."""

    network: Network
    layers: list[dict[str, Any]]

    def packed(self, minibatch: int) -> np.ndarray:
        """Upper triangles with diagonals [layers, n(n+1)/2]."""


@dataclass(frozen=True, eq=False)
class Side:
    """One network's layers of a kind among all that are read.

    Attributes:
        dump: Its Grams.
        layers: Their places among the dump's.
        places: Their places among the layers of all sides.
    """

    dump: Grams
    layers: np.ndarray
    places: np.ndarray


Pair = tuple[Side, Side, bool]
"""Two networks; whether the layers are compared one by one in their order, or each with each."""


@dataclass
class Sums:
    """What is added up over minibatches, for all L block outputs together.

    Attributes:
        whole: Kernel -> inner products of U-centred Grams; ``linear`` has the pixels before all.
        shuffled: The same, the second's images shuffled.
        scale: Kernel -> squared norms of the Grams.
        means: ``procrustes``, ``neighbours`` -> [2, L, L]: sums of the index, also shuffled.
        counts: How many minibatches each of `means` has.
    """

    whole: dict[str, np.ndarray] = field(default_factory=dict)
    shuffled: dict[str, np.ndarray] = field(default_factory=dict)
    scale: dict[str, np.ndarray] = field(default_factory=dict)
    means: dict[str, np.ndarray] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add_kernel(self, name: str, packed: np.ndarray, order: np.ndarray) -> None:
        """Add one minibatch's inner products of packed kernels [layers, n(n+1)/2]."""
        layers = len(packed)
        for sums in (self.whole, self.shuffled):
            sums.setdefault(name, np.zeros((layers, layers)))
        means, squares = hsic.centring_means(packed, len(order))
        self.scale[name] = self.scale.get(name, 0) + squares
        for rows in hsic.row_groups(len(order), 2 * layers, BUDGET_BYTES):
            vectors = hsic.centred_rows(packed, means, rows)
            self.whole[name] += vectors @ vectors.T
            self.shuffled[name] += vectors @ hsic.shuffled_rows(packed, means, rows, order).T

    def plus(self, other: "Sums", sign: int = 1) -> "Sums":
        """These and other sums, added up or, with the sign -1, taken away; shuffled ones stay."""

        def added(name: str) -> dict[str, Any]:
            own, more = getattr(self, name), getattr(other, name)
            found = dict(own)
            for key, value in more.items():
                found[key] = own[key] + sign * value if key in own else sign * value
            return found

        names = ("whole", "scale", "means", "counts")
        return Sums(shuffled=self.shuffled, **{name: added(name) for name in names})

    def add_mean(self, name: str, both: np.ndarray) -> None:
        """Add one minibatch's index, as it is and shuffled, [2, L, L]."""
        self.means[name] = self.means.get(name, 0) + both
        self.counts[name] = self.counts.get(name, 0) + 1


def measure(
    gram: list[GramDump], pixels: GramDump, architectures: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Read block outputs of all Gram dumps once; other indices leave out further controls.

    Args:
        gram: Of each network.
        pixels: The images' own Grams.
        architectures: Model -> its settings.
        seed: Root seed, for the shuffled images.
    """
    further = roles.further_controls(dump.network for dump in gram)
    sides = place([dump for dump in gram if dump.network not in further])
    skipless = skipless_models(architectures)
    pairs = choose_pairs(sides, skipless)
    branches = branch_pairs(sides, pairs, skipless)
    every = [*sides, *(branch for _, branch, _ in branches)]
    progress = Progress(len(pixels.batch_sizes), "minibatches")
    groups = add_groups(every, pixels, [*pairs, *branches], seed, progress)
    sums = merged(groups)
    whole = [pair for pair in pairs if not pair[2]]
    return {
        "similarity_indices.parquet": pair_table(pairs, sums),
        "branch_indices.parquet": pair_table(branches, sums),
        "index_replicates.safetensors": replicates([*whole, *branches], groups),
    }


def skipless_models(architectures: dict[str, Any]) -> set[str]:
    """Models that lack the skip connections of a block: compared within themselves alone."""
    return {m for m, settings in architectures.items() if lacks_skips(settings)}


def place(dumps: Sequence[GramDump]) -> list[Side]:
    """Number the block outputs of all networks, one network after the other."""
    sides, begin = [], 0
    for dump in dumps:
        sides.append(_side(dump, layers_of(dump, "residual"), begin))
        begin += len(sides[-1].layers)
    return sides


def layers_of(dump: Grams, kind: str) -> list[int]:
    """Places of a dump's layers of a kind, one a block, in order."""
    return [row["index"] for row in dump.layers if row["kind"] == kind]


def _side(dump: Grams, layers: Sequence[int], begin: int) -> Side:
    return Side(dump, np.array(layers, int), np.arange(begin, begin + len(layers)))


def branch_pairs(
    sides: Sequence[Side], pairs: Sequence[Pair], skipless: Collection[str]
) -> list[Pair]:
    """Every block's output with the next block's attention branch, where each block has one.

    Args:
        sides: Block outputs of all networks; the branches are placed after them.
        pairs: From `choose_pairs`; of networks that these compare with themselves.
        skipless: Models that are left out.
    """
    found: list[Pair] = []
    begin = sum(len(side.layers) for side in sides)
    for side in (a for a, b, _ in pairs if a is b and a.dump.network.model not in skipless):
        branches = layers_of(side.dump, "attn")
        if 1 < len(branches) == len(side.layers):
            below = Side(side.dump, side.layers[:-1], side.places[:-1])
            found.append((below, _side(side.dump, branches[1:], begin), True))
            begin += len(branches) - 1
    return found


def choose_pairs(sides: Sequence[Side], skipless: Collection[str] = ()) -> list[Pair]:
    """Which networks are compared, of each model the full one and its control (see `roles`).

    Every full and every untrained network with itself; of models that have all their skips also
    every full network with every other, and each network with its model's full one, block by block.
    """
    chosen = roles.first_seeds(s.dump.network for s in sides)
    chosen = [network for network in chosen if network.fraction in (FULL, UNTRAINED)]
    firsts = [s for s in sides if s.dump.network in chosen]
    full = {s.dump.network.model: s for s in firsts if s.dump.network.fraction == FULL}
    pairs = [(side, side, False) for side in firsts]
    whole = [s for s in sides if s.dump.network.model not in skipless]
    trained = [s for s in firsts if s.dump.network.fraction == FULL and s in whole]
    pairs += [(a, b, False) for a, b in itertools.combinations(trained, 2)]
    for side in whole:
        reference = full.get(side.dump.network.model)
        if reference is not None and reference is not side:
            pairs.append((reference, side, True))
    return pairs


def add_up(
    sides: Sequence[Side],
    pixels: GramDump,
    pairs: Sequence[Pair],
    seed: int,
    progress: Progress | None = None,
) -> Sums:
    """Go through the minibatches; memory does not grow with their number."""
    return merged(add_groups(sides, pixels, pairs, seed, progress))


def add_groups(
    sides: Sequence[Side],
    pixels: GramDump,
    pairs: Sequence[Pair],
    seed: int,
    progress: Progress | None = None,
) -> list[Sums]:
    """The same, the sums of each group of minibatches apart; those of shuffled images are one."""
    sizes, shuffled = pixels.batch_sizes, {}  # type: ignore[var-annotated]
    groups = [Sums(shuffled=shuffled) for _ in range(group_of(len(sizes) - 1, len(sizes)) + 1)]
    wanted = list(_wanted(pairs))
    for minibatch, images in enumerate(sizes):
        order = seeds.generator(seed, "similarity_indices shuffled", minibatch).permutation(images)
        blocks = [side.dump.packed(minibatch)[side.layers] for side in sides]
        packed = np.concatenate([pixels.packed(minibatch), *blocks]).astype(np.float64)
        own = groups[group_of(minibatch, len(sizes))]
        _add_minibatch(own, packed, order, wanted, minibatch < PROCRUSTES_MINIBATCHES)
        if progress is not None:
            progress.update(minibatch + 1)
    return groups


def merged(groups: Sequence[Sums]) -> Sums:
    """The sums of all groups."""
    return functools.reduce(Sums.plus, groups)


def _wanted(pairs: Sequence[Pair]) -> Iterator[tuple[int, int]]:
    """Places of all layers to be compared, each pair once, the lower place first."""
    both = set()
    for a, b, matching in pairs:
        for _, _, i, j in _cells(a, b, matching):
            both.add((min(i, j), max(i, j)))
    yield from sorted(both)


def _add_minibatch(
    sums: Sums,
    packed: np.ndarray,
    order: np.ndarray,
    wanted: Sequence[tuple[int, int]],
    also_procrustes: bool,
) -> None:
    sums.add_kernel("linear", packed, order)
    grams = indices.unpack(packed[1:], len(order))
    sums.add_kernel("rbf", indices.pack(indices.rbf(grams)), order)
    values, vectors = indices.decompose(grams)
    reduced = indices.without_top(grams, values, vectors)
    sums.add_kernel("without_top", indices.pack(reduced), order)
    chosen = indices.neighbours(grams, indices.neighbour_count(len(order)))
    moved = chosen[:, order][:, :, order]
    both = [indices.overlap(chosen, chosen), indices.overlap(chosen, moved)]
    sums.add_mean("neighbours", np.stack(both))
    if also_procrustes:
        roots = indices.square_roots(values, vectors)
        sums.add_mean("procrustes", _procrustes(roots, grams, order, wanted))


def _procrustes(
    roots: np.ndarray, grams: np.ndarray, order: np.ndarray, wanted: Sequence[tuple[int, int]]
) -> np.ndarray:
    both = np.full((2, len(grams), len(grams)), np.nan)
    for i, j in wanted:
        both[0, i, j] = both[0, j, i] = indices.procrustes(roots[i], grams[j])
        moved = grams[j][order][:, order]
        both[1, i, j] = both[1, j, i] = indices.procrustes(roots[i], moved)
    return both


def matrices(sums: Sums) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Index -> its values and shuffled values for all layers [L, L]; NaN where undefined."""
    whole, shuffled = dict(sums.whole), dict(sums.shuffled)
    pixelled, moved = whole["linear"], shuffled["linear"]
    whole["linear"], shuffled["linear"] = pixelled[1:, 1:], moved[1:, 1:]
    whole["deconfounded"] = indices.deconfound(pixelled, pixelled)
    shuffled["deconfounded"] = indices.deconfound(moved, pixelled)
    linear = sums.scale["linear"][1:]
    found = {}
    for name in ("linear", "deconfounded", "without_top", "rbf"):
        scale = sums.scale["rbf"] if name == "rbf" else linear
        own = np.diagonal(whole[name])
        own = np.where(own > hsic.CONSTANT**2 * scale, own, np.nan)
        found[name] = (cka(whole[name], own, own), cka(shuffled[name], own, own))
    constant = np.diagonal(whole["linear"]) <= hsic.CONSTANT**2 * linear
    for name in ("procrustes", "neighbours"):
        both = sums.means[name] / max(sums.counts[name], 1)
        both[:, constant] = both[:, :, constant] = np.nan
        found[name] = (both[0], both[1])
    return found


def replicates(pairs: Sequence[Pair], groups: Sequence[Sums]) -> TensorFile:
    """index_replicates.safetensors: every index of these pairs, also without each group.

    An index that rests on some minibatches alone is left out one of their groups at a time.
    """
    total = merged(groups)
    found: dict[str, list[np.ndarray]] = {}
    left_out = [total, *(total.plus(group, -1) for group in groups)]
    for place, sums in enumerate(left_out):
        for index, both in matrices(sums).items():
            if place and index in total.counts:
                rests_on = groups[place - 1].counts.get(index, 0)
                if rests_on in (0, total.counts[index]):
                    continue
            found.setdefault(index, []).append(unbiased(index, *both))
    tensors: dict[str, np.ndarray] = {}
    for index, values in found.items():
        for a, b, matching in pairs:
            rows, columns = a.places, b.places
            if matching:
                name = f"{index}|{a.dump.network.slug}|branches"
                tensors[name] = np.array([v[rows, columns] for v in values], np.float32)
            else:
                name = f"{index}|{a.dump.network.slug}|{b.dump.network.slug}"
                tensors[name] = np.array([v[np.ix_(rows, columns)] for v in values], np.float32)
    shapes: TensorShapes = {name: ("F32", array.shape) for name, array in tensors.items()}
    return TensorFile(shapes, {"groups": len(groups)}, tensors.items())


def unbiased(index: str, value: np.ndarray, shuffled: np.ndarray) -> np.ndarray:
    """An index that reads 0 for unrelated layers.

    Biased ones are held against their value s for shuffled images: (v - s) / (1 - s).
    """
    floor = shuffled if index in BIASED else 0.0
    return (value - floor) / (1 - floor)


def pair_table(pairs: Sequence[Pair], sums: Sums) -> pd.DataFrame:
    """similarity_indices.parquet: every index of every pair of block outputs compared."""
    found, parts = matrices(sums), []
    for a, b, matching in pairs:
        cells = np.array(list(_cells(a, b, matching)), int).reshape(-1, 4)
        for index, (value, shuffled) in found.items():
            at = (cells[:, 2], cells[:, 3])
            columns = {"index": index, "value": value[at], "shuffled": shuffled[at]}
            for name, side, layers in (("a", a, cells[:, 0]), ("b", b, cells[:, 1])):
                columns |= {f"{k}_{name}": v for k, v in side.dump.network._asdict().items()}
                columns[f"layer_{name}"] = layers
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _cells(a: Side, b: Side, matching: bool) -> Iterator[tuple[int, int, int, int]]:
    """Layer of `a`, layer of `b`, and their places, for all cells that a pair compares."""
    rows = zip(a.layers.tolist(), a.places.tolist(), strict=True)
    columns = zip(b.layers.tolist(), b.places.tolist(), strict=True)
    cells = zip(rows, columns, strict=True) if matching else itertools.product(rows, columns)
    for (layer_a, place_a), (layer_b, place_b) in cells:
        yield layer_a, layer_b, place_a, place_b
