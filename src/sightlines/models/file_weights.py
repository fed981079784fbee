"""Brings the weights of a file into a network that takes them by its own names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from sightlines.core.errors import WeightsError
from sightlines.models import weight_fitting, weight_shards
from sightlines.models.weight_fitting import Fitted


def leave_untrained(model: nn.Module, settings: dict[str, Any]) -> None:
    """It is as it was built."""
    del model, settings


def bring(
    model: nn.Module,
    settings: dict[str, Any],
    source: Path,
    stated: str,
    drop: Sequence[str] = (),
) -> tuple[str, str, Fitted]:
    """Read the weights of a network; see `timm_weights.bring`.

    Args:
        model: The network.
        settings: `weights`, and maybe `weight_set`.
        source: data_root or SIGHTLINES_DATA.
        stated: The file's digest when snakemake started.
        drop: Parts of the file that are left out.

    Raises:
        WeightsError: they changed since then, or do not fit.
    """
    path = source / settings["weights"]
    digest = weight_shards.digest(source, settings["weights"])
    if digest and digest != stated:
        raise WeightsError(f"{path} changed since snakemake started: run snakemake again")
    chosen = settings.get("weight_set", "")
    fitted = weight_fitting.fit(model, path, "", False, chosen, drop=drop)
    return f"file:{settings['weights']}", digest, fitted
