"""Claims C1 to C3: how alike the layers of one network are (paper, Figure 1)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from sightlines.claims.cases import each, first_pairs, satisfies_all
from sightlines.claims.claim import (
    OF_SHARES,
    Case,
    Claim,
    Criterion,
    Reading,
    from_draws,
    from_replicates,
)
from sightlines.claims.effects import SHARE, SIMILARITY
from sightlines.claims.evidence import Evidence, NotMeasured, unbiased
from sightlines.claims.matching import comparable, each_pair_matched, pairs
from sightlines.claims.statistics import Values, low_high, mid_ratio, resampled, split_contrast
from sightlines.plan.networks import Network
from sightlines.results.selecting import rows_of

QUESTION = "structure"
READS = (
    "cka_replicates.safetensors",
    "branch_indices.parquet",
    "index_replicates.safetensors",
    "smaller_minibatches.safetensors",
    "layers.csv",
    "accuracy.csv",
)

Statistic = Callable[[np.ndarray, np.ndarray], Values]
"""From maps [..., layers, layers] of a ViT and of a ResNet to one number each [...]."""


def _compare(evidence: Evidence, statistics: list[Statistic]) -> list[Case]:
    """One case a ViT and ResNet: each statistic over all sub-layers, then over block outputs."""
    return each_pair_matched(evidence, partial(_read, statistics=statistics))


def _read(
    evidence: Evidence, vit: Network, resnet: Network, statistics: list[Statistic]
) -> list[Reading]:
    return [from_replicates(v) for v in _values(evidence, vit, resnet, statistics)]


def _values(
    evidence: Evidence, vit: Network, resnet: Network, statistics: list[Statistic]
) -> list[np.ndarray]:
    a, b = (evidence.cka(n, n) for n in (vit, resnet))
    a_blocks, b_blocks = (_blocks(evidence, n, m) for n, m in ((vit, a), (resnet, b)))
    return [s(x, y) for s in statistics for x, y in ((a, b), (a_blocks, b_blocks))]


def _blocks(evidence: Evidence, network: Network, maps: np.ndarray) -> np.ndarray:
    chosen = evidence.blocks(network.model)
    return maps[..., chosen, :][..., chosen]


def _stands(evidence: Evidence, index: str, statistics: list[Statistic]) -> bool:
    """Whether every statistic has its sign for every pair under another index, block outputs."""
    return all(
        statistic(evidence.similarity_by(index, a, a), evidence.similarity_by(index, b, b)) > 0
        for a, b in first_pairs(evidence)
        for statistic in statistics
    )


def _uniformity(vit: np.ndarray, resnet: np.ndarray) -> Values:
    return low_high(vit) - low_high(resnet)


def _contrast(vit: np.ndarray, resnet: np.ndarray) -> Values:
    return split_contrast(resnet) - split_contrast(vit)


def _halves(vit: np.ndarray, resnet: np.ndarray) -> Values:
    return mid_ratio(vit) - mid_ratio(resnet)


def _grid(evidence: Evidence) -> list[Case]:
    def read(evidence: Evidence, vit: Network) -> list[Reading]:
        maps = resampled(evidence.cka(vit, vit))
        return [share_of_blocks(evidence, vit, grid_share(evidence, vit, maps))]

    return each(evidence, evidence.vits(), read)


def share_of_blocks(evidence: Evidence, network: Network, draws: np.ndarray) -> Reading:
    """A share of a ViT's blocks but the last [1 + draws], of few: seeds may agree by chance."""
    return replace(from_draws(draws), of=len(evidence.blocks(network.model)) - 1)


def grid_share(evidence: Evidence, network: Network, maps: np.ndarray) -> np.ndarray:
    """Share of blocks whose output is more like the next output than like its attention.

    Args:
        evidence: The tables.
        network: A ViT.
        maps: Its similarity with itself [..., layers, layers].

    Returns:
        [...].
    """
    layers = evidence.layers(network.model)
    outs = layers.loc[layers["kind"] == "residual"].set_index("block")["layer"]
    attn = layers.loc[layers["kind"] == "attn"].set_index("block")["layer"]
    if not outs.index.isin(attn.index).all():
        raise NotMeasured(f"needs the attention of every block of {network.model} among its layers")
    above = [maps[:, outs[i], outs[i + 1]] - maps[:, outs[i], attn[i + 1]] for i in outs.index[:-1]]
    return np.asarray(np.mean(np.array(above) > 0, axis=0))


def _grid_stands(evidence: Evidence, index: str) -> bool:
    """Whether it holds of every ViT's first seed under another index."""

    def share(network: Network) -> float:
        outs = np.diagonal(evidence.similarity_by(index, network, network), 1)
        rows = rows_of(evidence.table("branch_indices.parquet"), network, "_a")
        rows = rows[rows["index"] == index].sort_values("layer_a")
        if len(rows) != len(outs):
            raise NotMeasured(f"no {index} similarity of {network.slug} with its branches")
        gaps = outs - unbiased(rows).to_numpy()
        return float(np.where(np.isfinite(gaps).all(), (gaps > 0).mean(), np.nan))

    return all(satisfies_all(GRID, [share(evidence.full(vit)[0])]) for vit in evidence.vits())


AMENDED = "2026-11-29"
GRID = (Criterion("share of blocks", ">=", 0.8, OF_SHARES, smallest=SHARE),)
CLAIMS = (
    Claim(
        id="C1",
        figure="Figure 1",
        title="Low and high layers are more alike in a ViT than a ResNet",
        statement="A ViT's lowest and highest layers are more alike than a ResNet's.",
        statistic="LH = mean CKA of the lowest with the highest quarter of depth, ViT minus ResNet",
        criteria=(
            Criterion("LH(ViT) − LH(ResNet), all sub-layers", ">=", 0.0, smallest=SIMILARITY),
            Criterion("LH(ViT) − LH(ResNet), block outputs", ">=", 0.0, smallest=SIMILARITY),
        ),
        reason="the paper claims an order, not a size: zero, with the whole interval",
        paper_value=".42, .38 against .29, .33 (all sub-layers)",
        source="[fig]",
        tier="A",
        controls="untrained networks; another index of similarity",
        drawn="fig01_cka_within",
        cases=lambda evidence: _compare(evidence, [_uniformity]),
        robustness_check=lambda evidence, index: _stands(evidence, index, [_uniformity]),
        premises=(comparable(pairs, partial(_read, statistics=[_uniformity])),),
    ),
    Claim(
        id="C2",
        figure="Figure 1",
        title="A ResNet falls into two parts, a ViT less so",
        statement="A ResNet falls into a lower and an upper part that differ; a ViT does less so.",
        statistic="best two-part contrast (within − across), ResNet minus ViT; and the ratio of "
        "CKA across to within the halves, ViT minus ResNet",
        criteria=(
            Criterion(
                "contrast(ResNet) − contrast(ViT), all sub-layers", ">=", 0.0, smallest=SIMILARITY
            ),
            Criterion(
                "contrast(ResNet) − contrast(ViT), block outputs", ">=", 0.0, smallest=SIMILARITY
            ),
            Criterion(
                "halves(ViT) − halves(ResNet), all sub-layers", ">=", 0.0, smallest=SIMILARITY
            ),
            Criterion(
                "halves(ViT) − halves(ResNet), block outputs", ">=", 0.0, smallest=SIMILARITY
            ),
        ),
        reason="the paper claims an order; its own margin is thin for ResNet-152",
        paper_value="contrast .30, .20 against .17, .16; ratio .83, .79 against .61, .74",
        source="[fig]",
        tier="A",
        controls="untrained networks; another index of similarity",
        drawn="fig01_cka_within",
        cases=lambda evidence: _compare(evidence, [_contrast, _halves]),
        robustness_check=lambda evidence, index: _stands(evidence, index, [_contrast, _halves]),
        premises=(comparable(pairs, partial(_read, statistics=[_contrast, _halves])),),
    ),
    Claim(
        id="C3",
        figure="Figure 1",
        title="A ViT's map is a grid: block outputs resemble each other",
        statement="A ViT's map is a grid: block outputs are more like each other than like the "
        "branches between them.",
        statistic="share of blocks i with CKA(out i, out i+1) > CKA(out i, attention i+1)",
        criteria=GRID,
        reason="a grid that most blocks show is seen; four in five leaves room for the first block",
        paper_value="a grid is seen in every ViT",
        source="[fig]",
        tier="A",
        controls="untrained networks; another index of similarity",
        drawn="fig01_cka_within",
        amended=AMENDED,
        cases=_grid,
        robustness_check=_grid_stands,
    ),
)
