"""Refuses public models that would fail in a job, or be measured wrongly."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from sightlines.core.errors import ConfigError
from sightlines.models.layers import Layer, capture
from sightlines.models.timm_blocks import Traits
from sightlines.models.timm_matching import find
from sightlines.models.timm_table import FAMILIES

NAMED = 4
"""Modules that an error names, at most."""


def require_usable(
    model: Any, layers: Sequence[Layer], traits: Traits, size_px: int, outputs: int
) -> str:
    """Show two images to a model on torch's meta device.

    Returns:
        Where locations of its maps are centred: as `Traits.centres`, but ``middle`` where that is
        not certain.

    Raises:
        ConfigError: it has no block, gives no class scores, or leaves out part of the images.
    """
    name = type(model).__name__
    if not any(layer.kind == "residual" for layer in layers):
        raise ConfigError(f"{name} has no blocks with these arguments")
    shapes: list[tuple[int, ...]] = []
    images = torch.zeros(2, 3, size_px, size_px, device="meta")
    handles = _watch_cells(model, size_px) if traits.centres == "middle" else []
    try:
        with capture(model, layers, lambda _, value: shapes.append(tuple(value.shape))):
            scores = model(images)
    finally:
        for handle in handles:
            handle.remove()
    if outputs and tuple(getattr(scores, "shape", ())) != (2, outputs):
        raise ConfigError(f"{name} gives no {outputs} scores an image with these arguments")
    sides = [shape[2] for shape in shapes if len(shape) == 4]
    return _centres(model, traits.centres, sides, size_px)


def require_scores(model: Any, size_px: int, outputs: int) -> None:
    """Check that a model gives one score a class for each of two images, on torch's meta device.

    Raises:
        ConfigError: it does not.
    """
    with torch.no_grad():
        scores = model(torch.zeros(2, 3, size_px, size_px, device="meta"))
    if outputs and tuple(getattr(scores, "shape", ())) != (2, outputs):
        raise ConfigError(
            f"{type(model).__name__} gives no {outputs} scores an image with these arguments"
        )


def require_whole_patches(model: Any, name: str, size_px: int) -> None:
    """Timm leaves out, without a word, what of an image is not a whole patch.

    Raises:
        ConfigError: naming the nearest size without a rest.
    """
    embed = getattr(model, "patch_embed", getattr(model, "stem", None))
    projection = getattr(embed, "proj", None)
    side = getattr(projection, "kernel_size", (0,))[0]
    if side and side == getattr(projection, "stride", (1,))[0] and size_px % side:
        raise _rest(f"{name} has patches of {side} px", side, size_px)


def _watch_cells(model: nn.Module, size_px: int) -> list[Any]:
    """Hooks that refuse a rest at any convolution that tiles its input, such as a ConvNeXt's."""

    def look(module: Any, arguments: tuple[Any, ...]) -> None:
        side, stride = arguments[0].shape[-1], module.stride[0]
        if side % stride:
            cell = round(size_px / side) * stride
            raise _rest(f"{type(model).__name__} has cells of {cell} px", cell, size_px)

    tiling = [m for m in model.modules() if isinstance(m, nn.Conv2d) and _tiles(m)]
    return [module.register_forward_pre_hook(look) for module in tiling]


def _tiles(module: nn.Conv2d) -> bool:
    return 1 < module.stride[0] == module.kernel_size[0] and module.padding in ((0, 0), "valid")


def _rest(what: str, cell_px: int, size_px: int) -> ConfigError:
    near = max(round(size_px / cell_px), 1) * cell_px
    return ConfigError(f"{what}, which do not divide images of {size_px} px: set size_px to {near}")


def _centres(model: nn.Module, word: str, sides: Sequence[int], size_px: int) -> str:
    """Cells' middles wherever strides or paddings are not those that the word supposes.

    TensorFlow's padding is one-sided only where all sides are even. Strides are powers of two where
    the table knows the family and no side says otherwise; average pooling on shortcuts looks about
    the cell's middle while the convolutions beside it do not.
    """
    halved = {-(-size_px // 2**k) for k in range(size_px.bit_length())}
    is_pooled = any(
        isinstance(module, nn.AvgPool2d) and "downsample" in path
        for path, module in model.named_modules()
    )
    is_certain = find(FAMILIES, model) is not None and halved >= {*sides} and not is_pooled
    is_odd = word == "end" and size_px % 32
    return "middle" if is_odd or not is_certain else word


def no_blocks(name: str, model: Any, error: Exception) -> ConfigError:
    """What to say of a model whose blocks the table does not know, or knows otherwise."""
    reason = str(error.args[0]).partition(": ")[0]
    known = [info["module"] for info in getattr(model, "feature_info", None) or [] if _has(info)]
    chosen = [m for m in known if m in dict(model.named_modules())] or [
        f"{path}.{child}"
        for path, module in model.named_children()
        if isinstance(module, nn.ModuleList | nn.Sequential)
        for child, _ in module.named_children()
    ]
    chosen = list(dict.fromkeys(chosen))[:NAMED]
    return ConfigError(
        f"{name}: {reason}: set `layers` of the model to the modules to look at, such as "
        f"[{', '.join(chosen)}]"
    )


def _has(info: Any) -> bool:
    return isinstance(info, Mapping) and "module" in info
