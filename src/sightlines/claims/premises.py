"""What must be true of an experiment's networks for claims about less data to be testable.

Of several seeds it must be true in the mean: a further seed makes no premise harder to meet.
"""

from collections.abc import Callable, Iterator

import numpy as np

from sightlines.claims.accuracies import ahead
from sightlines.claims.cases import of_seeds
from sightlines.claims.claim import Criterion, Premise, Reading, Source, from_replicates
from sightlines.claims.effects import DISTANCE
from sightlines.claims.evidence import Evidence
from sightlines.claims.fig03_attention_distance import most_local
from sightlines.claims.seeds import Prior, Spread, spread
from sightlines.plan.networks import Network, per_cent
from sightlines.results.numbers import interval, significant

OF_LOCAL, LOCAL = "C6", Criterion("most local head", "<=", 0.5, smallest=DISTANCE)
"""As C6 has it."""
COST = "fewer images cost accuracy"
Pairs = Callable[[Evidence], list[tuple[Network, Network]]]
"""From the evidence to networks on all images, each with its like on fewer."""


def less_data_hurts(pairs: Pairs) -> Premise:
    """Networks are worse for having been trained on fewer images.

    Where they are not, data are no limit to what is learned here, and nothing can be lost by
    leaving images out. Seeds may differ by as much, so that the interval is over them as well.
    """

    def cost(evidence: Evidence) -> Spread:
        return ahead(evidence, pairs(evidence), COST)

    def unmet(evidence: Evidence) -> str:
        own = cost(evidence)
        low, high = _ends(own)
        if low > 0:
            return ""
        found = pairs(evidence)
        known = [[evidence.accuracy(n)[0] for n in pair] for pair in found]
        (more, fewer), less = np.mean(known, axis=0), found[0][1]
        over = "" if own.is_whole else " over images"
        ends = f"{100 * low:.1f} to {100 * high:.1f}".replace("-", "−")
        return (
            f"{evidence.label(less.model)} is not shown to be worse with {per_cent(less.fraction)} "
            f"% of the images than with all ({fewer:.1%} and {more:.1%}, difference {ends} "
            f"points{over}): needs a smaller fraction, longer training, more seeds, or a harder "
            "dataset"
        )

    def one_run(evidence: Evidence) -> str:
        own = cost(evidence)
        if own.is_whole:
            return ""
        less = pairs(evidence)[0][1]
        return (
            f"one run of {evidence.label(less.model)} with all and with "
            f"{per_cent(less.fraction)} % of the images, and of no network here a second seed, so "
            "whether fewer images cost accuracy is known of images only; needs a second seed"
        )

    return Premise(COST, unmet, one_run)


def has_local_heads(pairs: Pairs) -> Premise:
    """With all images there are local heads in the lowest blocks, which could be lost.

    It is unmet where that is shown not to be so in the mean of the seeds, with its interval over
    images and seeds; of one seed their spread is that which is shipped for C6.
    """

    def spreads(evidence: Evidence) -> Iterator[tuple[str, Spread]]:
        """Of each model its label, and the most local head in the mean of its networks."""
        known = evidence.spread.known(OF_LOCAL, LOCAL.name) if evidence.spread else _unknown
        networks = dict.fromkeys(full for full, _ in pairs(evidence))
        for model in dict.fromkeys(network.model for network in networks):
            own, label = [[n] for n in networks if n.model == model], evidence.label(model)
            case = of_seeds(evidence, label, own, _most_local)
            local = spread([(1.0, case.trained)], 0, known)
            assert local is not None  # every network has a reading
            yield label, local

    def told(label: str, own: Spread) -> str:
        over = "" if own.is_whole else " over images"
        ends = interval((own.estimate.value, *_ends(own)), (LOCAL.threshold,), write=significant)
        return (
            f"with all images the most local head of {label} looks {ends}{over} of uniform "
            f"attention's distance (needed: {LOCAL})"
        )

    def by_outcome(evidence: Evidence, outcome: str) -> list[str]:
        own = spreads(evidence)
        return [told(label, one) for label, one in own if LOCAL.outcome(*_ends(one)) == outcome]

    def unmet(evidence: Evidence) -> str:
        found = by_outcome(evidence, "fails")
        return f"{'; '.join(found)}: needs a network that learns local heads" if found else ""

    def one_run(evidence: Evidence) -> str:
        alone = [label for label, own in spreads(evidence) if not own.is_whole]
        if not alone:
            return ""
        return (
            f"one run of {', '.join(alone)} with all images, so whether there are local heads is "
            "known of images only"
        )

    def caveat(evidence: Evidence) -> str:
        found = by_outcome(evidence, "unclear")
        return f"local heads not shown: {'; '.join(found)}" if found else ""

    return Premise("with all images there are local heads", unmet, one_run, caveat)


def _most_local(evidence: Evidence, network: Network) -> list[Reading]:
    return [from_replicates(most_local(evidence, network))]


def _ends(own: Spread) -> tuple[float, float]:
    """Of its interval: over images only where one run is all there is."""
    low, high = (own if own.is_whole else own.of_images).estimate.interval()
    return float(low), float(high)


def _unknown(_: Source) -> Prior | None:
    return None
