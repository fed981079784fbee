"""Claim C31: what fine-tuning changes (paper, Figure G.1)."""

import contextlib

import numpy as np

from sightlines.claims.cases import each
from sightlines.claims.claim import Case, Claim, Criterion, NotMeasured, Reading, from_replicates
from sightlines.claims.evidence import Evidence
from sightlines.figures.selecting import needed_accuracy
from sightlines.networks import Network

READS = ("finetuning.parquet", "tuned_accuracy.csv", "accuracy.csv")
TABLE, SCORES = READS[:2]


def _change(evidence: Evidence, network: Network) -> list[Reading]:
    _learned(evidence, network)
    tasks = evidence.rows(TABLE, network).groupby("domain")["task"].unique()
    if not {"in", "out"} <= set(tasks.index):
        raise NotMeasured("needs tasks under transfer of domain in and out, with finetune")
    inside, outside = (
        [_by_block(evidence, network, task) for task in tasks[domain]] for domain in ("in", "out")
    )
    low = np.min([_thirds(cka)[0] for cka in inside], axis=0)
    change = np.min([np.subtract(*_thirds(cka)) for cka in inside + outside], axis=0)
    domains = np.mean(inside, axis=(0, 2)) - np.mean(outside, axis=(0, 2))
    return [from_replicates(v) for v in (low, change, domains)]


def _by_block(evidence: Evidence, network: Network, task: str) -> np.ndarray:
    """CKA of each block before and after [1 + groups, blocks]."""
    return evidence.replicates(TABLE, network, "cka", ["block"], task=task).to_numpy()


def _thirds(cka: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of the lowest and of the highest third of the blocks [1 + groups] each."""
    third = max(1, round(cka.shape[1] / 3))
    return cka[:, :third].mean(axis=1), cka[:, -third:].mean(axis=1)


def _cases(evidence: Evidence) -> list[Case]:
    tuned: set[str] = set()
    with contextlib.suppress(NotMeasured):
        tuned = set(evidence.table(TABLE)["model"])
    vits = [m for m in evidence.models("vit") if m in tuned]
    if not vits:
        raise NotMeasured("needs a ViT among the models that a task under transfer finetunes")
    return each(evidence, vits, _change)


def _learned(evidence: Evidence, network: Network) -> None:
    """Check that the tuned networks learned their tasks.

    Raises:
        NotMeasured: one did not: what it kept says nothing.
    """
    scores = evidence.rows(SCORES, network)
    columns = (scores[c].tolist() for c in ("task", "accuracy", "chance"))
    for task, accuracy, chance in zip(*columns, strict=True):
        if accuracy < (needed := needed_accuracy(chance)):
            raise NotMeasured(
                f"{network.slug} tuned on {task} reached {accuracy:.1%} (needed: {needed:.0%}): "
                "give the task's train more steps"
            )


CLAIMS = (
    Claim(
        id="C31",
        figure="Figure G.1",
        statement="Fine-tuning keeps the lowest blocks, changes the highest, and changes more on a "
        "task out of the domain.",
        statistic="CKA before × after: mean of the lowest third of the blocks (tasks in the "
        "domain); lowest minus highest third (every task); all blocks, in minus out of the domain",
        criteria=(
            Criterion("lowest third, in domain", ">=", 0.9),
            Criterion("lowest − highest third", ">=", 0.0),
            Criterion("in − out of domain", ">=", 0.0),
        ),
        reason="the paper's curves stay above .9 in the first four or five of 12 blocks; the rest "
        "is an order",
        paper_value="first 4–5 blocks kept; more change on retinopathy and RESISC45",
        source="[text]",
        tier="B",
        controls="none: an untrained network has nothing to keep",
        drawn="figG1_finetuning",
        cases=_cases,
    ),
)
