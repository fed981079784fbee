"""Measured values beside the controls that they are held against."""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.plan.networks import Network, per_cent
from sightlines.report.parts import Row
from sightlines.results.numbers import fixed
from sightlines.results.selecting import (
    cka_matrix,
    controls,
    extreme_blocks,
    full_network,
    label,
    models,
    rows_of,
)

Part = dict[str, Any]


def control_parts(config: dict[str, Any], tables: dict[str, pd.DataFrame]) -> list[Part]:
    """All parts that the tables at hand allow, in the order of the figures."""
    makers = (
        (similarity, ("cka.parquet", "layers.csv")),
        (degenerate_layers, ("cka_degenerate.csv",)),
        (attention, ("attention_distance.csv",)),
        (fractions, ("data_fractions.csv",)),
    )
    parts = (make(config, tables) for make, needs in makers if all(n in tables for n in needs))
    return [part for part in parts if part["rows"]]


def off_diagonal_mean(matrix: np.ndarray) -> float:
    """Mean over pairs of different layers; undefined cells are left out."""
    cells = matrix[~np.eye(len(matrix), dtype=bool)]
    cells = cells[np.isfinite(cells)]
    return float(cells.mean()) if cells.size else float("nan")


def low_high_mean(matrix: np.ndarray) -> float:
    """Mean CKA of the lowest quarter of the layers with the highest (claim C1)."""
    quarter = max(1, len(matrix) // 4)
    cells = matrix[:quarter, -quarter:]
    cells = cells[np.isfinite(cells)]
    return float(cells.mean()) if cells.size else float("nan")


def similarity(config: dict[str, Any], tables: dict[str, pd.DataFrame]) -> Part:
    """CKA within each model: trained, untrained, and on shuffled images."""
    rows = []
    for model in models(config):
        full = full_network(config, model)
        trained = _within(tables, full)
        if full is None or trained is None:
            continue
        found = (_within(tables, control) for control in controls(config, model))
        untrained = [matrix for matrix in found if matrix is not None]
        cells = [label(config, model)]
        for mean in (off_diagonal_mean, low_high_mean):
            cells += [fixed(mean(trained)), spread([mean(matrix) for matrix in untrained])]
        rows.append(Row([*cells, fixed(_shuffled(tables, full), 3)]))
    head = ["Network", "Mean CKA, trained", "untrained", "Lowest × highest quarter, trained"]
    return {
        "title": "Similarity of layers within a network",
        "head": [*head, "untrained", "Mean CKA, images shuffled"],
        "rows": rows,
        "note": "Means over pairs of different layers of the network trained on most images, first "
        "seed. With the images of one side shuffled inside each minibatch, nothing but chance is "
        "left: that column must be near 0. A trained value near the untrained one was not learned. "
        "Of several initialisations: their mean, and the lowest and highest. Where branches start "
        "at 0 they were switched on for that (docs/protocols.md).",
    }


def spread(values: list[float]) -> str:
    """The mean of several networks' values with their range; a dash of none."""
    found = [value for value in values if np.isfinite(value)]
    if not found:
        return "–"
    mean = fixed(float(np.mean(found)))
    return f"{mean} ({fixed(min(found))} to {fixed(max(found))})" if len(found) > 1 else mean


def _within(tables: dict[str, pd.DataFrame], network: Network | None) -> np.ndarray | None:
    if network is None:
        return None
    return cka_matrix(tables["cka.parquet"], tables["layers.csv"], network, network)


def _shuffled(tables: dict[str, pd.DataFrame], network: Network) -> float:
    if "cka_shuffled.parquet" not in tables:
        return float("nan")
    own = rows_of(tables["cka_shuffled.parquet"], network)
    return float(own["cka"].mean())


def degenerate_layers(config: dict[str, Any], tables: dict[str, pd.DataFrame]) -> Part:
    """Layers whose CKA is undefined, by name; grey in the figures."""
    columns = ["model", "fraction", "seed", "name", "reason"]
    values = tables["cka_degenerate.csv"][columns].astype(str).to_numpy().tolist()
    rows = [Row([label(config, model), *rest]) for model, *rest in values]
    return {
        "title": "Layers without a defined CKA",
        "head": ["Network", "Fraction", "Seed", "Layer", "Reason"],
        "rows": rows,
        "note": "Left out of all means; grey in the figures.",
    }


def attention(config: dict[str, Any], tables: dict[str, pd.DataFrame]) -> Part:
    """Attention distance relative to uniform attention, trained and untrained."""
    rows = []
    for model in models(config):
        full, bare = full_network(config, model), controls(config, model)
        for name, own in (("trained", [full] if full else []), ("untrained", bare)):
            found = (rows_of(tables["attention_distance.csv"], network) for network in own)
            values = [_attention_values(part) for part in found if not part.empty]
            if values:
                cells = [spread([*column]) for column in zip(*values, strict=True)]
                look = "" if name == "trained" else "control"
                rows.append(Row([label(config, model), name, *cells], look))
    head = ["Network", "Trained or not", "Two lowest blocks: most local head", "most global head"]
    return {
        "title": "Attention distance, relative to uniform attention",
        "head": [*head, "Two highest blocks: most local head", "Mean of all heads", "CLS share"],
        "rows": rows,
        "note": "1.00 is attention that looks everywhere alike, 0 is attention to the own patch. "
        "Attention paid to the CLS token counts as no distance. Of several initialisations: their "
        "mean, and the lowest and highest.",
    }


def _attention_values(own: pd.DataFrame) -> list[float]:
    low, high = extreme_blocks(own["block"].tolist())
    lowest = own.loc[own["block"].isin(low), "relative"]
    highest = own.loc[own["block"].isin(high or low), "relative"]
    means = (lowest.min(), lowest.max(), highest.min(), own["relative"].mean())
    return [*map(float, means), float(own["prefix_mass"].mean())]


def fractions(config: dict[str, Any], tables: dict[str, pd.DataFrame]) -> Part:
    """CKA with the full-data network by share, between the untrained floor and the ceiling."""
    table = tables["data_fractions.csv"]
    shares = sorted(table.loc[table["kind"] == "fraction", "fraction"].unique(), key=per_cent)
    shares = [share for share in shares if share != "f100"]
    rows = []
    for model in models(config):
        own = table[table["model"] == model]
        if own.empty:
            continue
        cells = [_mean_cka(own[own["kind"] == "untrained"])]
        cells += [_mean_cka(own[own["fraction"] == share]) for share in shares]
        rows.append(Row([label(config, model), *cells, _mean_cka(own[own["kind"] == "ceiling"])]))
    names = [f"{per_cent(share)} %" for share in shares]
    return {
        "title": "Similarity to the network trained on all images",
        "head": ["Network", "Untrained (floor)", *names, "All images, other seed (ceiling)"],
        "rows": rows,
        "note": "Mean CKA over block outputs and seeds. A dash: no such network was run.",
    }


def _mean_cka(rows: pd.DataFrame) -> str:
    return fixed(rows["cka"].mean()) if len(rows) else "–"
