"""Claims that can be computed in several ways, and their statistics by each (`specification`).

Each of the claims' own ways gives what the claim itself is judged by; a test holds both together.
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from scipy.special import stdtrit

from sightlines.claims.claim import Criterion as C
from sightlines.claims.claim import Reading, from_draws, from_replicates
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.fig01_cka_within import GRID, grid_share, share_of_blocks
from sightlines.claims.fig02_cka_across import MATCH, TOP, matched, top_third
from sightlines.claims.fig08_skipless import (
    ACROSS,
    OF_INTACT,
    WHOLE,
    below_the_cut,
    lacking,
    skipless_block,
)
from sightlines.claims.fig11_probes import FIRST_TOKEN, HALVES, PARITY, first_token, halves, native
from sightlines.claims.fig13_probes import (
    IN_FRONT,
    MORE_DATA,
    TIMES,
    differences,
    largest,
    more_and_less,
)
from sightlines.claims.figH_mixer import CRITERIA as MIXER
from sightlines.claims.probing import draws, from_fits
from sightlines.claims.specification import (
    ALL,
    BLOCKS,
    LINEAR,
    Case,
    Choice,
    Specified,
    of_models,
    similarity,
    ways_of_similarity,
)
from sightlines.claims.statistics import (
    cut_ratio,
    depths,
    low_high,
    mean_all,
    mid_ratio,
    one_layer,
    resampled,
    split,
    split_contrast,
)
from sightlines.plan.networks import Network
from sightlines.stats.jackknife import standard_error
from sightlines.stats.means import quotient
from sightlines.stats.nested import CONFIDENCE

# -- similarity -----------------------------------------------------------------------------------


def _pairs(read: Callable[..., list[Reading]]) -> Callable[[Evidence], list[Case]]:
    """Every ViT with a class token with every ResNet."""

    def cases(evidence: Evidence) -> list[Case]:
        pairs = product(evidence.vits(), evidence.resnets())
        return [of_models(evidence, pair, read) for pair in pairs]

    return cases


def _within(e: Evidence, choice: Choice, *networks: Network) -> list[np.ndarray]:
    return [similarity(e, choice, n, n) for n in networks]


def _uniformity(e: Evidence, choice: Choice, vit: Network, resnet: Network) -> list[Reading]:
    a, b = _within(e, choice, vit, resnet)
    return [from_replicates(low_high(a) - low_high(b))]


def _parts(e: Evidence, choice: Choice, vit: Network, resnet: Network) -> list[Reading]:
    a, b = _within(e, choice, vit, resnet)
    contrast = split_contrast(b) - split_contrast(a)
    return [from_replicates(v) for v in (contrast, mid_ratio(a) - mid_ratio(b))]


def _grid(e: Evidence, choice: Choice, vit: Network) -> list[Reading]:
    maps = similarity(e, choice, vit, vit)
    if choice.index == LINEAR:
        return [share_of_blocks(e, vit, grid_share(e, vit, resampled(maps)))]
    outs = np.diagonal(maps, 1, axis1=1, axis2=2)
    gaps = resampled(outs - e.index_branches(choice.index, vit))
    share = np.where(np.isfinite(gaps).all(axis=-1), (gaps > 0).mean(axis=-1), np.nan)
    return [share_of_blocks(e, vit, share)]


def _match(e: Evidence, choice: Choice, vit: Network, resnet: Network) -> list[Reading]:
    maps, rows = resampled(similarity(e, choice, vit, resnet)), None
    if choice.layers == ALL:
        layers = e.layers(vit.model)
        computed = (layers["kind"] != "embed").to_numpy()
        maps, rows = maps[:, computed], depths(len(layers))[computed]
    return matched(maps, rows)


def _top(e: Evidence, choice: Choice, vit: Network, resnet: Network) -> list[Reading]:
    maps = resampled(similarity(e, choice, vit, resnet))
    return [from_draws(v) for v in top_third(maps)]


def _cuts(part: str, count: int) -> Callable[[Evidence], list[Case]]:
    """ViTs without the skips of a block in a part of the depth; so many of both ratios."""

    def read(e: Evidence, choice: Choice, network: Network, twin: Network) -> list[Reading]:
        maps = _within(e, choice, network, twin)
        low = below_the_cut(e, network)
        if choice.layers == BLOCKS:
            low = np.arange(maps[0].shape[-1]) < skipless_block(e, network)
        ratios = [cut_ratio(m, low) for m in maps]
        values = [ratios[0], quotient(*_common(ratios))]
        return [from_replicates(v) for v in values[:count]]

    return lambda evidence: [of_models(evidence, pair, read) for pair in lacking(evidence, part)]


def _common(values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Replicates that all have, where an index has fewer of one network."""
    shortest = min(len(v) for v in values)
    return [v[:shortest] for v in values]


def _mixers(evidence: Evidence) -> list[Case]:
    trios = product(evidence.models("mixer"), evidence.vits(), evidence.resnets())
    return [of_models(evidence, trio, _mixer) for trio in trios]


def _mixer(e: Evidence, choice: Choice, mixer: Network, *others: Network) -> list[Reading]:
    own = resampled(similarity(e, choice, mixer, mixer))
    vit, resnet = (mean_all(similarity(e, choice, mixer, other)) for other in others)
    contrast, cut = split(own)
    parts = [from_draws(contrast), from_draws(cut, one_layer(own))]
    return [*parts, from_replicates(vit - resnet)]


def _blocks_of_any(evidence: Evidence) -> list[Choice]:
    """For the grid, of which block outputs and branches are compared in any case."""
    return ways_of_similarity(evidence, ("",))


# -- probes ---------------------------------------------------------------------------------------


WHOLE_SET = "all images"


def ways_of_probing(evidence: Evidence) -> list[Choice]:
    """All training images, as claims have it, and few of each class, as the paper has."""
    table = evidence.table("few_shot_replicates.parquet")
    few = [f"{shots} a class" for shots in sorted(set(table["shots"]))]
    return [Choice(probes=images) for images in (WHOLE_SET, *few)]


Values = Callable[..., list[np.ndarray]]
"""From the evidence, networks and a draw to accuracies (`claims.probing`), one a criterion."""


def _probed(
    values: Values, *networks: Network, evidence: Evidence, choice: Choice
) -> list[Reading]:
    if choice.probes == WHOLE_SET:
        return [from_fits(v) for v in values(evidence, *networks, draw=None)]
    every = [values(evidence, *networks, draw=draw) for draw in draws(evidence)]
    return [from_several_draws(np.array(own)) for own in zip(*every, strict=True)]


def from_several_draws(values: np.ndarray) -> Reading:
    """The mean over draws of training images, with an interval over test images and draws.

    Args:
        values: [draws, 1 + groups], each in the order of `stats.jackknife.leave_one_out`.

    Returns:
        With the sum of both variances, and degrees of freedom by Welch and Satterthwaite.
    """
    mean = values.mean(axis=0)
    count, groups = values.shape[0], values.shape[1] - 1
    of_images = float(standard_error(mean)) ** 2
    of_draws = float(values[:, 0].var(ddof=1)) / count if count > 1 else np.nan
    variance = of_images + of_draws
    parts = of_images**2 / (groups - 1) + of_draws**2 / (count - 1) if count > 1 else np.nan
    freedom = variance**2 / parts if parts > 0 else np.inf
    half = stdtrit(freedom, (1 + CONFIDENCE) / 2) * variance**0.5 if variance > 0 else variance
    return Reading(float(mean[0]), float(mean[0] - half), float(mean[0] + half))


def _probing(values: Values) -> Callable[..., list[Reading]]:
    def read(evidence: Evidence, choice: Choice, *networks: Network) -> list[Reading]:
        return _probed(values, *networks, evidence=evidence, choice=choice)

    return read


def _pooled(values: Values, resnets: bool = False) -> Callable[[Evidence], list[Case]]:
    def cases(evidence: Evidence) -> list[Case]:
        others = evidence.resnets() if resnets else []
        rivals: list[list[str]] = [[r] for r in others] or [[]]
        groups = [(*pair, *rival) for pair, rival in product(evidence.pooled(), rivals)]
        return [of_models(evidence, group, _probing(values)) for group in groups]

    return cases


def _more(evidence: Evidence, more: Network, less: Network, **told: object) -> list[np.ndarray]:
    middle, end = differences(evidence, more, less, **told)  # type: ignore[arg-type]
    return [middle, middle - TIMES * end]


def _ahead(evidence: Evidence, vit: Network, resnet: Network, **told: object) -> list[np.ndarray]:
    return list(differences(evidence, vit, resnet, **told))  # type: ignore[arg-type]


def _data(evidence: Evidence) -> list[Case]:
    seeds = {less.seed: (more, less) for more, less in more_and_less(evidence)}
    more = next(iter(seeds.values()))[0]
    return [Case(evidence.label(more.model), seeds, _probing(_more))]


def _large(evidence: Evidence) -> list[Case]:
    pairs = product([largest(evidence)], evidence.resnets())
    return [of_models(evidence, pair, _probing(_ahead)) for pair in pairs]


def _elsewhere(evidence: Evidence) -> list[Case]:
    tasks = evidence.config.get("tasks", {})
    if not tasks:
        raise NotMeasured("needs tasks under transfer")
    vit, found = largest(evidence), []
    for task, resnet in product(tasks, evidence.resnets()):

        def values(
            evidence: Evidence, *networks: Network, draw: int | None, task: str = task
        ) -> list[np.ndarray]:
            told = {"dataset": task, "draw": draw}
            more, less, one, other = networks
            return [*_more(evidence, more, less, **told), *_ahead(evidence, one, other, **told)]

        seeds = {}
        for more, less in more_and_less(evidence):
            own = evidence.same_seed(vit, less)
            seeds[less.seed] = [more, less, own, evidence.same_seed(resnet, own)]
        label = f"{evidence.label(vit)} × {evidence.label(resnet)} on {task}"
        found.append(Case(label, seeds, _probing(values)))
    return found


SPECIFIED = (
    Specified(
        "C1", (C("LH(ViT) − LH(ResNet)", ">=", 0.0),), _pairs(_uniformity), ways_of_similarity
    ),
    Specified(
        "C2",
        (
            C("contrast(ResNet) − contrast(ViT)", ">=", 0.0),
            C("halves(ViT) − halves(ResNet)", ">=", 0.0),
        ),
        _pairs(_parts),
        ways_of_similarity,
    ),
    Specified(
        "C3",
        GRID,
        lambda evidence: [of_models(evidence, [vit], _grid) for vit in evidence.vits()],
        _blocks_of_any,
    ),
    Specified("C4", MATCH, _pairs(_match), ways_of_similarity),
    Specified("C5", TOP, _pairs(_top), ways_of_similarity),
    Specified("C17", (ACROSS, OF_INTACT), _cuts("middle or late", 2), ways_of_similarity),
    Specified("C17b", (WHOLE,), _cuts("first", 1), ways_of_similarity),
    Specified("C23", HALVES, _pooled(halves, resnets=True), ways_of_probing),
    Specified("C24", PARITY, _pooled(native), ways_of_probing),
    Specified("C25", FIRST_TOKEN, _pooled(first_token), ways_of_probing),
    Specified("C28", MORE_DATA, _data, ways_of_probing),
    Specified("C29", IN_FRONT, _large, ways_of_probing),
    Specified("C30", (*MORE_DATA, *IN_FRONT), _elsewhere, ways_of_probing),
    Specified("C32", MIXER, _mixers, ways_of_similarity),
)
