"""Claims V1 and V2: that CKA does not depend on how it is estimated (paper, appendix A)."""

from collections.abc import Callable

import numpy as np

from sightlines.claims.cases import each
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_replicates
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.statistics import Values
from sightlines.plan.networks import Network

READS = ("estimator.csv", "accuracy.csv")


def _cases(evidence: Evidence, check: str, worst: Callable[..., Values]) -> list[Case]:
    table = evidence.table("estimator.csv")
    if not (table["check"] == check).any():
        what = "a task of domain in under transfer" if check == "image_source" else "larger batches"
        raise NotMeasured(f"needs {what}")

    def read(evidence: Evidence, network: Network) -> list[Reading]:
        frame = evidence.replicates("estimator.csv", network, "value", ["source"], check=check)
        return [from_replicates(worst(frame.to_numpy(), axis=1))]

    return each(evidence, evidence.models(), read)


CLAIMS = (
    Claim(
        id="V1",
        figure="Appendix A",
        statement="Smaller minibatches change no entry of a CKA map noticeably.",
        statistic="largest change of any entry when the same images are compared within half and "
        "quarter minibatches",
        criteria=(Criterion("largest change", "<=", 0.02),),
        reason="two hundredths of CKA are not seen in a map",
        paper_value="no noticeable effect (1,024 down to 128)",
        source="[text]",
        tier="A",
        controls="none: a statement about the estimator",
        drawn="figA_estimator",
        of_estimator=True,
        cases=lambda evidence: _cases(evidence, "batch_size", np.max),
    ),
    Claim(
        id="V2",
        figure="Appendix A",
        statement="It does not matter much from which source the reference images come.",
        statistic="correlation of the off-diagonal entries of two maps of one network, on the "
        "experiment's reference images and on those of another dataset of the domain",
        criteria=(Criterion("correlation of the maps", ">=", 0.95),),
        reason="maps that correlate to .95 show the same structure",
        paper_value="no meaningful difference (JFT and ImageNet)",
        source="[text]",
        tier="A",
        controls="none: a statement about the images",
        drawn="figA_estimator",
        of_estimator=True,
        cases=lambda evidence: _cases(evidence, "image_source", np.min),
    ),
)
