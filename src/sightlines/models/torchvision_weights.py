"""Brings the weights of a file into a network of torchvision."""

from pathlib import Path
from typing import Any

from torch import nn

from sightlines.models import file_weights, torchvision
from sightlines.models.file_weights import leave_untrained
from sightlines.models.timm_names import class_names
from sightlines.models.weight_fitting import Fitted

__all__ = ["bring", "leave_untrained", "on_card", "outputs_of"]


def outputs_of(settings: dict[str, Any]) -> list[str]:
    """WordNet ids of ImageNet's classes for 1000 outputs, in their order; else numbers."""
    return class_names(settings.get("outputs", torchvision.OUTPUTS))


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card says of the network besides."""
    known = torchvision.facts(settings, size_px)
    return torchvision.on_card(settings, size_px) | {"grid": known["grid"]}


def bring(
    model: nn.Module, settings: dict[str, Any], source: Path, stated: str, log: Any
) -> tuple[str, str, Fitted]:
    """Read the weights of a network; see `timm_weights.bring`.

    Raises:
        WeightsError: they changed since then, or do not fit.
    """
    del log
    return file_weights.bring(
        model, settings, source, stated, torchvision.AUXILIARY.get(settings["name"], ())
    )
