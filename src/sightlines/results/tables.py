"""Columns of the tables that sightlines writes, and how they are read back."""

from pathlib import Path
from typing import Any

from sightlines.core.errors import ResultError
from sightlines.core.files import read_table

NORM = "norm"
"""Name of the final norm, which is at depth 1, as the last block is; ResNets have none."""
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
        *("entropy_nats", "uniform_px", "images", "undefined_share"),
    ),
    "accuracy.csv": (
        *(*_NETWORK, "train_images", "steps", "parameters", "accuracy_train"),
        *("accuracy_validation", "accuracy_test", "loss_test", "chance", "times_chance"),
        "test_images",
    ),
    "attention_replicates.parquet": (*_NETWORK, "block", "head", "relative", "left_out"),
    "attention_offsets.parquet": (*_NETWORK, "block", "head", "row", "column", "mass"),
    "head_subsets.parquet": (
        *(*_NETWORK, "other_model", "other_fraction", "other_seed", "unit", "unit_rank"),
        *("subset_kind", "subset", "heads", "distance_px", "relative", "cka", "left_out"),
    ),
    "receptive_fields.parquet": (
        *(*_NETWORK, "name", "block", "depth", "variant", "branch", "side_px", "side_share"),
        *("own_patch_share", "window_share", "radius_px", "centre_y_px", "centre_x_px"),
        *("patch_px", "size_px", "left_out"),
    ),
    "receptive_field_maps.parquet": (
        *(*_NETWORK, "name", "block", "depth", "variant", "branch", "row", "column", "gradient"),
    ),
    "skip_ratios.parquet": (
        *(*_NETWORK, "block", "depth", "branch", "tokens", "ratio", "ratio_median", "cosine"),
        "left_out",
    ),
    "skip_tokens.parquet": (*_NETWORK, "block", "branch", "token", "ratio", "cosine"),
    "localisation.parquet": (
        *(*_NETWORK, "layer", "name", "block", "depth", "where", "score", "z", "rank_1_share"),
        *("token_correlation", "border_cka", "interior_cka", "left_out"),
    ),
    "localisation_tokens.parquet": (
        *(*_NETWORK, "layer", "name", "depth", "token", "row", "column", "is_interior", "z"),
        *("rank", "patches"),
    ),
    "localisation_margins.parquet": (*_NETWORK, "token", "score", "margin", "left_out"),
    "localisation_maps.parquet": (
        *(*_NETWORK, "name", "depth", "token", "patch", "cka", "baseline"),
    ),
    "probes.parquet": (
        *(*_NETWORK, "dataset", "layer", "name", "depth", "pool", "shots", "draw", "penalty"),
        *("accuracy", "held_out_accuracy", "train_images", "test_images", "chance"),
    ),
    "probe_replicates.parquet": (
        *(*_NETWORK, "dataset", "layer", "name", "depth", "pool", "accuracy", "chance"),
        "left_out",
    ),
    "token_probe_replicates.parquet": (
        *(*_NETWORK, "name", "depth", "accuracy", "chance", "left_out"),
    ),
    "token_probes.parquet": (
        *(*_NETWORK, "name", "depth", "token", "row", "column", "shots", "draw", "accuracy"),
        *("train_images", "test_images", "chance"),
    ),
    "similarity_indices.parquet": (
        *("model_a", "fraction_a", "seed_a", "layer_a", "model_b", "fraction_b", "seed_b"),
        *("layer_b", "index", "value", "shuffled"),
    ),
    "branch_indices.parquet": (
        *("model_a", "fraction_a", "seed_a", "layer_a", "model_b", "fraction_b", "seed_b"),
        *("layer_b", "index", "value", "shuffled"),
    ),
    "head_subset_indices.parquet": (
        *(*_NETWORK, "other_model", "unit_rank", "subset", "index", "value", "shuffled"),
    ),
    "diagnostics.csv": (
        *(*_NETWORK, "layer", "name", "kind", "block", "depth", "top_share"),
        *("effective_dimensions", "largest_over_median", "influence", "influential_image"),
    ),
    "estimator.csv": (*_NETWORK, "check", "source", "value", "left_out"),
    "finetuning.parquet": (*(*_NETWORK, "task", "domain", "block", "depth", "cka", "left_out"),),
    "finetuning_indices.parquet": (
        *(*_NETWORK, "task", "domain", "block", "index", "value", "shuffled"),
    ),
    "tuned_accuracy.csv": (*_NETWORK, "task", "domain", "accuracy", "chance"),
    "claims.csv": (
        *("claim", "figure", "tier", "statement", "verdict", "because", "statistic", "value"),
        *(
            "deciding",
            "low",
            "high",
            "threshold",
            "control",
            "paper_value",
            "source",
            "stands_under",
            "drawn",
        ),
    ),
    "claim_cases.csv": (
        *("claim", "case", "criterion", "value", "low", "high", "threshold", "outcome"),
        *("control", "control_passes"),
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
