"""Builds a public model by timm's own function for it, and says what it is."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from sightlines.core.errors import ConfigError
from sightlines.models import found_layers, idle, timm_blocks, timm_checks, timm_listed
from sightlines.models.attention import READS_MAPS, attention_modules, prefix_tokens
from sightlines.models.branches import find_branches
from sightlines.models.description import describe_network
from sightlines.models.layers import Layer
from sightlines.models.lean import timm_module
from sightlines.models.timm_names import GREY, Facts, entry_point, refuse_arguments

COMPARED = ("vit", "resnet", "mixer")
"""What the paper compares; claims take any other network for ``other``."""
TWICE = re.compile(r"multiple values for keyword argument '(\w+)'")
WHOLE = {"border": "squash"}
"""Timm's crop modes -> ours. Its ``border`` shows the whole photograph, with its proportions, on a
padded square; here the whole photograph is made square. Square ones are seen alike."""


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
    arguments.pop(GREY, None)
    arguments = {key: tuple(v) if isinstance(v, list) else v for key, v in arguments.items()}
    if facts.fixed_input_size and size_px != facts.input_size[-1]:
        arguments["img_size"] = size_px
    if "patch_px" in settings:
        arguments["patch_size"] = settings["patch_px"]
    if tag:
        arguments["pretrained_cfg"] = tag
    make = getattr(timm_module(f"models.{file}"), plain)
    listed = list(settings.get("layers", []))
    try:
        model = _made(make, file, arguments | {"num_classes": outputs})
        with torch.device("meta"):
            twin = _made(make, file, arguments | {"num_classes": outputs}) if listed else None
    except Exception as error:
        raise ConfigError(
            f"timm cannot build {plain} for images of {size_px} px with {arguments}: "
            f"{type(error).__name__}: {str(error) or 'an argument that it does not take'}"
        ) from error
    timm_checks.require_whole_patches(model, plain, size_px)
    timm_blocks.prepare(model)
    vars(model)["listed"] = twin and timm_listed.look(twin.eval(), listed, size_px)
    vars(model)["seen_px"] = size_px
    return model


def _made(make: Callable[..., nn.Module], file: str, arguments: dict[str, Any]) -> nn.Module:
    """What timm's function makes, with the arguments here in place of those that it sets itself.

    Some functions hand on `patch_size` and the like by name, and cannot be given others: these are
    put in where the function calls timm's builder.
    """
    module: Any = timm_module(f"models.{file}")
    real = module.build_model_with_cfg

    def builder(model: Any, variant: str, pretrained: bool, **own: Any) -> Any:
        return real(model, variant, pretrained, **own | withheld)

    withheld: dict[str, Any] = {}
    try:
        module.build_model_with_cfg = builder
        while True:
            given = {key: value for key, value in arguments.items() if key not in withheld}
            try:
                return make(pretrained=False, **given)
            except TypeError as error:
                found = TWICE.search(str(error))
                if found is None or found[1] not in given:
                    raise
                withheld[found[1]] = given[found[1]]
    finally:
        module.build_model_with_cfg = real


def describe(asked: Mapping[str, Any]) -> Facts:
    """What `timm_facts.facts` gives.

    Raises:
        ConfigError: timm has no such model, it cannot be built so, or none of its blocks is known.
    """
    plain, tag, file = entry_point(asked["name"])
    known = published(asked["name"])
    if "size_px" not in asked and known.input_size[-1] != known.input_size[-2]:
        sides = " × ".join(str(side) for side in known.input_size[1:])
        raise ConfigError(
            f"{plain} is made for images of {sides} px; here images are square: set size_px"
        )
    size_px = asked.get("size_px", known.input_size[-1])
    outputs = asked.get("outputs", known.num_classes)
    with torch.device("meta"):
        model = build(asked, size_px, outputs).eval()
    try:
        layers = layers_of(model)
        seen = found_of(model)
        if seen is None:
            traits = timm_blocks.traits(model, size_px, layers)
            centres = timm_checks.require_usable(model, layers, traits, size_px, outputs)
        else:
            traits = _traits_of(model, seen)
            timm_checks.require_scores(model, size_px, outputs)
            centres = seen.centres
    except LookupError as error:
        raise timm_checks.no_blocks(plain, model, error) from error
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{plain} cannot be run on images of {size_px} px: {type(error).__name__}: {error}"
        ) from error
    listed: Any = model.listed
    grid = listed.grid if listed else traits.grid
    return {
        "name": plain,
        "tag": tag or (known.tag or ""),
        "file": file,
        "hub_id": known.hf_hub_id or "",
        "hub_file": known.hf_hub_filename or "",
        "size_px": size_px,
        "own_px": known.input_size[-1],
        "mean": list(known.mean),
        "std": list(known.std),
        "interpolation": known.interpolation,
        "crop_share": known.crop_pct,
        "crop_mode": WHOLE.get(known.crop_mode, known.crop_mode),
        "outputs": outputs,
        "grid": list(grid),
        "role": traits.role if traits.role in COMPARED else "other",
        "prefix": prefix_tokens(model),
        "pool": _pool(model, seen),
        "attention": traits.attention,
        "plain_attention": traits.attention and bool(attention_modules(model)),
        "attention_sites": 0 if traits.attention else _sites(model, traits.role, size_px),
        "does": traits.role,
        "centres": centres,
        "branches": bool(find_branches(model)[0]),
        "starts_idle": _starts_idle(asked, size_px, outputs),
        "layers": len(layers),
        "parameters": sum(p.numel() for p in model.parameters()),
        "shape": _shape(model, size_px, grid) | {"tag": tag or (known.tag or "")},
    }


def _starts_idle(asked: Mapping[str, Any], size_px: int, outputs: int) -> bool:
    """Whether the model has to be switched on to be a control, by its values at the start."""
    try:
        with idle.VectorsOnly():  # type: ignore[no-untyped-call]
            return idle.starts_idle(build(asked, size_px, outputs))
    except ConfigError:  # some networks compute with their matrices while they are built
        with torch.random.fork_rng(devices=[]):
            return idle.starts_idle(build(asked, size_px, outputs))


def described_network(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What would be looked at in a model: see `description.describe_network`.

    Args:
        asked: As for `describe`.

    Raises:
        ConfigError: as `describe` says.
    """
    facts = describe(asked)
    with torch.device("meta"):
        model = build(asked, facts["size_px"], facts["outputs"]).eval()
    return describe_network(model, layers_of(model), facts)


def layers_of(model: nn.Module) -> list[Layer]:
    """The sub-layers of a model that `build` made.

    Those that its config lists, that the table knows, or that one forward pass shows.

    Raises:
        LookupError: no block was found, and the config lists none.
    """
    listed: Any = model.listed
    if listed:
        return list(listed.layers)
    found = found_of(model)
    return timm_blocks.layers(model) if found is None else list(found.layers)


def found_of(model: nn.Module) -> found_layers.Seen | None:
    """What one forward pass shows of a model that `build` made and no table knows; else None.

    Raises:
        LookupError: no block was found.
    """
    own = vars(model)
    if own["listed"]:
        return None
    if "found" not in own:
        own["found"] = None if _is_known(model) else _look(model)
        setattr(model, READS_MAPS, bool(own["found"] and own["found"].reads_maps))
    found: found_layers.Seen | None = own["found"]
    return found


def _is_known(model: nn.Module) -> bool:
    """Whether the table knows a model, all of its blocks and what lies between them."""
    try:
        return bool(timm_blocks.layers(model))
    except LookupError:
        return False


def _look(model: Any) -> found_layers.Seen:
    own = getattr(model, "feature_info", None) or []
    infos = own if isinstance(own, list) else getattr(own, "info", [])
    extra = [info["module"] for info in infos if isinstance(info, Mapping) and "module" in info]
    prefix = int(getattr(model, "num_prefix_tokens", 0))
    return found_layers.look(model, model.seen_px, extra, prefix)


def _sites(model: nn.Module, role: str, size_px: int) -> int:
    """Attentions between places of the image; what the table knows to convolve has none."""
    if found_of(model) is None and not vars(model)["listed"] and role in ("resnet", "mixer"):
        return 0
    return len(found_layers.attention_of(model, size_px)[0])


def _pool(model: nn.Module, seen: found_layers.Seen | None) -> str:
    """What a model classifies; nothing is said of tokens that are not among its layers' values."""
    if seen is not None and seen.reads_maps:
        return ""
    return timm_blocks.POOLS.get(str(getattr(model, "global_pool", "")), "")


def _traits_of(model: nn.Module, seen: found_layers.Seen) -> timm_blocks.Traits:
    """Of a model that no table knows."""
    return timm_blocks.Traits(
        role=seen.role,
        pool=_pool(model, seen) if seen.is_plain else "",
        attention=seen.is_plain,
        grid=seen.grid,
        centres=seen.centres,
    )


def _shape(model: Any, size_px: int, grid: tuple[int, int]) -> dict[str, Any]:
    """What two models share that differ by pooling alone."""
    attention: list[Any] = attention_modules(model)
    heads = [int(module.num_heads) for module in attention]
    return {
        "class": type(model).__name__,
        "width": int(getattr(model, "num_features", 0)),
        "blocks": len({layer.block for layer in layers_of(model) if layer.block >= 0}),
        "heads": heads[0] if heads else 0,
        "patch_px": size_px / grid[0],
    }
