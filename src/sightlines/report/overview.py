"""What the first screen shows beside the claims: networks, images, maps, how much they learned."""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.plan.networks import FULL, Network, per_cent
from sightlines.report.pictures import map_picture
from sightlines.results.numbers import fixed
from sightlines.results.selecting import (
    best_accuracy,
    cka_matrix,
    full_network,
    label,
    main_models,
    models,
    needed_accuracy,
    networks,
    trained_models,
    untrained_network,
)

MAPS = 4
"""Networks whose maps stand on the first screen."""
LISTED = 12
"""Networks that are named on the first screen."""


def networks_line(config: dict[str, Any]) -> str:
    """Which networks there are, in one line."""
    names = [label(config, model) for model in models(config)]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    found = networks(config)
    trained = sum(per_cent(n.fraction) > 0 for n in found)
    seeds = len({n.seed for n in found if per_cent(n.fraction) > 0})
    return (
        f"{', '.join(names[:LISTED])}{more}: {trained} trained network{'s' * (trained != 1)} of "
        f"{seeds} seed{'s' * (seeds != 1)}, {len(found) - trained} untrained as controls"
    )


def images_line(config: dict[str, Any], dataset: dict[str, Any]) -> str:
    """Which images there are, in one line."""
    counts = dataset.get("counts", {})
    told = [str(dataset.get("kind", "an unnamed dataset"))]
    told += [f"{count:,} {split}" for split, count in sorted(counts.items(), reverse=True)]
    if size := dataset.get("size_px"):
        told.append(f"{size} × {size} px")
    if classes := dataset.get("classes"):
        told.append(f"{len(classes)} classes")
    splits = config.get("config", {}).get("splits", {})
    if {"reference_batches", "reference_batch_size"} <= set(splits):
        shown = splits["reference_batches"] * splits["reference_batch_size"]
        told.append(
            f"{shown:,} reference images in minibatches of {splits['reference_batch_size']}"
        )
    return ", ".join(told)


def maps(config: dict[str, Any], tables: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Figure 1 in small: a map of each main network, trained and untrained; the first MAPS."""
    if not {"cka.parquet", "layers.csv"} <= set(tables):
        return []
    if not any(n.fraction == FULL for n in networks(config)):
        return []
    found = []
    for model in _spread(config, main_models(config)):
        trained = _map(tables, full_network(config, model))
        if trained is not None:
            own = {"label": label(config, model), "trained": trained}
            found.append(own | {"untrained": _map(tables, untrained_network(config, model))})
    return found[:MAPS]


def _spread(config: dict[str, Any], shown: list[str]) -> list[str]:
    """The models, such that the first ones are of as many families as there are."""
    families = config.get("families", {})
    groups: dict[str, list[str]] = {}
    for model in shown:
        groups.setdefault(families.get(model, ""), []).append(model)
    most = max((len(group) for group in groups.values()), default=0)
    turns = [[g[i] for g in groups.values() if i < len(g)] for i in range(most)]
    first = [model for turn in turns for model in turn][:MAPS]
    return [m for m in shown if m in first]


def _map(tables: dict[str, pd.DataFrame], network: Network | None) -> dict[str, Any] | None:
    if network is None:
        return None
    matrix = cka_matrix(tables["cka.parquet"], tables["layers.csv"], network, network)
    if matrix is None:
        return None
    quarter = max(1, len(matrix) // 4)
    cells = matrix[:quarter, -quarter:]
    mean = float(np.nanmean(cells)) if np.isfinite(cells).any() else float("nan")
    return {"source": map_picture(matrix), "layers": len(matrix), "far": fixed(mean)}


def learned(
    config: dict[str, Any], accuracy: pd.DataFrame | None
) -> list[tuple[str, str, str, bool]]:
    """Label, accuracy, seeds and whether it learned too little, of each model on all images."""
    if accuracy is None or accuracy.empty:
        return []
    best = best_accuracy(accuracy)
    found = []
    for model in (
        trained_models(config) if any(n.fraction == FULL for n in networks(config)) else []
    ):
        own = accuracy[(accuracy["model"] == model) & (accuracy["fraction"] == FULL)]
        known = own[own["accuracy_test"].notna()]
        if known.empty:
            found.append((label(config, model), "not known", "", False))
            continue
        shares = 100 * known["accuracy_test"]
        few = bool((known["accuracy_test"] < needed_accuracy(known["chance"].iloc[0], best)).any())
        seeds = f"{len(shares)}: {shares.min():.1f} to {shares.max():.1f}"
        told = (f"{shares.mean():.1f} %", seeds if len(shares) > 1 else "1", few)
        found.append((label(config, model), *told))
    return found
