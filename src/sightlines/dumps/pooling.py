"""Feature maps and tokens as linear probes see them: one vector a place, or one an image.

Source: Raghu et al. 2021, appendix A: a ResNet's maps are pooled to the size of its last map. Since
early maps have few channels, the paper splits each cell of the last map's grid into smaller ones
and flattens these into channels, until there are about as many as at the end.
"""

import math

import torch
from torch.nn.functional import adaptive_avg_pool2d

Shape = tuple[int, ...]


def split_side(channels: int, cell_side: int, last_channels: int) -> int:
    """Sub-cells along a cell's side, so that channels times sub-cells are about `last_channels`."""
    wanted = round(math.sqrt(last_channels / channels))
    return min(max(wanted, 1), max(cell_side, 1))


def width_of(shape: Shape, last: Shape) -> int:
    """Features of one place of a layer, once its maps are pooled to the last map's size.

    Args:
        shape: Of the layer's representation of one image, [tokens, D] or [channels, h, w].
        last: Of the last block's.
    """
    if len(shape) == 2:
        return shape[-1]
    return shape[0] * split_side(shape[0], shape[1] // last[1], last[0]) ** 2


def to_last_grid(maps: torch.Tensor, last: Shape) -> torch.Tensor:
    """Pool maps [n, C, H, W] to the last map's grid: [n, C · sub-cells, h, w].

    Args:
        maps: Of any layer.
        last: Shape [channels, h, w] of the last block's maps.
    """
    rows, columns = last[1:]
    side = split_side(maps.shape[1], maps.shape[2] // rows, last[0])
    pooled = adaptive_avg_pool2d(maps, (rows * side, columns * side))
    cells = pooled.unflatten(2, (rows, side)).unflatten(4, (columns, side))
    return cells.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)  # type: ignore[no-any-return]


def pool(
    activations: torch.Tensor, prefix: int, last: Shape, has_cls: bool = True
) -> dict[str, torch.Tensor]:
    """Vectors that stand for an image [n, D].

    ``mean``: over patch tokens, or over the places of the last map's grid; ``first``: the first
    patch token; ``cls``: the class token, where there is one.

    Args:
        activations: Tokens [n, tokens, D], or maps [n, C, rows, columns].
        prefix: Tokens before the patches' (CLS, registers).
        last: Shape of the last block's representation of one image.
        has_cls: Whether the first of the prefix tokens, if any, is the class token.
    """
    if activations.dim() == 4:
        return {"mean": to_last_grid(activations, last).mean((2, 3))}
    pooled = {"mean": activations[:, prefix:].mean(1), "first": activations[:, prefix]}
    return {"cls": activations[:, 0]} | pooled if prefix and has_cls else pooled


def places(
    activations: torch.Tensor, prefix: int, last: Shape, has_cls: bool = True
) -> torch.Tensor:
    """One vector a place [n, places, D]: patch tokens or cells of the last map, row after row.

    A class token comes first; other prefix tokens are left out. Arguments are those of `pool`.
    """
    if activations.dim() == 4:
        return to_last_grid(activations, last).flatten(2).transpose(1, 2)
    patches = activations[:, prefix:]
    return torch.cat([activations[:, :1], patches], dim=1) if prefix and has_cls else patches
