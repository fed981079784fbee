"""Claim N10: what more shape bias costs (Naseer et al. 2021, section 3.2)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import rankdata

from sightlines.claims.cases import each
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_replicates
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network

STUDY = "naseer2021"
READS = ("texture_match.csv", "accuracy.csv")
TIMES_CHANCE, FEWEST = 3, 4
"""Of the cue accuracy below which a bias says nothing; and the doses that a rank needs."""


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, with mean ranks of ties; NaN where one side does not vary."""
    ranks = [rankdata(values) for values in (one, other)]
    if any(np.ptp(own) == 0 for own in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def trained_by(evidence: Evidence, model: str, task: str) -> dict[str, Any]:
    """All that a model was trained further by on a task, but the dose: images, steps, recipe."""
    known: dict[str, Any] = evidence.config.get("doses", {}).get(task, {})
    return {**known.get("images", {}), **known.get("train", {}).get(model, {})}


def comparable(
    evidence: Evidence, model: str, tasks: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """The tasks on which a model was trained by the same but the dose: the most that there are.

    Returns:
        These tasks; and the others, with what of them differs, in words.
    """
    own = {task: trained_by(evidence, model, task) for task in tasks}
    groups = [[t for t in tasks if own[t] == own[task]] for task in tasks]
    kept = max(groups, key=len, default=[])  # the first of equal ones
    others = [task for task in tasks if task not in kept]
    differ = {
        task: ", ".join(
            f"{key} {own[task].get(key)} instead of {own[kept[0]].get(key)}"
            for key in sorted(own[task].keys() | own[kept[0]].keys())
            if own[task].get(key) != own[kept[0]].get(key)
        )
        for task in others
    }
    return kept, differ


def left_out(evidence: Evidence, model: str) -> str:
    """The doses that are compared with none, and why; empty where all are comparable."""
    rows = evidence.table("texture_match.csv")
    _, differ = comparable(evidence, model, sorted({*rows[rows["model"] == model]["task"]}))
    if not differ:
        return ""
    told = "; ".join(f"{task} ({what})" for task, what in differ.items())
    return f"doses of {evidence.label(model)} that were trained otherwise: {told}"


def dose_response(evidence: Evidence, network: Network) -> np.ndarray:
    """Rank correlation of shape bias and error on corrupted images over doses [1 + groups].

    Doses are compared at equal numbers of images and steps, seeds of images and recipes.

    Raises:
        NotMeasured: there are too few doses at which the network names either cue.
    """
    rows = evidence.rows("texture_match.csv", network)
    whole = rows[rows["left_out"] == -1]
    sure = whole[whole["cue_accuracy"] >= TIMES_CHANCE * whole["chance"]]
    alike, _ = comparable(evidence, network.model, sorted({*rows["task"]}))
    tasks = sorted({*sure["task"]} & {*alike})
    if len(tasks) < FEWEST:
        others = left_out(evidence, network.model)
        raise NotMeasured(
            f"{network.slug} names outline or surface often enough at {len(tasks)} values of "
            f"texture_match (needed: {FEWEST}): see transfer in workflow/config/texture_match.yaml"
            + (f"; left out: {others}" if others else "")
        )
    rows = rows[rows["task"].isin(tasks)]
    bias, error = (
        rows.pivot(index="left_out", columns="task", values=column)[tasks].sort_index().to_numpy()
        for column in ("bias", "error")
    )
    found = np.array([rank_correlation(b, e) for b, e in zip(bias, error, strict=True)])
    if not np.isfinite(found).all():
        raise NotMeasured(f"shape bias or error of {network.slug} is the same at every dose")
    return found


def _read(evidence: Evidence, network: Network) -> list[Reading]:
    return [from_replicates(dose_response(evidence, network))]


def _cases(evidence: Evidence) -> list[Case]:
    tuned = {*evidence.table("texture_match.csv")["model"]}
    models = [model for model in evidence.models() if model in tuned]
    if not models:
        raise NotMeasured("needs models that are trained further on tasks of other texture_match")
    others = tuple(filter(None, (left_out(evidence, model) for model in models)))
    first, *rest = each(evidence, models, _read)
    return [replace(first, missing=(*first.missing, *others)), *rest]


CLAIMS = (
    Claim(
        id="N10",
        figure="Section 3.2",
        statement="The more a network goes by outlines, the worse it bears corruptions.",
        statistic="rank correlation (Spearman) of shape bias and mean error on corrupted images, "
        "over networks that were trained further on images which differ in texture_match alone, "
        f"where they name either cue at least {TIMES_CHANCE} times as often as guessing would, at "
        "equal numbers of images and steps, seeds of images and recipes",
        criteria=(Criterion("Spearman(shape bias, error)", ">=", 0.6),),
        reason="an order that most pairs of doses keep; the paper has two doses, natural and "
        "stylised",
        paper_value="DeiT-S natural: bias plot only, mCE 54.6; stylised: .93, mCE 84.0",
        source="[table]",
        tier="A",
        controls="none untrained, which name neither cue",
        drawn="fignaseer_texture_match",
        cases=_cases,
    ),
)
