"""Claims N1 to N7: occluded and shuffled images (Naseer et al. 2021, sections 3.1 to 3.3).

Those that end in ``b`` are of public weights on photographs, with thresholds of their own.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import numpy as np

from sightlines.claims.cases import Read, each, gather
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_replicates
from sightlines.claims.effects import ACCURACY, CORRELATION
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.responding import (
    OCCLUSION,
    column,
    pairs_of_one_origin,
    public,
    severities,
    trained_here,
)
from sightlines.plan.networks import Network

STUDY = "naseer2021"
READS = ("occlusion.parquet", "accuracy.csv")

HALF = 0.5
"""Share of the cells that is dropped."""
Chosen = Callable[[Evidence, Iterable[str]], list[str]]


def _kept(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    _need_patches(evidence, vit)
    own, other = (column(evidence, OCCLUSION, n, "drop_black", HALF) for n in (vit, resnet))
    return [from_replicates(own), from_replicates(own - other)]


def _fills(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    _need_patches(evidence, vit)
    found = []
    for condition in ("drop_mean", "drop_black"):
        own, other = (column(evidence, OCCLUSION, n, condition, HALF) for n in (vit, resnet))
        found.append(from_replicates(own - other))
    return found


def _aligned(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    _need_patches(evidence, vit)
    gains = [
        column(evidence, OCCLUSION, n, "drop_black", HALF)
        - column(evidence, OCCLUSION, n, "drop_shifted", HALF)
        for n in (vit, resnet)
    ]
    return [from_replicates(gains[0]), from_replicates(gains[0] - gains[1])]


def _parts(evidence: Evidence, network: Network) -> list[Reading]:
    ground, anywhere, own = (
        column(evidence, OCCLUSION, network, f"drop_{part}", 1, "accuracy")
        for part in ("ground", "anywhere", "object")
    )
    return [from_replicates(ground - anywhere), from_replicates(anywhere - own)]


def _correlated(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    _need_patches(evidence, vit)
    own, other = (
        column(evidence, OCCLUSION, n, "drop_black", HALF, "excess") for n in (vit, resnet)
    )
    return [from_replicates(own - other)]


def _need_patches(evidence: Evidence, vit: Network) -> None:
    """Raise NotMeasured where the cells that were dropped cut through a ViT's patches.

    The paper drops patches. Half of the cells of another grid leave hardly one patch whole, and
    say nothing about whole patches that are gone: ViT-Ti/16 keeps .69 of its accuracy on
    photographs without half of its 14 × 14 patches, and nothing without half of 16 × 16 cells.
    """
    cells = int(evidence.rows(OCCLUSION, vit)["cells"].iloc[0])
    own = own_cells(evidence, vit)
    if own != cells:
        raise NotMeasured(
            f"cells that were dropped ({cells} a side) are not the patches of {vit.slug} ({own} a "
            "side): see conditions.occlusion.cells, conditions.models"
        )


def own_cells(evidence: Evidence, network: Network) -> int:
    """Cells along a side of a network's own grid.

    Raises:
        NotMeasured: it has no square grid.
    """
    cells = int(evidence.rows(OCCLUSION, network)["grid"].iloc[0])
    if not cells:
        raise NotMeasured(f"{network.slug} has no square grid")
    return cells


def _finer(evidence: Evidence, vit: Network) -> list[Reading]:
    cells = own_cells(evidence, vit)
    finer = [n for n in severities(evidence, OCCLUSION, vit, "shuffle") if n > cells]
    if not finer:
        raise NotMeasured(
            f"no grid finer than the own one of {vit.slug} ({cells} cells a side) was shuffled: "
            "add one to conditions.occlusion.shuffle_cells"
        )
    own, next_one = (
        column(evidence, OCCLUSION, vit, "shuffle", n, "above_chance") for n in (cells, finer[0])
    )
    return [from_replicates(own - next_one)]


def _shuffled(evidence: Evidence, vit: Network, resnet: Network) -> list[Reading]:
    cells = own_cells(evidence, vit)
    grids = [n for n in severities(evidence, OCCLUSION, vit, "shuffle") if n <= cells]
    own, other = (
        np.mean([column(evidence, OCCLUSION, n, "shuffle", g) for g in grids], axis=0)
        for n in (vit, resnet)
    )
    return [from_replicates(own - other)]


def _pairs(evidence: Evidence, chosen: Chosen, read: Read) -> list[Case]:
    """Every ViT with every ResNet, of the chosen ones and of one origin."""
    vits, resnets = chosen(evidence, evidence.vits()), chosen(evidence, evidence.resnets())
    return gather(evidence, pairs_of_one_origin(evidence, vits, resnets), read)


def _vits(evidence: Evidence, chosen: Chosen, read: Read) -> list[Case]:
    return each(evidence, chosen(evidence, evidence.vits()), read)


def _every(evidence: Evidence, read: Read) -> list[Case]:
    return each(evidence, evidence.models(), read)


def _all(evidence: Evidence, models: Iterable[str]) -> list[str]:
    del evidence
    return list(models)


def _n1(least: float, ahead: float) -> tuple[Criterion, ...]:
    return (
        Criterion("kept by the ViT", ">=", least, smallest=ACCURACY),
        Criterion("ViT − ResNet", ">=", ahead, smallest=ACCURACY),
    )


def _n3(least: float) -> tuple[Criterion, ...]:
    return (
        Criterion("own − shifted grid, ViT", ">=", least, smallest=ACCURACY),
        Criterion("own − shifted grid, ViT − ResNet", ">=", 0.0, smallest=ACCURACY),
    )


N1 = Claim(
    id="N1",
    figure="Figure 3",
    title="ViTs stay accurate with half of the image gone, CNNs do not",
    statement="ViTs keep their accuracy with half of the image gone, CNNs do not.",
    statistic="accuracy above chance with half of the cells of the patch grid black over that on "
    "whole images: the ViT's, and the ViT's minus the ResNet's",
    criteria=_n1(0.5, 0.1),
    reason="half of the accuracy and a tenth of difference are far from the paper's .88 and .88, "
    "which are of larger networks on photographs (N1b)",
    paper_value="DeiT-S .88 (70 %), ResNet50 .001 (.1 %)",
    source="[text]",
    tier="A",
    controls="other seeds; an untrained network has nothing to keep",
    drawn="fignaseer_patchdrop",
    cases=partial(_pairs, chosen=trained_here, read=_kept),
)
N3 = Claim(
    id="N3",
    figure="Figures 3 and 25",
    title="Dropped cells that are patches harm a ViT less than others",
    statement="Dropped cells that are patches harm a ViT less than equally many that are not.",
    statistic="accuracy above chance that is kept with half of the cells black, own grid minus "
    "the grid that is shifted by half a cell, equal pixels: ViT, and ViT minus ResNet",
    criteria=_n3(0.0),
    reason="an order; minus the ResNet's, since a shifted grid is another picture for any network",
    paper_value="curves lie close, ViTs' at the own grid above",
    source="[fig]",
    tier="A",
    controls="the ResNet, which has no patches",
    drawn="fignaseer_patchdrop",
    cases=partial(_pairs, chosen=trained_here, read=_aligned),
)
N5 = Claim(
    id="N5",
    figure="Table 1",
    title="A class token survives occlusion, pooled maps do not",
    statement="A class token survives occlusion, pooled maps do not.",
    statistic="Pearson's r of the features before the head (after the last block) with those of "
    "the clean image, half of the cells black, less that of different images, over what that "
    "leaves: ViT minus ResNet",
    criteria=(Criterion("excess correlation, ViT − ResNet", ">=", 0.1, smallest=CORRELATION),),
    reason="a tenth is seen; raw correlations differ by .64 in the paper, with what all images "
    "share still in them",
    paper_value="DeiT-B .77, ResNet50 .13 (raw)",
    source="[table]",
    tier="A",
    controls="untrained networks; other images (the zero of the scale)",
    drawn="fignaseer_correlation",
    cases=partial(_pairs, chosen=trained_here, read=_correlated),
)
N6 = Claim(
    id="N6",
    figure="Figure 10",
    title="Moving whole patches hurts a ViT less than cutting them",
    statement="Moving whole patches hurts a ViT less than cutting them finer.",
    statistic="accuracy above chance with the cells of the own grid shuffled, minus with those of "
    "the next finer grid",
    criteria=(Criterion("own − next finer grid", ">=", 0.0, smallest=ACCURACY),),
    reason="an order",
    paper_value="accuracy rises at the own grid (14 × 14 against 8 × 8 and 16 × 16)",
    source="[fig]",
    tier="A",
    controls="untrained networks; the ResNet in the figure",
    drawn="fignaseer_shuffle",
    cases=partial(_vits, chosen=trained_here, read=_finer),
)
CLAIMS = (
    N1,
    replace(
        N1,
        id="N1b",
        title="Public ViTs bear half of a photograph gone, CNNs do not",
        statement="Public ViTs keep their accuracy with half of a photograph gone, CNNs do not.",
        criteria=_n1(0.75, 0.3),
        reason="a little below the paper's .88 and .88, for other networks of the same kind",
        tier="A/B",
        cases=partial(_pairs, chosen=public, read=_kept),
    ),
    Claim(
        id="N2",
        figure="Figure 3",
        title="ViTs' lead under occlusion is not the black fill or recipe",
        statement="That ViTs bear occlusion better is not the black fill or the recipe.",
        statistic="accuracy above chance that is kept with half of the cells dropped, ViT minus "
        "ResNet: filled with the mean colour, and black, by networks of one augmentation",
        criteria=(
            Criterion("ViT − ResNet, mean colour", ">=", 0.1, smallest=ACCURACY),
            Criterion("ViT − ResNet, black, one augmentation", ">=", 0.1, smallest=ACCURACY),
        ),
        reason="as N1; models of one config have one augmentation, of public weights choose a "
        "ResNet whose recipe has random erasing and CutMix (resnet50.a1_in1k)",
        paper_value="DeiT's recipe has both, the ResNet50's neither; black alone was tried",
        source="[none]",
        tier="A",
        controls="other seeds",
        drawn="fignaseer_patchdrop",
        cases=partial(_pairs, chosen=_all, read=_fills),
    ),
    N3,
    replace(
        N3,
        id="N3b",
        title="Dropped cells that are patches harm a public ViT less",
        statement="Dropped cells that are patches harm a public ViT less than equally many that "
        "are not.",
        criteria=_n3(0.02),
        reason="two points, which is more than runs differ by",
        tier="A/B",
        cases=partial(_pairs, chosen=public, read=_aligned),
    ),
    Claim(
        id="N4",
        figure="Figure 3",
        title="Dropping the object harms most, dropping the ground least",
        statement="What is dropped matters: the object more than anything, anything more than the "
        "ground.",
        statistic="accuracy with equal numbers of cells black, chosen by the true mask: ground "
        "minus anywhere, anywhere minus object",
        criteria=(
            Criterion("ground − anywhere", ">=", 0.0, smallest=ACCURACY),
            Criterion("anywhere − object", ">=", 0.1, smallest=ACCURACY),
        ),
        reason="an order, and a difference that is seen; the paper's salient and other patches are "
        "of unequal area, and of another network's attention",
        paper_value="salient patches cost more than random ones, others less",
        source="[fig]",
        tier="A",
        controls="untrained networks",
        drawn="fignaseer_patchdrop",
        cases=partial(_every, read=_parts),
    ),
    N5,
    replace(
        N5,
        id="N5b",
        title="A public ViT's class token survives occlusion, maps do not",
        statement="A public ViT's class token survives occlusion, pooled maps do not.",
        criteria=(Criterion("excess correlation, ViT − ResNet", ">=", 0.3, smallest=CORRELATION),),
        reason="half of the paper's difference, which is of raw correlations",
        tier="A/B",
        cases=partial(_pairs, chosen=public, read=_correlated),
    ),
    N6,
    replace(
        N6,
        id="N6b",
        title="Moving whole patches hurts a public ViT less than cutting",
        statement="Moving whole patches hurts a public ViT less than cutting them finer.",
        criteria=(Criterion("own − next finer grid", ">=", 0.02, smallest=ACCURACY),),
        reason="two points (14 × 14 against 16 × 16)",
        tier="A/B",
        cases=partial(_vits, chosen=public, read=_finer),
    ),
    Claim(
        id="N7",
        figure="Figure 10",
        title="ViTs bear shuffled patches better than CNNs",
        statement="ViTs bear shuffled patches better than CNNs.",
        statistic="accuracy above chance that is kept when the cells of a grid change places, mean "
        "over grids up to the ViT's own: ViT minus ResNet",
        criteria=(Criterion("ViT − ResNet", ">=", 0.0, smallest=ACCURACY),),
        reason="an order",
        paper_value="ViTs' curves lie above the ResNet50's",
        source="[fig]",
        tier="A",
        controls="other seeds; an untrained network has nothing to keep",
        drawn="fignaseer_shuffle",
        cases=partial(_pairs, chosen=_all, read=_shuffled),
    ),
)
