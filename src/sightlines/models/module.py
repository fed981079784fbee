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

from sightlines.core.data_root import require_below
from sightlines.core.errors import ConfigError
from sightlines.datasets.views import View
from sightlines.models import module_code, weight_shards
from sightlines.plan.renamed_keys import name_of

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
    "pool": {
        "description": "What a ViT classifies: cls, its class token; gap, the mean of its patches. "
        "The paper's claims about ViTs are of those with a class token. The job checks it.",
        "enum": ["cls", "gap", "other"],
        "default": "other",
    },
    "starts_idle": {
        "description": "Whether its branches start at (nearly) 0, or it normalises by statistics "
        "of no image (BatchNorm): then its untrained control has to be switched on. The job checks "
        "it.",
        "type": "boolean",
        "default": False,
    },
    "acts_as": {
        "description": "What the claims and figures take it for.",
        "enum": ["vit", "resnet", "mixer", "other"],
        "default": "other",
    },
    "weights": {
        "description": "random: none, trained by the recipe; else a safetensors or torch file "
        "below data_root with the network's own names of tensors, below any key and behind one "
        "prefix.",
        "type": "string",
        "minLength": 1,
        "default": "random",
        "x-path": ["random"],
    },
    "weight_set": {
        "description": "Which set of weights of a file that holds several, by its keys joined by "
        "dots. By default the one that fits; log and card name it.",
        "type": "string",
        "minLength": 1,
    },
    "outputs": {
        "description": "Length of the output of the weights.",
        "unit": "classes",
        "type": "integer",
        "minimum": 1,
    },
    "class_order": {
        "description": "The order of the outputs that stand for the folders of photographs, as for "
        "a timm model.",
        "enum": ["auto", "names", "torchvision", "timm", "file"],
        "default": "auto",
    },
    "class_file": {
        "description": "Names of the network's outputs in their order, as the folders have them: a "
        "file below data_root, of text (one a line) or JSON.",
        "type": "string",
        "minLength": 1,
    },
    "size_px": {
        "description": "Side of the images that the weights are for; the dataset's by default.",
        "unit": "px",
        "type": "integer",
        "minimum": 16,
        "maximum": 2048,
    },
    "mean": {
        "description": "Mean of each channel of [0, 1] pixels that the weights are for; ImageNet's "
        "by default.",
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "std": {
        "description": "Standard deviation of each channel of [0, 1] pixels that the weights are "
        "for; ImageNet's by default.",
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    },
    "interpolation": {
        "description": "How photographs are scaled for its weights; bicubic by default.",
        "enum": ["nearest", "bilinear", "bicubic", "lanczos"],
    },
    "crop_share": {
        "description": "Side of what is seen, as a share of the scaled photograph's short side; 1 "
        "by default.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
    },
    "crop_mode": {
        "description": "center: keeps the photograph's proportions and leaves its borders out; "
        "squash: makes the whole photograph square. center by default.",
        "enum": ["center", "squash"],
    },
}
REQUIRED = ("entry", "grid")
DESCRIBES = True
"""Its models are of several of the paper's families: see `described`."""
OWN_CODE = True
"""Its code is no part of the package: see `code_of` and `require_trust`."""

ENTRY = "sightlines_entry_"
"""Beginning of the name of an entry's own module."""
VIEW = ("size_px", "mean", "std", "interpolation", "crop_share", "crop_mode")
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""Of ImageNet's training images."""
_imported: dict[str, dict[str, Any]] = {}
"""Of each entry, by its code's digest: the modules that it imported from its own folder."""


def meet(models: list[dict[str, Any]], size_px: int) -> None:
    """Nothing is known before a network is built."""
    del models, size_px


def check(settings: dict[str, Any], size_px: int) -> tuple[int, int]:
    """Rows and columns as the config says.

    Raises:
        ConfigError: there is no such file or function, or it is not to be called so.
    """
    given = ("classes", "size_px", *settings.get("arguments", {}))
    module_code.require_arguments(settings["entry"], given)
    weights = settings.get("weights", "random")
    keys = [key for key in (*VIEW, "outputs", "weight_set", "class_file") if key in settings]
    if weights == "random" and keys:
        raise ConfigError(
            f"{', '.join(map(name_of, keys))}: a network that is trained here sees the dataset's "
            "images as they are and has its classes; leave these keys out, or set weights to a file"
        )
    if weights != "random":
        require_below(weights, "weights", "random or ")
        View.of(view(settings, size_px))
        if "outputs" not in settings:
            raise ConfigError("weights is a file: set num_classes to the length of the output")
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
    own |= {"pool": settings.get("pool", "other")} if settings["acts_as"] == "vit" else {}
    own |= {"weights": settings["weights"]} if settings.get("weights", "random") != "random" else {}
    return own | ({"attention_sites": True} if attention == "placed" else {})


def starts_idle(settings: dict[str, Any], size_px: int) -> bool:
    """Whether the network has to be switched on to be a control, as the config says."""
    del size_px
    return bool(settings.get("starts_idle", False))


def view(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """How the network sees images: size_px, mean, std, interpolation, crop_share, crop_mode."""
    own = {"size_px": size_px, "mean": MEAN, "std": STD, "interpolation": "bicubic"}
    own |= {"crop_share": 1.0, "crop_mode": "center"}
    return {key: settings.get(key, own[key]) for key in VIEW}


def imports(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What decides about an import beside the weights and the code."""
    return {"sees": view(settings, size_px)}


def require_weights(settings: dict[str, Any], size_px: int) -> None:
    """Nothing beside what `check` says."""
    del settings, size_px


def weights_identity(settings: dict[str, Any], source: str) -> str:
    """What tells a network's weights from others: SHA-256 of their file, or files.

    Raises:
        MissingSourceError: there is none.
    """
    return weight_shards.require_identity(Path(source), settings["weights"], settings["entry"])


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card of a network says besides."""
    del size_px
    return {"entry": settings["entry"], "centres": "middle"}


def build(settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
    """The network as its function makes it, with torch's global generator for what is random.

    Raises:
        ConfigError: its code is not trusted or changed, or it is not what the config says.
    """
    model = made(settings, size_px, classes)
    _require_said(model, settings, classes)
    return model


def made(settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
    """The same, whatever the config says of it.

    Raises:
        ConfigError: its code is not trusted or changed, or gives no network.
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
    return foreign.prepared(model, size_px)


def layers(model: "nn.Module") -> "list[Layer]":
    """Its layers in the order in which they compute."""
    from sightlines.models import foreign

    return foreign.layers(model)


def _require_said(model: "nn.Module", settings: dict[str, Any], classes: int) -> None:
    """Check what the config says of a network.

    Raises:
        ConfigError: with what to set.
    """
    known = facts_of(model, classes)
    if settings.get("pool", "other") == "other":
        known.pop("pool", None)
    odd = [(key, is_so) for key, is_so in known.items() if settings.get(key, False) != is_so]
    if odd:
        told = [
            f"{key} of {settings['entry']} is {is_so}, not {settings.get(key, False)}"
            for key, is_so in odd
        ]
        raise ConfigError(f"{'; '.join(told)}: set {'them' if len(odd) > 1 else 'it'}")


def facts_of(model: "nn.Module", classes: int) -> dict[str, Any]:
    """What a config must say of a network: grid, attention, pool of a ViT, starts_idle.

    Raises:
        ConfigError: it gives no score a class, or none of its blocks was found.
    """
    from sightlines.models import foreign, idle

    was_training = model.training
    known = foreign.facts(model, classes)
    model.train(was_training)
    attention = "plain" if known["attention"] else "placed" if known["attention_sites"] else "none"
    found = {"grid": known["grid"], "attention": attention}
    found |= {"pool": known["pool"]} if known["pool"] else {}
    if not any(p.is_meta for p in model.parameters()):
        found["starts_idle"] = idle.starts_idle(model)
    return found


@contextlib.contextmanager
def _importing(entry: str) -> Iterator[None]:
    """A file's own folder is where it imports from, first, also inside of its function.

    What it imports from there is its own: another entry's file of the same name is another module.
    """
    place, _ = module_code.parted(entry)
    if not place.endswith(".py"):
        yield
        return
    folder = Path(place).resolve().parent
    own = _imported.setdefault(module_code.digest(entry), {})
    others = _local_modules(folder)
    for name in others:
        del sys.modules[name]
    sys.modules.update(own)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))
        own |= _local_modules(folder)
        for name in own:
            sys.modules.pop(name, None)
        sys.modules.update(others)


def _local_modules(folder: Path) -> dict[str, Any]:
    """Modules of files below an entry's folder or the working directory, that no package installs.

    The entry itself is not among them, nor this package, nor what lies in an environment there.
    """
    roots = (folder, Path.cwd())
    found = {}
    for name, module in [*sys.modules.items()]:
        file = getattr(module, "__file__", None)
        if not file or name.startswith((ENTRY, "__main__", "sightlines")):
            continue
        tops = [root / f"{name.partition('.')[0]}" for root in roots]
        if any(Path(file) == top.with_suffix(".py") or top in Path(file).parents for top in tops):
            found[name] = module
    return found


def _function(entry: str) -> Any:
    """The function of an entry, imported."""
    place, function = module_code.parted(entry)
    if not place.endswith(".py"):
        return getattr(importlib.import_module(place), function)
    path = Path(place).resolve()
    name = f"{ENTRY}{module_code.digest(entry)}"
    if name not in sys.modules:
        # With its folder as a package's: `from .parts import …` finds what lies beside it.
        spec = importlib.util.spec_from_file_location(
            name, path, submodule_search_locations=[str(path.parent)]
        )
        assert spec is not None and spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[name] = loaded
        try:
            spec.loader.exec_module(loaded)
        except BaseException:
            del sys.modules[name]
            raise
    return getattr(sys.modules[name], function)
