"""Similarity of each block to the same block of the network trained on all images.

Source: Raghu et al. 2021, section 7 and Figure 12. Bounded above by a second seed on the same
images (ceiling), and below by the untrained network.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from sightlines.core.errors import ResultError
from sightlines.plan import roles
from sightlines.plan.networks import FULL, UNTRAINED, Network

READS = ("cka.parquet", "layers.csv")
USES = ("networks",)
TABLES = {
    "data_fractions.csv": {
        "about": "CKA of each block with the same block of the network trained on all images",
        "row": "network × block",
        "columns": (
            "network",
            ("reference_seed", "text", "", "seed of the network on all images: the model's first"),
            (
                "kind",
                "text",
                "",
                "fraction, ceiling (another seed on all images), untrained",
            ),
            "block",
            "depth",
            ("cka", "float", "", "CKA of the two block outputs"),
            ("cka_se", "float", "", "its jackknife standard error"),
        ),
    },
}
KINDS = {UNTRAINED: "untrained", FULL: "ceiling"}


def measure(cka: pd.DataFrame, layers: pd.DataFrame, networks: list[Network]) -> dict[str, Any]:
    """Pick the blocks' own pairs out of the table of all pairs; see `compare_fractions`."""
    return {"data_fractions.csv": compare_fractions(cka, layers, networks)}


def compare_fractions(
    similarity: pd.DataFrame, layers: pd.DataFrame, networks: list[Network]
) -> Iterator[pd.DataFrame]:
    """Compare every network with its model's first one on all images.

    Args:
        similarity: The table cka.parquet.
        layers: The table layers.csv; block outputs are its rows of kind residual.
        networks: In the config's order; models without one on all images are left out.

    Yields:
        Of each network one row a block; `kind` is fraction, ceiling or untrained. Of untrained
        networks the control that figures show stands for all.

    Raises:
        ResultError: a pair of networks is not in `similarity`.
    """
    blocks = layers[layers["kind"] == "residual"][["model", "layer", "block", "depth"]]
    same = similarity[similarity["layer_a"] == similarity["layer_b"]]
    pairs = dict(list(same.groupby([f"{k}_{s}" for s in "ab" for k in Network._fields])))
    for network in networks:
        reference = roles.full_network(networks, network.model)
        if reference is None or network == reference:
            continue
        if network.fraction == UNTRAINED and network != roles.control(networks, network.model):
            continue
        pair = pairs.get((*reference, *network), pairs.get((*network, *reference)))
        if pair is None:
            raise ResultError(
                f"cka.parquet lacks {network.slug} with {reference.slug}. "
                "Delete it and run snakemake again to rebuild it."
            )
        own = blocks[blocks["model"] == network.model]
        part = own.merge(pair, left_on="layer", right_on="layer_a", validate="one_to_one")
        kind = KINDS.get(network.fraction, "fraction")
        names = network._asdict() | {"reference_seed": reference.seed, "kind": kind}
        yield part.assign(**names)[[*names, "block", "depth", "cka", "cka_se"]]
