"""Brings somebody else's weights into a timm model: public ones of the hub, or those of a file."""

from pathlib import Path
from typing import Any

from torch import nn

from sightlines.core.errors import WeightsError
from sightlines.models import timm, weight_fitting, weight_shards
from sightlines.models.timm_facts import facts
from sightlines.models.timm_names import class_names
from sightlines.models.weight_fitting import Fitted
from sightlines.models.weight_forms import POSITIONS


def outputs_of(settings: dict[str, Any]) -> list[str]:
    """Names of the network's outputs, in order."""
    return class_names(facts(settings)["outputs"])


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card says of the network besides."""
    del size_px
    known = facts(settings)
    name = f"{known['name']}.{known['tag']}".rstrip(".")
    return {"grid": known["grid"], "centres": known["centres"], "timm": name}


def leave_untrained(model: nn.Module, settings: dict[str, Any]) -> None:
    """Make an untrained network see what the trained one sees."""
    if timm.is_grey(settings):
        weight_fitting.see_luminance(model)


def bring(
    model: nn.Module, settings: dict[str, Any], source: Path, stated: str, log: Any
) -> tuple[str, str, Fitted]:
    """Read or fetch the weights of a network.

    Args:
        model: What they are for; stays as it is.
        settings: Of the model.
        source: data_root or SIGHTLINES_DATA.
        stated: Their identity when snakemake started.
        log: Of the job.

    Returns:
        Where they come from in words, their SHA-256, and the weights in the model's shapes.

    Raises:
        WeightsError: they changed since then, do not fit, or cannot be had.
    """
    known = facts(settings)
    if settings["weights"] == "hub":
        from sightlines.models import hub

        filename = known["hub_file"] or "model.safetensors"
        fetched = hub.fetch(known["hub_id"], filename, settings["revision"], source, log)
        path, origin, digest = fetched.path, fetched.origin, fetched.sha256
        if origin.startswith("file:") and stated != digest:
            raise WeightsError(f"{path} was put there since snakemake started: run it again")
    else:
        path = source / settings["weights"]
        origin = f"file:{settings['weights']}"
        digest = weight_shards.digest(source, settings["weights"])
        if digest and digest != stated:
            raise WeightsError(f"{path} changed since snakemake started: run snakemake again")
    fitted = weight_fitting.fit(
        model,
        path,
        known["file"],
        known["size_px"] != known["own_px"] or "patch_px" in settings,
        settings.get("weight_set", ""),
        timm.is_grey(settings),
        settings.get("drop", ()),
        settings.get("position_resampling", POSITIONS[0]),
    )
    return origin, digest, fitted
