"""Where receptive fields are taken: layers of blocks spread over the depth, and their centres.

Source: Raghu et al. 2021, section 4 and Figures 6, C.1 to C.4.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sightlines.core.errors import ResultError
from sightlines.core.seeds import generator
from sightlines.models.layers import Layer

BRANCHES = ("attn", "mixing", "mlp")
"""Kinds of layers that are added to the stream of tokens."""
MIXING = ("attn", "mixing")
"""Kinds of which such a block has one; any other block has one branch: unit."""
PROJECTION = ("proj_conv", "proj_norm")
"""Layers on a unit's shortcut, of which some networks compute the branch first."""


@dataclass(frozen=True)
class Watched:
    """One layer whose receptive field is measured.

    Attributes:
        layer: Where its values are taken.
        block: Index of its block; -1 for the layer before all blocks.
        depth: block / (blocks - 1), 0 for the first layer.
        variant: ``post``, after the residual addition, or ``pre``, the branch before it.
        branch: ``embed``, ``attn``, ``mixing``, ``mlp`` or ``unit``.
    """

    layer: Layer
    block: int
    depth: float
    variant: str
    branch: str


@dataclass(frozen=True)
class Centre:
    """The location of a layer whose gradient is taken, and the pixels that it stands for.

    Attributes:
        token: Index along the tokens; -1 for a map.
        row: Row in the grid of patches or in the map, floor(rows / 2).
        column: Likewise.
        y_px: Middle of the location, in px from the image's upper edge.
        x_px: Likewise from its left edge.
        patch_top_px: Upper edge of the square patch that holds the middle.
        patch_left_px: Left edge of it.
        patch_px: Side of it: of the ViT's patch, or of the last map's cell.
    """

    token: int
    row: int
    column: int
    y_px: float
    x_px: float
    patch_top_px: float
    patch_left_px: float
    patch_px: float


def watched_layers(layers: Sequence[Layer], depths: int) -> list[Watched]:
    """The first layer, then branches and sums of `depths` blocks, the first and the last included.

    The sum after a block's last branch is the block's output; the sum after an earlier one is what
    enters the norm that follows. A block of which nothing else is known has its output alone.
    """
    blocks = sorted({layer.block for layer in layers if layer.block >= 0})
    places = np.linspace(0, len(blocks) - 1, max(min(depths, len(blocks)), 2))
    found = [Watched(layers[0], -1, 0.0, "post", "embed")]
    for place in np.unique(np.round(places).astype(int)):
        block = blocks[place]
        depth = int(place) / max(len(blocks) - 1, 1)
        own = [layer for layer in layers if layer.block == block]
        for branch, pre, post in _branches(own):
            if pre is not post:
                found.append(Watched(pre, block, depth, "pre", branch))
            found.append(Watched(post, block, depth, "post", branch))
    return found


def _branches(own: list[Layer]) -> list[tuple[str, Layer, Layer]]:
    """Name, last layer before the addition, and sum after it, of each branch of one block."""
    output = next(layer for layer in own if layer.kind == "residual")
    if not any(layer.kind in MIXING for layer in own):
        inner = [x for x in own if x is not output and x.name.partition(".")[2] not in PROJECTION]
        return [("unit", inner[-1] if inner else output, output)]
    found = []
    for index, layer in enumerate(own):
        if layer.kind in BRANCHES:
            after = [other for other in own[index + 1 :] if other.kind == "norm"]
            added = _entering(layer, after[0]) if after else output
            found.append((layer.kind, layer, added))
    return found


def _entering(branch: Layer, norm: Layer) -> Layer:
    return Layer(f"{branch.name}_out", "residual", norm.block, norm.module, "input", norm.layout)


def centre_of(
    shape: Sequence[int], grid: Sequence[int], size_px: int, centres: str = "start"
) -> Centre:
    """The centre location of one layer, and the pixels under it.

    A patch's middle is the middle of its pixels.

    Args:
        shape: Of the layer's value for one image: [tokens, width], prefix tokens first, or
            [channels, rows, columns].
        grid: Rows and columns of patches, or of the network's last map.
        size_px: Side of the images.
        centres: Where location i of a map is centred: ``start``, on pixel i · stride, where strided
            convolutions are padded alike on both sides; ``end``, on pixel i · stride + stride - 1,
            where they are padded last (TensorFlow's "same"); ``middle``, in the middle of its cell,
            where cells tile the image.

    Raises:
        ResultError: there are fewer tokens than patches, or the value is neither of the two.
    """
    patch_px = size_px / grid[0]
    if len(shape) == 3:
        row, column = shape[1] // 2, shape[2] // 2
        y = _middle_px(row, shape[1], size_px, centres)
        x = _middle_px(column, shape[2], size_px, centres)
        return Centre(-1, row, column, y, x, *_cell(y, x, patch_px), patch_px)
    prefix = shape[0] - grid[0] * grid[1] if len(shape) == 2 else -1
    if prefix < 0:
        raise ResultError(
            f"values of shape {list(shape)} are neither maps nor tokens of a grid of "
            f"{grid[0]} × {grid[1]} patches: no receptive field"
        )
    row, column = grid[0] // 2, grid[1] // 2
    y, x = (row + 0.5) * patch_px, (column + 0.5) * patch_px
    token = prefix + row * grid[1] + column
    return Centre(token, row, column, y, x, *_cell(y, x, patch_px), patch_px)


def _middle_px(place: int, side: int, size_px: int, centres: str) -> float:
    """Middle of one of `side` locations along an axis, in px from the image's edge."""
    if centres == "middle":
        return (place + 0.5) * size_px / side
    stride = _stride(size_px, side)
    return place * stride + (stride - 0.5 if centres == "end" else 0.5)


def _stride(size_px: int, side: int) -> int:
    """Pixels between neighbouring locations of a map: the power of two that leaves `side`."""
    stride = 1
    while -(-size_px // stride) > side:
        stride *= 2
    return stride


def _cell(y: float, x: float, patch_px: float) -> tuple[float, float]:
    return y // patch_px * patch_px, x // patch_px * patch_px


def chosen_channels(block: int, channels: int, wanted: int) -> np.ndarray:
    """Indices of random channels, sorted; all where there are no more than wanted.

    The layers of a block have the same ones, so that a branch and its sum can be compared, and so
    have all networks.
    """
    random = generator(0, "receptive field", block, channels)
    return np.sort(random.permutation(channels)[:wanted])


@dataclass(frozen=True)
class Target:
    """What is differentiated: a layer, its centre location, and the indices of some channels."""

    watched: Watched
    centre: Centre
    channels: np.ndarray

    def describe(self) -> dict[str, Any]:
        """One row of the dump's table of layers."""
        row = {key: getattr(self.watched, key) for key in ("block", "depth", "variant", "branch")}
        row |= {"name": self.watched.layer.name, "channels": len(self.channels)}
        return row | asdict(self.centre)


def target_of(
    watched: Watched,
    shape: Sequence[int],
    grid: Sequence[int],
    size_px: int,
    channels: int,
    centres: str = "start",
) -> Target:
    """Centre and channels of one layer; arguments as in `centre_of` and `chosen_channels`."""
    count = shape[0] if len(shape) == 3 else shape[-1]
    centre = centre_of(shape, grid, size_px, centres)
    return Target(watched, centre, chosen_channels(watched.block, count, channels))
