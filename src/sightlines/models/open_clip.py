"""Image towers of OpenCLIP: from a folder as its hub has them, or by name with a file of weights.

A folder has `open_clip_config.json` and `open_clip_model.safetensors`. The text tower is never
built. With ``weights: random`` the tower is trained here by the recipe, with a last layer on it.
"""

import json
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightlines.core.data_root import require_below
from sightlines.core.errors import ConfigError, MissingSourceError, SightlinesError
from sightlines.core.file_hashes import UNREADABLE
from sightlines.datasets.views import View
from sightlines.models import foreign_facts, model_folders, weight_shards
from sightlines.plan.renamed_keys import name_of

if TYPE_CHECKING:
    from torch import nn

    from sightlines.models.layers import Layer

SETTINGS = {
    "name": {
        "description": "Folder of the network below data_root, with open_clip_config.json and "
        "open_clip_model.safetensors; or its owner/name on the hub, where the hub's cache has it "
        "(hf download owner/name); or OpenCLIP's name of the model, such as ViT-B-32.",
        "type": "string",
        "pattern": "^[A-Za-z0-9_][A-Za-z0-9_./-]*$",
    },
    "weights": {
        "description": "own: those of the folder; random: none, trained by the recipe; else a "
        "safetensors or torch file below data_root, of the tower or of a whole CLIP.",
        "type": "string",
        "minLength": 1,
        "default": "own",
        "x-path": ["own", "random"],
    },
    "weight_set": {
        "description": "Which set of weights of a file that holds several, by its keys joined by "
        "dots. By default the one that fits; log and card name it.",
        "type": "string",
        "minLength": 1,
    },
    "revision": {
        "description": "Branch, tag or commit in the hub's cache.",
        "type": "string",
        "pattern": "^(?!.*\\.\\.)[A-Za-z0-9_.-]+$",
        "default": "main",
    },
    "mean": {
        "description": "Mean of each channel of [0, 1] pixels; by default as the folder says, by "
        "name CLIP's.",
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "std": {
        "description": "Standard deviation of each channel of [0, 1] pixels; by default as the "
        "folder says, by name CLIP's.",
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    },
    "interpolation": {
        "description": "How photographs are scaled; by default as the folder says, by name "
        "bicubic.",
        "enum": ["nearest", "bilinear", "bicubic", "lanczos"],
    },
    "crop_mode": {
        "description": "center: keeps the photograph's proportions and leaves its borders out; "
        "squash: makes the whole photograph square. By default as the folder says, by name center.",
        "enum": ["center", "squash"],
    },
    "acts_as": {
        "description": "What the claims and figures take it for; auto: vit for plain ViTs, resnet "
        "for convolutional networks, other for pyramids and hybrids.",
        "enum": ["auto", "vit", "resnet", "mixer", "other"],
        "default": "auto",
    },
}
REQUIRED = ("name",)
DESCRIBES = True
"""Its models are of several of the paper's families: see `described`."""
OWN_FILES = True
"""What its models are stands in files below data_root: see `meet` and `content_of`."""
EXTRA = "open_clip"
"""The optional extra that installs the library."""

CONFIG = "open_clip_config.json"
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_model.safetensors.index.json",
    "open_clip_pytorch_model.bin",
)
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]
"""Of the images that CLIP and most of OpenCLIP's models were trained on."""
OTHERS = ("SigLIP", "CLIPA", "MobileCLIP", "PE-")
"""Parts of the names of models that were trained on images normalised otherwise."""
MODES = {"shortest": "center", "squash": "squash"}
_found: dict[tuple[str, str], dict[str, Any]] = {}


def meet(models: list[dict[str, Any]], size_px: int, source: Path) -> None:
    """Read what the folders say; what is wrong with one of them is said when it is checked."""
    del size_px
    for model in models:
        key = (model["name"], model["revision"])
        try:
            _found[key] = {"config": _read(*key, source)}
        except (SightlinesError, OSError) as error:
            _found[key] = {"error": str(error)}


def _read(name: str, revision: str, source: Path) -> dict[str, Any]:
    known = _package() / "model_configs" / f"{name}.json"
    if "/" not in name and known.is_file():
        return {"model_cfg": json.loads(known.read_text())}
    found = model_folders.read_json(model_folders.find(name, revision, source, CONFIG) / CONFIG)
    return found if "model_cfg" in found else {"model_cfg": found}


def _package() -> Path:
    foreign_facts.require(EXTRA)
    spec = util.find_spec("open_clip")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def content_of(settings: dict[str, Any]) -> dict[str, Any]:
    """`config`: what the network is, a part of its identity.

    Raises:
        ConfigError: there is no such folder or model, or the file is none that can be read.
    """
    if "config" in settings:
        return {"config": settings["config"]}
    found = _found.get((settings["name"], settings["revision"]), {"error": "it was not looked for"})
    if "error" in found:
        raise ConfigError(found["error"])
    return found


def check(settings: dict[str, Any], size_px: int) -> tuple[int, int]:
    """Rows and columns of the patches, or of the last map.

    Raises:
        ConfigError: the model is missing or cannot be read, the library is not installed, or
            cannot build or run it.
    """
    content_of(settings)
    if settings["weights"] not in ("own", "random"):
        require_below(settings["weights"], "weights", "own, random or ")
    keys = [key for key in model_folders.VIEW if key in settings]
    if settings["weights"] == "random" and keys:
        raise ConfigError(
            f"{', '.join(map(name_of, keys))}: a network that is trained here sees the dataset's "
            "images as they are; leave these keys out, or set weights to own or to a file"
        )
    sees = view(settings, size_px)
    View.of(sees)
    known = facts(settings, size_px)
    if max(known["grid"]) < 2:
        raise ConfigError(
            f"{settings['name']} sees images of {sees['size_px']} px as one cell of its last map: "
            "nothing can be said of places in them"
        )
    return known["grid"][0], known["grid"][1]


def outputs_of(settings: dict[str, Any]) -> list[str]:
    """None: a tower has no outputs for classes."""
    del settings
    return []


def require_weights(settings: dict[str, Any], size_px: int) -> None:
    """Check that a model by OpenCLIP's name has a file of weights.

    Raises:
        ConfigError: it has none.
    """
    del size_px
    is_by_name = (
        "/" not in settings["name"] and "preprocess_cfg" not in content_of(settings)["config"]
    )
    if is_by_name and settings["weights"] == "own":
        raise ConfigError(
            f"{settings['name']} is OpenCLIP's name of a model, which brings no weights: set "
            "weights to a file below data_root, or name to a folder with both"
        )


def weights_identity(settings: dict[str, Any], source: str) -> str:
    """What tells a network's weights from others: SHA-256 of their files.

    Raises:
        MissingSourceError: there are none.
    """
    root = Path(source)
    if settings["weights"] != "own":
        found = weight_shards.identity(root, settings["weights"])
        if found == UNREADABLE:
            raise MissingSourceError(
                f"there is no weight file {root / settings['weights']}: set `weights` of "
                f"{settings['name']} to a file below data_root (or below SIGHTLINES_DATA)"
            )
        return found
    folder = model_folders.find(settings["name"], settings["revision"], root, CONFIG)
    return model_folders.identity(folder, files_of(folder))


def files_of(folder: Path) -> list[str]:
    """The files of a folder that are read.

    Raises:
        MissingSourceError: it has no weights.
    """
    weights = model_folders.weight_file(folder, WEIGHTS)
    if not weights:
        raise MissingSourceError(f"{folder} has none of {', '.join(WEIGHTS)}: fetch it whole")
    return [CONFIG, weights]


def view(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """How the network sees images: size_px, mean, std, interpolation, crop_share, crop_mode."""
    if settings["weights"] == "random":
        return {"size_px": size_px, "interpolation": "bicubic", "crop_share": 1.0}
    config = content_of(settings)["config"]
    told = config.get("preprocess_cfg") or {}
    if "preprocess_cfg" not in config and any(part in settings["name"] for part in OTHERS):
        missing = [key for key in ("mean", "std", "crop_mode") if key not in settings]
        if missing:
            raise ConfigError(
                f"{settings['name']} was trained on images that are normalised otherwise than "
                f"CLIP's: set {', '.join(missing)} of the model"
            )
    side = config["model_cfg"]["vision_cfg"].get("image_size", 224)
    sides = {*side} if isinstance(side, list) else {side}
    mode = told.get("resize_mode", "shortest")
    if len(sides) != 1 or (mode not in MODES and "crop_mode" not in settings):
        raise ConfigError(
            f"{settings['name']} sees images of {side} px by resize_mode {mode}: here they are "
            "square, cropped or squashed"
        )
    found = {
        "size_px": sides.pop(),
        "mean": told.get("mean", MEAN),
        "std": told.get("std", STD),
        "interpolation": told.get("interpolation", "bicubic"),
        "crop_share": 1.0,
        "crop_mode": MODES.get(mode, "center"),
    }
    return found | {key: settings[key] for key in found if key in settings}


def imports(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What decides about an import beside the weights: what the network is, and the library."""
    return {"sees": view(settings, size_px), "by": foreign_facts.versions(EXTRA)}


def facts(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What one forward pass shows, asked of a process of its own and remembered.

    Raises:
        ConfigError: the library is not installed, or cannot build or run it.
    """
    asked = {"weights": settings["weights"]} | content_of(settings)
    return foreign_facts.ask(__name__, EXTRA, asked, view(settings, size_px)["size_px"])


def described(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What claims and figures know of the model."""
    return foreign_facts.described(settings, facts(settings, size_px))


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card of a network says besides."""
    known = facts(settings, size_px)
    return {"centres": known["centres"], "open_clip": settings["name"], "does": known["does"]}


def starts_idle(settings: dict[str, Any], size_px: int) -> bool:
    """Whether the network has to be switched on to be a control."""
    return bool(facts(settings, size_px)["starts_idle"])


def build(settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
    """The tower with fresh weights, drawn from torch's global generator.

    Args:
        settings: The model's, with what it is (`content_of`).
        size_px: Side of the images.
        classes: Length of its output; 0: no last layer.

    Raises:
        ConfigError: the library is not installed, or cannot build it so.
    """
    foreign_facts.require(EXTRA)
    import open_clip.model

    from sightlines.models import foreign
    from sightlines.models.towers import Tower

    told = content_of(settings)["config"]["model_cfg"]
    vision = dict(told["vision_cfg"]) | {"image_size": size_px, "output_tokens": False}
    vision |= {"timm_model_pretrained": False} if "timm_model_name" in vision else {}
    try:
        tower = open_clip.model._build_vision_tower(
            told["embed_dim"], vision, told.get("quick_gelu", False)
        )
        model: Any = foreign.prepared(Tower(tower), size_px)
        if classes:
            model.reset_classifier(classes)
    except Exception as error:
        raise ConfigError(
            f"OpenCLIP cannot build {settings.get('name', 'it')} for images of {size_px} px: "
            f"{type(error).__name__}: {error}"
        ) from error
    return foreign.prepared(model, size_px)


def layers(model: "nn.Module") -> "list[Layer]":
    """Its layers in the order in which they compute."""
    from sightlines.models import foreign

    return foreign.layers(model)


if __name__ == "__main__":
    foreign_facts.answer(build)
