"""Columns of the tables that sightlines writes, and how they are read back."""

from pathlib import Path
from typing import Any

from sightlines.errors import ResultError
from sightlines.files import read_table

_NETWORK = ("model", "fraction", "seed")
COLUMNS = {
    "layers.csv": ("model", "layer", "name", "kind", "block", "depth", "features"),
    "cka.parquet": (
        *("model_a", "fraction_a", "seed_a", "layer_a"),
        *("model_b", "fraction_b", "seed_b", "layer_b", "cka", "cka_se"),
    ),
    "cka_shuffled.parquet": (*_NETWORK, "layer_a", "layer_b", "cka"),
    "cka_degenerate.csv": (*_NETWORK, "layer", "name", "reason"),
    "data_fractions.csv": (
        *(*_NETWORK, "reference_seed", "kind", "block", "depth", "cka", "cka_se"),
    ),
    "attention_distance.csv": (
        *(*_NETWORK, "block", "head", "distance_px", "distance_std_px"),
        *("distance_renormalised_px", "relative", "relative_renormalised", "prefix_mass"),
        *("entropy_nats", "uniform_px", "images"),
    ),
    "accuracy.csv": (
        *(*_NETWORK, "train_images", "steps", "parameters", "accuracy_train"),
        *("accuracy_validation", "accuracy_test", "loss_test", "chance", "times_chance"),
    ),
    "curves.csv": (*_NETWORK, "step", "split", "loss", "accuracy", "learning_rate"),
    "history.csv": ("step", "split", "loss", "accuracy", "learning_rate"),
}
"""What each table must have; a table that is not listed here is not checked."""


def read_checked(path: Path, kind: str) -> Any:
    """Read a data frame and check that it has the columns of `kind`, such as ``layers.csv``.

    Raises:
        ResultError: the file is missing or damaged, or lacks columns.
    """
    table = read_table(path)
    missing = [name for name in COLUMNS.get(kind, ()) if name not in table]
    if missing:
        raise ResultError(
            f"{path} lacks the columns {', '.join(missing)}. "
            "Delete it and run snakemake again to rebuild it."
        )
    return table
