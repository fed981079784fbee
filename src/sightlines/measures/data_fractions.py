"""Similarity of each block to the same block of the network trained on all images.

Source: Raghu et al. 2021, section 7 and Figure 12. Bounded above by a second seed on the same
images (ceiling), and below by the untrained network.
"""

import pandas as pd

from sightlines.core.errors import ResultError
from sightlines.core.files import write_table
from sightlines.jobs.command import Job, run
from sightlines.plan.networks import Network
from sightlines.results.tables import read_checked

READS = ("cka.parquet", "layers.csv")
WRITES = ("data_fractions.csv",)
COLUMNS = [
    *("model", "fraction", "seed", "reference_seed", "kind", "block", "depth", "cka", "cka_se"),
]
KINDS = {"f000": "untrained", "f100": "ceiling"}


def main(job: Job) -> None:
    """Pick the blocks' own pairs out of the table of all pairs."""
    networks = [Network.parse(slug) for slug in job.config["networks"]]
    similarity = read_checked(job.input("cka.parquet"), "cka.parquet")
    layers = read_checked(job.input("layers.csv"), "layers.csv")
    write_table(job.output("data_fractions"), compare_fractions(similarity, layers, networks))


def compare_fractions(
    similarity: pd.DataFrame, layers: pd.DataFrame, networks: list[Network]
) -> pd.DataFrame:
    """Compare every network with its model's first one on all images.

    Args:
        similarity: The table cka.parquet.
        layers: The table layers.csv; block outputs are its rows of kind residual.
        networks: In the config's order; models without a network on f100 are left out.

    Returns:
        One row a network and block; `kind` is fraction, ceiling or untrained.

    Raises:
        ResultError: a pair of networks is not in `similarity`.
    """
    references = {n.model: n for n in reversed(networks) if n.fraction == "f100"}
    blocks = layers[layers["kind"] == "residual"][["model", "layer", "block", "depth"]]
    same = similarity[similarity["layer_a"] == similarity["layer_b"]]
    pairs = dict(list(same.groupby([f"{k}_{s}" for s in "ab" for k in Network._fields])))
    parts = []
    for network in networks:
        reference = references.get(network.model)
        if reference is None or network == reference:
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
        parts.append(part.assign(**names)[COLUMNS])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


if __name__ == "__main__":
    run(main)
