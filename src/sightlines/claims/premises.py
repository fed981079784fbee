"""What must be true of an experiment's networks for claims about less data to be testable.

Of several seeds it must be true in the mean: a further seed makes no premise harder to meet.
"""

from collections.abc import Callable

import numpy as np

from sightlines.claims.accuracies import ahead
from sightlines.claims.claim import Criterion, Premise, from_replicates
from sightlines.claims.evidence import Evidence
from sightlines.claims.fig03_attention_distance import most_local
from sightlines.claims.seeds import Spread, mean
from sightlines.plan.networks import Network, per_cent

LOCAL = Criterion("most local head", "<=", 0.5)
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
        low, high = (own if own.is_whole else own.of_images).estimate.interval()
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
    """With all images there are local heads in the lowest blocks, which could be lost."""

    def unmet(evidence: Evidence) -> str:
        networks = list(dict.fromkeys(full for full, _ in pairs(evidence)))
        for model in dict.fromkeys(network.model for network in networks):
            own = [most_local(evidence, n) for n in networks if n.model == model]
            found = mean([from_replicates(values) for values in own])
            if found and LOCAL.outcome(found.low, found.high) == "fails":
                return (
                    f"with all images the most local head of {evidence.label(model)} looks "
                    f"{found.value:.2g} of uniform attention's distance (needed: {LOCAL}): needs a "
                    "network that learns local heads"
                )
        return ""

    return Premise("with all images there are local heads", unmet)
