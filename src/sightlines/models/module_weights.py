"""Brings the weights of a file into a network of somebody's own."""

from pathlib import Path
from typing import Any

from torch import nn

from sightlines.models import file_weights, module
from sightlines.models.file_weights import leave_untrained
from sightlines.models.weight_fitting import Fitted

__all__ = ["bring", "leave_untrained", "on_card", "outputs_of"]


def outputs_of(settings: dict[str, Any]) -> list[str]:
    """The numbers of the network's outputs: they have no names."""
    return [str(index) for index in range(settings["outputs"])]


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card says of the network besides."""
    return module.on_card(settings, size_px) | {"grid": list(settings["grid"])}


def bring(
    model: nn.Module, settings: dict[str, Any], source: Path, stated: str, log: Any
) -> tuple[str, str, Fitted]:
    """Read the weights of a network; see `timm_weights.bring`.

    Raises:
        WeightsError: they changed since then, or do not fit.
    """
    del log
    return file_weights.bring(model, settings, source, stated)
