"""Brings the weights of a folder or a file into an image tower of OpenCLIP."""

from pathlib import Path
from typing import Any

from torch import nn

from sightlines.core.errors import WeightsError
from sightlines.models import model_folders, open_clip, weight_fitting, weight_shards
from sightlines.models.weight_fitting import Fitted


def outputs_of(settings: dict[str, Any]) -> list[str]:
    """None: a tower has no outputs for classes."""
    return open_clip.outputs_of(settings)


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card says of the network besides."""
    known = open_clip.facts(settings, size_px)
    return open_clip.on_card(settings, size_px) | {"grid": known["grid"]}


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
    if settings["weights"] == "own":
        folder = model_folders.find(
            settings["name"], settings["revision"], source, open_clip.CONFIG
        )
        files = open_clip.files_of(folder)
        digest, path = model_folders.digest(folder, files), folder / files[-1]
        is_here = folder.is_relative_to(source)
        origin = f"folder:{folder.relative_to(source)}" if is_here else f"hf:{settings['name']}"
    else:
        path, origin = source / settings["weights"], f"file:{settings['weights']}"
        digest = weight_shards.digest(source, settings["weights"])
    if digest and digest != stated:
        raise WeightsError(f"{path} changed since snakemake started: run snakemake again")
    tower: Any = model
    fitted = weight_fitting.fit(tower.model, path, "", False, settings.get("weight_set", ""))
    state = {f"model.{name}": tensor for name, tensor in fitted.state.items()}
    return origin, digest, fitted.__class__(**vars(fitted) | {"state": state})
