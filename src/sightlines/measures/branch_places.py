"""Whether a branch that mixes tokens keeps them apart: the place of its tokens in the image.

Two scores of the CKA of a branch's tokens with patches of pixels. The own patch's: a token is about
its own patch if no other is more similar. The mirror's: applied twice, the real part of a Fourier
transform gives the mean of its input and of that mirrored, so that a second transform, of what a
first one added to the stream, brings each token together with its mirror image (t and -t along
every axis; `models.fnet.mirror`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from sightlines.core.progress import Progress
from sightlines.dumps.localisation_reading import LocalisationDump
from sightlines.measures.localisation import add_minibatches, cka_maps
from sightlines.models.fnet import mirror
from sightlines.stats import localisation_scores as scores
from sightlines.stats.jackknife import ALL
from sightlines.stats.means import mean_of_finite

READS = ("branch_places",)
USES = ("architectures",)
NEEDS = ("fnet",)
TABLES = {
    "branch_places.parquet": {
        "about": "Whether what a branch that mixes tokens adds to one is about its own patch, or "
        "about the mirror image of it",
        "row": "network × block × left_out",
        "columns": (
            "network",
            "name",
            ("kind", "text", "", "attn or mixing"),
            "block",
            "depth",
            ("rank_1_share", "float", "share", "interior tokens whose own patch is first"),
            (
                "mirror_excess",
                "float",
                "",
                "CKA with the mirrored patch, less the mean over patches that are neither the own "
                "nor the mirrored one; of an FNet as its axes are, of others in raster order",
            ),
            "left_out",
        ),
    },
}


def measure(
    branch_places: list[LocalisationDump], architectures: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Score the mixing branches of every network.

    Args:
        branch_places: Of each network.
        architectures: Model -> its settings.
    """
    progress = Progress(len(branch_places), "networks")
    found = []
    for done, dump in enumerate(branch_places, 1):
        found.append(_table(dump, architectures[dump.network.model]))
        progress.update(done)
    return {"branch_places.parquet": found}


def _table(dump: LocalisationDump, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of one network: of all images, then with each group of them left out."""
    sums = add_minibatches(dump)
    mirrored = mirrored_patches(dump.grid, settings)
    interior = scores.interior(dump.grid)
    parts = []
    for replicate in range(len(sums.cross)):
        maps = cka_maps(sums, replicate)
        rank = scores.ranks(maps)
        is_first = np.where(np.isfinite(rank), rank == 1, np.nan)
        parts.append(
            pd.DataFrame(
                {
                    "name": [layer["name"] for layer in dump.layers],
                    "kind": [layer["kind"] for layer in dump.layers],
                    "block": [layer["block"] for layer in dump.layers],
                    "depth": [layer["depth"] for layer in dump.layers],
                    "rank_1_share": mean_of_finite(is_first[:, interior]),
                    "mirror_excess": mirror_excess(maps, mirrored),
                    "left_out": replicate + ALL,
                }
            )
        )
    return pd.concat(parts, ignore_index=True).assign(**dump.network._asdict())


def mirrored_patches(grid: tuple[int, int], settings: Mapping[str, Any]) -> np.ndarray:
    """The patch that a transform exchanges with each [patches]; -1 where that is none, or itself.

    Args:
        grid: Rows and columns of patches.
        settings: The model's; without `axes` as if it mixed the raster.
    """
    patches, prefix = grid[0] * grid[1], int(settings.get("pool") == "cls")
    if settings.get("axes") == "grid":
        found = np.array(mirror(grid))
    else:
        found = np.array(mirror((patches + prefix,)))[prefix:] - prefix
    return np.where((found < 0) | (found == np.arange(patches)), -1, found)


def mirror_excess(maps: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """CKA with the mirrored patch less the mean over the other patches but the own one [layers].

    Args:
        maps: CKA of tokens with patches [layers, tokens, patches].
        mirrored: From `mirrored_patches`.
    """
    found = [_excess(maps[:, token], token, other) for token, other in _pairs(mirrored)]
    return mean_of_finite(np.stack(found, axis=1))


def _pairs(mirrored: np.ndarray) -> Iterator[tuple[int, int]]:
    return ((token, int(other)) for token, other in enumerate(mirrored) if other >= 0)


def _excess(maps: np.ndarray, token: int, other: int) -> np.ndarray:
    """Of one token [layers]; `maps` is [layers, patches]."""
    rest = np.delete(maps, [token, other], axis=1)
    return maps[:, other] - mean_of_finite(rest)
