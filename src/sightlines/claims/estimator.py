"""Claims V1 and V2: that CKA does not depend on how it is estimated (paper, appendix A)."""

from collections.abc import Callable

from sightlines.claims.cases import each
from sightlines.claims.claim import (
    OF_CORRELATIONS,
    Case,
    Claim,
    Criterion,
    Reading,
    from_replicates,
)
from sightlines.claims.effects import CORRELATION
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.several import least
from sightlines.plan.networks import Network

READS = ("estimator.csv", "accuracy.csv")


LARGER = "needs larger minibatches: splits.reference_batch_size of 32 or more"
OTHER_IMAGES = "needs a task of domain in under transfer"
MARGIN = 0.01


def _largest(evidence: Evidence, network: Network) -> list[Reading]:
    """Of every size of minibatch the largest change: V1 before it was amended."""
    own = {"check": "batch_size_largest"}
    frame = evidence.replicates("estimator.csv", network, "value", ["source"], **own)
    return [from_replicates(frame.to_numpy().max(axis=1))]


def _least_alike(evidence: Evidence, network: Network) -> list[Reading]:
    """Of every other task's images the correlation of the maps, the least."""
    own = {"check": "image_source"}
    frame = evidence.replicates("estimator.csv", network, "value", ["source"], **own)
    return [least(list(frame.to_numpy().T))]


def _each(
    evidence: Evidence, check: str, read: Callable[..., list[Reading]], lacking: str
) -> list[Case]:
    if not (evidence.table("estimator.csv")["check"] == check).any():
        raise NotMeasured(lacking)
    return each(evidence, evidence.models(), read)


def _smallest(evidence: Evidence, network: Network) -> list[Reading]:
    """Mean change with the smallest minibatches, once a side, and the mean square of it."""
    found = []
    for check in ("batch_size", "batch_size_square"):
        frame = evidence.replicates("estimator.csv", network, "value", ["source"], check=check)
        smallest = min(frame.columns, key=lambda source: int(source.split()[0]))
        found.append(from_replicates(frame[smallest].to_numpy()))
    change, square = found
    return [change, change, square]


CLAIMS = (
    Claim(
        id="V1",
        figure="Appendix A",
        title="Smaller minibatches do not change a CKA map",
        statement="Smaller minibatches change no entry of a CKA map noticeably.",
        statistic="change of an entry when the same images are compared within quarter "
        "minibatches, mean of 8 random partitions less whole minibatches: mean over entries, and "
        "mean square (product of two folds of images, in which chance cancels)",
        criteria=(
            Criterion("mean change", ">=", -MARGIN, smallest=MARGIN),
            Criterion("mean change", "<=", MARGIN, smallest=MARGIN),
            Criterion("mean square of an entry's change", "<=", 0.0004, smallest=0.0004),
        ),
        reason="equivalence, by two one-sided tests: a hundredth is a fifth of the smallest "
        "difference that the paper reads off two maps (.38 against .33, Figure 1); .0004 is a "
        "change of two hundredths, which are not seen in a map",
        paper_value="no noticeable effect (1,024 down to 128)",
        source="[text]",
        tier="A",
        controls="none: a statement about the estimator; two random partitions of one size in the "
        "figure",
        drawn="figA_estimator",
        of_estimator=True,
        cases=lambda evidence: _each(evidence, "batch_size", _smallest, LARGER),
    ).loosened(
        "2026-11-29",
        statistic="largest change of any entry when the same images are compared within half and "
        "quarter minibatches",
        criteria=(Criterion("largest change", "<=", 0.02),),
        reason="two hundredths of CKA are not seen in a map",
        cases=lambda evidence: _each(evidence, "batch_size_largest", _largest, LARGER),
    ),
    Claim(
        id="V2",
        figure="Appendix A",
        title="The source of the reference images matters little",
        statement="It does not matter much from which source the reference images come.",
        statistic="correlation of the off-diagonal entries of two maps of one network, on the "
        "experiment's reference images and on those of another dataset of the domain",
        criteria=(
            Criterion("correlation of the maps", ">=", 0.95, OF_CORRELATIONS, smallest=CORRELATION),
        ),
        reason="maps that correlate to .95 show the same structure",
        paper_value="no meaningful difference (JFT and ImageNet)",
        source="[text]",
        tier="A",
        controls="none: a statement about the images",
        drawn="figA_estimator",
        of_estimator=True,
        amended="2026-11-29",
        cases=lambda evidence: _each(evidence, "image_source", _least_alike, OTHER_IMAGES),
    ),
)
