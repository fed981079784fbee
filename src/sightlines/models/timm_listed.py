"""Modules that a config lists: in which order they compute, and how they lay out what they give.

The values' own shapes tell maps from tokens and where channels stand; what a model says of itself
(its number of prefix tokens, its layout) decides only where shapes leave it open.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from sightlines.core.errors import ConfigError
from sightlines.models.attention import prefix_tokens
from sightlines.models.layers import Layer, capture
from sightlines.models.timm_blocks import listed_layers

IMAGES = 2
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Listed:
    """What a config lists.

    Attributes:
        layers: One a module; those before the blocks, of another kind than these, are embeddings.
        grid: Rows and columns of the last one's map, or of its patch tokens.
    """

    layers: list[Layer]
    grid: tuple[int, int]


def look(model: nn.Module, names: Sequence[str], size_px: int) -> Listed:
    """Show a model two images and see what the listed modules give.

    Args:
        model: On torch's meta device, in evaluation mode.
        names: Paths of modules.
        size_px: Side of the images.

    Raises:
        ConfigError: there are no such modules, they stand in another order than that in which they
            compute, or one gives neither a square map nor the tokens of a square grid.
    """
    if hasattr(model, "unroll") or hasattr(model, "reroll"):
        raise ConfigError(f"{type(model).__name__} reorders its tokens: their places are not known")
    try:
        plain = [replace(layer, layout="") for layer in listed_layers(model, names)]
        shapes = _shapes(model, plain, size_px)
    except LookupError as error:
        raise ConfigError(f"layers: {error.args[0]}") from error
    if list(shapes) != list(names):
        raise ConfigError(f"layers: they compute in another order: set it to {list(shapes)}")
    prefix, is_nhwc = prefix_tokens(model), getattr(model, "output_fmt", "") == "NHWC"
    ends = [_end(name, shape, prefix, is_nhwc) for name, shape in shapes.items()]
    return _listed(plain, list(shapes.values()), ends, prefix)


def _shapes(model: nn.Module, layers: list[Layer], size_px: int) -> dict[str, Shape]:
    """Module -> shape of what it gives for two images, in the order in which they compute."""
    found: dict[str, Shape] = {}

    def note(index: int, value: torch.Tensor) -> None:
        if layers[index].name in found:
            raise LookupError(f"{layers[index].name} computes more than once: leave it out")
        found[layers[index].name] = tuple(value.shape)

    images = torch.zeros(IMAGES, 3, size_px, size_px, device="meta")
    with torch.no_grad(), capture(model, layers, note):
        model(images)
    return found


def _end(name: str, shape: Shape, prefix: int, is_nhwc: bool) -> tuple[str, int]:
    """Layout of one value, and its locations along a side.

    Returns:
        ``nchw``, ``nhwc``, ``flat`` (tokens without prefix tokens) or ``tokens`` (with them).

    Raises:
        ConfigError: it is none of these.
    """
    if len(shape) == 4 and shape[0] == IMAGES:
        first, last = shape[2] == shape[3], shape[1] == shape[2]
        if first or last:
            return ("nhwc", shape[1]) if last and (is_nhwc or not first) else ("nchw", shape[2])
    if len(shape) == 3 and shape[0] == IMAGES:
        for layout, count in (("tokens", shape[1] - prefix), ("flat", shape[1])):
            side = math.isqrt(max(count, 0))
            if side and side**2 == count:
                return (layout if prefix else "flat"), side
    beside = f", or {prefix} more (the model's prefix tokens)" if prefix else ""
    raise ConfigError(
        f"layers: {name} gives {list(shape)} for {IMAGES} images, which is neither a square map "
        f"nor as many tokens as a square grid has{beside}: list whole blocks or stages"
    )


def _listed(
    plain: list[Layer], shapes: list[Shape], ends: list[tuple[str, int]], prefix: int
) -> Listed:
    """Layers that every dump can read together.

    Raises:
        ConfigError: tokens of several grids or kinds are mixed.
    """
    (last, side), count = ends[-1], shapes[-1][1]
    is_tokens = last == "tokens" or (
        last == "flat" and all(len(s) == 3 and s[1] == count for s in shapes) and not prefix
    )
    layers: list[Layer] = []
    for layer, shape, (layout, own) in zip(plain, shapes, ends, strict=True):
        seen = replace(layer, block=sum(x.block >= 0 for x in layers))
        if is_tokens and not (len(shape) == 3 and shape[1] == count):
            if seen.block or own != side:
                raise ConfigError(
                    f"layers: {layer.name} gives {list(shape)}, but the last listed module "
                    f"{count} tokens: list modules that give as many, or all without prefix tokens"
                )
            seen = replace(seen, kind="embed", block=-1)
        elif layout == "tokens" and own != side:
            raise ConfigError(
                f"layers: {layer.name} gives tokens of {own} × {own} patches, but the last listed "
                f"module is of {side} × {side}: list modules of one grid"
            )
        is_kept = layout in ("nchw", "tokens") or (layout == "flat" and is_tokens)
        layers.append(replace(seen, layout="" if is_kept else layout))
    return Listed(layers, (side, side))
