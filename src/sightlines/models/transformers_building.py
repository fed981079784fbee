"""Builds a network of transformers from its config, so that images go in and scores come out."""

from typing import Any

import torch
from torch import Tensor, nn

from sightlines.core.errors import ConfigError
from sightlines.models import foreign
from sightlines.models.towers import Tower

GIVEN = ("logits", "image_embeds", "pooler_output")
"""What a network gives for an image, the first that there is."""
UNSET = ("_attn_implementation", "attn_implementation", "dtype", "torch_dtype", "torchscript")
"""Keys of a config that say how it was saved or is run, and not what it is."""
CURE = "set attn_implementation to sdpa or eager"


class Scores(Tower):
    """A network of transformers that is shown images."""

    def __init__(self, model: nn.Module, size_px: int) -> None:
        super().__init__(model)
        self.has_own_head = is_classifier(type(model))
        self._more = {}
        config: Any = model.config
        own = getattr(getattr(config, "vision_config", config), "image_size", size_px)
        if own not in (size_px, [size_px, size_px], (size_px, size_px)) and _takes_sizes(model):
            self._more = {"interpolate_pos_encoding": True}

    def features(self, images: Tensor) -> Tensor:
        """What the network itself gives: logits, an embedding, or its class token."""
        whole: Any = getattr(self.model, "get_image_features", self.model)  # of text and images
        given = whole(pixel_values=images, return_dict=True, **self._more)
        if isinstance(given, Tensor):
            return given
        for name in GIVEN:
            value = given.get(name)
            if isinstance(value, Tensor):
                return value.flatten(1)
        first: Tensor = given["last_hidden_state"][:, 0]
        return first


def wrapped(model: nn.Module, size_px: int) -> Scores:
    """A network that somebody built, so that images go in and scores come out.

    Raises:
        ConfigError: attention would show no probabilities.
    """
    require_seen(model)
    return Scores(model, size_px)


def side_of(model: nn.Module) -> int:
    """Side of the images that a network's config names; 0 where it names none."""
    config: Any = model.config
    found = getattr(getattr(config, "vision_config", config), "image_size", 0)
    return found if isinstance(found, int) else 0


def _takes_sizes(model: nn.Module) -> bool:
    import inspect

    return "interpolate_pos_encoding" in inspect.signature(model.forward).parameters


def build(settings: dict[str, Any], size_px: int, classes: int) -> nn.Module:
    """A network with fresh weights; see `transformers.build`.

    Raises:
        ConfigError: transformers cannot build it so.
    """
    kind, config = classified(settings, size_px, classes)
    try:
        model = made(kind, config, settings["attn_implementation"])
        found = foreign.prepared(Scores(model, size_px), size_px)
        if classes and not is_classifier(kind):
            found.reset_classifier(classes)  # type: ignore[operator]
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"transformers cannot build {kind.__name__} for images of {size_px} px: "
            f"{type(error).__name__}: {str(error)[:500]}"
        ) from error
    return found


def classified(settings: dict[str, Any], size_px: int, classes: int) -> tuple[Any, Any]:
    """The class of a network and its config, of an image tower those of the tower alone.

    Raises:
        ConfigError: it is none of transformers', needs code of its own, or is quantised.
    """
    import transformers

    content = {key: v for key, v in settings["config"].items() if key not in UNSET}
    kind = content.get("model_type", "")
    if kind not in transformers.CONFIG_MAPPING:
        why = ", but code of its own (auto_map)" if "auto_map" in content else ""
        raise ConfigError(
            f"model_type {kind!r} of config.json is none of transformers "
            f"{transformers.__version__}{why}: build such a network by family: module"
        )
    if "quantization_config" in content:
        raise ConfigError("config.json is of quantised weights: use those before quantisation")
    config = transformers.CONFIG_MAPPING[kind].from_dict(content)
    named = next(iter(content.get("architectures") or [""]))
    own = getattr(transformers, named, None) if "ForImageClassification" in named else None
    if own is None:
        own, config = _tower(transformers, named, config)
    else:
        config.num_labels = classes
    if settings["weights"] == "random":
        inner = getattr(config, "vision_config", config)
        if hasattr(inner, "image_size"):
            inner.image_size = size_px
    return own, config


def _tower(transformers: Any, named: str, config: Any) -> tuple[Any, Any]:
    """The class that computes an image's features alone."""
    vision = getattr(config, "vision_config", None)
    if vision is not None:
        stem = type(config).__name__.removesuffix("Config")
        projected = getattr(transformers, f"{stem}VisionModelWithProjection", None)
        own = projected or getattr(transformers, f"{stem}VisionModel", None)
        if projected is not None and hasattr(config, "projection_dim"):
            vision.projection_dim = config.projection_dim
        config = vision
    elif "VisionModel" in named:
        own = getattr(transformers, named, None)
    else:
        own = transformers.MODEL_MAPPING.get(type(config), None)
    own = own[0] if isinstance(own, tuple) else own
    if own is None or "pixel_values" not in getattr(own, "main_input_name", ""):
        raise ConfigError(
            f"{named or type(config).__name__} of config.json is no network of images: name an "
            "image classifier or an image tower"
        )
    return own, config


def is_classifier(kind: Any) -> bool:
    """Whether a class has a last layer for classes."""
    return "ForImageClassification" in kind.__name__


def made(kind: Any, config: Any, implementation: str = "auto") -> nn.Module:
    """A network of a class, float32, with attention that is seen.

    Raises:
        ConfigError: attention would show no probabilities.
    """
    asked = {} if implementation == "auto" else {"attn_implementation": implementation}
    model: nn.Module = kind._from_config(config, dtype=torch.float32, **asked, **without(kind))
    require_seen(model)
    return model


def without(kind: Any) -> dict[str, bool]:
    """Leave out a pooling layer that has weights, which few files have: the class token is read."""
    is_pooled = kind.__name__ in ("ViTModel", "DeiTModel")
    return {"add_pooling_layer": False} if is_pooled else {}


def require_seen(model: nn.Module) -> None:
    """Refuse attention that shows no probabilities.

    Raises:
        ConfigError: naming it and the cure.
    """
    config: Any = model.config
    own = getattr(config, "_attn_implementation", None)
    if own not in (None, "sdpa", "eager"):
        raise ConfigError(
            f"attn_implementation of {type(model).__name__} is {own}, which shows no "
            f"probabilities: {CURE}"
        )
