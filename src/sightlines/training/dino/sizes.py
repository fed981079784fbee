"""How large small crops may be; no torch, since configs are checked by it."""

from collections.abc import Mapping
from typing import Any

ANY_SIZE = ("vit", "resnet")
"""Families, as claims know them, whose networks are shown crops of several sizes."""


def default_px(described: Mapping[str, Any], size_px: int) -> int:
    """Side of small crops where the config leaves it open: 96 of 224 px, in whole patches.

    Args:
        described: The model's settings, as claims know them.
        size_px: Side of the images.
    """
    if described["family"] not in ANY_SIZE:
        return size_px
    return nearest_px(size_px * 3 / 7, patch_of(described), size_px)


def patch_of(described: Mapping[str, Any]) -> int:
    """Side of a ViT's patches; 1 px of what convolves.

    What a network of timm is said to have is a quotient, 4.0 px; of what convolves it is the stride
    of the last map, which crops need not be multiples of.
    """
    return round(described.get("patch_px") or 1) if described["family"] == "vit" else 1


def nearest_px(wanted: float, patch_px: int, size_px: int) -> int:
    """The number of whole patches nearest to a side, in px: two at least, at most all."""
    patches = max(round(wanted / patch_px), 2)
    return min(patches * patch_px, size_px)
