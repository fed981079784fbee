"""A network of your own: a function that returns a `torch.nn.Module`, trained here by the recipe.

Planning never imports it: what planning must know is said in the config and checked in the job that
builds it. Code that a clone pulled runs only once the clone is told to trust it
(`models/module_code.py`).
"""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightlines.core.errors import ConfigError
from sightlines.models import module_code

if TYPE_CHECKING:
    from torch import nn

    from sightlines.models.layers import Layer

SETTINGS = {
    "entry": {
        "description": "What returns the network: my_models.py:build, a function of a file below "
        "the project's folder, or package.module:build of an installed package. It is called with "
        "classes, size_px and `arguments`.",
        "type": "string",
        "pattern": "^[A-Za-z0-9_./-]+:[A-Za-z_][A-Za-z0-9_]*$",
    },
    "arguments": {
        "description": "Further arguments of the function.",
        "type": "object",
        "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
        "additionalProperties": {"type": ["number", "string", "boolean", "array"]},
        "default": {},
    },
    "grid": {
        "description": "Rows and columns of its patches, or of its last map. The job that builds "
        "the network checks it, and says what it is.",
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": {"type": "integer", "minimum": 2},
    },
    "attention": {
        "description": "Whether it has softmax attention between places: plain, that of a ViT, "
        "global and alike in every block; placed, any other; none. The job checks it.",
        "enum": ["none", "plain", "placed"],
        "default": "none",
    },
    "acts_as": {
        "description": "What the claims and figures take it for.",
        "enum": ["vit", "resnet", "mixer", "other"],
        "default": "other",
    },
}
REQUIRED = ("entry", "grid")
DESCRIBES = True
"""Its models are of several of the paper's families: see `described`."""
OWN_CODE = True
"""Its code is no part of the package: see `code_of` and `require_trust`."""


def meet(models: list[dict[str, Any]], size_px: int) -> None:
    """Nothing is known before a network is built."""
    del models, size_px


def check(settings: dict[str, Any], size_px: int) -> tuple[int, int]:
    """Rows and columns as the config says.

    Raises:
        ConfigError: there is no such file or function.
    """
    del size_px
    module_code.source_of(settings["entry"])
    return settings["grid"][0], settings["grid"][1]


def code_of(settings: dict[str, Any]) -> str:
    """Digest of the network's code, a part of its training's identity."""
    return module_code.digest(settings["entry"])


def require_trust(settings: dict[str, Any], told: str) -> None:
    """Refuse code that this clone was not told to trust.

    Raises:
        ConfigError: with what to say.
    """
    module_code.require_trust(settings["entry"], told)


def described(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What claims and figures know of the model, as the config says."""
    del size_px
    attention = settings["attention"]
    own = {"family": settings["acts_as"], "attention": attention == "plain", "branches": False}
    own |= {"plain_attention": False, "entry": settings["entry"]}
    own |= {"arguments": settings["arguments"]}
    own |= {"pool": "other"} if settings["acts_as"] == "vit" else {}
    return own | ({"attention_sites": True} if attention == "placed" else {})


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card of a network says besides."""
    del size_px
    return {"entry": settings["entry"], "centres": "middle"}


def build(settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
    """The network as its function makes it, with torch's global generator for what is random.

    Raises:
        ConfigError: its code is not trusted or changed, or it is not what the config says.
    """
    from torch import nn

    from sightlines.models import foreign

    entry = settings["entry"]
    found = module_code.digest(entry)
    if settings.get("code", found) != found:
        raise ConfigError(f"the code of {entry} changed: run snakemake again")
    if not module_code.is_trusted(found):
        raise ConfigError(
            f"the code of {entry} is not trusted here: run snakemake with --config "
            f"trust_code={found} if you trust it"
        )
    with _importing(entry):
        model = _function(entry)(classes=classes, size_px=size_px, **settings["arguments"])
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{entry} returns a {type(model).__name__}, not a torch.nn.Module")
    model = foreign.prepared(model, size_px)
    _require_said(model, settings, classes)
    return model


def layers(model: "nn.Module") -> "list[Layer]":
    """Its layers in the order in which they compute."""
    from sightlines.models import foreign

    return foreign.layers(model)


def _require_said(model: "nn.Module", settings: dict[str, Any], classes: int) -> None:
    """Check what the config says of a network.

    Raises:
        ConfigError: with what to set.
    """
    from sightlines.models import foreign

    was_training = model.training
    known = foreign.facts(model, classes)
    model.train(was_training)
    attention = "plain" if known["attention"] else "placed" if known["attention_sites"] else "none"
    for key, is_so in (("grid", known["grid"]), ("attention", attention)):
        if settings[key] != is_so:
            raise ConfigError(
                f"{key} of {settings['entry']} is {is_so}, not {settings[key]}: set it"
            )


@contextlib.contextmanager
def _importing(entry: str) -> Iterator[None]:
    """A file's own folder is where it imports from, first, also inside of its function."""
    place, _ = module_code.parted(entry)
    folder = str(Path(place).resolve().parent)
    if place.endswith(".py"):
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        if place.endswith(".py") and folder in sys.path:
            sys.path.remove(folder)


def _function(entry: str) -> Any:
    """The function of an entry, imported."""
    place, function = module_code.parted(entry)
    if not place.endswith(".py"):
        return getattr(importlib.import_module(place), function)
    path = Path(place).resolve()
    name = f"sightlines_entry_{module_code.digest(entry)}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[name] = loaded
        try:
            spec.loader.exec_module(loaded)
        except BaseException:
            del sys.modules[name]
            raise
    return getattr(sys.modules[name], function)
