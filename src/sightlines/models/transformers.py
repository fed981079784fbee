"""Networks of Hugging Face's transformers: image classifiers and image towers, from their folder.

The folder, or the hub's cache, has `config.json`, `preprocessor_config.json` and safetensors. With
`weights: own` the network is imported, as a timm model with public weights is; with ``random`` its
architecture is trained here by the recipe. Planning reads the two JSON files alone; what one
forward pass shows is asked of a process of its own and remembered.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightlines.core.errors import ConfigError, MissingSourceError, SightlinesError
from sightlines.datasets.views import View
from sightlines.models import foreign_facts, model_folders
from sightlines.plan.renamed_keys import name_of

if TYPE_CHECKING:
    from torch import nn

    from sightlines.models.layers import Layer

SETTINGS = {
    "name": {
        "description": "Folder of the network below data_root, with config.json, "
        "preprocessor_config.json and safetensors; or its owner/name on the hub, where the hub's "
        "cache has it (hf download owner/name).",
        "type": "string",
        "pattern": "^[A-Za-z0-9_][A-Za-z0-9_./-]*$",
    },
    "weights": {
        "description": "own: those of the folder, safetensors alone; random: none, trained by the "
        "recipe.",
        "enum": ["own", "random"],
        "default": "own",
    },
    "revision": {
        "description": "Branch, tag or commit in the hub's cache.",
        "type": "string",
        "pattern": "^(?!.*\\.\\.)[A-Za-z0-9_.-]+$",
        "default": "main",
    },
    "attn_implementation": {
        "description": "How attention is computed: sdpa or eager, which are seen where they "
        "happen; auto: as transformers chooses of the two. Flash and flex attention show no "
        "probabilities and are refused.",
        "type": "string",
        "default": "auto",
    },
    "class_order": {
        "description": "The order of the outputs that stand for the folders of photographs, as for "
        "a timm model; auto: by the names in config.json (id2label), where it has some.",
        "enum": ["auto", "names", "torchvision", "timm", "file"],
        "default": "auto",
    },
    "class_file": {
        "description": "Names of the network's outputs in their order, as the folders have them: a "
        "file below data_root, of text (one a line) or JSON (a list, or an object such as "
        "id2label).",
        "type": "string",
        "minLength": 1,
    },
    "size_px": {
        "description": "Side of the images that it sees; its image processor's by default. "
        "Positions are interpolated as transformers does.",
        "unit": "px",
        "type": "integer",
        "minimum": 16,
        "maximum": 2048,
    },
    "mean": {
        "description": "Mean of each channel of [0, 1] pixels; its image processor's by default.",
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "std": {
        "description": "Standard deviation of each channel of [0, 1] pixels; its image "
        "processor's by default.",
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    },
    "interpolation": {
        "description": "How photographs are scaled; its image processor's by default.",
        "enum": ["nearest", "bilinear", "bicubic", "lanczos"],
    },
    "crop_share": {
        "description": "Side of what is seen, as a share of the scaled photograph's short side; "
        "its image processor's by default.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
    },
    "crop_mode": {
        "description": "center: keeps the photograph's proportions and leaves its borders out; "
        "squash: makes the whole photograph square. Its image processor's by default.",
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
EXTRA = "transformers"
"""The optional extra that installs the library."""

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
SEEN = ("sdpa", "eager")
_found: dict[tuple[str, str], dict[str, Any]] = {}


def meet(models: list[dict[str, Any]], size_px: int, source: Path) -> None:
    """Read what the folders say; what is wrong with one of them is said when it is checked."""
    del size_px
    for model in models:
        key = (model["name"], model["revision"])
        try:
            folder = model_folders.find(*key, source, CONFIG)
            processor = folder / PROCESSOR
            said = model_folders.read_json(processor) if processor.is_file() else {}
            _found[key] = {"config": model_folders.read_json(folder / CONFIG), "processor": said}
        except (SightlinesError, OSError) as error:
            _found[key] = {"error": str(error)}


def content_of(settings: dict[str, Any]) -> dict[str, Any]:
    """`config` and `processor`: what the folder's two files say, a part of the network's identity.

    Raises:
        ConfigError: there is no such folder, or a file in it is none that can be read.
    """
    if "config" in settings:
        return {"config": settings["config"], "processor": settings.get("processor", {})}
    found = _found.get((settings["name"], settings["revision"]), {"error": "it was not looked for"})
    if "error" in found:
        raise ConfigError(found["error"])
    return found


def check(settings: dict[str, Any], size_px: int) -> tuple[int, int]:
    """Rows and columns of the patches, or of the last map.

    Raises:
        ConfigError: the folder is missing or cannot be read, the library is not installed, cannot
            build or run it so, or attention would not be seen.
    """
    _require_seen(settings["attn_implementation"])
    sees = view(settings, size_px)
    View.of(sees)
    keys = [key for key in model_folders.VIEW if key in settings]
    if settings["weights"] == "random" and keys:
        raise ConfigError(
            f"{', '.join(map(name_of, keys))}: a network that is trained here sees the dataset's "
            "images as they are; leave these keys out, or set weights to own"
        )
    known = facts(settings, size_px)
    if max(known["grid"]) < 2:
        raise ConfigError(
            f"{settings['name']} sees images of {sees['size_px']} px as one cell of its last map: "
            "nothing can be said of places in them; set a larger size_px"
        )
    return known["grid"][0], known["grid"][1]


def _require_seen(implementation: str) -> None:
    if implementation not in ("auto", *SEEN):
        raise ConfigError(
            f"attn_implementation is {implementation}, which shows no probabilities: set it to "
            "sdpa or eager"
        )


def outputs_of(settings: dict[str, Any]) -> list[str]:
    """Names of the outputs of its own weights, in order: WordNet ids where they are ImageNet's."""
    from sightlines.models import output_names

    content = content_of(settings)["config"]
    if not is_classifier(content):
        return []
    labels = content.get("id2label") or {}
    count = len(labels) or int(content.get("num_labels", 2))
    listed = [str(labels.get(str(i), i)) for i in range(count)]
    return output_names.plain(listed)


def is_classifier(content: dict[str, Any]) -> bool:
    """Whether a config is of a network with a last layer for classes."""
    return any("ForImageClassification" in name for name in content.get("architectures") or [])


def require_weights(settings: dict[str, Any], size_px: int) -> None:
    """Nothing beside what `check` says: the weights are looked for with their identity."""
    del settings, size_px


def weights_identity(settings: dict[str, Any], source: str) -> str:
    """What tells a network's weights from others: SHA-256 of the folder's files.

    Raises:
        MissingSourceError: there is no such folder, or no safetensors in it.
    """
    folder = model_folders.find(settings["name"], settings["revision"], Path(source), CONFIG)
    return model_folders.identity(folder, files_of(folder, settings["name"]))


def files_of(folder: Path, name: str) -> list[str]:
    """The files of a folder that are read.

    Raises:
        MissingSourceError: it has no safetensors.
    """
    weights = model_folders.weight_file(folder, WEIGHTS)
    if not weights:
        pickled = model_folders.weight_file(folder, ("pytorch_model.bin",))
        more = f", only {pickled}, a pickle that could run code" if pickled else ""
        raise MissingSourceError(
            f"{folder} has no {WEIGHTS[0]}{more}: fetch it as safetensors, or let whoever trusts "
            f"{name} save it so (transformers: save_pretrained)"
        )
    return [name for name in (CONFIG, PROCESSOR, weights) if (folder / name).is_file()]


def view(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """How the network sees images: size_px, mean, std, interpolation, crop_share, crop_mode."""
    if settings["weights"] == "random":
        return {"size_px": size_px, "interpolation": "bicubic", "crop_share": 1.0}
    return model_folders.view_of(settings, content_of(settings)["processor"])


def imports(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What decides about an import beside the weights: the folder's files, and the library."""
    versions = foreign_facts.versions(EXTRA)
    return {"sees": view(settings, size_px), "by": versions}


def facts(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What one forward pass shows, asked of a process of its own and remembered.

    Raises:
        ConfigError: the library is not installed, or cannot build or run it so.
    """
    asked = dict(settings) | content_of(settings)
    keys = ("config", "attn_implementation", "weights")
    sees = view(settings, size_px)["size_px"]
    return foreign_facts.ask(__name__, EXTRA, {key: asked[key] for key in keys}, sees)


def described(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What claims and figures know of the model."""
    known = facts(settings, size_px)
    return foreign_facts.described(settings, known)


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card of a network says besides."""
    known = facts(settings, size_px)
    return {"centres": known["centres"], "transformers": settings["name"], "does": known["does"]}


def starts_idle(settings: dict[str, Any], size_px: int) -> bool:
    """Whether the network has to be switched on to be a control."""
    return bool(facts(settings, size_px)["starts_idle"])


def build(settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
    """The network with fresh weights, drawn from torch's global generator.

    Args:
        settings: The model's, with what its folder says (`content_of`).
        size_px: Side of the images.
        classes: Length of its output; 0: an image tower without a last layer.

    Raises:
        ConfigError: the library is not installed, or cannot build it so.
    """
    foreign_facts.require(EXTRA)
    from sightlines.models import transformers_building

    _require_seen(settings["attn_implementation"])
    return transformers_building.build(settings | content_of(settings), size_px, classes)


def layers(model: "nn.Module") -> "list[Layer]":
    """Its layers in the order in which they compute."""
    from sightlines.models import foreign

    return foreign.layers(model)


if __name__ == "__main__":
    foreign_facts.answer(build)
