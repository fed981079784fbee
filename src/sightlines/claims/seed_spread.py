"""How far seeds differ, known from elsewhere: the table that the package ships.

Eight networks of each family, which differ in their seed alone, were held against every claim
(`python -m sightlines.run.seed_spread`); `seed_spread.csv` has the variance of each statistic, with
its degrees of freedom, `seed_spread.json` what networks of what recipe on which images these were.
Premises about accuracies have rows too, as claim ``accuracy`` (`accuracies`).

A row speaks for other networks only where all of this is so: same claim and criterion; networks of
the same kind (family, read-out, skips), trained on the same share of the same dataset by the same
recipe, here, not imported. Of the very same architecture it has all its degrees of freedom; of
another size at most OF_ANOTHER_SIZE, with which a variance is known to within a factor of ten.
Where networks at hand have seeds that the row is of, they may be the same ones: the row alone says
how far seeds differ then, so that none counts twice.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Any

import pandas as pd

from sightlines.claims.claim import Source
from sightlines.claims.seeds import Known, Prior
from sightlines.plan.networks import Network

OF_ANOTHER_SIZE = 3
"""Degrees of freedom at most, of the spread of networks of another size."""
Facts = Mapping[str, Mapping[str, str]]
"""By model: its kind, and digests of its architecture, dataset and recipe (`plan.seed_spread`)."""


class SeedSpread:
    """What the shipped table says of the spread between an experiment's seeds."""

    def __init__(self, table: pd.DataFrame | None = None, facts: Facts | None = None) -> None:
        """Of a table, as `plan.seed_spread` describes it; without one nothing is known."""
        self._facts = facts or {}
        self._rows: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for row in [] if table is None else table.to_dict("records"):
            key = (str(row["claim"]), str(row["criterion"]), str(row["networks"]))
            self._rows.setdefault(key, []).append({str(k): v for k, v in row.items()})

    def known(self, claim: str, criterion: str) -> Known:
        """What is known of the sources of one criterion of a claim."""

        def of(source: Source) -> Prior | None:
            told = described(source, self._facts)
            if told is None:
                return None
            for row in self._rows.get((claim, criterion, told["networks"]), ()):
                if all(row[key] == told[key] for key in ("dataset", "recipe")):
                    is_same = row["architecture"] == told["architecture"]
                    own = int(row["freedom"])
                    freedom = own if is_same else min(own, OF_ANOTHER_SIZE)
                    words = f"spread of {own + 1} seeds of {row['networks']}"
                    places = _places(source, {*row["seeds"].split()}) if is_same else ()
                    spread = float(row["variance"]), float(freedom), words, bool(places)
                    return Prior(*spread, float(row["mean"]), places)
            return None

        return of


def seeds_of(source: Source) -> Set[str]:
    """Names of the seeds of a source's networks, in order."""
    slugs = [slug for unit in source.units for slug in unit]
    return _seeds(slugs).keys()


def _seeds(slugs: Iterable[str]) -> dict[str, None]:
    return dict.fromkeys(Network.parse(slug).seed for slug in slugs)


def _places(source: Source, seeds: Set[str]) -> tuple[int, ...]:
    """Units that have one of these seeds."""
    return tuple(n for n, unit in enumerate(source.units) if seeds & _seeds(unit).keys())


def described(source: Source, facts: Facts) -> dict[str, str] | None:
    """What a row of the table is told by, of the networks of a source.

    Args:
        source: Whose units are slugs of networks.
        facts: Of their models.

    Returns:
        `networks`, `architecture`, `dataset` and `recipe`; None where nothing is known of them:
        imported ones, or such as have not one dataset and recipe.
    """
    slugs = [slug for unit in source.units for slug in unit]
    if not all(slug.count("/") == 2 for slug in slugs):
        return None
    networks = [Network.parse(slug) for slug in slugs]
    if not all(n.model in facts for n in networks):
        return None
    own = [facts[n.model] for n in networks]
    kinds = {f"{facts[n.model]['kind']} {n.fraction}" for n in networks}
    found = {"networks": " + ".join(sorted(kinds))}
    for key in ("dataset", "recipe"):
        said = {fact[key] for fact in own}
        if len(said) > 1:
            return None
        found[key] = said.pop()
    found["architecture"] = " ".join(sorted({fact["architecture"] for fact in own}))
    return found
