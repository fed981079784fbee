"""Claims C17, C17b and C18: what the missing skips of a block do to a ViT (paper, Figure 8)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from sightlines.claims.cases import Read, gather, satisfies_all
from sightlines.claims.claim import (
    Case,
    Claim,
    Criterion,
    Reading,
    from_replicates,
    from_shares,
)
from sightlines.claims.effects import IN_POINTS, SIMILARITY
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.statistics import Values, cut_ratio
from sightlines.plan.networks import Network
from sightlines.stats.means import quotient

QUESTION = "skips"
READS = ("cka_replicates.safetensors", "layers.csv", "accuracy.csv")

PARTS: dict[str, Callable[[int, int], bool]] = {
    "first": lambda block, blocks: 3 * block < blocks,
    "middle": lambda block, blocks: blocks <= 3 * block < 2 * blocks,
    "middle or late": lambda block, blocks: blocks <= 3 * block < 3 * (blocks - 1),
    "middle, late or last": lambda block, blocks: blocks <= 3 * block,
}
"""Whether a block, counted from 0, lies in a third of so many blocks, or in two. Above the last
block there is nothing to be cut off."""
ACROSS = Criterion("across ÷ within", "<=", 0.35, smallest=SIMILARITY)
WHOLE = Criterion("across ÷ within", ">=", 0.5, smallest=SIMILARITY)
OF_INTACT = Criterion("of the intact ViT's", "<=", 0.5, smallest=SIMILARITY)
BEFORE = {
    criterion: replace(criterion, name=f"{criterion.name}, cut below the block")
    for criterion in (ACROSS, OF_INTACT, WHOLE)
}
"""The same of another cut, before they were amended."""


def lacking(evidence: Evidence, part: str) -> list[tuple[str, str]]:
    """ViTs without both skips of a block in that part of the depth, and their intact twins.

    Raises:
        NotMeasured: there is none.
    """
    settings = evidence.config["architectures"]
    found = [
        (model, twin)
        for model, twin in evidence.skipless()
        if settings[model].get("skipless", "both") == "both"
        and PARTS[part](settings[model]["skipless_block"], settings[model]["depth"])
    ]
    if not found:
        raise NotMeasured(f"needs a ViT with a {part} skipless_block that lacks both skips")
    return found


def skipless_block(evidence: Evidence, network: Network) -> int:
    """The block of a network that lacks its skips."""
    return int(evidence.config["architectures"][network.model]["skipless_block"])


def below_the_cut(evidence: Evidence, network: Network) -> np.ndarray:
    """Which layers lie below the cut of a network without a block's skips."""
    return below_block(evidence.layers(network.model), skipless_block(evidence, network))


def below_block(layers: pd.DataFrame, block: int) -> np.ndarray:
    """Which layers lie below the cut at a block [layers].

    The cut is above the block's first norm, which is still made of all that is below.

    Args:
        layers: Rows of layers.csv of one model, in order.
        block: The block's number.
    """
    is_own = (layers["block"] == block) & (layers["kind"] != "norm")
    below: np.ndarray = (layers["layer"] < layers.loc[is_own, "layer"].min()).to_numpy()
    return below


def _ratios(
    evidence: Evidence, network: Network, twin: Network, is_below: bool = False
) -> list[Values]:
    """CKA across over within a cut in the block [1 + groups], and its share of the twin's.

    Args:
        evidence: The tables.
        network: Without the block's skips.
        twin: With all.
        is_below: Whether the cut is below the whole block, its first norm too.
    """
    low = below_the_cut(evidence, network)
    if is_below:
        is_own = evidence.layers(network.model)["block"] == skipless_block(evidence, network)
        low = low & ~is_own.to_numpy()
    own, intact = (cut_ratio(evidence.cka(n, n), low) for n in (network, twin))
    return [own, quotient(own, intact)]


def _partition(
    evidence: Evidence, network: Network, twin: Network, is_below: bool = False
) -> list[Reading]:
    return [from_replicates(v) for v in _ratios(evidence, network, twin, is_below)]


def _whole(
    evidence: Evidence, network: Network, twin: Network, is_below: bool = False
) -> list[Reading]:
    return _partition(evidence, network, twin, is_below)[:1]


def _cut_below(part: str, read: Read) -> Callable[[Evidence], list[Case]]:
    """Cases of a claim before it was amended."""
    return lambda evidence: gather(evidence, lacking(evidence, part), partial(read, is_below=True))


def _drop(evidence: Evidence, network: Network, twin: Network) -> list[Reading]:
    """Test accuracy of the intact twin minus the network's, in points, once a criterion."""
    own, _, images = evidence.accuracy(network)
    intact, _, twin_images = evidence.accuracy(twin)
    reading = from_shares([(100.0, intact, twin_images), (-100.0, own, images)])
    return [reading, reading]


def _cost(evidence: Evidence) -> list[Case]:
    """Only the twin must have learned: a network that did not is the collapse to be seen."""
    return gather(evidence, lacking(evidence, "middle"), _drop, learned=slice(1, None))


def _stands(evidence: Evidence, index: str) -> bool:
    """Whether both ratios stand on block outputs under another index, first seed."""
    return all(
        satisfies_all((ACROSS, OF_INTACT), _block_ratios(evidence, index, model, twin))
        for model, twin in lacking(evidence, "middle or late")
    )


def _whole_stands(evidence: Evidence, index: str) -> bool:
    """Whether there is no partition on block outputs under another index either, first seed."""
    return all(
        satisfies_all((WHOLE,), _block_ratios(evidence, index, model, twin)[:1])
        for model, twin in lacking(evidence, "first")
    )


def _block_ratios(evidence: Evidence, index: str, model: str, twin: str) -> list[Values]:
    network = evidence.full(model)[0]
    intact = evidence.same_seed(twin, network)
    maps = [evidence.similarity_by(index, n, n) for n in (network, intact)]
    low = np.arange(len(maps[0])) < skipless_block(evidence, network)
    ratios = [cut_ratio(m, low) for m in maps]
    return [ratios[0], quotient(*ratios)]


CLAIMS = (
    Claim(
        id="C17",
        figure="Figure 8",
        title="Without a middle or late skip a ViT falls into two parts",
        statement="Without the skips of a middle or late block, the layers below and above it have "
        "little in common.",
        statistic="mean CKA across the cut over the mean of the means within both parts, all "
        "sub-layers, cut after the block's first norm; and this ratio over that of the intact ViT "
        "at the same cut; any middle or late block but the last",
        criteria=(ACROSS, OF_INTACT),
        reason="a third of what is within is a partition to the eye; at most half of the intact "
        "ViT's, since its layers differ across any cut as well",
        paper_value=".09 ÷ .50 (block 7), .08 ÷ .61 (block 10)",
        source="[fig]",
        tier="A",
        controls="the intact ViT; untrained networks; another index of similarity",
        drawn="fig08_skipless",
        cases=lambda evidence: gather(evidence, lacking(evidence, "middle or late"), _partition),
        robustness_check=_stands,
    ).loosened(
        "2026-11-29",
        statistic="mean CKA across the cut below the block over the mean of the means within both "
        "parts, all sub-layers; and this ratio over that of the intact ViT at the same cut",
        criteria=(BEFORE[ACROSS], BEFORE[OF_INTACT]),
        cases=_cut_below("middle, late or last", _partition),
    ),
    Claim(
        id="C17b",
        figure="Figure 8",
        title="Without an early skip a ViT does not fall into two parts",
        statement="Without the skips of one of the first blocks, there is no such partition.",
        statistic="mean CKA across the cut over the mean of the means within both parts, all "
        "sub-layers, cut after the block's first norm; a block of the first third",
        criteria=(WHOLE,),
        reason="half of what is within is no partition; the paper's value is a little above",
        paper_value=".35 ÷ .61 (block 1)",
        source="[fig]",
        tier="A",
        controls="untrained networks; another index of similarity",
        drawn="fig08_skipless",
        cases=lambda evidence: gather(evidence, lacking(evidence, "first"), _whole),
        robustness_check=_whole_stands,
    ).loosened(
        "2026-11-29",
        statistic="mean CKA across the cut below the block over the mean of the means within both "
        "parts, all sub-layers; a block of the first third",
        criteria=(BEFORE[WHOLE],),
        cases=_cut_below("first", _whole),
    ),
    Claim(
        id="C18",
        figure="Figure 8",
        title="Without a middle skip accuracy falls only a little",
        statement="Without the skips of a middle block accuracy falls a little and does not "
        "collapse.",
        statistic="test accuracy of the intact ViT minus that of the ViT without the skips of a "
        "block of the middle third, in points",
        criteria=(
            Criterion("fall in points", ">=", 0.0, smallest=IN_POINTS),
            Criterion("fall in points", "<=", 8.0, smallest=IN_POINTS),
        ),
        reason="a fall, however little, and no more than twice the paper's",
        paper_value="4 %",
        source="[text]",
        tier="A/B",
        controls="untrained networks",
        drawn="fig08_skipless",
        cases=_cost,
    ).loosened(
        "2026-11-29",
        criteria=(
            Criterion("fall in points", ">=", 1.0, smallest=IN_POINTS),
            Criterion("fall in points", "<=", 8.0, smallest=IN_POINTS),
        ),
        reason="from a quarter of the paper's fall to twice it",
    ),
)
