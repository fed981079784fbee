"""What a model's settings say about it: which skips it lacks, which models are twins."""

from collections.abc import Iterable, Mapping
from typing import Any

from sightlines.plan import registry

SKIPS = ("skipless_block", "skipless")
"""Settings by which a ViT without the skips of one block differs from its intact twin."""

POOL = ("pool",)
"""The setting by which ViTs with a class token and with average pooling differ (Figure 10)."""


READING = ("weight_set", "class_order", "class_file")
"""Keys of a model's config that say how somebody else's weights and outputs are read."""

PRETRAINING = "pretraining"
"""Key of a model's config, of no job's identity but those that judge and draw: how its weights were
learned. Where it is not given, timm's tag of weights by DINO says so."""
NOT_ARCHITECTURE = ("label", "train", *READING)
"""Keys of a model's config that do not say what it is."""


def described(model: Mapping[str, Any], size_px: int) -> dict[str, Any]:
    """A model's settings as measures, claims and figures know them.

    A family that stands for others, such as timm's models, says which of the paper's it belongs to,
    whether it has attention and known skips, and how it pools.

    Args:
        model: Its config.
        size_px: Side of the dataset's images.
    """
    settings = {key: value for key, value in model.items() if key not in NOT_ARCHITECTURE}
    declared = registry.declarations("models", model["family"])
    if "DESCRIBES" in declared:
        family: Any = registry.load("models", model["family"])
        return dict(family.described(settings, size_px))
    return settings


def pretraining(model: Mapping[str, Any], said: str | None = None) -> dict[str, str]:
    """How a model's weights were learned, where its config or timm's name tells; else nothing.

    Of timm's tags only `dino` counts, which has the weights of Caron et al. 2021; DINOv2 and DINOv3
    are other recipes.
    """
    tag = str(model.get("name", "")).partition(".")[2]
    how = said or ("dino" if tag == "dino" and is_imported(model) else "")
    return {PRETRAINING: how} if how else {}


def has(what: str, model: Mapping[str, Any], size_px: int) -> bool:
    """Whether a model has what some dumps are about.

    Args:
        what: ``ATTENTION``, heads of a plain ViT, whose attention can be dumped;
            ``PLAIN_ATTENTION``, of those whose queries, keys and values are known;
            ``ATTENTION_SITES``, any other attention between places; ``BRANCHES``, known skips;
            ``CLASS_TOKEN``, attention and a class token that is read out; or ``TOKEN_MIXING``, an
            FNet or a ViT of our own, whose branches that mix tokens can be told.
        model: Its config.
        size_px: Side of the dataset's images.
    """
    if what == "CLASS_TOKEN":
        is_read_out = described(model, size_px).get("pool") == "cls"
        return is_read_out and has("ATTENTION", model, size_px)
    if what == "TOKEN_MIXING":
        return model["family"] in MIXES_TOKENS
    own = "ATTENTION" if what == "PLAIN_ATTENTION" else what
    declared = registry.declarations("models", model["family"]).get(own, own == "BRANCHES")
    return bool(described(model, size_px).get(what.lower(), declared))


ADDED = {"vit": ("position_init", "position_scale")}
"""Family -> settings that are no part of what a network is made from while they have their
defaults: networks from before there were such settings stay what they are."""
IDLE = ("resnet",)
"""Families of our own whose networks start idle; what a family's file says is part of what its
networks are, and would have them trained again."""


MIXES_TOKENS = ("fnet", "vit")
"""Families of our own of which the branch that mixes tokens is looked at by itself."""


def starts_idle(model: Mapping[str, Any], size_px: int) -> bool:
    """Whether a model's branches start at (nearly) 0, or normalise by statistics of no image.

    Args:
        model: Its config.
        size_px: Side of the dataset's images.
    """
    if "DESCRIBES" not in registry.declarations("models", model["family"]):
        return model["family"] in IDLE
    family: Any = registry.load("models", model["family"])
    return hasattr(family, "starts_idle") and bool(family.starts_idle(model, size_px))


def is_imported(model: Mapping[str, object]) -> bool:
    """Whether a model's weights come from somebody else and are not trained here."""
    return model.get("weights", "random") != "random"


SIZES = ("width", "depth", "heads", "blocks", "patch_px", "units", "channels")
"""Settings that say how large a model is."""


def size_of(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What differs between models of one family that are not of one size."""
    return tuple(str(settings.get(key)) for key in SIZES)


def skipless_block(settings: Mapping[str, Any]) -> int:
    """The block that lacks skips (Raghu et al. 2021, Figure 8); -1 where none does."""
    return int(settings.get("skipless_block", -1))


def lacks_skips(settings: Mapping[str, Any]) -> bool:
    """Whether a block of this model lacks skips."""
    return skipless_block(settings) >= 0


def twins(architectures: Mapping[str, Any], model: str, keys: Iterable[str]) -> list[str]:
    """The other models whose settings are the same but for some keys."""
    left_out = {*keys}

    def rest(name: str) -> dict[str, Any]:
        return {k: v for k, v in architectures.get(name, {}).items() if k not in left_out}

    return [m for m in architectures if m != model and rest(m) == rest(model)]
