"""Claims F1 to F6: what mixing tokens without parameters keeps (Lee-Thorp et al. 2021)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from sightlines.claims.accuracies import ahead
from sightlines.claims.cases import gather
from sightlines.claims.claim import (
    OF_SHARES,
    Case,
    Claim,
    Criterion,
    Premise,
    Reading,
    from_replicates,
    from_shares,
)
from sightlines.claims.effects import ACCURACY, SHARE, SIMILARITY
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.fig09_localisation import interior_tokens
from sightlines.claims.statistics import mean_all
from sightlines.plan.architectures import twins
from sightlines.plan.networks import Network

STUDY = "lee_thorp2021"
READS = (
    "branch_places.parquet",
    "localisation.parquet",
    "localisation_margins.parquet",
    "cka_replicates.safetensors",
    "layers.csv",
    "accuracy.csv",
)
ALIKE = ("patch_px", "width", "depth", "mlp_ratio")
"""Settings in which a ViT and an FNet that are compared are equal."""
ATTENTION = ("attention_blocks", "heads")


# -- which networks are compared ----------------------------------------------------------------


def settings(evidence: Evidence, model: str) -> Mapping[str, Any]:
    """A model's settings."""
    found: Mapping[str, Any] = evidence.config["architectures"][model]
    return found


def fnets(evidence: Evidence, mixing: str = "fourier") -> list[str]:
    """FNets without attention, of one mixing.

    Raises:
        NotMeasured: there is none.
    """
    found = [
        model
        for model in evidence.models("fnet")
        if settings(evidence, model)["mixing"] == mixing
        and not settings(evidence, model)["attention_blocks"]
    ]
    if not found:
        raise NotMeasured(f"needs an fnet with mixing {mixing} trained on f100 among the runs")
    return found


def with_vits(evidence: Evidence) -> list[tuple[str, str]]:
    """Each FNet with each ViT of its patches, width, depth and MLPs.

    Of these with those pooled as it is, where there are any: a class token is learned on the way
    and pools by attention, so that with it two things would differ at once.

    Raises:
        NotMeasured: there is none.
    """
    pairs = [
        (fnet, vit)
        for fnet, vit in product(fnets(evidence), evidence.models("vit"))
        if all(settings(evidence, fnet)[k] == settings(evidence, vit).get(k) for k in ALIKE)
    ]
    if not pairs:
        raise NotMeasured(
            "needs a ViT of an FNet's patch_px, width, depth and mlp_ratio on f100 among the runs"
        )
    alike = [pair for pair in pairs if _is_pooled_alike(evidence, *pair)]
    known = {fnet for fnet, _ in alike}
    return [pair for pair in pairs if pair in alike or pair[0] not in known]


def _is_pooled_alike(evidence: Evidence, one: str, other: str) -> bool:
    return settings(evidence, one).get("pool") == settings(evidence, other).get("pool")


def with_mixing(evidence: Evidence, mixing: str) -> list[tuple[str, str]]:
    """Each FNet with its twin of another mixing.

    Raises:
        NotMeasured: there is none.
    """
    others = fnets(evidence, mixing)
    architectures = evidence.config["architectures"]
    pairs = [
        (fnet, other)
        for fnet in fnets(evidence)
        for other in twins(architectures, fnet, ("mixing",))
        if other in others
    ]
    if not pairs:
        raise NotMeasured(f"needs fnets that differ in mixing alone, fourier and {mixing}")
    return pairs


def hybrids(evidence: Evidence, block: int) -> list[tuple[str, str, str]]:
    """Each FNet with its twin that has attention in one block, and a ViT.

    Args:
        evidence: The tables.
        block: Of the block with attention; -1: the last one.

    Raises:
        NotMeasured: there is none.
    """
    architectures, trained = evidence.config["architectures"], evidence.models("fnet")
    trios = [
        (fnet, other, vit)
        for fnet, vit in with_vits(evidence)
        for other in twins(architectures, fnet, ATTENTION)
        if other in trained
        and architectures[other]["attention_blocks"] == [block % architectures[fnet]["depth"]]
    ]
    if not trios:
        where = "last" if block == -1 else "first"
        raise NotMeasured(f"needs an fnet with attention in its {where} block alone, and its twin")
    return trios


# -- readings -----------------------------------------------------------------------------------


def ratio(top: Reading, bottom: Reading) -> Reading:
    """One reading over another whose error is small beside it; errors are independent.

    Raises:
        NotMeasured: the lower end of the divisor is not above 0.
    """
    if not bottom.low > 0:
        raise NotMeasured("what is divided by is not above 0 beyond its error")
    value = top.value / bottom.value
    error = (top.error**2 + (value * bottom.error) ** 2) ** 0.5 / bottom.value
    half = 1.959964 * error
    return Reading(value, value - half, value + half, error=error)


def above_chance(evidence: Evidence, network: Network) -> Reading:
    """Test accuracy above chance, in shares of what there is above it."""
    accuracy, chance, images = evidence.accuracy(network)
    scale = 1 / (1 - chance)
    return from_shares([(scale, accuracy, images)]).plus(-scale * chance)


def difference(evidence: Evidence, one: Network, other: Network) -> Reading:
    """Test accuracy of one network less another's."""
    own, _, images = evidence.accuracy(one)
    theirs, _, others = evidence.accuracy(other)
    return from_shares([(1.0, own, images), (-1.0, theirs, others)])


def _kept(evidence: Evidence, fnet: Network, vit: Network) -> list[Reading]:
    return [ratio(above_chance(evidence, fnet), above_chance(evidence, vit))]


def _ahead(evidence: Evidence, fnet: Network, other: Network) -> list[Reading]:
    return [difference(evidence, fnet, other)]


def _equal(evidence: Evidence, fnet: Network, other: Network) -> list[Reading]:
    found = difference(evidence, fnet, other)
    return [found, found]


def _like_a_mixer(
    evidence: Evidence, fnet: Network, mixer: Network, resnet: Network
) -> list[Reading]:
    ahead = mean_all(evidence.cka(fnet, mixer)) - mean_all(evidence.cka(fnet, resnet))
    return [from_replicates(ahead)]


def _places(evidence: Evidence, fnet: Network) -> list[Reading]:
    own = {"where": "interior", "score": "cka"}
    stream = evidence.replicates("localisation.parquet", fnet, "rank_1_share", ["block"], **own)
    blocks = [block for block in stream.columns if int(block) >= 0]
    branch = evidence.replicates("branch_places.parquet", fnet, "rank_1_share", ["block"])
    shares = (stream[blocks].to_numpy().mean(1), branch.to_numpy().mean(1))
    # Blocks have the same tokens, whose places need not vary from block to block.
    tokens = interior_tokens(evidence, fnet)
    return [replace(from_replicates(share), of=tokens) for share in shares]


def _mirrors(evidence: Evidence, fnet: Network) -> list[Reading]:
    excess = evidence.replicates("branch_places.parquet", fnet, "mirror_excess", ["block"])
    if not {0, 1} <= {*excess.columns}:
        raise NotMeasured("needs an fnet of two blocks or more")
    return [from_replicates((excess[1] - excess[0]).to_numpy())]


def _recovered(evidence: Evidence, fnet: Network, hybrid: Network, vit: Network) -> list[Reading]:
    """What the hybrid has beyond half-way from the FNet to the ViT."""
    shares = [(1.0, hybrid), (-0.5, fnet), (-0.5, vit)]
    known = [(weight, evidence.accuracy(network)) for weight, network in shares]
    return [from_shares([(weight, own[0], own[2]) for weight, own in known])]


def _share_recovered(
    evidence: Evidence, fnet: Network, hybrid: Network, vit: Network
) -> list[Reading]:
    """The same as a ratio: F6 before it was amended."""
    gap = difference(evidence, vit, fnet)
    if not gap.low > 0:
        raise NotMeasured("the FNet is as good as the ViT: there is no gap to recover")
    return [ratio(difference(evidence, hybrid, fnet), gap)]


GAP = "the ViT is better than the FNet"


def _no_gap(evidence: Evidence) -> str:
    """FNets as good as their ViT, in the mean of the seeds: of no gap there is no half."""
    told = []
    for fnet, vit in dict.fromkeys((f, v) for f, _, v in hybrids(evidence, -1)):
        seeds = dict.fromkeys(n.seed for model in (vit, fnet) for n in evidence.full(model))
        own = [evidence.full(model) for model in (vit, fnet)]
        pairs = [[next((n for n in o if n.seed == s), o[0]) for o in own] for s in seeds]
        gap = ahead(evidence, pairs, GAP)
        if not (gap if gap.is_whole else gap.of_images).estimate.interval()[0] > 0:
            names = evidence.label(vit), evidence.label(fnet)
            told.append(f"{names[0]} is not shown to be better than {names[1]}")
    return f"{'; '.join(told)}: there is no gap to recover" if told else ""


def _top_bottom(evidence: Evidence) -> list[tuple[str, str]]:
    lowest = {fnet: low for fnet, low, _ in hybrids(evidence, 0)}
    pairs = dict.fromkeys(
        (top, lowest[fnet]) for fnet, top, _ in hybrids(evidence, -1) if fnet in lowest
    )
    return [*pairs]


def _trained(evidence: Evidence, groups: Iterable[Sequence[str]], read: Any) -> list[Case]:
    """Cases of accuracies, of which untrained networks, all at chance, say nothing."""
    return [
        Case(c.label, c.networks, c.readings, missing=c.missing, sources=c.sources)
        for c in gather(evidence, groups, read)
    ]


# -- the claims ---------------------------------------------------------------------------------

NO_CONTROL = "none untrained, which are at chance"

CLAIMS = (
    Claim(
        id="F1",
        figure="Table 2",
        title="Fourier mixing keeps most of attention's accuracy",
        statement="Fourier mixing keeps most of attention's accuracy.",
        statistic="test accuracy above chance, FNet over a ViT of its patches, width, depth and "
        "MLPs, each by its own recipe, and pooled as it is where there is such a ViT (mean of the "
        "tokens, or class token); else the ViT pools by its class token, and what is compared is "
        "mixing and pooling",
        criteria=(Criterion("acc⁺(FNet) / acc⁺(ViT)", ">=", 0.85, smallest=ACCURACY),),
        reason="a little below the least of the published 92–97 %, for another task and size",
        paper_value="92–97 % of BERT's accuracy on GLUE",
        source="[text]",
        tier="A",
        controls=f"{NO_CONTROL}; an FNet without mixing (F1b)",
        drawn="figfnet_mixing",
        cases=lambda evidence: _trained(evidence, with_vits(evidence), _kept),
    ),
    Claim(
        id="F1b",
        figure="Table 2",
        title="An FNet knows by its mixing, not by its MLPs alone",
        statement="What an FNet knows it owes to its mixing, and not to its MLPs alone.",
        statistic="test accuracy, FNet less its twin that mixes nothing",
        criteria=(Criterion("FNet − FF-only", ">=", 0.1, smallest=ACCURACY),),
        reason="a third of the published 27 points",
        paper_value="76.7 against 49.3 (GLUE, Base)",
        source="[notes]",
        tier="A",
        controls=f"{NO_CONTROL}; the twin is the control of F1",
        drawn="figfnet_mixing",
        cases=lambda evidence: _trained(evidence, with_mixing(evidence, "identity"), _ahead),
    ),
    Claim(
        id="F2",
        figure="Table 2",
        title="Random mixing matrices do not do instead",
        statement="It must be this mixing: random matrices do not do.",
        statistic="test accuracy, FNet less its twin with random orthogonal mixing",
        criteria=(Criterion("FNet − random mixing", ">=", 0.03, smallest=ACCURACY),),
        reason="more than two seeds of one network differ by; the published difference is 20 "
        "points, of matrices that are not orthogonal",
        paper_value="76.7 against 56.6 (GLUE, Base)",
        source="[notes]",
        tier="A",
        controls=f"{NO_CONTROL}; the Hartley transform (F2b)",
        drawn="figfnet_mixing",
        cases=lambda evidence: _trained(evidence, with_mixing(evidence, "random"), _ahead),
    ),
    Claim(
        id="F2b",
        figure="none",
        title="The half that Fourier mixing loses is not missed",
        statement="The half of its input that Fourier mixing loses is not missed.",
        statistic="test accuracy, FNet less its twin with the Hartley transform, which is its own "
        "inverse",
        criteria=(
            Criterion("FNet − Hartley", ">=", -0.03, smallest=ACCURACY),
            Criterion("FNet − Hartley", "<=", 0.03, smallest=ACCURACY),
        ),
        reason="equivalence, by two one-sided tests: three points, as two seeds of one network "
        "differ",
        paper_value="not compared there",
        source="[none]",
        tier="A",
        controls=NO_CONTROL,
        drawn="figfnet_mixing",
        cases=lambda evidence: _trained(evidence, with_mixing(evidence, "hartley"), _equal),
    ),
    Claim(
        id="F3",
        figure="none",
        title="An FNet is more like a Mixer than like a ResNet",
        statement="An FNet's layers are more like a Mixer's than like a ResNet's.",
        statistic="mean CKA of all layers of the FNet with the Mixer's, minus with the ResNet's "
        "(as C32)",
        criteria=(
            Criterion("CKA(FNet, Mixer) − CKA(FNet, ResNet)", ">=", 0.0, smallest=SIMILARITY),
        ),
        reason="an order",
        paper_value="not measured there",
        source="[none]",
        tier="A",
        controls="untrained networks",
        drawn="figfnet_mixing",
        cases=lambda evidence: gather(
            evidence,
            product(fnets(evidence), evidence.models("mixer"), evidence.resnets()),
            _like_a_mixer,
        ),
    ),
    Claim(
        id="F4",
        figure="none",
        title="An FNet keeps places in its stream, not in its branches",
        statement="Places survive in an FNet's stream of tokens, and not in its mixing branches.",
        statistic="share of interior tokens whose own patch of pixels is the most similar (CKA), "
        "mean over blocks: of block outputs, of what mixing adds",
        criteria=(
            Criterion("own patch first, block outputs", ">=", 0.75, OF_SHARES, smallest=SHARE),
            Criterion("own patch first, mixing branches", "<=", 0.25, OF_SHARES, smallest=SHARE),
        ),
        reason="three tokens of four, and one of four: an output of a transform is a frequency and "
        "no place, so that the skip connection must keep places",
        paper_value="not measured there",
        source="[none]",
        tier="A",
        controls="untrained networks; a ViT's attention branches in the figure",
        drawn="figfnet_mixing",
        cases=lambda evidence: gather(evidence, [(m,) for m in fnets(evidence)], _places),
        amended="2026-11-29",
    ),
    Claim(
        id="F5",
        figure="none",
        title="A second transform brings mirrored patches together",
        statement="A second transform brings the tokens of mirrored patches together.",
        statistic="CKA of a mixing branch's tokens with their mirrored patches, less with all "
        "others but their own: second block minus first",
        criteria=(Criterion("mirror, block 1 − block 0", ">=", 0.0, smallest=SIMILARITY),),
        reason="an order: twice in a row the real part of a transform gives the mean of its input "
        "and of that mirrored",
        paper_value="not measured there; follows from the transform",
        source="[none]",
        tier="A",
        controls="untrained networks; in the figure the Hartley transform and random mixing, which "
        "mirror nothing",
        drawn="figfnet_mixing",
        cases=lambda evidence: gather(evidence, [(m,) for m in fnets(evidence)], _mirrors),
    ),
    Claim(
        id="F6",
        figure="Table 2",
        title="One block of attention on top closes half of an FNet's gap",
        statement="One block with attention at the top recovers half of what an FNet lacks.",
        statistic="test accuracy: what attention in the last block alone adds to an FNet, less "
        "half of what the ViT has beyond it, pooled as the FNet is where there is such a ViT",
        criteria=(Criterion("(hybrid − FNet) − ½ (ViT − FNet)", ">=", 0.0, smallest=ACCURACY),),
        reason="half, as a difference, which every seed has whether its own gap is clear or not; "
        "published .59 of the gap on GLUE with two such blocks of twelve",
        paper_value="80.6 between 76.7 and 83.3 (GLUE, Base), which is .59",
        source="[notes]",
        tier="A",
        controls=f"{NO_CONTROL}; attention at the bottom (F6b)",
        drawn="figfnet_mixing",
        cases=lambda evidence: _trained(evidence, hybrids(evidence, -1), _recovered),
        premises=(Premise(GAP, _no_gap),),
    ).loosened(
        "2026-11-29",
        statistic="test accuracy: what attention in the last block alone adds to an FNet, over "
        "what the ViT has beyond it, pooled as the FNet is where there is such a ViT",
        criteria=(Criterion("(hybrid − FNet) / (ViT − FNet)", ">=", 0.5, smallest=ACCURACY),),
        reason="half; published .59 of the gap on GLUE with two such blocks of twelve",
        premises=(),
        cases=lambda evidence: _trained(evidence, hybrids(evidence, -1), _share_recovered),
    ),
    Claim(
        id="F6b",
        figure="layouts of hybrids",
        title="Attention is worth more in an FNet's last block than first",
        statement="Attention is worth more in an FNet's last block than in its first.",
        statistic="test accuracy, attention in the last block alone less in the first block alone",
        criteria=(Criterion("top − bottom", ">=", 0.0, smallest=ACCURACY),),
        reason="an order",
        paper_value=".526 at the top against .497 at the bottom (masked words)",
        source="[notes]",
        tier="A",
        controls=NO_CONTROL,
        drawn="figfnet_mixing",
        cases=lambda evidence: _trained(evidence, _top_bottom(evidence), _ahead),
    ),
)
