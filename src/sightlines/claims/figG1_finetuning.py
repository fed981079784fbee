"""Claim C31: what fine-tuning changes (paper, Figure G.1)."""

import contextlib
from collections.abc import Callable

import numpy as np

from sightlines.claims.cases import each, satisfies_all
from sightlines.claims.claim import Claim, Criterion, Premise, Reading
from sightlines.claims.effects import SIMILARITY
from sightlines.claims.evidence import Evidence, NotMeasured, unbiased
from sightlines.claims.several import least
from sightlines.plan.networks import Network
from sightlines.results.selecting import needed_accuracy

QUESTION = "transfer"
READS = (
    "finetuning.parquet",
    "finetuning_indices.parquet",
    "tuned_accuracy.csv",
    "accuracy.csv",
)
TABLE, INDICES, SCORES = READS[:3]
Curves = Callable[[str], np.ndarray]
"""From a task to the similarity of each block before and after it [1 + groups, blocks]."""


def _change(evidence: Evidence, network: Network) -> list[Reading]:
    _learned(evidence, network)

    def by_block(task: str) -> np.ndarray:
        return evidence.replicates(TABLE, network, "cka", ["block"], task=task).to_numpy()

    return [least(own) for own in _statistics(evidence, network, by_block)]


def _statistics(evidence: Evidence, network: Network, curves: Curves) -> list[list[np.ndarray]]:
    """Lowest third of each task in the domain, its lead of each task, and that of the domains."""
    tasks = evidence.rows(TABLE, network).groupby("domain")["task"].unique()
    if not {"in", "out"} <= set(tasks.index):
        raise NotMeasured("needs tasks under transfer of domain in and out, with finetune")
    inside, outside = ([curves(task) for task in tasks[domain]] for domain in ("in", "out"))
    low = [_thirds(cka)[0] for cka in inside]
    change = [np.subtract(*_thirds(cka)) for cka in inside + outside]
    domains = np.mean(inside, axis=(0, 2)) - np.mean(outside, axis=(0, 2))
    return [low, change, [domains]]


def _stands(evidence: Evidence, index: str) -> bool:
    """Whether it holds of every tuned ViT's first network under another index."""

    def all_stand(network: Network) -> bool:
        def by_block(task: str) -> np.ndarray:
            rows = evidence.rows(INDICES, network, task=task, index=index).sort_values("block")
            return unbiased(rows).to_numpy()[None]

        values = _statistics(evidence, network, by_block)
        return satisfies_all(CRITERIA, [np.min(own) for own in values])

    return all(all_stand(evidence.full(vit)[0]) for vit in _tuned(evidence))


def _thirds(cka: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of the lowest and of the highest third of the blocks [1 + groups] each."""
    third = max(1, round(cka.shape[1] / 3))
    return cka[:, :third].mean(axis=1), cka[:, -third:].mean(axis=1)


def _tuned(evidence: Evidence) -> list[str]:
    """ViTs that a task trained further.

    Raises:
        NotMeasured: there is none.
    """
    tuned: set[str] = set()
    with contextlib.suppress(NotMeasured):
        tuned = set(evidence.table(TABLE)["model"])
    vits = [m for m in evidence.models("vit") if m in tuned]
    if not vits:
        raise NotMeasured("needs a ViT among the models that a task under transfer finetunes")
    return vits


def _unequal(evidence: Evidence) -> str:
    """Says which tasks trained a ViT for other numbers of steps; empty where all are equal."""
    by_task: dict[str, dict[str, int]] = evidence.config.get("task_steps", {})
    for vit in _tuned(evidence):
        steps = {task: own[vit] for task, own in by_task.items() if vit in own}
        if len(set(steps.values())) > 1:
            told = ", ".join(f"{task} for {count} steps" for task, count in steps.items())
            return (
                f"{evidence.label(vit)} was trained further on {told}: needs equal `steps` under "
                "each task's `train`"
            )
    return ""


def _learned(evidence: Evidence, network: Network) -> None:
    """Check that the tuned networks learned their tasks.

    Raises:
        NotMeasured: one did not: what it kept says nothing.
    """
    table, scores = evidence.table(SCORES), evidence.rows(SCORES, network)
    columns = (scores[c].tolist() for c in ("task", "accuracy", "chance"))
    for task, accuracy, chance in zip(*columns, strict=True):
        best = float(table.loc[table["task"] == task, "accuracy"].max())
        if accuracy < (needed := needed_accuracy(chance, best)):
            raise NotMeasured(
                f"{network.slug} tuned on {task} reached {accuracy:.1%} (needed: {needed:.0%}): "
                "give the task's train more steps"
            )


CRITERIA = (
    Criterion("lowest third, in domain", ">=", 0.9, smallest=SIMILARITY),
    Criterion("lowest − highest third", ">=", 0.0, smallest=SIMILARITY),
    Criterion("in − out of domain", ">=", 0.0, smallest=SIMILARITY),
)
CLAIMS = (
    Claim(
        id="C31",
        figure="Figure G.1",
        title="Fine-tuning keeps low blocks and changes high ones",
        statement="Fine-tuning keeps the lowest blocks, changes the highest, and changes more on a "
        "task out of the domain.",
        statistic="CKA before × after: mean of the lowest third of the blocks (tasks in the "
        "domain); lowest minus highest third (every task); all blocks, in minus out of the domain",
        criteria=CRITERIA,
        reason="the paper's curves stay above .9 in the first four or five of 12 blocks; the rest "
        "is an order",
        paper_value="first 4–5 blocks kept; more change on retinopathy and RESISC45",
        source="[text]",
        tier="B",
        controls="no untrained network, which has nothing to keep; another index of similarity",
        drawn="figG1_finetuning",
        cases=lambda evidence: each(evidence, _tuned(evidence), _change),
        robustness_check=_stands,
        premises=(Premise("all tasks train for as many steps", _unequal),),
        amended="2026-11-29",
    ),
)
