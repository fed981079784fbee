"""Claim C30b: ways of pooling, probed on other datasets (paper, Figure F.3)."""

from functools import partial

from sightlines.claims.cases import measured, of_seeds, untrained
from sightlines.claims.claim import Case, Claim, Reading
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.fig11_probes import FIRST_TOKEN, PARITY, first_token, native
from sightlines.claims.probing import from_fits
from sightlines.plan.networks import Network

QUESTION = "data"
READS = ("probe_replicates.parquet", "probe_halves.parquet", "accuracy.csv")


def _elsewhere(evidence: Evidence) -> list[Case]:
    tasks = evidence.config.get("tasks", {})
    if not tasks:
        raise NotMeasured("needs tasks under transfer, whose images the networks are probed on")
    pairs = evidence.pooled()
    return measured(partial(_on_task, evidence, pair, task) for task in tasks for pair in pairs)


def _on_task(evidence: Evidence, models: tuple[str, str], task: str) -> Case:
    """Of parity there is no control: untrained networks are equal at chance."""
    cls, gap = models

    def read(evidence: Evidence, one: Network, other: Network) -> list[Reading]:
        values = [of(evidence, one, other, task) for of in (native, first_token)]
        return [from_fits(v) for own in values for v in own]

    def read_untrained(evidence: Evidence, one: Network, other: Network) -> list[Reading | None]:
        own = read(evidence, one, other)
        return [*[None] * len(PARITY), *own[len(PARITY) :]]

    seeds = [[n, evidence.same_seed(gap, n)] for n in evidence.full(cls)]
    label = f"{evidence.label(cls)} × {evidence.label(gap)} on {task}"
    bare = untrained(evidence, models)
    return of_seeds(evidence, label, seeds, read, bare, read_untrained=read_untrained)


CLAIMS = (
    Claim(
        id="C30b",
        figure="Figure F.3",
        title="What pooled tokens know compares alike on other datasets",
        statement="What pooled tokens know compares on other datasets as on the training dataset.",
        statistic="those of C24 and C25 on the images of every task under transfer",
        criteria=(*PARITY, *FIRST_TOKEN),
        reason="those of C24 and C25",
        paper_value="same conclusions on CIFAR-10 and CIFAR-100",
        source="[text]",
        tier="A",
        controls="untrained networks, for what it shares with C25",
        drawn="figF_probes_other_datasets",
        cases=_elsewhere,
    ),
)
