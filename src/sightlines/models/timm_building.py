"""Builds a public model by timm's own function for it, and says what it is."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from sightlines.dumps.skips_branches import find_branches
from sightlines.errors import ConfigError
from sightlines.models import timm_blocks
from sightlines.models.attention import attention_modules, prefix_tokens
from sightlines.models.layers import capture
from sightlines.models.lean import timm_module
from sightlines.models.timm_facts import Facts, entry_point, refuse_arguments


def published(name: str) -> Any:
    """Timm's own facts of a model and of the weights that its tag names.

    Raises:
        ConfigError: there is no such model, or no such tag.
    """
    plain, tag, file = entry_point(name)
    timm_module(f"models.{file}")
    registry = timm_module("models._registry")
    try:
        return registry.get_pretrained_cfg(f"{plain}.{tag}" if tag else plain)
    except RuntimeError as error:
        names = (name.partition(".") for name in registry._model_pretrained_cfgs)
        tags = sorted({own for name, _, own in names if name == plain and own})
        raise ConfigError(
            f"timm knows no weights {tag!r} for {plain}: there are {', '.join(tags) or 'none'}"
        ) from error


def build(settings: Mapping[str, Any], size_px: int, outputs: int) -> nn.Module:
    """A public model with fresh weights, drawn from torch's global generator.

    Args:
        settings: `name`, and maybe `arguments`, `patch_px`, `layers`.
        size_px: Side of the images.
        outputs: Length of its output; 0: no last layer.

    Raises:
        ConfigError: timm has no such model, or cannot build it so.
    """
    plain, tag, file = entry_point(settings["name"])
    facts = published(settings["name"])
    arguments = dict(settings.get("arguments", {}))
    refuse_arguments(arguments)
    arguments = {key: tuple(v) if isinstance(v, list) else v for key, v in arguments.items()}
    if facts.fixed_input_size and size_px != facts.input_size[-1]:
        arguments["img_size"] = size_px
    if "patch_px" in settings:
        arguments["patch_size"] = settings["patch_px"]
    if tag:
        arguments["pretrained_cfg"] = tag
    make = getattr(timm_module(f"models.{file}"), plain)
    try:
        model: nn.Module = make(pretrained=False, num_classes=outputs, **arguments)
    except Exception as error:
        raise ConfigError(
            f"timm cannot build {plain} for images of {size_px} px with {arguments}: "
            f"{type(error).__name__}: {error}"
        ) from error
    _require_whole_patches(model, plain, size_px)
    timm_blocks.prepare(model)
    vars(model)["listed_layers"] = list(settings.get("layers", []))
    return model


def _require_whole_patches(model: Any, name: str, size_px: int) -> None:
    """Timm leaves out, without a word, what of an image is not a whole patch."""
    projection = getattr(getattr(model, "patch_embed", None), "proj", None)
    side = getattr(projection, "kernel_size", (0,))[0]
    if side and side == getattr(projection, "stride", (1,))[0] and size_px % side:
        near = max(round(size_px / side), 1) * side
        raise ConfigError(
            f"{name} has patches of {side} px, which do not divide images of {size_px} px: set "
            f"size_px to {near}"
        )


def describe(asked: Mapping[str, Any]) -> Facts:
    """What `timm_facts.facts` gives.

    Raises:
        ConfigError: timm has no such model, it cannot be built so, or none of its blocks is known.
    """
    plain, tag, file = entry_point(asked["name"])
    known = published(asked["name"])
    size_px = asked.get("size_px", known.input_size[-1])
    outputs = asked.get("outputs", known.num_classes)
    with torch.device("meta"):
        model = build(asked, size_px, outputs).eval()
    try:
        layers = layers_of(model)
        traits = timm_blocks.traits(model, size_px, layers)
        _require_usable(model, layers, traits, size_px, outputs)
    except LookupError as error:
        raise ConfigError(f"{plain}: {error.args[0]}") from error
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{plain} cannot be run on images of {size_px} px: {type(error).__name__}: {error}"
        ) from error
    return {
        "name": plain,
        "tag": tag or (known.tag or ""),
        "file": file,
        "hub_id": known.hf_hub_id or "",
        "hub_file": known.hf_hub_filename or "",
        "size_px": size_px,
        "mean": list(known.mean),
        "std": list(known.std),
        "interpolation": known.interpolation,
        "crop_share": known.crop_pct,
        "crop_mode": known.crop_mode,
        "outputs": outputs,
        "grid": list(traits.grid),
        "role": traits.role,
        "pool": traits.pool,
        "attention": traits.attention,
        "centres": _centres(traits.centres, size_px),
        "branches": bool(find_branches(model)[0]),
        "layers": len(layers),
        "parameters": sum(p.numel() for p in model.parameters()),
        "shape": _shape(model, size_px, traits) | {"tag": tag or (known.tag or "")},
    }


def _require_usable(model: Any, layers: list[Any], traits: Any, size_px: int, outputs: int) -> None:
    """Refuse what would fail, or be measured wrongly, in a job.

    Raises:
        ConfigError: no block, no class scores, or listed modules whose values cannot be told to
            be a map or the patches of one grid.
    """
    name = type(model).__name__
    if not any(layer.kind == "residual" for layer in layers):
        raise ConfigError(f"{name} has no blocks with these arguments")
    shapes: dict[str, tuple[int, ...]] = {}
    images = torch.zeros(2, 3, size_px, size_px, device="meta")
    with capture(model, layers, lambda i, x: shapes.update({layers[i].name: tuple(x.shape)})):
        scores = model(images)
    if outputs and tuple(getattr(scores, "shape", ())) != (2, outputs):
        raise ConfigError(f"{name} gives no {outputs} scores an image with these arguments")
    if not model.listed_layers:
        return
    if hasattr(model, "unroll") or hasattr(model, "reroll"):
        raise ConfigError(f"{name} reorders its tokens: their places are not known")
    tokens = traits.grid[0] * traits.grid[1] + prefix_tokens(model)
    for layer, shape in shapes.items():
        if len(shape) != 4 and not (len(shape) == 3 and shape[1] == tokens):
            raise ConfigError(
                f"layers: {layer} gives {list(shape)}, which is neither a map nor the {tokens} "
                "tokens of the last listed module: list modules of one grid, or that give maps"
            )


def _centres(word: str, size_px: int) -> str:
    """TensorFlow's padding is one-sided only where all sides are even; else about the middle."""
    return "middle" if word == "end" and size_px % 32 else word


def layers_of(model: nn.Module) -> list[Any]:
    """The sub-layers of a model that `build` made: those that its config lists, or all known.

    Raises:
        LookupError: its blocks are not known and the config lists none, or a listed one is missing.
    """
    listed: Any = model.listed_layers
    return timm_blocks.listed_layers(model, listed) if listed else timm_blocks.layers(model)


def _shape(model: Any, size_px: int, traits: Any) -> dict[str, Any]:
    """What two models share that differ by pooling alone."""
    attention: list[Any] = attention_modules(model)
    heads = [int(module.num_heads) for module in attention]
    return {
        "class": type(model).__name__,
        "width": int(getattr(model, "num_features", 0)),
        "blocks": len({layer.block for layer in layers_of(model) if layer.block >= 0}),
        "heads": heads[0] if heads else 0,
        "patch_px": size_px / traits.grid[0],
    }
