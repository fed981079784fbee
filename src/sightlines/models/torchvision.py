"""Any network that torchvision builds by name: trained here, or with the weights of a file.

With weights of a file it is not trained but imported, and sees images as torchvision says of the
weights that it offers by that name, unless the config says otherwise.
"""

import functools
import hashlib
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightlines.core.data_root import require_below
from sightlines.core.errors import ConfigError, SightlinesError
from sightlines.core.files import write_json
from sightlines.datasets.views import View
from sightlines.models import weight_shards
from sightlines.plan.architectures import READING
from sightlines.plan.code_digest import code_digest
from sightlines.plan.renamed_keys import name_of

if TYPE_CHECKING:
    from torch import nn

    from sightlines.models.layers import Layer

SETTINGS = {
    "name": {
        "description": "torchvision's name of the network, such as vit_b_16, resnet18, swin_t.",
        "type": "string",
        "pattern": "^[a-z][a-z0-9_]*$",
    },
    "arguments": {
        "description": "Further arguments of torchvision's function, such as dropout: 0.1.",
        "type": "object",
        "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
        "additionalProperties": {"type": ["number", "string", "boolean", "array"]},
        "default": {},
    },
    "weights": {
        "description": "random: none, trained by the recipe; else a safetensors or torch file "
        "below data_root with torchvision's names of tensors, such as its own files, below any key "
        "and behind one prefix. random by default.",
        "type": "string",
        "minLength": 1,
        "x-path": ["random"],
    },
    "weight_set": {
        "description": "Which set of weights of a file that holds several, by its keys joined by "
        "dots. By default the one that fits; log and card name it.",
        "type": "string",
        "minLength": 1,
    },
    "outputs": {
        "description": "Length of the output of the weights; 1000 by default.",
        "unit": "classes",
        "type": "integer",
        "minimum": 1,
    },
    "class_order": {
        "description": "The order of the outputs that stand for the folders of photographs, as for "
        "a timm model; auto by default.",
        "enum": ["auto", "names", "torchvision", "timm", "file"],
    },
    "class_file": {
        "description": "Names of the network's outputs in their order, as the folders have them: a "
        "file below data_root, of text (one a line) or JSON.",
        "type": "string",
        "minLength": 1,
    },
    "size_px": {
        "description": "Side of the images that the weights are for; torchvision's own by default.",
        "unit": "px",
        "type": "integer",
        "minimum": 16,
        "maximum": 2048,
    },
    "mean": {
        "description": "Mean of each channel of [0, 1] pixels that the weights are for; by default "
        "torchvision's own, ImageNet's.",
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "std": {
        "description": "Standard deviation of each channel of [0, 1] pixels that the weights are "
        "for; by default torchvision's own, ImageNet's.",
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    },
    "interpolation": {
        "description": "How photographs are scaled for its weights; by default as for the first of "
        "torchvision's of that name (IMAGENET1K_V1), mostly bilinear.",
        "enum": ["nearest", "bilinear", "bicubic", "lanczos"],
    },
    "crop_share": {
        "description": "Side of what is seen, as a share of the scaled photograph's short side; "
        "by default as for torchvision's first ones, mostly 224/256.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
    },
    "crop_mode": {
        "description": "center: keeps the photograph's proportions and leaves its borders out; "
        "squash: makes the whole photograph square. center by default.",
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

CACHE = Path(".cache/sightlines/torchvision")
CLASSES = 3
"""Of the network that planning asks about: no answer depends on it."""
VIEW = ("size_px", "mean", "std", "interpolation", "crop_share", "crop_mode")
OUTPUTS = 1000
"""Of torchvision's own weights: ImageNet's classes in the order of their WordNet ids."""
AUXILIARY = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}
"""Networks with further outputs for training -> beginnings of the names of their tensors."""
REFUSED = ("weights", "weights_backbone", "progress", "num_classes", "image_size", "pretrained")


def meet(models: list[dict[str, Any]], size_px: int) -> None:
    """Nothing is gained by asking about several at once."""
    del models, size_px


def check(settings: dict[str, Any], size_px: int) -> tuple[int, int]:
    """Rows and columns of the patches, or of the last map.

    Raises:
        ConfigError: torchvision has no such network, or cannot build or run it so.
    """
    refused = sorted({*settings["arguments"]} & {*REFUSED})
    if refused:
        raise ConfigError(f"arguments.{refused[0]} cannot be set here: leave it out")
    given = [k for k in (*VIEW, "outputs", *READING) if settings.get(k, "auto") != "auto"]
    if not _is_imported(settings) and given:
        raise ConfigError(
            f"{', '.join(map(name_of, given))}: a network that is trained here sees the dataset's "
            "images as they are and has its classes; leave these keys out, or set weights to a file"
        )
    if _is_imported(settings):
        require_below(settings["weights"], "weights", "random or ")
        require_below(settings.get("class_file", ""), "class_file")
    known, sees = facts(settings, size_px), view(settings, size_px)
    View.of(sees)
    if max(known["grid"]) < 2:
        raise ConfigError(
            f"{settings['name']} sees images of {sees['size_px']} px as one cell of its last map: "
            "nothing can be said of places in them; set a larger dataset.size_px"
        )
    return known["grid"][0], known["grid"][1]


def described(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What claims and figures know of the model."""
    known = facts(settings, size_px)
    role = known["role"] if settings["acts_as"] == "auto" else settings["acts_as"]
    own = {"family": role, "attention": known["attention"], "branches": False}
    own |= {"plain_attention": False, "name": settings["name"]}
    own |= {"pool": known["pool"] or "other"} if "vit" in (role, known["role"]) else {}
    own |= {"weights": settings["weights"]} if _is_imported(settings) else {}
    return own | ({"attention_sites": True} if known["attention_sites"] else {})


def _is_imported(settings: dict[str, Any]) -> bool:
    return bool(settings.get("weights", "random") != "random")


def view(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """How the network sees images: size_px, mean, std, interpolation, crop_share, crop_mode."""
    if not _is_imported(settings):
        return {"size_px": size_px, "interpolation": "bicubic", "crop_share": 1.0}
    own = _asked(json.dumps([{"name": settings["name"]}, 0], sort_keys=True))
    if "error" in own:
        raise ConfigError(own["error"])
    return {key: settings.get(key, own[key]) for key in VIEW}


def imports(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What decides about an import beside the weights: how images are seen, and the library."""
    version = metadata.version("torchvision")
    return {"sees": view(settings, size_px), "by": [f"torchvision=={version}"]}


def require_weights(settings: dict[str, Any], size_px: int) -> None:
    """Nothing beside what `check` says."""
    del settings, size_px


def weights_identity(settings: dict[str, Any], source: str) -> str:
    """What tells a network's weights from others: SHA-256 of their file, or files.

    Raises:
        MissingSourceError: there is none.
    """
    return weight_shards.require_identity(Path(source), settings["weights"], settings["name"])


def starts_idle(settings: dict[str, Any], size_px: int) -> bool:
    """Whether the network has to be switched on to be a control."""
    return bool(facts(settings, size_px)["starts_idle"])


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card of a network says besides."""
    known = facts(settings, size_px)
    return {"centres": known["centres"], "torchvision": settings["name"], "does": known["does"]}


def build(settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
    """The network with fresh weights, drawn from torch's global generator.

    Raises:
        ConfigError: torchvision has no such network, or cannot build it so.
    """
    import torchvision

    from sightlines.models import foreign

    name, arguments = settings["name"], dict(settings.get("arguments", {}))
    _require_known(name)
    if name.startswith("vit_"):
        arguments["image_size"] = size_px
    builder = torchvision.models.get_model_builder(name)
    if name in AUXILIARY:  # their auxiliary outputs are no scores
        arguments |= {"aux_logits": False, "init_weights": True}
        if _is_imported(settings):  # their own weights see ImageNet's mean and deviation as 0.5
            arguments.setdefault("transform_input", True)
    try:
        model = builder(weights=None, num_classes=classes, **arguments)
    except Exception as error:
        raise ConfigError(
            f"torchvision cannot build {name} for images of {size_px} px with {arguments}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return foreign.prepared(model, size_px)


def _require_known(name: str) -> None:
    import difflib

    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, n=5, cutoff=0.0))
        raise ConfigError(f"torchvision has no network {name!r}: nearest are {near}")


def layers(model: "nn.Module") -> "list[Layer]":
    """Its layers in the order in which they compute."""
    from sightlines.models import foreign

    return foreign.layers(model)


# -- what planning asks --------------------------------------------------------------------


def facts(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What one forward pass shows, asked of a process of its own and remembered.

    Raises:
        ConfigError: torchvision has no such network, or cannot build or run it so.
    """
    asked = {key: settings[key] for key in ("name", "arguments") if key in settings}
    side = view(settings, size_px)["size_px"]
    answer = _asked(json.dumps([asked, side], sort_keys=True))
    if "error" in answer:
        raise ConfigError(answer["error"])
    return dict(answer)


@functools.cache
def _asked(text: str) -> dict[str, Any]:
    versions = [metadata.version(package) for package in ("torchvision", "torch")]
    code = code_digest("sightlines.models.foreign")
    if not json.loads(text)[1]:
        code += code_digest(__name__)
    key = hashlib.sha256(json.dumps([text, versions, code]).encode()).hexdigest()[:16]
    path = CACHE / f"{key}.json"
    try:
        found = json.loads(path.read_text())
        if isinstance(found, dict) and {"grid", "mean"} & found.keys():
            return found
    except (OSError, ValueError):
        pass
    done = subprocess.run(
        [sys.executable, "-m", "sightlines.models.torchvision"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise ConfigError(f"torchvision could not be asked: {done.stderr[-2000:]}") from error
    if "error" not in answer:
        write_json(path, answer)
    return answer


def _answer(text: str) -> dict[str, Any]:
    from sightlines.models import foreign, idle

    settings, size_px = json.loads(text)
    try:
        if not size_px:
            return _own_view(settings["name"])
        model = build(settings, size_px, CLASSES).eval()
        is_idle = idle.starts_idle(model)
        return foreign.facts(model, CLASSES) | {"starts_idle": is_idle}
    except SightlinesError as error:
        return {"error": str(error)}


def _own_view(name: str) -> dict[str, Any]:
    """How torchvision says images are seen by the first weights that it offers by a name.

    As ResNets' where it offers none.

    Raises:
        ConfigError: torchvision has no such network.
    """
    import torchvision

    _require_known(name)
    own = [*torchvision.models.get_model_weights(name), *torchvision.models.ResNet18_Weights][0]
    seen = own.transforms()
    return {
        "size_px": seen.crop_size[0],
        "mean": seen.mean,
        "std": seen.std,
        "interpolation": seen.interpolation.value,
        "crop_share": seen.crop_size[0] / seen.resize_size[0],
        "crop_mode": "center",
    }


if __name__ == "__main__":
    print(json.dumps(_answer(sys.stdin.read())))
