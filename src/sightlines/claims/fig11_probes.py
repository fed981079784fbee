"""Claims C23 to C25: what single tokens and pooled tokens know of the class (paper, Figure 11)."""

from dataclasses import replace
from typing import Any

import numpy as np

from sightlines.claims.cases import gather
from sightlines.claims.claim import Case, Claim, Criterion, Reading
from sightlines.claims.effects import ACCURACY
from sightlines.claims.evidence import Evidence
from sightlines.claims.matching import comparable, with_matched
from sightlines.claims.probing import Draw, at, final_tokens, from_fits, last
from sightlines.plan.networks import Network

QUESTION = "places"
READS = (
    "probe_replicates.parquet",
    "probe_halves.parquet",
    "token_probe_replicates.parquet",
    "token_probe_halves.parquet",
    "accuracy.csv",
)
HALF = np.array([0.5])


def _tokens(evidence: Evidence) -> list[Case]:
    trios = _trios(evidence)
    return with_matched(evidence, gather(evidence, trios, _read_halves), trios, _read_halves)


def _trios(evidence: Evidence) -> list[tuple[str, str, str]]:
    return [(*t, resnet) for t in evidence.pooled() for resnet in evidence.resnets()]


def _read_halves(evidence: Evidence, cls: Network, gap: Network, resnet: Network) -> list[Reading]:
    return _readings(halves(evidence, cls, gap, resnet))


def _readings(values: list[np.ndarray]) -> list[Reading]:
    return [from_fits(each) for each in values]


def halves(
    evidence: Evidence, cls: Network, gap: Network, resnet: Network, draw: Draw = None
) -> list[np.ndarray]:
    """Half of the others' accuracy above chance, less the class-token ViT's, one a criterion."""
    own, chance = final_tokens(evidence, cls, draw)
    rivals = [final_tokens(evidence, other, draw)[0] for other in (gap, resnet)]
    return [(rival - chance) / 2 - (own - chance) for rival in rivals]


def _parity(evidence: Evidence) -> list[Case]:
    """Without a control: untrained networks are equal at chance."""
    cases = gather(evidence, evidence.pooled(), lambda *given: _readings(native(*given)))
    return [replace(case, control=None) for case in cases]


def native(
    evidence: Evidence, cls: Network, gap: Network, dataset: str = "", draw: Draw = None
) -> list[np.ndarray]:
    """The class token's accuracy less that of the mean of the tokens, once a criterion."""
    ends = (last(evidence, n, pool, dataset, draw) for n, pool in ((cls, "cls"), (gap, "mean")))
    return [np.subtract(*ends)] * 2


def first_token(
    evidence: Evidence, cls: Network, gap: Network, dataset: str = "", draw: Draw = None
) -> list[np.ndarray]:
    """Mean of tokens less first token, at the end and at half depth; class token less all."""
    told: dict[str, Any] = {"dataset": dataset, "draw": draw}
    at_half = (at(evidence, gap, pool, HALF, **told) for pool in ("mean", "first"))
    return [
        last(evidence, gap, "mean", **told) - last(evidence, gap, "first", **told),
        np.subtract(*at_half),
        last(evidence, cls, "cls", **told) - last(evidence, cls, "all", **told),
    ]


def _within(margin: float) -> tuple[Criterion, ...]:
    name = "CLS;CLS − GAP;GAP"
    return (
        Criterion(name, ">=", -margin, smallest=margin),
        Criterion(name, "<=", margin, smallest=margin),
    )


HALVES = (
    Criterion("½ GAP ViT − CLS ViT", ">=", 0.0, smallest=ACCURACY),
    Criterion("½ ResNet − CLS ViT", ">=", 0.0, smallest=ACCURACY),
)
PARITY = _within(0.05)
FIRST_TOKEN = (
    Criterion("GAP;GAP − GAP;first token, last layer", "<=", 0.03, smallest=ACCURACY),
    Criterion("GAP;GAP − GAP;first token, half depth", ">=", 0.10, smallest=ACCURACY),
    Criterion("CLS;CLS − CLS;GAP, last layer", ">=", 0.0, smallest=ACCURACY),
)
CLAIMS = (
    Claim(
        id="C23",
        figure="Figure 11a",
        title="Beside a class token, single tokens know least of the class",
        statement="After the last block, single tokens of a ViT with a class token know half as "
        "much of the class as those of a pooled ViT or of a ResNet, or less.",
        statistic="mean accuracy over tokens of each token's own probe, above chance: half of the "
        "other network's, less the ViT's",
        criteria=HALVES,
        reason="the paper's factor is five to seven; above chance, since with few classes chance "
        "is a large part of any accuracy",
        paper_value="6–10 % against 57–58 % and 44–52 %",
        source="[text]",
        tier="A",
        controls="untrained networks",
        drawn="fig11_token_probes",
        cases=_tokens,
        premises=(comparable(_trios, _read_halves),),
    ),
    Claim(
        id="C24",
        figure="Figure 11b",
        title="With a class token or pooled, ViTs end equally well",
        statement="Read out by its own aggregation, a ViT with a class token and a pooled ViT end "
        "equally well.",
        statistic="probe accuracy at the last layer: class token of the one less mean of the "
        "tokens of the other",
        criteria=PARITY,
        reason="equivalence, by two one-sided tests: five points, since two seeds of one network "
        "differ by four",
        paper_value="CLS;CLS ≈ GAP;GAP",
        source="[text]",
        tier="A",
        controls="none: untrained networks are equal at chance",
        drawn="fig11_token_probes",
        cases=_parity,
    ).loosened(
        "2026-11-29",
        criteria=_within(0.03),
        reason="three points: no more than two seeds of one network may differ by",
    ),
    Claim(
        id="C25",
        figure="Figure 11b",
        title="Pooled ViT: one token knows what all know, only at the end",
        statement="In a pooled ViT one token knows at the end what all know together, but not half "
        "way; the pooled tokens of a ViT with a class token end below its class token.",
        statistic="probe accuracy: mean of tokens less first token, at the last layer and at half "
        "depth (pooled ViT); class token less mean of all tokens, at the last layer",
        criteria=FIRST_TOKEN,
        reason="almost equal is three points, poor is ten below",
        paper_value="almost equal at the end, poor before; CLS;GAP plateaus",
        source="[text]",
        tier="A",
        controls="untrained networks",
        drawn="fig11_token_probes",
        cases=lambda evidence: gather(
            evidence, evidence.pooled(), lambda *given: _readings(first_token(*given))
        ),
    ),
)
