"""How much each token of a layer is about its own patch of the image: CKA with patches of pixels.

Source: Raghu et al. 2021, section 5 and appendix D, Figures 9, 10, D.1 to D.3. Patches resemble
each other in pixels already, neighbours most of all, so every score stands beside two without
that: `less_baseline` subtracts the CKA of patch t with patch u (its z is below 0 by construction,
since a patch has CKA 1 with itself), `deconfounded` first regresses the pixels of the whole image
out of every Gram.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core.progress import Progress
from sightlines.dumps.localisation_reading import LocalisationDump
from sightlines.stats import localisation_scores as scores
from sightlines.stats.hsic import cka
from sightlines.stats.jackknife import ALL, group_of, leave_one_out, warn_of_few
from sightlines.stats.means import mean_of_finite

READS = ("localisation",)
TABLES = {
    "localisation.parquet": {
        "about": "How much a layer's tokens are about their own patches of the image",
        "row": "network × layer × where × score × left_out",
        "columns": (
            "network",
            ("layer", "int", "", "the layer's place among those measured"),
            "name",
            "block",
            "depth",
            ("where", "text", "", "which tokens: interior (off the border), all"),
            (
                "score",
                "text",
                "",
                "map scored: cka; less_baseline (less that of pixels); deconfounded (the image "
                "regressed out)",
            ),
            ("z", "float", "", "own patch's score in standard deviations over patches, mean"),
            (
                "effect",
                "float",
                "",
                "own patch's score less the mean of the others', in standard deviations of these, "
                "pooled over tokens: does not depend on the number of patches",
            ),
            ("rank_1_share", "float", "share", "tokens whose own patch is first"),
            ("token_correlation", "float", "", "mean correlation of two tokens' maps"),
            ("border_cka", "float", "", "corner tokens' mean score on other border patches"),
            ("interior_cka", "float", "", "corner tokens' mean score on interior patches"),
            "left_out",
        ),
    },
    "localisation_tokens.parquet": {
        "about": "How much each token is about its own patch",
        "row": "network × layer × token",
        "columns": (
            "network",
            ("layer", "int", "", "the layer's place among those measured"),
            "name",
            "depth",
            ("token", "int", "", "token, row after row"),
            ("row", "int", "", "its row of the grid"),
            ("column", "int", "", "its column of the grid"),
            ("is_interior", "bool", "", "whether it is off the grid's border"),
            ("z", "float", "", "own patch's CKA in standard deviations over patches"),
            ("rank", "float", "", "1 + patches whose CKA is larger than the own patch's"),
            ("patches", "int", "", "patches of an image"),
        ),
    },
    "localisation_maps.parquet": {
        "about": "CKA of tokens with patches of pixels, for the layers that figures show",
        "row": "network × layer × token × patch",
        "columns": (
            "network",
            "name",
            "depth",
            ("token", "int", "", "token, row after row; −1: class token"),
            ("patch", "int", "", "patch, row after row"),
            ("cka", "float", "", "unbiased linear CKA of the two"),
            ("baseline", "float", "", "that of the token's own patch with the patch"),
        ),
    },
    "localisation_margins.parquet": {
        "about": "By how much the own patch is first after the last block, interior tokens",
        "row": "network × token × score × left_out",
        "columns": (
            "network",
            ("token", "int", "", "token, row after row"),
            ("score", "text", "", "map scored: cka, less_baseline, deconfounded"),
            ("margin", "float", "", "own patch's score less the best of the others"),
            "left_out",
        ),
    },
}
LAYER = ("name", "depth")


@dataclass
class Sums:
    """n(n-3) HSIC₁ of one network, of all minibatches and then with each group left out.

    Attributes:
        cross: [replicates, layers, tokens, patches].
        own: [replicates, layers, tokens], tokens with themselves.
        patches: [replicates, patches, patches].
    """

    cross: np.ndarray
    own: np.ndarray
    patches: np.ndarray


def measure(localisation: list[LocalisationDump]) -> dict[str, Any]:
    """Score every layer of every network.

    Args:
        localisation: Of each network.
    """
    if localisation:
        warn_of_few(len(localisation[0].batch_sizes))
    progress = Progress(len(localisation), "networks")
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    for done, dump in enumerate(localisation, 1):
        sums = add_minibatches(dump)
        tables["localisation.parquet"].append(score_table(dump, sums))
        tables["localisation_tokens.parquet"].append(token_table(dump, sums))
        tables["localisation_maps.parquet"].append(map_table(dump, sums))
        tables["localisation_margins.parquet"].append(margin_table(dump, sums))
        progress.update(done)
    return dict(tables)


def add_minibatches(dump: LocalisationDump) -> Sums:
    """Add up a dump's minibatches by jackknife group."""
    sizes, layers, tokens = dump.batch_sizes, len(dump.layers), dump.tokens
    groups = group_of(len(sizes) - 1, len(sizes)) + 1
    cross = np.zeros((groups, layers, tokens, tokens))
    own = np.zeros((groups, layers, tokens))
    patches = np.zeros((groups, tokens, tokens))
    for minibatch in range(len(sizes)):
        group = group_of(minibatch, len(sizes))
        cross[group] += dump.cross(minibatch)
        own[group] += dump.own_tokens(minibatch)
        patches[group] += dump.patches(minibatch)
    return Sums(leave_one_out(cross), leave_one_out(own), leave_one_out(patches))


def cka_maps(sums: Sums, replicate: int = 0) -> np.ndarray:
    """CKA of every token with every patch [layers, tokens, patches]."""
    patches = np.diagonal(sums.patches[replicate])
    return cka(sums.cross[replicate], sums.own[replicate], patches)


def baseline(sums: Sums, replicate: int = 0) -> np.ndarray:
    """CKA of every patch with every patch: of a network that only copies pixels."""
    patches = sums.patches[replicate]
    return cka(patches, np.diagonal(patches), np.diagonal(patches))


def scored_maps(sums: Sums, replicate: int) -> Iterator[tuple[str, np.ndarray]]:
    """The maps that are scored, by the name of the score."""
    maps = cka_maps(sums, replicate)
    yield "cka", maps
    yield "less_baseline", maps - baseline(sums, replicate)
    rest = scores.without_image(sums.cross[replicate], sums.own[replicate], sums.patches[replicate])
    yield "deconfounded", cka(*rest)


def score_table(dump: LocalisationDump, sums: Sums) -> pd.DataFrame:
    """localisation.parquet of one network: means over tokens, for all images and jackknifed."""
    facts = [("layer", "index"), ("name", "name"), ("block", "block"), ("depth", "depth")]
    values: dict[str, list[np.ndarray]] = {}
    place: dict[str, list[Any]] = {"where": [], "score": [], "left_out": []}
    for replicate in range(len(sums.cross)):
        for score, maps in scored_maps(sums, replicate):
            for where, columns in _scores(maps, dump.grid).items():
                for key, one in zip(place, (where, score, replicate + ALL), strict=True):
                    place[key].append(one)
                for key, column in columns.items():
                    values.setdefault(key, []).append(column)
    layers, parts = len(dump.layers), len(place["left_out"])
    return pd.DataFrame(
        {new: [layer[key] for layer in dump.layers] * parts for new, key in facts}
        | {key: np.concatenate(columns) for key, columns in values.items()}
        | {key: np.repeat(column, layers) for key, column in place.items()}
    ).assign(**dump.network._asdict())


def _places(grid: tuple[int, int]) -> dict[str, np.ndarray]:
    return {"interior": scores.interior(grid), "all": np.ones(grid[0] * grid[1], bool)}


def _scores(maps: np.ndarray, grid: tuple[int, int]) -> dict[str, dict[str, np.ndarray]]:
    """Every score of the layers' maps [layers, tokens, patches], means over each choice of tokens.

    Returns:
        Which tokens -> score -> [layers].
    """
    z, rank, edge = scores.z_scores(maps), scores.ranks(maps), scores.border(grid)
    is_first = np.where(np.isfinite(rank), rank == 1, np.nan)
    corners = {
        "border_cka": scores.corner_means(maps, grid, edge),
        "interior_cka": scores.corner_means(maps, grid, ~edge),
    }
    return {
        where: {
            "z": mean_of_finite(z[:, chosen]),
            "effect": scores.effect_size(maps, chosen),
            "rank_1_share": mean_of_finite(is_first[:, chosen]),
            "token_correlation": scores.token_correlation(maps, chosen),
            **corners,
        }
        for where, chosen in _places(grid).items()
    }


def token_table(dump: LocalisationDump, sums: Sums) -> pd.DataFrame:
    """localisation_tokens.parquet of one network: z and rank of every token, all images."""
    maps = cka_maps(sums)
    z, rank = scores.z_scores(maps), scores.ranks(maps)
    row, column = (index.ravel() for index in np.indices(dump.grid))
    place = {"token": np.arange(dump.tokens), "row": row, "column": column}
    place["is_interior"] = scores.interior(dump.grid)
    parts = [
        pd.DataFrame(place | {"z": z[index], "rank": rank[index]}).assign(
            layer=layer["index"], **{key: layer[key] for key in LAYER}
        )
        for index, layer in enumerate(dump.layers)
    ]
    return pd.concat(parts, ignore_index=True).assign(patches=dump.tokens, **dump.network._asdict())


def map_table(dump: LocalisationDump, sums: Sums) -> pd.DataFrame:
    """localisation_maps.parquet of one network: the maps of the layers that figures show.

    Token -1 is the class token, which has no patch of its own and so no baseline.
    """
    pixels, maps = baseline(sums), cka_maps(sums)
    tokens = np.arange(-1 if dump.has_cls else 0, dump.tokens)
    if dump.has_cls:
        maps = np.concatenate([cls_maps(dump, sums)[:, None], maps], axis=1)
        pixels = np.concatenate([np.full_like(pixels[:1], np.nan), pixels])
    drawn = drawn_layers(dump.layers)
    token, patch = np.meshgrid(tokens, np.arange(dump.tokens), indexing="ij")
    return pd.DataFrame(
        {key: np.repeat([dump.layers[at][key] for at in drawn], token.size) for key in LAYER}
        | {"token": np.tile(token.ravel(), len(drawn)), "patch": np.tile(patch.ravel(), len(drawn))}
        | {"cka": maps[drawn].ravel(), "baseline": np.tile(pixels.ravel(), len(drawn))}
    ).assign(**dump.network._asdict())


def margin_table(dump: LocalisationDump, sums: Sums) -> pd.DataFrame:
    """localisation_margins.parquet of one network: by how much the own patch is first, jackknifed.

    Of the interior tokens after the last block. A share of tokens does not move when a group of
    images is left out, so that its error has to come from the margins.
    """
    last = [place for place, layer in enumerate(dump.layers) if layer["kind"] == "residual"][-1:]
    final = Sums(sums.cross[:, last], sums.own[:, last], sums.patches)
    tokens = np.flatnonzero(scores.interior(dump.grid))
    found = [
        (score, replicate + ALL, scores.margins(maps[0])[tokens])
        for replicate in range(len(final.cross))
        for score, maps in scored_maps(final, replicate)
    ]
    names, left_out, margins = zip(*found, strict=True)
    return pd.DataFrame(
        {
            "token": np.tile(tokens, len(found)),
            "margin": np.concatenate(margins),
            "score": np.repeat(names, len(tokens)),
            "left_out": np.repeat(left_out, len(tokens)),
        }
    ).assign(**dump.network._asdict())


def cls_maps(dump: LocalisationDump, sums: Sums) -> np.ndarray:
    """CKA of the class token with every patch [layers, patches], all images."""
    minibatches = range(len(dump.batch_sizes))
    cross = np.sum([dump.cross_cls(minibatch) for minibatch in minibatches], axis=0)
    own = np.sum([dump.own_cls(minibatch) for minibatch in minibatches], axis=0)
    return cka(cross, own, np.diagonal(sums.patches[0]))


def drawn_layers(layers: list[dict[str, Any]]) -> list[int]:
    """Places of the layers that figures show, in order, each once.

    Of a network with one grid throughout: the last two block outputs and the final norm. Of one
    whose map shrinks: its middle unit, the first unit of its last stage, and the last unit.
    """
    blocks = [place for place, layer in enumerate(layers) if layer["kind"] == "residual"]
    last = layers[blocks[-1]]["positions"]
    stage = [place for place in blocks if layers[place]["positions"] == last]
    if stage == blocks:
        return sorted({*blocks[-2:], len(layers) - 1})
    return sorted({blocks[len(blocks) // 2], stage[0], blocks[-1]})
