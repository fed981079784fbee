"""Any network that torchvision builds by name, trained here by the recipe or left untrained."""

import functools
import hashlib
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightlines.core.errors import ConfigError, SightlinesError
from sightlines.core.files import write_json
from sightlines.plan.code_digest import code_digest

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
    known = facts(settings, size_px)
    if max(known["grid"]) < 2:
        raise ConfigError(
            f"{settings['name']} sees images of {size_px} px as one cell of its last map: nothing "
            "can be said of places in them; set a larger dataset.size_px"
        )
    return known["grid"][0], known["grid"][1]


def described(settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What claims and figures know of the model."""
    known = facts(settings, size_px)
    role = known["role"] if settings["acts_as"] == "auto" else settings["acts_as"]
    own = {"family": role, "attention": known["attention"], "branches": False}
    own |= {"plain_attention": False, "name": settings["name"]}
    own |= {"pool": known["pool"] or "other"} if "vit" in (role, known["role"]) else {}
    return own | ({"attention_sites": True} if known["attention_sites"] else {})


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
    import difflib

    import torchvision

    from sightlines.models import foreign

    name, arguments = settings["name"], dict(settings.get("arguments", {}))
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, n=5, cutoff=0.0))
        raise ConfigError(f"torchvision has no network {name!r}: nearest are {near}")
    if name.startswith("vit_"):
        arguments["image_size"] = size_px
    builder = torchvision.models.get_model_builder(name)
    if name in ("googlenet", "inception_v3"):  # their auxiliary outputs are no scores
        arguments |= {"aux_logits": False, "init_weights": True}
    try:
        model = builder(weights=None, num_classes=classes, **arguments)
    except Exception as error:
        raise ConfigError(
            f"torchvision cannot build {name} for images of {size_px} px with {arguments}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return foreign.prepared(model, size_px)


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
    answer = _asked(json.dumps([asked, size_px], sort_keys=True))
    if "error" in answer:
        raise ConfigError(answer["error"])
    return dict(answer)


@functools.cache
def _asked(text: str) -> dict[str, Any]:
    versions = [metadata.version(package) for package in ("torchvision", "torch")]
    code = code_digest("sightlines.models.foreign")
    key = hashlib.sha256(json.dumps([text, versions, code]).encode()).hexdigest()[:16]
    path = CACHE / f"{key}.json"
    try:
        found = json.loads(path.read_text())
        if isinstance(found, dict) and "grid" in found:
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
        model = build(settings, size_px, CLASSES).eval()
        is_idle = idle.starts_idle(model)
        return foreign.facts(model, CLASSES) | {"starts_idle": is_idle}
    except SightlinesError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    print(json.dumps(_answer(sys.stdin.read())))
