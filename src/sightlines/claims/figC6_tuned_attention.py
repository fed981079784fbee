"""Claim C6b: how far heads look before and after fine-tuning (paper, Figure C.6)."""

import contextlib

from sightlines.claims.cases import each
from sightlines.claims.claim import Claim, Criterion, Reading
from sightlines.claims.effects import DISTANCE
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.premises import has_local_heads
from sightlines.claims.several import greatest
from sightlines.plan.networks import Network
from sightlines.results.selecting import extreme_blocks

QUESTION = "transfer"
READS = ("tuned_attention.parquet", "attention_replicates.parquet", "accuracy.csv")
TABLE = READS[0]


def _changes(evidence: Evidence, network: Network) -> list[Reading]:
    """Mean change of the heads of the two lowest and two highest blocks, largest of the tasks."""
    rows = evidence.rows(TABLE, network)
    rows = rows[rows["domain"] == "in"]
    if rows.empty:
        raise NotMeasured("needs a task under transfer of domain in, with finetune")
    low, high = extreme_blocks(rows["block"].tolist())
    rows = rows[rows["block"].isin([*low, *high])]
    changed = rows.assign(change=(rows["after"] - rows["before"]).abs())
    mean = changed.groupby(["task", "left_out"])["change"].mean().unstack("task").sort_index()
    return [greatest(list(mean.to_numpy().T))]


def _themselves(evidence: Evidence) -> list[tuple[Network, Network]]:
    """The networks that were trained further, of which there is nothing on fewer images to see."""
    return [(network, network) for m in _tuned(evidence) for network in evidence.full(m)]


def _tuned(evidence: Evidence) -> list[str]:
    """ViTs with a class token that a task trained further.

    Raises:
        NotMeasured: there is none.
    """
    tuned: set[str] = set()
    with contextlib.suppress(NotMeasured):
        tuned = set(evidence.table(TABLE)["model"])
    found = [m for m in evidence.vits() if m in tuned]
    if not found:
        raise NotMeasured("needs a ViT among the models that a task under transfer finetunes")
    return found


CLAIMS = (
    Claim(
        id="C6b",
        figure="Figure C.6",
        title="Fine-tuning does not change how far a ViT's heads look",
        statement="Whether or not a ViT was fine-tuned, its heads look as far.",
        statistic="mean change by fine-tuning on a task of the domain of the distances of all "
        "heads of the two lowest and two highest blocks, without sign, over that of uniform "
        "attention; the largest of the tasks",
        criteria=(Criterion("mean change", "<=", 0.1, smallest=DISTANCE),),
        reason="a tenth of uniform attention's distance: local and global heads are at least five "
        "tenths apart (C6), so that the figure is the same to the eye",
        paper_value="the picture of Figure 3 without fine-tuning",
        source="[fig]",
        tier="B",
        controls="none: an untrained network is not fine-tuned",
        drawn="figC6_tuned_attention",
        premises=(has_local_heads(_themselves),),
        cases=lambda evidence: each(evidence, _tuned(evidence), _changes),
    ),
)
