"""What else was measured of each layer, for the explorer: one value a layer, with its error."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sightlines.plan.networks import Network
from sightlines.stats import half_samples
from sightlines.stats.jackknife import ALL, standard_error

Tables = dict[str, pd.DataFrame]
NETWORK = ["model", "fraction", "seed"]
HALVES = "probe_halves.parquet"


class Measurement(NamedTuple):
    """Something that was measured of layers.

    Attributes:
        key: Its name in the page's data.
        title: For readers.
        unit: Of its values; empty for none.
        about: What its values mean, in a sentence.
        table: The file that has it.
        find: What finds its values in that table.
    """

    key: str
    title: str
    unit: str
    about: str
    table: str
    find: Callable[[Tables], pd.DataFrame]


def jackknifed(table: pd.DataFrame, place: list[str], column: str) -> pd.DataFrame:
    """Values that rest on all images, with their jackknife standard errors.

    Args:
        table: With `left_out`; one row for each of `place` and each replicate.
        place: Columns that tell rows apart.
        column: Of the values.

    Returns:
        `place`, `value` and `error`: NaN where there are fewer than two replicates.
    """
    keys = [*NETWORK, *place]
    means = table.groupby([*keys, "left_out"], sort=False, dropna=False)[column].mean()
    wide = means.unstack("left_out")
    found = wide[[ALL]].rename(columns={ALL: "value"})
    rest = wide[sorted(wide.columns.drop([ALL]))].to_numpy(np.float64)
    replicates = np.column_stack([wide[ALL].to_numpy(np.float64), rest]).T
    found["error"] = standard_error(replicates)
    return found.reset_index()


def _attention(tables: Tables) -> pd.DataFrame:
    table = tables["attention_distance.csv"]
    heads = table.groupby([*NETWORK, "block"], sort=False)["relative"]
    found = heads.agg(["mean", "min", "max"]).reset_index()
    found = found.rename(columns={"mean": "value", "min": "low", "max": "high"})
    replicates = tables.get("attention_replicates.parquet")
    if replicates is not None and len(replicates):
        errors = jackknifed(replicates, ["block"], "relative")[[*NETWORK, "block", "error"]]
        found = found.merge(errors, how="left", on=[*NETWORK, "block"])
    return found.assign(kind="attn")


def _fields(tables: Tables) -> pd.DataFrame:
    table = tables["receptive_fields.parquet"]
    return jackknifed(table[table["variant"] == "post"], ["name"], "side_share")


def _probes(tables: Tables) -> pd.DataFrame:
    """With an error over test images and over which images the probes were fitted to."""
    found = jackknifed(_best_pool(tables["probe_replicates.parquet"]), ["name"], "accuracy")
    keys = [*NETWORK, "name"]
    own = _best_pool(tables.get(HALVES, pd.DataFrame(columns=[*keys, "dataset", "pool"])))
    if own.empty:
        return found.assign(error=np.nan)
    wide = own.pivot_table(index=keys, columns=["pair", "half"], values="accuracy", dropna=False)
    moved = np.square(half_samples.moves(wide.to_numpy(np.float64).T)).sum(axis=0)
    found = found.merge(wide.index.to_frame(index=False).assign(moved=moved), how="left", on=keys)
    return found.assign(error=np.sqrt(found["error"] ** 2 + found.pop("moved")))


def _best_pool(table: pd.DataFrame) -> pd.DataFrame:
    """Rows on the experiment's own images, of each network's class token or what comes next."""
    own = table[table["dataset"].fillna("") == ""]
    best = pd.Series({"cls": 0, "all": 1, "mean": 2})
    ranks = own["pool"].map(best).fillna(len(best))
    first = ranks.groupby([own[key] for key in NETWORK], sort=False).transform("min")
    return own[ranks == first]


def _skips(tokens: str) -> Callable[[Tables], pd.DataFrame]:
    def find(tables: Tables) -> pd.DataFrame:
        table = tables["skip_ratios.parquet"]
        found = jackknifed(table[table["tokens"] == tokens], ["block", "branch"], "ratio")
        return found.rename(columns={"branch": "kind"}).replace({"kind": {"unit": "residual"}})

    return find


def _localisation(tables: Tables) -> pd.DataFrame:
    table = tables["localisation.parquet"]
    own = table[(table["where"] == "interior") & (table["score"] == "cka")]
    return jackknifed(own, ["name"], "effect")


def _diagnostic(column: str) -> Callable[[Tables], pd.DataFrame]:
    def find(tables: Tables) -> pd.DataFrame:
        table = tables["diagnostics.csv"]
        return table[[*NETWORK, "name", column]].rename(columns={column: "value"})

    return find


MEASUREMENTS = (
    Measurement(
        "attention",
        "Attention distance",
        "",
        "Mean over heads of how far patches look, relative to attention that is uniform: 1 looks "
        "everywhere alike, 0 at the own patch.",
        "attention_distance.csv",
        _attention,
    ),
    Measurement(
        "field",
        "Receptive field",
        "of the image’s side",
        "Side of the effective receptive field of a central location, after the residual addition, "
        "as a share of the image’s side.",
        "receptive_fields.parquet",
        _fields,
    ),
    Measurement(
        "probe",
        "Probe accuracy",
        "share of test images",
        "Accuracy of a linear probe on the experiment’s own classes: of the class token, or where "
        "there is none of the mean of all tokens or locations.",
        "probe_replicates.parquet",
        _probes,
    ),
    Measurement(
        "skip",
        "Skip ratio, patches",
        "",
        "Norm of the skip connection ÷ norm of the branch beside it, mean over images and spatial "
        "tokens or locations.",
        "skip_ratios.parquet",
        _skips("spatial"),
    ),
    Measurement(
        "skip_cls",
        "Skip ratio, class token",
        "",
        "Norm of the skip connection ÷ norm of the branch beside it, mean over images, of the "
        "class token alone.",
        "skip_ratios.parquet",
        _skips("cls"),
    ),
    Measurement(
        "place",
        "Localisation",
        "standard deviations",
        "By how much a token is more similar to its own patch of the image than to other patches, "
        "in standard deviations of these; interior tokens.",
        "localisation.parquet",
        _localisation,
    ),
    Measurement(
        "dimensions",
        "Effective dimensions",
        "",
        "Participation ratio of the Gram matrix’s eigenvalues: how many directions the layer’s "
        "variance fills.",
        "diagnostics.csv",
        _diagnostic("effective_dimensions"),
    ),
    Measurement(
        "top_share",
        "First principal component",
        "share of variance",
        "Variance in the first principal component: where it is near 1, CKA sees little else.",
        "diagnostics.csv",
        _diagnostic("top_share"),
    ),
)
READS = tuple(
    dict.fromkeys([*(each.table for each in MEASUREMENTS), "attention_replicates.parquet", HALVES])
)


def measured(
    tables: Tables, networks: list[Network], layers: dict[str, pd.DataFrame]
) -> list[dict[str, Any]]:
    """What is known of the networks' layers, measurement after measurement.

    Returns:
        Of each measurement that the tables have: its words, and its points. A point is a network
        and a layer, by their places, the value, its standard error, and the lowest and the highest
        head, where there are such: `None` for none.
    """
    found = []
    for each in MEASUREMENTS:
        if each.table not in tables or tables[each.table].empty:
            continue
        points = list(_points(each.find(tables), networks, layers))
        if points:
            words = {"key": each.key, "title": each.title, "unit": each.unit, "about": each.about}
            found.append(words | {"table": each.table, "points": points})
    return found


def _points(
    table: pd.DataFrame, networks: list[Network], layers: dict[str, pd.DataFrame]
) -> Iterator[list[float | None]]:
    places = {network: place for place, network in enumerate(networks)}
    by = ("name",) if "name" in table else ("block", "kind")
    numbers_of = {model: _numbers(own, by) for model, own in layers.items()}
    for row in table.to_dict("records"):
        network = Network(*(str(row[key]) for key in NETWORK))
        own = numbers_of.get(network.model)
        if network not in places or own is None or not np.isfinite(row["value"]):
            continue
        layer = own.get(tuple(row[key] for key in by))
        if layer is not None:
            numbers = [_short(row.get(key)) for key in ("value", "error", "low", "high")]
            yield [places[network], layer, *numbers]


def _numbers(own: pd.DataFrame, by: tuple[str, ...]) -> dict[tuple[Any, ...], int]:
    """A layer's name, or its block and what kind it is -> its number; of equal ones the last."""
    columns = [own[key].tolist() for key in by]
    return {key: number for number, key in enumerate(zip(*columns, strict=True))}


def _short(value: Any) -> float | None:
    """Four significant digits, or four decimals where those are more: what the page shows."""
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.4g}") if abs(value) >= 1 else round(float(value), 4)
