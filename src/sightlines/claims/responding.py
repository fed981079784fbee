"""Answers to changed images and changed networks, as claims read them."""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np

from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network

OCCLUSION, LESION = "occlusion.parquet", "lesion.parquet"
RETENTION = "retention"


def column(
    evidence: Evidence,
    table: str,
    network: Network,
    condition: str,
    severity: float | int,
    name: str = RETENTION,
) -> np.ndarray:
    """A statistic of a network under a condition [1 + groups].

    Images are grouped alike for all networks and conditions: a difference of two keeps what they
    share out of its interval.

    Args:
        evidence: The tables.
        table: OCCLUSION, LESION, or another one of responses.
        network: Whose answers.
        condition: Its name.
        severity: How much of it.
        name: The statistic.

    Raises:
        NotMeasured: there is no such condition, or the statistic is undefined there.
    """
    rows = evidence.rows(table, network)
    rows = rows[(rows["condition"] == condition) & np.isclose(rows["severity"], severity)]
    if rows.empty:
        raise NotMeasured(
            f"{table} has nothing for {network.slug} under {condition} {severity:g}: see "
            "`conditions` in the config"
        )
    values = rows.sort_values("left_out")[name].to_numpy(np.float64)
    if not np.isfinite(values[0]):
        why = (
            "its accuracy on clean images is below 3 × chance" if name == RETENTION else "undefined"
        )
        raise NotMeasured(f"{name} of {network.slug} under {condition} {severity:g}: {why}")
    return values


def severities(evidence: Evidence, table: str, network: Network, condition: str) -> list[float]:
    """Severities of a condition, smallest first.

    Raises:
        NotMeasured: there is none.
    """
    rows = evidence.rows(table, network, condition=condition)
    return sorted(float(severity) for severity in rows["severity"].unique())


def trained_here(evidence: Evidence, models: Iterable[str]) -> list[str]:
    """Those of some models that are trained on the experiment's own images.

    Raises:
        NotMeasured: there is none.
    """
    return _some((m for m in models if not _is_public(evidence, m)), "a model that is trained here")


def public(evidence: Evidence, models: Iterable[str]) -> list[str]:
    """Those of some models whose weights were trained elsewhere.

    Raises:
        NotMeasured: there is none.
    """
    return _some((m for m in models if _is_public(evidence, m)), "public weights on photographs")


def pairs_of_one_origin(
    evidence: Evidence, first: Iterable[str], second: Iterable[str]
) -> list[tuple[str, str]]:
    """Every model of the first with every one of the second: both trained here, or neither.

    What one learned from other images, by a recipe of its own, is no matter of architecture.

    Raises:
        NotMeasured: there is no such pair.
    """
    found = [
        pair
        for pair in product(first, second)
        if _is_public(evidence, pair[0]) == _is_public(evidence, pair[1])
    ]
    if not found:
        raise NotMeasured("needs two models that are both trained here, or both public weights")
    return found


def _is_public(evidence: Evidence, model: str) -> bool:
    return evidence.is_public(evidence.full(model)[0].slug)


def _some(found: Iterator[str], lacking: str) -> list[str]:
    models = list(found)
    if not models:
        raise NotMeasured(f"needs {lacking}")
    return models
