"""What must be true of an experiment's networks for claims about less data to be testable.

Of several seeds it must be true in the mean: a further seed makes no premise harder to meet.
"""

from collections.abc import Callable

from sightlines.claims.claim import Criterion, Premise, from_replicates, from_shares
from sightlines.claims.evidence import Evidence
from sightlines.claims.fig03_attention_distance import most_local
from sightlines.claims.seeds import mean
from sightlines.plan.networks import Network, per_cent

LOCAL = Criterion("most local head", "<=", 0.5)
"""As C6 has it."""
Pairs = Callable[[Evidence], list[tuple[Network, Network]]]
"""From the evidence to networks on all images, each with its like on fewer."""


def less_data_hurts(pairs: Pairs) -> Premise:
    """Networks are worse for having been trained on fewer images.

    Where they are not, data are no limit to what is learned here, and nothing can be lost by
    leaving images out.
    """

    def unmet(evidence: Evidence) -> str:
        found = pairs(evidence)
        share, weights = 1 / len(found), dict[Network, float]()
        for full, less in found:
            weights[full] = weights.get(full, 0.0) + share
            weights[less] = weights.get(less, 0.0) - share
        known = {network: evidence.accuracy(network) for network in weights}
        if from_shares([(w, known[n][0], known[n][2]) for n, w in weights.items()]).low > 0:
            return ""
        more, fewer = (share * sum(known[n][0] for n in own) for own in zip(*found, strict=True))
        less = found[0][1]
        return (
            f"{evidence.label(less.model)} is as good with {per_cent(less.fraction)} % of "
            f"the images as with all ({fewer:.1%} and {more:.1%}): needs a smaller "
            "fraction, longer training, or a harder dataset"
        )

    return Premise("fewer images cost accuracy", unmet)


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
