"""Claim N10: what more shape bias costs (Naseer et al. 2021, section 3.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from sightlines.claims.cases import each
from sightlines.claims.claim import OF_CORRELATIONS, Case, Claim, Criterion, Reading, from_draws
from sightlines.claims.effects import RANK
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.statistics import resampled, spearman, swap
from sightlines.plan.networks import Network
from sightlines.stats.jackknife import ALL

STUDY = "naseer2021"
READS = ("texture_match.csv", "accuracy.csv")
TIMES_CHANCE, FEWEST = 3, 4
"""Of the cue accuracy below which a bias says nothing; and the doses that a rank needs."""
Doses = Mapping[str, Mapping[str, Any]]
"""By task, `images` and `train`, by model: what networks of a dose were made by, but the dose."""


def trained_by(doses: Doses, model: str, task: str) -> dict[str, Any]:
    """All that a model was trained further by on a task, but the dose: images, steps, recipe."""
    known = doses.get(task, {})
    return {**known.get("images", {}), **known.get("train", {}).get(model, {})}


def comparable(doses: Doses, model: str, tasks: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The tasks on which a model was trained by the same but the dose: the most that there are.

    Args:
        doses: Of every task that is a dose, what else its networks were made by.
        model: The model.
        tasks: Those on which it was trained further.

    Returns:
        These tasks; and the others, with what of them differs, in words.
    """
    own = {task: trained_by(doses, model, task) for task in tasks}
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


def compared(doses: Doses, model: str, rows: pd.DataFrame) -> list[str]:
    """The doses of a network that N10 compares.

    Args:
        doses: See `comparable`.
        model: The network's.
        rows: Of the network, in ``texture_match.csv``.

    Returns:
        Tasks, sorted: those on which it was trained by the same but the dose, and after which it
        names either cue at least TIMES_CHANCE times as often as guessing would.
    """
    whole = rows[rows["left_out"] == ALL]
    sure = whole[whole["cue_accuracy"] >= TIMES_CHANCE * whole["chance"]]
    alike, _ = comparable(doses, model, sorted({*rows["task"]}))
    return sorted({*sure["task"]} & {*alike})


def _doses(evidence: Evidence) -> Doses:
    known: Doses = evidence.config.get("doses", {})
    return known


def left_out(evidence: Evidence, model: str) -> str:
    """The doses that are compared with none, and why; empty where all are comparable."""
    rows = evidence.table("texture_match.csv")
    tasks = sorted({*rows[rows["model"] == model]["task"]})
    _, differ = comparable(_doses(evidence), model, tasks)
    if not differ:
        return ""
    told = "; ".join(f"{task} ({what})" for task, what in differ.items())
    return f"doses of {evidence.label(model)} that were trained otherwise: {told}"


def dose_response(evidence: Evidence, network: Network) -> np.ndarray:
    """Rank correlation of shape bias and error on corrupted images over doses [1 + draws].

    A rank seldom moves when one group of images is left out, so that a jackknife of it finds no
    error; bias and error are drawn first, of the same groups at all doses.

    Doses are compared at equal numbers of images and steps, seeds of images and recipes.

    Raises:
        NotMeasured: there are too few doses at which the network names either cue.
    """
    rows = evidence.rows("texture_match.csv", network)
    tasks = compared(_doses(evidence), network.model, rows)
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
    drawn = resampled(np.stack([bias, error], axis=1))
    found = np.asarray(spearman(drawn[:, 0], drawn[:, 1]))
    if not np.isfinite(found[0]):
        raise NotMeasured(f"shape bias or error of {network.slug} is the same at every dose")
    return found


def _read(evidence: Evidence, network: Network) -> list[Reading]:
    doses = compared(_doses(evidence), network.model, evidence.rows("texture_match.csv", network))
    return [from_draws(dose_response(evidence, network), swap(len(doses)))]


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
        title="Networks that go by outlines bear corruptions worse",
        statement="The more a network goes by outlines, the worse it bears corruptions.",
        statistic="rank correlation (Spearman) of shape bias and mean error on corrupted images, "
        "over networks that were trained further on images which differ in texture_match alone, "
        f"where they name either cue at least {TIMES_CHANCE} times as often as guessing would, at "
        "equal numbers of images and steps, seeds of images and recipes",
        criteria=(
            Criterion("Spearman(shape bias, error)", ">=", 0.6, OF_CORRELATIONS, smallest=RANK),
        ),
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
