"""Claim C33: which layers of ViTs of different size are alike (paper, Figure G.2)."""

import itertools

import numpy as np

from sightlines.claims.cases import gather
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_draws
from sightlines.claims.effects import DEPTH, SIMILARITY
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.fig02_cka_across import ahead_of_permuted
from sightlines.claims.statistics import Values, depths, monotone_path, resampled
from sightlines.plan.architectures import size_of
from sightlines.plan.networks import Network

QUESTION = "structure"
READS = ("cka_replicates.safetensors", "layers.csv", "accuracy.csv")


def _pairs(evidence: Evidence) -> list[tuple[str, str]]:
    """ViTs of different size, the smaller one first.

    Raises:
        NotMeasured: there are no two.
    """
    settings = evidence.config["architectures"]
    models = evidence.by_size(evidence.vits())
    found = [
        (a, b)
        for a, b in itertools.combinations(models, 2)
        if size_of(settings[a]) != size_of(settings[b])
    ]
    if not found:
        raise NotMeasured("needs ViTs with a class token of two sizes trained on f100")
    return found


def _read(evidence: Evidence, small: Network, large: Network) -> list[Reading]:
    maps = resampled(evidence.cka(small, large))
    return [from_draws(v) for v in (off_depth(maps), ahead_of_permuted(maps))]


def off_depth(maps: np.ndarray) -> Values:
    """How far from equal depth the best monotone path runs: mean over layers, without sign.

    Args:
        maps: [..., layers of one network, layers of another].
    """
    path, _ = monotone_path(maps)
    rows, columns = depths(maps.shape[-2]), depths(maps.shape[-1])
    off = np.where(path < 0, np.nan, np.abs(rows[path] - columns))
    return np.nanmean(off, axis=-1)


def _cases(evidence: Evidence) -> list[Case]:
    return gather(evidence, _pairs(evidence), _read)


CLAIMS = (
    Claim(
        id="C33",
        figure="Figure G.2",
        title="Layers of ViTs of two sizes match by relative depth",
        statement="The layers of ViTs of different sizes correspond by their relative depth.",
        statistic="a layer of the smaller ViT for every layer of the larger one, never lower than "
        "for the one before, so that their mean CKA is largest: mean difference of relative depth "
        "without sign, and mean CKA less the largest of 19 random orders of the smaller ViT's "
        "layers",
        criteria=(
            Criterion("difference of depth", "<=", 0.15, smallest=DEPTH),
            Criterion("path − permuted layers", ">=", 0.0, smallest=SIMILARITY),
        ),
        reason="a path at one depth throughout is .25 off at best, one at equal depths is not; "
        "half-way to it is .125, and layers inside of a block may swap",
        paper_value="maps of three pairs of sizes, without a number",
        source="[fig]",
        tier="B",
        controls="untrained networks",
        drawn="figG2_across_sizes",
        cases=_cases,
    ),
)
