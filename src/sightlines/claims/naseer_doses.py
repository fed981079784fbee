"""Claim N10: what more shape bias costs (Naseer et al. 2021, section 3.2)."""

import numpy as np

from sightlines.claims.cases import each
from sightlines.claims.claim import Case, Claim, Criterion, Reading, from_draws
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.statistics import resampled, spearman
from sightlines.plan.networks import Network

STUDY = "naseer2021"
READS = ("texture_match.csv", "accuracy.csv")
TIMES_CHANCE, FEWEST = 3, 4
"""Of the cue accuracy below which a bias says nothing; and the doses that a rank needs."""


def dose_response(evidence: Evidence, network: Network) -> np.ndarray:
    """Rank correlation of shape bias and error on corrupted images over doses [1 + draws].

    A rank seldom moves when one group of images is left out, so that a jackknife of it finds no
    error; bias and error are drawn first, of the same groups at all doses.

    Raises:
        NotMeasured: there are too few doses at which the network names either cue.
    """
    rows = evidence.rows("texture_match.csv", network)
    whole = rows[rows["left_out"] == -1]
    sure = whole[whole["cue_accuracy"] >= TIMES_CHANCE * whole["chance"]]
    tasks = sorted(sure["task"])
    if len(tasks) < FEWEST:
        raise NotMeasured(
            f"{network.slug} names outline or surface often enough at {len(tasks)} values of "
            f"texture_match (needed: {FEWEST}): see transfer in workflow/config/texture_match.yaml"
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
    return [from_draws(dose_response(evidence, network))]


def _cases(evidence: Evidence) -> list[Case]:
    tuned = {*evidence.table("texture_match.csv")["model"]}
    models = [model for model in evidence.models() if model in tuned]
    if not models:
        raise NotMeasured("needs models that are trained further on tasks of other texture_match")
    return each(evidence, models, _read)


CLAIMS = (
    Claim(
        id="N10",
        figure="Section 3.2",
        statement="The more a network goes by outlines, the worse it bears corruptions.",
        statistic="rank correlation (Spearman) of shape bias and mean error on corrupted images, "
        "over networks that were trained further on images which differ in texture_match alone, "
        f"where they name either cue at least {TIMES_CHANCE} times as often as guessing would",
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
