"""Claims C19 to C21: whether last tokens are about their own patch (paper, Figures 9 and D.3)."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from sightlines.claims.cases import each, each_pair, satisfies_all
from sightlines.claims.claim import (
    OF_CORRELATIONS,
    OF_SHARES,
    Claim,
    Criterion,
    Premise,
    Reading,
    RobustnessCheck,
    from_draws,
    from_replicates,
)
from sightlines.claims.effects import CORRELATION, DEVIATION, SHARE, SIMILARITY
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.matching import Groups, comparable, each_pair_matched, pairs
from sightlines.claims.statistics import resampled
from sightlines.plan.networks import Network
from sightlines.stats.means import mean_of_finite

QUESTION = "places"
READS = (
    "localisation.parquet",
    "localisation_margins.parquet",
    "localisation_tokens.parquet",
    "layers.csv",
    "accuracy.csv",
)


EFFECT = "effect"
"""The score of localisation.parquet that does not depend on the number of patches."""
AMENDED = "2026-11-29"
SCORES = {"linear": "cka", "deconfounded": "deconfounded"}
"""Index of similarity -> the score of localisation.parquet that rests on it."""


def by_block(
    evidence: Evidence, network: Network, column: str, score: str = "cka"
) -> dict[int, np.ndarray]:
    """A score of the interior tokens of every block's output [1 + groups], by block, in order.

    The final norm counts as block -1.
    """
    own = {"where": "interior", "score": score}
    frame = evidence.replicates("localisation.parquet", network, column, ["block"], **own)
    return {int(block): frame[block].to_numpy() for block in frame.columns}


def final(evidence: Evidence, network: Network, column: str, score: str = "cka") -> np.ndarray:
    """A score of the interior tokens after the last block [1 + groups]."""
    return list(by_block(evidence, network, column, score).values())[-1]


def stands(
    criteria: Sequence[Criterion],
    groups: Callable[[Evidence], Iterable[Sequence[str]]],
    read: Callable[..., list[Reading]],
) -> RobustnessCheck:
    """By CKA from which the pixels' own similarity is regressed out, first seed.

    Args:
        criteria: The claim's.
        groups: Models of every case.
        read: Reads the networks of one, by a score.
    """

    def check(evidence: Evidence, index: str) -> bool:
        if index not in SCORES:
            raise NotMeasured("maps of tokens and patches are measured by linear CKA alone")
        for first, *others in groups(evidence):
            network = evidence.full(first)[0]
            chosen = [network, *(evidence.same_seed(m, network) for m in others)]
            readings = read(evidence, *chosen, score=SCORES[index])
            if not satisfies_all(criteria, [reading.value for reading in readings]):
                return False
        return True

    return check


def _vits(evidence: Evidence) -> list[tuple[str]]:
    return [(vit,) for vit in evidence.vits()]


def one_grid(groups: Groups) -> Premise:
    """Tokens that are compared one by one are places of one grid."""

    def unmet(evidence: Evidence) -> str:
        for models in groups(evidence):
            grids = {}
            for model in models:
                with contextlib.suppress(NotMeasured):
                    rows = evidence.rows("localisation_tokens.parquet", evidence.full(model)[0])
                    grids[evidence.label(model)] = int(rows["patches"].iloc[0])
            if len(set(grids.values())) > 1:
                told = ", ".join(f"{name} {count}" for name, count in grids.items())
                return (
                    f"tokens of grids of several sizes are compared ({told}): needs networks whose "
                    "patches or strides give as many tokens"
                )
        return ""

    return Premise("tokens are of one grid", unmet)


def _localised(
    evidence: Evidence, vit: Network, score: str = "cka", column: str = EFFECT
) -> list[Reading]:
    return [
        replace(from_draws(_first_share(evidence, vit, score)), of=interior_tokens(evidence, vit)),
        from_replicates(final(evidence, vit, column, score)),
    ]


def interior_tokens(evidence: Evidence, network: Network) -> int:
    """How many tokens shares of interior tokens are of."""
    return int(evidence.rows("localisation_margins.parquet", network)["token"].nunique())


def _first_share(evidence: Evidence, network: Network, score: str) -> np.ndarray:
    """Share of interior tokens after the last block whose own patch ranks first [1 + draws]."""
    table = "localisation_margins.parquet"
    margins = evidence.replicates(table, network, "margin", ["token"], score=score)
    drawn = resampled(margins.to_numpy())
    return mean_of_finite(np.where(np.isfinite(drawn), drawn >= 0, np.nan))


def _less_in_resnet(
    evidence: Evidence, vit: Network, resnet: Network, score: str = "cka", column: str = EFFECT
) -> list[Reading]:
    values = (
        final(evidence, vit, column, score) / 2 - final(evidence, resnet, column, score),
        final(evidence, resnet, "token_correlation", score),
        final(evidence, vit, "token_correlation", score),
    )
    return [from_replicates(v) for v in values]


def _earlier(
    evidence: Evidence, vit: Network, resnet: Network, score: str = "cka", column: str = EFFECT
) -> list[Reading]:
    earlier = by_block(evidence, resnet, column, score)[_earlier_unit(evidence, resnet.model)]
    return [
        from_replicates(earlier - final(evidence, resnet, column, score)),
        from_replicates(final(evidence, vit, column, score) - earlier),
    ]


def _earlier_unit(evidence: Evidence, resnet: str) -> int:
    """First unit of the last stage (where a projection begins it): its map is as the final one's.

    The paper's middle unit has a finer map, several of whose places make one token here.

    Raises:
        NotMeasured: that is the final unit.
    """
    layers = evidence.layers(resnet)
    units = layers.loc[layers["kind"] == "residual", "block"].tolist()
    begins = layers.loc[layers["name"].str.endswith(".proj_conv"), "block"].tolist()
    if not begins:
        raise NotMeasured(f"{resnet} has no projection that begins its last stage")
    if begins[-1] == units[-1]:
        raise NotMeasured(f"needs a ResNet with more units in its last stage than {resnet}")
    return int(begins[-1])


def _corner(evidence: Evidence, vit: Network, score: str = "cka") -> list[Reading]:
    border, interior = (
        final(evidence, vit, f"{part}_cka", score) for part in ("border", "interior")
    )
    return [from_replicates(border - interior)]


LOCALISED = (
    Criterion("own patch first", ">=", 0.75, OF_SHARES, smallest=SHARE),
    Criterion("effect size of the own patch", ">=", 3.4, smallest=DEVIATION),
)
LESS_IN_RESNET = (
    Criterion("half of d(ViT) − d(ResNet)", ">=", 0.0, smallest=DEVIATION),
    Criterion("correlation of tokens, ResNet", ">=", 0.6, OF_CORRELATIONS, smallest=CORRELATION),
    Criterion("correlation of tokens, ViT", "<=", 0.2, OF_CORRELATIONS, smallest=CORRELATION),
)
EARLIER = (
    Criterion("d, earlier − final unit of the ResNet", ">=", 0.0, smallest=DEVIATION),
    Criterion("d, ViT − earlier unit of the ResNet", ">=", 0.0, smallest=DEVIATION),
)
CORNER = (Criterion("border − interior", ">=", 0.0, smallest=SIMILARITY),)
CLAIMS = (
    Claim(
        id="C19",
        figure="Figure 9",
        title="A ViT's last tokens are still about their own patches",
        statement="After the last block, a ViT's tokens are still about their own patches.",
        statistic="CKA of a token with the pixels of every patch, interior tokens: share whose own "
        "patch ranks first, and effect size d of the own patch (its CKA less the mean of the "
        "others, in standard deviations of these, pooled over tokens)",
        criteria=LOCALISED,
        reason="three of four tokens; and 3.4, which is a z of three standard deviations among the "
        "49 patches of the paper's coarser grid: below all of the paper's interior tokens, above "
        "chance",
        paper_value="own patch first for 5 of 6; z 4–8, which is d 5–10",
        source="[fig]",
        tier="A",
        controls="untrained networks; pixels regressed out",
        drawn="fig09_localisation",
        cases=lambda evidence: each(evidence, evidence.vits(), _localised),
        robustness_check=stands(LOCALISED, _vits, _localised),
    ).loosened(
        AMENDED,
        statistic="CKA of a token with the pixels of every patch, interior tokens: share whose own "
        "patch ranks first, and mean z of the own patch among all",
        criteria=(LOCALISED[0], Criterion("z of the own patch", ">=", 3.0, smallest=DEVIATION)),
        reason="three of four tokens, and three standard deviations: below nearly all of the "
        "paper's interior tokens, above chance",
        cases=lambda evidence: each(evidence, evidence.vits(), partial(_localised, column="z")),
    ),
    Claim(
        id="C20",
        figure="Figure 9",
        title="A ResNet's last locations are all about the same patches",
        statement="A ResNet's last locations are not: they are all about the same patches.",
        statistic="effect size d of the own patch (C19), half the ViT's minus the ResNet's; mean "
        "correlation of the maps of two tokens, ResNet and ViT",
        criteria=LESS_IN_RESNET,
        reason="less than half the ViT's d; correlations on either side of the gap between the "
        "paper's two values",
        paper_value="z .7 against 4.9, which is d .7 against 7; correlation .84 against −.11",
        source="[fig]",
        tier="A",
        controls="untrained networks; pixels regressed out",
        drawn="fig09_localisation",
        cases=lambda evidence: each_pair_matched(evidence, _less_in_resnet),
        robustness_check=stands(LESS_IN_RESNET, pairs, _less_in_resnet),
        premises=(comparable(pairs, _less_in_resnet), one_grid(pairs)),
    ).loosened(
        AMENDED,
        premises=(),
        statistic="mean z of the own patch, half the ViT's minus the ResNet's; mean correlation of "
        "the maps of two tokens, ResNet and ViT",
        criteria=(
            Criterion("half of z(ViT) − z(ResNet)", ">=", 0.0, smallest=DEVIATION),
            *LESS_IN_RESNET[1:],
        ),
        cases=lambda evidence: each_pair(
            evidence, evidence.vits(), evidence.resnets(), partial(_less_in_resnet, column="z")
        ),
    ),
    Claim(
        id="C20b",
        figure="Figure D.3",
        title="Earlier ResNet layers keep places better, a ViT's last best",
        statement="Earlier layers of a ResNet are better localised than its last, but less than a "
        "ViT's last.",
        statistic="effect size d of the own patch (C19), all on maps of one size: first unit of "
        "the ResNet's last stage minus its final unit; the ViT's last block minus that first unit",
        criteria=EARLIER,
        reason="the paper claims an order; its middle unit is left out, whose map is finer",
        paper_value="seen in the maps",
        source="[fig]",
        tier="A",
        controls="untrained networks; pixels regressed out",
        drawn="figD_localisation_layers",
        cases=lambda evidence: each_pair_matched(evidence, _earlier),
        robustness_check=stands(EARLIER, pairs, _earlier),
        premises=(comparable(pairs, _earlier), one_grid(pairs)),
    ).loosened(
        AMENDED,
        premises=(),
        statistic="mean z of the own patch, all on maps of one size: first unit of the ResNet's "
        "last stage minus its final unit; the ViT's last block minus that first unit",
        criteria=(
            Criterion("z, earlier − final unit of the ResNet", ">=", 0.0, smallest=DEVIATION),
            Criterion("z, ViT − earlier unit of the ResNet", ">=", 0.0, smallest=DEVIATION),
        ),
        cases=lambda evidence: each_pair(
            evidence, evidence.vits(), evidence.resnets(), partial(_earlier, column="z")
        ),
    ),
    Claim(
        id="C21",
        figure="Figure 9",
        title="A ViT's corner tokens are most like patches of the border",
        statement="A ViT's corner tokens are more like patches of the border than of the interior.",
        statistic="mean CKA of the corner tokens after the last block with border patches but "
        "their own, minus with interior patches",
        criteria=CORNER,
        reason="the paper claims an order; border patches resemble each other in pixels already, "
        "so only the untrained control says whether it is learned",
        paper_value="seen in the maps",
        source="[fig]",
        tier="A",
        controls="untrained networks; pixels regressed out",
        drawn="fig09_localisation",
        cases=lambda evidence: each(evidence, evidence.vits(), _corner),
        robustness_check=stands(CORNER, _vits, _corner),
    ),
)
