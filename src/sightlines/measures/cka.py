"""Similarity of every layer of every network with every other: centred kernel alignment.

Source: Raghu et al. 2021, section 3 and appendix A (Figures 1, 2, 12); unbiased minibatch
estimator of Nguyen et al. 2021. Controls: images of one copy shuffled inside their minibatches,
for which the true similarity is 0; layers that do not vary are named instead of divided by zero.
"""

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core import seeds
from sightlines.core.errors import ConfigError, ResultError
from sightlines.core.files import TensorFile, TensorShapes
from sightlines.core.progress import Progress
from sightlines.dumps.reading import GramDump
from sightlines.plan import roles
from sightlines.plan.networks import FULL, Network
from sightlines.stats import hsic
from sightlines.stats.hsic import cka
from sightlines.stats.jackknife import group_of, leave_one_out, value_and_error, warn_of_few

READS = ("gram",)
USES = ("seed",)
TABLES = {
    "layers.csv": {
        "about": "Layers of every model",
        "row": "model × layer",
        "columns": (
            ("model", "text", "", "model, as the config names it"),
            ("layer", "int", "", "the layer's place, from 0"),
            "name",
            "kind",
            "block",
            "depth",
            ("features", "int", "", "features of one image"),
        ),
    },
    "cka.parquet": {
        "about": "Similarity of every layer of every network with every other; of further "
        "controls, with those of the same place in other models' order alone",
        "row": "pair of networks × pair of layers",
        "columns": (
            "network_a",
            "layer_a",
            "network_b",
            "layer_b",
            ("cka", "float", "", "unbiased linear CKA"),
            ("cka_se", "float", "", "its jackknife standard error over minibatches"),
        ),
    },
    "cka_shuffled.parquet": {
        "about": "The zero of the scale: images of one side shuffled inside their minibatches",
        "row": "network × pair of layers",
        "columns": (
            "network",
            "layer_a",
            "layer_b",
            ("cka", "float", "", "unbiased linear CKA, whose true value is 0"),
        ),
    },
    "cka_degenerate.csv": {
        "about": "Layers without a CKA",
        "row": "layer",
        "columns": ("network", "layer", "name", ("reason", "text", "", "why")),
    },
}
FILES = {
    "cka_replicates.safetensors": {
        "about": "CKA of all images and with each group of minibatches left out, of the pairs of "
        "networks that claims are judged by: tensor `<network>|<network>` [1 + groups, layers, "
        "layers] float32",
        "row": "pair of networks",
    },
}
log = logging.getLogger(__name__)
Part = tuple[Sequence[GramDump], "Sums"]
"""Networks of which all pairs are compared, and their sums."""
BUDGET_BYTES = 32 * 2**20
KEYS = ("model", "fraction", "seed")


@dataclass
class Sums:
    """HSIC sums over minibatches of all layers of all networks, one after the other.

    Attributes:
        whole: [groups, layers, layers], n(n-3) HSIC₁ summed over a group's minibatches.
        shuffled: of each network [layers, layers], with itself, the second's images shuffled.
        scale: [layers], squared norms of the Grams, summed alike.
    """

    whole: np.ndarray
    shuffled: list[np.ndarray]
    scale: np.ndarray


def measure(gram: list[GramDump], seed: int) -> dict[str, Any]:
    """Read all Gram dumps once, make all tables.

    Args:
        gram: Of each network, of the same reference images.
        seed: Root seed, for the shuffled images.

    Raises:
        ConfigError: a minibatch has fewer than four images.
        ResultError: two networks of one model have different layers.
    """
    layers = layer_rows(gram)
    minibatches = len(gram[0].batch_sizes)
    parts = [
        (dumps, add_hsic(dumps, seed, Progress(minibatches, "minibatches")))
        for dumps in compared_together(gram)
    ]
    warn_of_few(minibatches)
    constant = [row for part in parts for row in degenerate_rows(*part)]
    warn_of_constant(constant)
    return {
        "layers.csv": pd.DataFrame(layers),
        "cka.parquet": (table for part in parts for table in pair_tables(*part)),
        "cka_shuffled.parquet": (table for part in parts for table in shuffled_tables(*part)),
        "cka_degenerate.csv": pd.DataFrame(constant),
        "cka_replicates.safetensors": replicates(parts),
    }


def compared_together(dumps: Sequence[GramDump]) -> list[list[GramDump]]:
    """Networks of which all pairs are compared: all but further controls; and these by their place.

    Second controls of all models are compared with each other, third ones with each other, and with
    nothing else: work and tables do not grow with the square of the initialisations.
    """
    networks = [dump.network for dump in dumps]
    further = roles.further_controls(networks)
    found = [[dump for dump in dumps if dump.network not in further]]
    orders = [roles.controls(networks, model) for model in roles.models(networks)]
    for place in range(1, max(map(len, orders))):
        alike = [order[place] for order in orders if place < len(order)]
        found.append([dump for dump in dumps if dump.network in alike])
    return found


def add_hsic(dumps: Sequence[GramDump], seed: int, progress: Progress | None = None) -> Sums:
    """Add up the HSICs of all pairs of layers, one matrix product a minibatch.

    Memory does not grow with the number of minibatches: they are grouped into at most 20, and a
    minibatch's U-centred Grams are formed a few rows at a time.

    Args:
        dumps: Of the same reference images.
        seed: Root seed, for the shuffled images.
        progress: Told after each minibatch.

    Raises:
        ConfigError: a minibatch has fewer than four images.
    """
    sizes = dumps[0].batch_sizes
    if min(sizes) < hsic.MINIMUM_IMAGES:
        raise ConfigError(
            f"a reference minibatch has {min(sizes)} images, but unbiased HSIC needs "
            f"{hsic.MINIMUM_IMAGES}: change splits.reference_batch_size"
        )
    edges = layer_edges(dumps)
    sums = Sums(
        np.zeros((group_of(len(sizes) - 1, len(sizes)) + 1, edges[-1], edges[-1])),
        [np.zeros((len(dump.layers), len(dump.layers))) for dump in dumps],
        np.zeros(edges[-1]),
    )
    for minibatch, images in enumerate(sizes):
        order = seeds.generator(seed, "cka shuffled", minibatch).permutation(images)
        target = sums.whole[group_of(minibatch, len(sizes))]
        _add_minibatch(dumps, minibatch, order, target, sums)
        if progress is not None:
            progress.update(minibatch + 1)
    return sums


def _add_minibatch(
    dumps: Sequence[GramDump], minibatch: int, order: np.ndarray, whole: np.ndarray, sums: Sums
) -> None:
    images, edges = len(order), layer_edges(dumps)
    places = [slice(a, b) for a, b in itertools.pairwise(edges)]
    packed = [dump.packed(minibatch) for dump in dumps]
    means = []
    for place, grams in zip(places, packed, strict=True):
        subtracted, squares = hsic.centring_means(grams, images)
        means.append(subtracted)
        sums.scale[place] += squares
    groups = hsic.row_groups(images, edges[-1], BUDGET_BYTES)
    memory = np.empty(edges[-1] * max(hsic.pairs_in(rows, images) for rows in groups))
    for rows in groups:
        pairs = hsic.pairs_in(rows, images)
        vectors = memory[: edges[-1] * pairs].reshape(edges[-1], pairs)
        for index, place in enumerate(places):
            hsic.centred_rows(packed[index], means[index], rows, vectors[place])
            moved = hsic.shuffled_rows(packed[index], means[index], rows, order)
            sums.shuffled[index] += vectors[place] @ moved.T
        whole += vectors @ vectors.T


def layer_edges(dumps: Sequence[GramDump]) -> list[int]:
    """Where each network's layers begin among all layers, and their number."""
    return [0, *itertools.accumulate(len(dump.layers) for dump in dumps)]


def is_constant(sums: Sums) -> np.ndarray:
    """[layers], true where a layer varies over images by no more than float32 rounding."""
    own = np.einsum("gll->l", sums.whole)
    return own <= hsic.CONSTANT**2 * sums.scale  # type: ignore[no-any-return]


def layer_rows(dumps: Sequence[GramDump]) -> list[dict[str, Any]]:
    """Rows of layers.csv, each model once.

    Raises:
        ResultError: two networks of one model have different layers.
    """
    rows: dict[str, tuple[GramDump, list[dict[str, Any]]]] = {}
    for dump in dumps:
        model = dump.network.model
        first, _ = rows.setdefault(model, (dump, dump.layers))
        if first.layers != dump.layers:
            raise ResultError(f"{first.path} and {dump.path} have different layers of {model}")
    columns = ("name", "kind", "block", "depth", "features")
    return [
        {"model": model, "layer": layer["index"], **{c: layer[c] for c in columns}}
        for model, (_, layers) in rows.items()
        for layer in layers
    ]


def degenerate_rows(dumps: Sequence[GramDump], sums: Sums) -> list[dict[str, Any]]:
    """Rows of cka_degenerate.csv: layers for which CKA is 0/0."""
    flags = np.split(is_constant(sums), layer_edges(dumps)[1:-1])
    reason = "its output is the same for all images (at the start of training, a branch of zeros)"
    return [
        dict(zip(KEYS, dump.network, strict=True))
        | {"layer": layer, "name": dump.layers[layer]["name"], "reason": reason}
        for dump, constant in zip(dumps, flags, strict=True)
        for layer in np.flatnonzero(constant).tolist()
    ]


def pair_tables(dumps: Sequence[GramDump], sums: Sums) -> Iterator[pd.DataFrame]:
    """cka.parquet: every pair of networks, every layer of one with every layer of the other."""
    edges = layer_edges(dumps)
    own = np.einsum("gll->gl", sums.whole).copy()
    own[:, is_constant(sums)] = np.nan
    for a, b in itertools.combinations_with_replacement(range(len(dumps)), 2):
        in_a, in_b = slice(*edges[a : a + 2]), slice(*edges[b : b + 2])
        parts = sums.whole[:, in_a, in_b], own[:, in_a], own[:, in_b]
        value, error = value_and_error(cka, *parts)
        yield _rectangle(dumps[a], dumps[b], {"cka": value, "cka_se": error})


def replicates(parts: Sequence[Part]) -> TensorFile:
    """cka_replicates.safetensors: CKA of all images and with each group of them left out.

    One tensor `<network>|<network>` [1 + groups, layers, layers] float32 for each network with
    itself, for networks of one model (which differ in fraction or seed), for networks of one
    fraction and seed, and for controls of one place: what claims are judged by.
    """
    files = [_replicates(*part) for part in parts]
    shapes = {name: shape for file in files for name, shape in file.shapes.items()}
    tensors = itertools.chain.from_iterable(file.tensors for file in files)
    return TensorFile(shapes, files[0].meta, tensors)


def _replicates(dumps: Sequence[GramDump], sums: Sums) -> TensorFile:
    """The tensors of networks that are all compared."""
    edges = layer_edges(dumps)
    own = np.einsum("gll->gl", sums.whole).copy()
    own[:, is_constant(sums)] = np.nan
    own = leave_one_out(own)
    pairs = list(_judged_pairs(dumps))
    width = np.diff(edges)
    shapes: TensorShapes = {
        _pair_name(dumps[a], dumps[b]): ("F32", (len(own), int(width[a]), int(width[b])))
        for a, b in pairs
    }

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        for a, b in pairs:
            in_a, in_b = slice(*edges[a : a + 2]), slice(*edges[b : b + 2])
            cross = leave_one_out(sums.whole[:, in_a, in_b])
            values = cka(cross, own[:, in_a], own[:, in_b]).astype(np.float32)
            yield _pair_name(dumps[a], dumps[b]), values

    return TensorFile(shapes, {"groups": len(sums.whole)}, tensors())


def _judged_pairs(dumps: Sequence[GramDump]) -> Iterator[tuple[int, int]]:
    networks = [dump.network for dump in dumps]
    controls = {roles.control(networks, model) for model in roles.models(networks)}
    for a, b in itertools.combinations_with_replacement(range(len(dumps)), 2):
        one, other = networks[a], networks[b]
        are_alike = one.model == other.model or one[1:] == other[1:] or {one, other} <= controls
        if are_alike or _are_compared(networks, one, other):
            yield a, b


def _are_compared(networks: Sequence[Network], one: Network, other: Network) -> bool:
    """Whether of two networks on all images one is what the other is held against."""
    return one.fraction == other.fraction == FULL and (
        one == roles.same_seed(networks, one.model, other)
        or other == roles.same_seed(networks, other.model, one)
    )


def _pair_name(a: GramDump, b: GramDump) -> str:
    return f"{a.network.slug}|{b.network.slug}"


def shuffled_tables(dumps: Sequence[GramDump], sums: Sums) -> Iterator[pd.DataFrame]:
    """cka_shuffled.parquet: each network with itself, the second copy's images shuffled."""
    own = np.einsum("gll->l", sums.whole).copy()
    own[is_constant(sums)] = np.nan
    for dump, cross, self_ in zip(
        dumps, sums.shuffled, np.split(own, layer_edges(dumps)[1:-1]), strict=True
    ):
        part = _rectangle(dump, dump, {"cka": cka(cross, self_, self_)})
        part = part.rename(columns={f"{key}_a": key for key in KEYS})
        yield part[[*KEYS, "layer_a", "layer_b", "cka"]]


def _rectangle(a: GramDump, b: GramDump, values: dict[str, np.ndarray]) -> pd.DataFrame:
    layer_a, layer_b = np.indices((len(a.layers), len(b.layers)))
    columns: dict[str, Any] = {}
    for side, dump, layer in (("a", a, layer_a), ("b", b, layer_b)):
        columns |= {f"{k}_{side}": v for k, v in zip(KEYS, dump.network, strict=True)}
        columns[f"layer_{side}"] = layer.ravel()
    return pd.DataFrame(columns | {name: value.ravel() for name, value in values.items()})


def warn_of_constant(rows: Sequence[dict[str, Any]]) -> None:
    """Name the layers that have no similarity, on one line a network and reason.

    Args:
        rows: Of `cka_degenerate.csv`.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        found.setdefault((_slug(row), row["reason"]), []).append(row["name"])
    for (network, reason), names in found.items():
        layers = "a layer" if len(names) == 1 else f"{len(names)} layers"
        log.warning(f"no similarity for {layers} of {network}, {', '.join(names)}: {reason}")


def _slug(row: dict[str, Any]) -> str:
    return "/".join(row[key] for key in KEYS)
