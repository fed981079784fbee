"""What would be looked at in a network of any family, by its name: for the command line."""

import argparse
import json
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightlines.core.errors import ConfigError, SightlinesError
from sightlines.models import description, foreign, timm_building
from sightlines.plan import registry

FAMILIES = ("timm", "torchvision", "transformers", "open_clip", "module")
CLASSES = 10
"""Length of the output of a network that is asked for one: no answer depends on it."""
OWN_PX = 224
"""Side of the images of a network of one's own, where none is given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command take a family, what is built with, and where files lie."""
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    parser.add_argument(
        "--size-px", type=_side, help="side of the images; the network's own, or 224"
    )
    parser.add_argument(
        "--family", choices=FAMILIES, default="timm", help="where the network comes from; timm"
    )
    parser.add_argument(
        "--arguments", default="{}", help="further arguments as JSON, such as '{\"depth\": 8}'"
    )
    parser.add_argument(
        "--data-root",
        type=Path,
        default=Path(),
        help="the folder that names of transformers and open_clip are below",
    )
    parser.add_argument(
        "--trust-code", default="", help="of module: digest of the code that may run"
    )


def _side(text: str) -> int:
    side = int(text)
    if side < 1:
        raise argparse.ArgumentTypeError(f"{side} is no side of an image: give px, 1 or more")
    return side


def described(
    family: str,
    name: str,
    arguments: str = "{}",
    size_px: int | None = None,
    data_root: Path = Path(),
    trust_code: str = "",
) -> dict[str, Any]:
    """A description: see `description.describe_network`; of `module` also what a config must say.

    Args:
        family: One of FAMILIES.
        name: Of the network there; of `module` its entry, such as my_models.py:build.
        arguments: Further ones of what builds it, as JSON.
        size_px: Side of the images.
        data_root: What names of folders are below.
        trust_code: Digest of a module's code that may run.

    Raises:
        ConfigError: there is no such network, or it cannot be built or run so.
    """
    try:
        given = json.loads(arguments)
    except ValueError as error:
        raise ConfigError(f"--arguments is no JSON: {error}") from error
    if not isinstance(given, dict):
        raise ConfigError('--arguments must be an object in JSON, such as {"depth": 8}')
    if family == "timm":
        asked: dict[str, Any] = {"name": name} | ({"arguments": given} if given else {})
        asked |= {"size_px": size_px} if size_px else {}
        return timm_building.described_network(asked)
    if family == "module":
        return _of_module(name, given, size_px or OWN_PX, trust_code)
    builder = registry.load("models", family)
    declared = registry.declarations("models", family)["SETTINGS"]
    settings = {key: said["default"] for key, said in declared.items() if "default" in said}
    settings |= {"name": name, "arguments": given} if "arguments" in declared else {"name": name}
    if given and "arguments" not in declared:
        raise ConfigError(f"--arguments: a network of {family} takes none")
    if hasattr(builder, "content_of"):
        builder.meet([settings], size_px or OWN_PX, data_root)
        settings |= builder.content_of(settings)
    sees = builder.view(settings | {"weights": settings.get("weights", "a file")}, OWN_PX)
    sees |= {"size_px": size_px} if size_px else {}
    outputs = len(builder.outputs_of(settings)) if hasattr(builder, "outputs_of") else CLASSES
    with torch.random.fork_rng(devices=[]):
        model = builder.build(settings, sees["size_px"], outputs).eval()
    return description.describe_found(model, name, sees["size_px"], sees["mean"], sees["std"])


def _of_module(entry: str, arguments: dict[str, Any], size_px: int, told: str) -> dict[str, Any]:
    from sightlines.models import module

    settings = {"entry": entry, "arguments": arguments}
    module.check(settings | {"grid": [2, 2]}, size_px)
    try:
        module.require_trust(settings, told)
    except ConfigError as error:
        digest = module.code_of(settings)
        raise ConfigError(f"{error}, or here: --trust-code {digest}") from error
    with torch.random.fork_rng(devices=[]):
        try:
            model: nn.Module = module.made(settings, size_px, CLASSES).eval()
        except SightlinesError:
            raise
        except Exception as error:  # whatever somebody else's code raises
            last = traceback.extract_tb(error.__traceback__)[-1]
            asked = {"classes": CLASSES, "size_px": size_px} | arguments
            given = ", ".join(f"{key}={value!r}" for key, value in asked.items())
            raise ConfigError(
                f"{entry}, called with {given}, fails in {last.filename}, line {last.lineno} "
                f"({type(error).__name__}: {error}): change its code, or --arguments and --size-px"
            ) from error
        config = module.facts_of(model, CLASSES)
    sees = module.view(settings, size_px)
    known = foreign.seen_of(model).role
    config["role"] = known if known in ("vit", "resnet", "mixer") else "other"
    found = description.describe_found(model, entry, size_px, sees["mean"], sees["std"])
    return found | {"config": config}
