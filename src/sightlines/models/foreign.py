"""Networks of other libraries and of users: seen by one traced forward pass, without any table."""

from typing import Any

import torch
from torch import nn

from sightlines.core.errors import ConfigError
from sightlines.models.attention import READS_MAPS
from sightlines.models.found_layers import Seen, attention_of, look, uncompiled
from sightlines.models.layers import Layer


def prepared(model: nn.Module, size_px: int) -> nn.Module:
    """A network ready to be looked at: uncompiled, and with no path of torch that hides attention.

    Args:
        model: As its builder made it.
        size_px: Side of the images.
    """
    torch.backends.mha.set_fastpath_enabled(False)
    model = uncompiled(model)
    vars(model)["seen_px"] = size_px
    return model


def seen_of(model: nn.Module) -> Seen:
    """What one forward pass shows of a network that `prepared` gave.

    Raises:
        ConfigError: none of its blocks was found, or it cannot be run.
    """
    own = vars(model)
    if "found" not in own:
        try:
            own["found"] = look(model, own["seen_px"])
        except LookupError as error:
            raise ConfigError(str(error.args[0])) from error
        setattr(model, READS_MAPS, own["found"].reads_maps)
        own.setdefault("num_prefix_tokens", own["found"].prefix)
        if own["found"].prefix and getattr(model, "class_token", None) is not None:
            own["cls_token"] = True  # what torchvision calls class_token
    found: Seen = own["found"]
    return found


def layers(model: nn.Module) -> list[Layer]:
    """Its layers in the order in which they compute."""
    return list(seen_of(model).layers)


def facts(model: nn.Module, classes: int) -> dict[str, Any]:
    """What planning asks of a network.

    Returns:
        `grid`, `role` and `does`, `attention` (that of a plain ViT), `attention_sites` (how many
        others), `centres`, `layers` and `parameters`.

    Raises:
        ConfigError: it gives no score a class.
    """
    seen = seen_of(model)
    size_px = vars(model)["seen_px"]
    device = next(model.parameters()).device
    with torch.no_grad():
        scores = model.eval()(torch.zeros(2, 3, size_px, size_px, device=device))
    if tuple(getattr(scores, "shape", ())) != (2, classes):
        raise ConfigError(
            f"{type(model).__name__} gives {list(getattr(scores, 'shape', [])) or scores!r} for 2 "
            f"images and {classes} classes: its output must be a tensor [images, classes]"
        )
    sites, _ = attention_of(model, size_px)
    return {
        "grid": list(seen.grid),
        "role": seen.role if seen.role in ("vit", "resnet", "mixer") else "other",
        "does": seen.role,
        "attention": seen.is_plain,
        "attention_sites": 0 if seen.is_plain else len(sites),
        "centres": seen.centres,
        "layers": len(seen.layers),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
