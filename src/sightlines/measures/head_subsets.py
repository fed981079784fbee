"""Are local heads of a ViT's first block more like a ResNet's lower layers than global ones?

Source: Raghu et al. 2021, section 4, Figure 5. Heads are sorted by mean attention distance;
neighbours in that order form subsets (sliding windows of a quarter of the heads, which the paper
leaves open); each subset's representation is its heads' outputs side by side. So that no image
both sorts the heads and scores them, even minibatches sort them for the CKA of the odd ones and
the other way round. Controls: random subsets of the same size, and an untrained ViT.
"""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core import seeds
from sightlines.core.progress import Progress
from sightlines.dumps.heads_reading import HeadsDump
from sightlines.dumps.reading import AttentionDump, GramDump
from sightlines.measures.head_opinions import head_opinions
from sightlines.measures.head_sums import HeadSums, add_heads, subset_cka, subset_distance_px
from sightlines.plan import roles
from sightlines.plan.networks import Network
from sightlines.stats.jackknife import ALL, warn_of_few

READS = ("heads", "attention", "gram", "pixels")
USES = ("architectures", "seed")
NEEDS = ("plain_attention", "resnet")
TABLES = {
    "head_subsets.parquet": {
        "about": "CKA of subsets of a ViT's heads with a ResNet's lower units",
        "row": "ViT × ResNet × unit × subset of heads × left_out",
        "columns": (
            "network",
            "other_network",
            ("unit", "text", "", "name of the ResNet's unit"),
            ("unit_rank", "int", "", "which of the paper's five lower units, from 0"),
            ("subset_kind", "text", "", "window (neighbours in distance), single, random"),
            ("subset", "int", "", "which of its kind; windows from local to global"),
            ("heads", "text", "", "the heads, such as `3 5`; `3 5|2 5` where minibatches differ"),
            ("distance_px", "float", "px", "mean attention distance of the heads"),
            ("relative", "float", "", "that ÷ distance of uniform attention"),
            ("cka", "float", "", "unbiased linear CKA of the heads side by side with the unit"),
            "left_out",
        ),
    },
    "head_subset_indices.parquet": {
        "about": "The same windows by other indices of similarity",
        "row": "ViT × ResNet × unit × subset × index",
        "columns": (
            "network",
            ("other_model", "text", "", "the ResNet"),
            ("unit_rank", "int", "", "which of the paper's five lower units, from 0"),
            ("subset", "int", "", "which window, from local to global"),
            "index",
        ),
    },
}
RANDOM_SUBSETS = 20
LOWER_UNITS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1))
"""Stage and unit, from 0, of the paper's block1unit1, 1unit2, 1unit3, 2unit1 and 2unit2."""


def measure(
    heads: list[HeadsDump],
    attention: list[AttentionDump],
    gram: list[GramDump],
    pixels: GramDump,
    architectures: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Compare each ViT's subsets of heads with each ResNet's lower units.

    Args:
        heads: Of each ViT compared.
        attention: Of each ViT.
        gram: Of each network.
        pixels: The images' own Grams.
        architectures: Model -> its settings.
        seed: Root seed, for the random subsets and the shuffled images.
    """
    if heads:
        warn_of_few(len(heads[0].batch_sizes))
    resnets = [dump for dump in gram if architectures[dump.network.model]["family"] == "resnet"]
    looks = {dump.network: dump for dump in attention}
    pairs = [(vit, other) for vit in heads for other in partners(vit.network, resnets)]
    progress = Progress(len(pairs), "pairs of networks")
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    for done, (vit, other) in enumerate(pairs):
        found = pair_tables(vit, looks[vit.network], other, pixels, seed)
        for parts, part in zip(tables.values(), found, strict=True):
            parts.append(part)
        progress.update(done + 1)
    return dict(tables)


def partners(vit: Network, resnets: list[GramDump]) -> list[GramDump]:
    """Of each ResNet the one trained on all images, if possible with the ViT's seed."""
    known = {dump.network: dump for dump in resnets}
    chosen = (roles.same_seed(known, model, vit) for model in roles.trained_models(known))
    return [known[network] for network in chosen if network]


def lower_units(layers: list[dict[str, Any]]) -> dict[int, int]:
    """Rank among LOWER_UNITS -> index of the layer that is the unit's output; absent ones left out.

    A stage begins with a unit that has a projection, or another size than the unit before it.
    """
    outputs = [row for row in layers if row["kind"] == "residual"]
    projected = {row["block"] for row in layers if row["name"].endswith(".proj_conv")}
    found, stage, unit, features = {}, -1, 0, None
    for row in outputs:
        begins = stage < 0 or row["block"] in projected or row["features"] != features
        stage, unit = (stage + 1, 0) if begins else (stage, unit + 1)
        features = row["features"]
        if (stage, unit) in LOWER_UNITS:
            found[LOWER_UNITS.index((stage, unit))] = row["index"]
    return found


def pair_tables(
    vit: HeadsDump, attention: AttentionDump, other: GramDump, pixels: GramDump, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables of one ViT and one ResNet: by CKA, and windows by other indices too.

    Args:
        vit: The ViT's heads.
        attention: The ViT's attention.
        other: The ResNet's layers.
        pixels: The images' own Grams.
        seed: Root seed, for the random subsets and the shuffled images.
    """
    units = lower_units(other.layers)
    sums = add_heads(vit, attention, other, list(units.values()))
    kinds = {
        "window": window_subsets(sums.distance_px),
        "single": _same_everywhere(np.eye(vit.heads), sums),
        "random": _same_everywhere(random_subsets(vit.heads, seed), sums),
    }
    facts = dict(zip(Network._fields, vit.network, strict=True))
    facts |= {f"other_{k}": v for k, v in zip(Network._fields, other.network, strict=True)}
    names = {rank: other.layers[index]["name"] for rank, index in units.items()}
    parts = [
        _rows(sums, kind, chosen, names, attention.uniform_px) for kind, chosen in kinds.items()
    ]
    table = pd.concat(parts, ignore_index=True).assign(**facts)
    return table, head_opinions(vit, kinds["window"][0], other, units, pixels, seed)


def window_size(heads: int) -> int:
    """Heads of a subset: a quarter of them, rounded up."""
    return math.ceil(heads / 4)


def window_subsets(distance_px: np.ndarray) -> np.ndarray:
    """Neighbours in the order of distance, sorted for each fold by the other fold's images.

    Args:
        distance_px: [replicates, 2, heads].

    Returns:
        [replicates, 2, subsets, heads], 1 where a head is in the subset; from local to global.
    """
    count = distance_px.shape[-1]
    size = window_size(count)
    order = np.argsort(distance_px[:, ::-1], axis=-1, kind="stable")
    is_head = np.eye(count)[order]
    starts = range(count - size + 1)
    return np.stack([is_head[..., s : s + size, :].sum(axis=-2) for s in starts], axis=-2)


def random_subsets(heads: int, seed: int) -> np.ndarray:
    """Distinct subsets of a window's size, [subsets, heads]: all there are, or 20 of them."""
    size = window_size(heads)
    if math.comb(heads, size) <= RANDOM_SUBSETS:
        chosen = set(itertools.combinations(range(heads), size))
    else:
        generator, chosen = seeds.generator(seed, "random subsets of heads", heads), set()
        while len(chosen) < RANDOM_SUBSETS:
            drawn = generator.choice(heads, size, replace=False)
            chosen.add(tuple(sorted(drawn.tolist())))
    return np.stack([np.eye(heads)[list(subset)].sum(axis=0) for subset in sorted(chosen)])


def _same_everywhere(subsets: np.ndarray, sums: HeadSums) -> np.ndarray:
    return np.broadcast_to(subsets, (*sums.distance_px.shape[:2], *subsets.shape))


def _rows(
    sums: HeadSums, kind: str, chosen: np.ndarray, names: dict[int, str], uniform_px: float
) -> pd.DataFrame:
    cka, distance = subset_cka(sums, chosen), subset_distance_px(sums, chosen)
    replicate, subset, unit = (axis.ravel() for axis in np.indices(cka.shape))
    texts = np.array([[_text(folds) for folds in one.swapaxes(0, 1)] for one in chosen], object)
    columns = {
        "unit": np.array(list(names.values()), object)[unit],
        "unit_rank": np.array(list(names))[unit],
        "subset_kind": kind,
        "subset": subset,
        "heads": texts[replicate, subset],
        "distance_px": distance[replicate, subset],
        "relative": distance[replicate, subset] / uniform_px,
        "cka": cka.ravel(),
        "left_out": replicate + ALL,
    }
    return pd.DataFrame(columns)


def _text(folds: np.ndarray) -> str:
    """The heads, such as ``3 5``; ``3 5|2 5`` where even minibatches score others than odd ones."""
    texts = [" ".join(map(str, np.flatnonzero(fold))) for fold in folds]
    return "|".join(dict.fromkeys(texts))
