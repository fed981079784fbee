"""What a model's settings say about it: which skips it lacks, which models are twins."""

from collections.abc import Iterable, Mapping
from typing import Any

SKIPS = ("skipless_block", "skipless")
"""Settings by which a ViT without the skips of one block differs from its intact twin."""

POOL = ("pool",)
"""The setting by which ViTs with a class token and with average pooling differ (Figure 10)."""


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
