"""Brings the weights of a file into a network of torchvision."""

from pathlib import Path
from typing import Any

from torch import nn

from sightlines.core.errors import WeightsError
from sightlines.models import torchvision, weight_fitting, weight_shards
from sightlines.models.timm_names import class_names
from sightlines.models.weight_fitting import Fitted


def outputs_of(settings: dict[str, Any]) -> list[str]:
    """WordNet ids of ImageNet's classes for 1000 outputs, in their order; else numbers."""
    return class_names(settings.get("outputs", torchvision.OUTPUTS))


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card says of the network besides."""
    known = torchvision.facts(settings, size_px)
    return torchvision.on_card(settings, size_px) | {"grid": known["grid"]}


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
    chosen = settings.get("weight_set", "")
    further = torchvision.AUXILIARY.get(settings["name"], ())
    fitted = weight_fitting.fit(model, path, "", False, chosen, drop=further)
    return f"file:{settings['weights']}", digest, fitted
