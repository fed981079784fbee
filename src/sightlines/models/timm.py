"""Any model that timm builds by name: with public weights, with a file's, or untrained.

With weights of somebody else a network is not trained but imported: f100 has those weights, f000 is
its untrained twin, and both see images as timm's config of the model says (size, normalisation,
interpolation, crop) unless the config here says otherwise. With ``weights: random`` it is a model
like any other, trained by the recipe on the experiment's own images.
"""

import contextlib
from typing import TYPE_CHECKING, Any

from sightlines.core.data_root import require_below
from sightlines.core.errors import ConfigError
from sightlines.datasets.views import View
from sightlines.models.timm_facts import check_weights, facts, learn
from sightlines.models.timm_facts import weights_identity as weights_identity
from sightlines.models.timm_names import GREY
from sightlines.plan.architectures import READING

if TYPE_CHECKING:
    from torch import nn

    from sightlines.models.layers import Layer

SETTINGS = {
    "name": {
        "description": "timm's name of the model, with the tag of its weights or without, such as "
        "vit_base_patch16_224.augreg2_in21k_ft_in1k; timm/ or hf-hub:timm/ may stand before it.",
        "type": "string",
        "pattern": "^(hf[-_]hub:)?([A-Za-z0-9._-]+/)?[A-Za-z0-9._@-]+$",
    },
    "weights": {
        "description": "hub: the public ones, downloaded once; random: none, trained by the "
        "recipe; else a safetensors or torch file below data_root, or the index of several "
        "(model.safetensors.index.json), with timm's names of tensors, torchvision's, or those "
        "that timm converts, below any key and behind one prefix.",
        "type": "string",
        "minLength": 1,
        "default": "hub",
        "x-path": ["hub", "random"],
    },
    "weight_set": {
        "description": "Which set of weights of a file that holds several, by its keys "
        "joined by dots, such as state_dict_ema or teacher.backbone. By default the one that fits; "
        "of trained and averaged (EMA) weights the averaged ones, of teacher and student the "
        "teacher. Log and card name it.",
        "type": "string",
        "minLength": 1,
    },
    "drop": {
        "description": "Tensors of the weights that are left out: head, the last layer, whatever "
        "its name and length (with outputs: 0); else how names begin, such as projector. Log "
        "and card name each.",
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "minItems": 1,
    },
    "position_resampling": {
        "description": "How position embeddings are brought to another grid, where size_px asks "
        "for one, always bicubically. antialias: as timm does, and the authors of DINOv2 with "
        "registers; plain: without, as those of MAE and DeiT; dino: without, by a scale that is a "
        "tenth of a cell too large, as those of DINO and of DINOv2 without registers. antialias by "
        "default.",
        "enum": ["antialias", "plain", "dino"],
    },
    "class_order": {
        "description": "The order of the outputs that stand for the folders of photographs. names: "
        "by WordNet id or what WordNet calls it, where outputs have such names; torchvision: "
        "sorted as text, as its ImageFolder does (0, 1, 10, 2); timm: by the numbers in them and "
        "without case, as its reader of folders does (0, 1, 2, 10); file: as class_file says. "
        "auto: by name, else the order on which torchvision and timm agree; where they do not, no "
        "accuracy is claimed. The log and the card name it.",
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
    "revision": {
        "description": "Branch, tag or commit of the weights on the hub.",
        "type": "string",
        "pattern": "^(?!.*\\.\\.)[A-Za-z0-9_.-]+$",
        "default": "main",
    },
    "outputs": {
        "description": "Length of the output of the weights, where it is not the one that timm "
        "knows; 0: they have no last layer.",
        "unit": "classes",
        "type": "integer",
        "minimum": 0,
    },
    "arguments": {
        "description": "Further arguments of timm's function, such as pad_type: same for weights "
        "that come from TensorFlow; in_chans: 1 for weights of a network for grey images, which "
        "then sees the luminance of photographs.",
        "type": "object",
        "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
        "additionalProperties": {"type": ["number", "string", "boolean", "array"]},
        "default": {},
    },
    "size_px": {
        "description": "Side of the images that it sees; timm's own by default.",
        "unit": "px",
        "type": "integer",
        "minimum": 16,
        "maximum": 2048,
    },
    "patch_px": {
        "description": "Side of a square patch, where it differs from timm's.",
        "unit": "px",
        "type": "integer",
        "minimum": 1,
    },
    "mean": {
        "description": "Mean of each channel of [0, 1] pixels; timm's own by default.",
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "std": {
        "description": "Standard deviation of each channel of [0, 1] pixels; timm's own by "
        "default.",
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    },
    "interpolation": {
        "description": "How photographs are scaled; timm's own by default.",
        "enum": ["nearest", "bilinear", "bicubic", "lanczos"],
    },
    "crop_share": {
        "description": "Side of what is seen, as a share of the photograph's short side (timm's "
        "crop_pct, its own by default).",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
    },
    "crop_mode": {
        "description": "center: keeps the photograph's proportions and leaves its borders out; "
        "squash: makes the whole photograph square. Timm's own by default; squash where timm pads "
        "photographs to a square (its border), which is the same of square ones.",
        "enum": ["center", "squash"],
    },
    "layers": {
        "description": "Modules that are looked at, by their path in the model, in the order in "
        "which they compute: for models whose blocks sightlines does not know.",
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "default": [],
    },
    "acts_as": {
        "description": "What the claims and figures take it for; auto: vit for ViTs, resnet for "
        "convolutional networks, mixer for Mixers, other for the rest.",
        "enum": ["auto", "vit", "resnet", "mixer", "other"],
        "default": "auto",
    },
}
REQUIRED = ("name",)
HEAD = "head"
"""What `drop` calls the last layer, whatever its name."""
READ_SO = ("drop", "position_resampling")
"""Keys that say, beside READING, how somebody else's weights are read."""
DESCRIBES = True
"""Its models are of several of the paper's families: see `described`."""


def meet(models: list[dict[str, Any]], size_px: int) -> None:
    """Ask timm about several models at once, which costs little more than about one.

    What is wrong with one of them is said when that one is checked.
    """
    with contextlib.suppress(ConfigError):
        learn([sized(model, size_px) for model in models])


def check(settings: dict[str, Any], size_px: int) -> tuple[int, int]:
    """Rows and columns of the patches, or of the last map.

    Raises:
        ConfigError: timm has no such model or cannot build it so, its blocks are not known, the
            path of its weights leads out of data_root, or it is to be trained on
            images of another size.
    """
    check_weights(settings["weights"])
    _check_reading(settings)
    known = facts(sized(settings, size_px))
    if max(known["grid"]) < 2:
        raise ConfigError(
            f"{settings['name']} sees images of {known['size_px']} px as one patch, or one cell of "
            "its last map: nothing can be said of places in them; set a larger size_px, or a "
            "smaller patch_px"
        )
    View.of(view(settings, size_px))
    _check_grey(settings, size_px)
    seen = [
        key
        for key in ("mean", "std", "interpolation", "crop_share", "crop_mode")
        if key in settings
    ]
    if settings["weights"] == "random" and seen:
        raise ConfigError(
            f"{', '.join(seen).replace('crop_share', 'crop_pct')}: a network that is trained sees "
            "the dataset's images as they are; leave these keys out, or set weights to hub or to a "
            "file"
        )
    if settings["weights"] == "random" and known["size_px"] != size_px:
        raise ConfigError(
            f"size_px {known['size_px']}: a network that is trained sees the dataset's images, of "
            f"{size_px} px; leave size_px out or change dataset.size_px"
        )
    return known["grid"][0], known["grid"][1]


def _check_reading(settings: dict[str, Any]) -> None:
    """Check the keys that say how others' weights are read.

    Raises:
        ConfigError: they contradict each other, lead out of data_root, or the model has no such
            weights.
    """
    order, file = settings.get("class_order", "auto"), settings.get("class_file", "")
    require_below(file, "class_file")
    if order == "file" and not file:
        raise ConfigError("class_order is file: set class_file to a list of the outputs' names")
    if file and order not in ("auto", "file"):
        raise ConfigError(f"class_file is set, but class_order is {order}: set it to file")
    if HEAD in settings.get("drop", ()) and facts(settings)["outputs"]:
        raise ConfigError(
            f"drop has {HEAD}, but the network has {facts(settings)['outputs']} outputs: set "
            "num_classes: 0"
        )
    given = [key for key in (*READING, *READ_SO) if settings.get(key, "auto") != "auto"]
    if settings["weights"] == "random" and given:
        raise ConfigError(
            f"{', '.join(given)}: a network that is trained here has the dataset's own classes and "
            "weights of its own; leave these keys out, or set weights to hub or to a file"
        )


def is_grey(settings: dict[str, Any]) -> bool:
    """Whether a network sees but the luminance of images."""
    return bool(settings["arguments"].get(GREY) == 1)


def _check_grey(settings: dict[str, Any], size_px: int) -> None:
    """Check that a network of grey images can be shown photographs as it saw its own.

    Raises:
        ConfigError: it would be trained here, on three channels, or these are not normalised alike.
    """
    if not is_grey(settings):
        return
    if settings["weights"] == "random":
        raise ConfigError(
            f"arguments.{GREY} is 1: a network that is trained here sees 3 channels, which are "
            "equal in grey photographs; leave it out"
        )
    sees = view(settings, size_px)
    for key in ("mean", "std"):
        if len({*sees[key]}) > 1:
            raise ConfigError(
                f"arguments.{GREY} is 1, but {key} is {sees[key]}: set {key} to the one number of "
                "the network's training, three times"
            )


def require_weights(settings: dict[str, Any], size_px: int) -> None:
    """Check that there are public weights, for a network that needs them.

    Raises:
        ConfigError: timm knows none.
    """
    known = facts(sized(settings, size_px))
    if settings["weights"] == "hub" and not known["hub_id"]:
        raise ConfigError(
            f"{settings['name']}: timm names no weights on the hub for it; set weights to a file "
            "below data_root, or to random"
        )


def sized(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """Settings with a size: a network that is trained sees the dataset's images as they are."""
    is_trained = settings["weights"] == "random" and "size_px" not in settings
    return settings | ({"size_px": size_px} if is_trained else {})


def view(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """How the model sees images: size_px, mean, std, interpolation, crop_share, crop_mode."""
    known = facts(sized(settings, size_px))
    keys = ("size_px", "mean", "std", "interpolation", "crop_share", "crop_mode")
    return {key: settings.get(key, known[key]) for key in keys}


def described(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What claims and figures know of the model: its family among the paper's, its pooling.

    Models are alike but for their pooling only where their weights come from one recipe (the tag).
    """
    known = facts(sized(settings, size_px))
    role = known["role"] if settings["acts_as"] == "auto" else settings["acts_as"]
    pool = {"pool": known["pool"] or "other"} if "vit" in (role, known["role"]) else {}
    own = {"attention": known["attention"], "branches": known["branches"]}
    own |= {"plain_attention": known["plain_attention"]} if known["attention"] else {}
    own |= {"attention_sites": True} if known["attention_sites"] else {}
    recipe = {} if settings["weights"] in ("hub", "random") else {"weights": settings["weights"]}
    return {"family": role, **own, **pool, **known["shape"], **recipe}


def imports(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What timm decides about an import: an upgrade of timm that changes it imports anew."""
    known = facts(settings)
    told = {key: known[key] for key in ("name", "tag", "hub_id", "hub_file", "outputs")}
    return told | {"sees": view(settings, size_px)}


def on_card(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What the card of a network says besides: where the locations of its maps are centred."""
    return {"centres": facts(sized(settings, size_px))["centres"]}


def starts_idle(settings: dict[str, Any], size_px: int) -> bool:
    """Whether its branches start at (nearly) 0, or normalise by statistics of no image."""
    return bool(facts(sized(settings, size_px))["starts_idle"])


def build(settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
    """The model with fresh weights, drawn from torch's global generator."""
    from sightlines.models import timm_building

    return timm_building.build(settings, size_px, classes)


def layers(model: "nn.Module") -> "list[Layer]":
    """Its sub-layers in the order in which they compute, or those that the config lists."""
    from sightlines.models import timm_building

    return timm_building.layers_of(model)
