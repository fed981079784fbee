"""What must be true of an experiment's networks for claims about less data to be testable."""

from collections.abc import Callable

from sightlines.claims.claim import Criterion, Premise, from_replicates, from_shares
from sightlines.claims.evidence import Evidence
from sightlines.claims.fig03_attention_distance import most_local
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
        for full, less in pairs(evidence):
            (more, _, images), (fewer, _, others) = map(evidence.accuracy, (full, less))
            if not from_shares([(1.0, more, images), (-1.0, fewer, others)]).low > 0:
                return (
                    f"{evidence.label(less.model)} is as good with {per_cent(less.fraction)} % of "
                    f"the images as with all ({fewer:.1%} and {more:.1%}): needs a smaller "
                    "fraction, longer training, or a harder dataset"
                )
        return ""

    return Premise("fewer images cost accuracy", unmet)


def has_local_heads(pairs: Pairs) -> Premise:
    """With all images there are local heads in the lowest blocks, which could be lost."""

    def unmet(evidence: Evidence) -> str:
        for full, _ in pairs(evidence):
            found = from_replicates(most_local(evidence, full))
            if LOCAL.outcome(found.low, found.high) == "fails":
                return (
                    f"with all images the most local head of {evidence.label(full.model)} looks "
                    f"{found.value:.2g} of uniform attention's distance (needed: {LOCAL}): needs a "
                    "network that learns local heads"
                )
        return ""

    return Premise("with all images there are local heads", unmet)
