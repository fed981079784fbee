"""Brings the weights of a file into a network of somebody's own."""

from pathlib import Path
from typing import Any

from torch import nn

from sightlines.core.errors import WeightsError
from sightlines.models import module, weight_fitting, weight_shards
from sightlines.models.weight_fitting import Fitted


def outputs_of(settings: dict[str, Any]) -> list[str]:
    """The numbers of the network's outputs: they have no names."""
    return [str(index) for index in range(settings["outputs"])]


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card says of the network besides."""
    return module.on_card(settings, size_px) | {"grid": list(settings["grid"])}


def leave_untrained(model: nn.Module, settings: dict[str, Any]) -> None:
    """It is as it was built."""
    del model, settings


def bring(
    model: nn.Module, settings: dict[str, Any], source: Path, stated: str, log: Any
) -> tuple[str, str, Fitted]:
    """Read the weights of a network; see `timm_weights.bring`.

    Raises:
        WeightsError: they changed since then, or do not fit.
    """
    del log
    path = source / settings["weights"]
    digest = weight_shards.digest(source, settings["weights"])
    if digest and digest != stated:
        raise WeightsError(f"{path} changed since snakemake started: run snakemake again")
    fitted = weight_fitting.fit(model, path, "", False, settings.get("weight_set", ""))
    return f"file:{settings['weights']}", digest, fitted
