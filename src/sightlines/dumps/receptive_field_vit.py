"""Receptive fields of a plain ViT: the rows of all layers go down to the pixels in one pass.

The field of one channel is one row of a Jacobian matrix. Automatic differentiation starts anew for
each row of each layer. Here the rows of all layers go down together (`receptive_field_tokens`), and
rows that follow from others are added up: those of y = x + f(x) are those of x and of f(x), and
those of an MLP, where all channels are wanted, are a small matrix times those of what enters it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sightlines.dumps.receptive_field_layers import Target
from sightlines.dumps.receptive_field_tokens import BlockRows, BlockWeights
from sightlines.models.attention import prefix_tokens
from sightlines.models.layers import Layer, capture
from sightlines.models.timm_matching import class_name

NUMBERS_AT_ONCE = 2**25
"""Of the rows of one image that go down together."""
CLASSES = {
    "": "timm.models.vision_transformer.VisionTransformer",
    "patch_embed": "timm.layers.patch_embed.PatchEmbed",
}
BLOCK_CLASSES = {
    "": "timm.models.vision_transformer.Block",
    "attn": "timm.layers.attention.Attention",
    "mlp": "timm.layers.mlp.Mlp",
}
"""What a model, a block and their parts are."""
IDLE = ("norm_pre", "patch_drop", "patch_embed.norm")
BLOCK_IDLE = ("attn.q_norm", "attn.k_norm", "attn.norm", "mlp.norm")
"""Modules that other such networks have, and a plain one has not."""
PARTS = {
    ("attn", "output"): "attn",
    ("norm2", "input"): "sum",
    ("mlp", "output"): "mlp",
    ("", "output"): "out",
}
"""What is measured of a block, by the module and its side."""


@dataclass(frozen=True)
class Measured:
    """A block of which parts are measured.

    Attributes:
        channels: Differentiated in each part.
        parts: Index of each target, by the name of the part.
    """

    channels: np.ndarray
    parts: dict[str, list[int]]


class PlainViT:
    """What is differentiated in a ViT of timm's usual blocks.

    Args:
        model: The ViT; it is not changed.
        targets: What is differentiated.

    Raises:
        LookupError: it is no such ViT, or something else in it is differentiated.
    """

    def __init__(self, model: Any, targets: Sequence[Target]) -> None:
        _require_plain(model)
        self._model = model
        self._prefix = prefix_tokens(model)
        self._patches = model.patch_embed.proj.weight.detach()
        self._blocks = [BlockWeights.of(block) for block in model.blocks]
        self._embedded: list[tuple[int, np.ndarray]] = []
        self._measured: dict[int, Measured] = {}
        centres = {self._add(index, target) for index, target in enumerate(targets)}
        if len(centres) > 1:
            raise LookupError("layers have different centres")
        self._centre = centres.pop()

    def _add(self, index: int, target: Target) -> int:
        """Note a target; its centre among all tokens."""
        layer, token = target.watched.layer, target.centre.token
        if (layer.module, layer.when) == ("patch_embed", "output"):
            self._embedded.append((index, target.channels))
            return token + self._prefix
        head, _, rest = layer.module.partition(".")
        block, _, module = rest.partition(".")
        if head != "blocks" or (module, layer.when) not in PARTS:
            raise LookupError(f"layer {layer.name} is none of the block's sums and branches")
        measured = self._measured.setdefault(int(block), Measured(target.channels, {}))
        if not np.array_equal(measured.channels, target.channels):
            raise LookupError(f"layers of block {block} have different channels")
        measured.parts.setdefault(PARTS[module, layer.when], []).append(index)
        return token

    def jacobians(self, images: Tensor) -> Iterator[Iterator[tuple[int, Tensor]]]:
        """Rows of each image: indices of targets, and [patches, 3 · patch · patch, channels].

        Args:
            images: Normalised pixels [n, 3, height, width].
        """
        for tokens in zip(*self._entering(images), strict=True):
            yield self._of_image(tokens)

    def as_maps(self, patches: Tensor, height: int) -> Tensor:
        """[3, height, width] of numbers for each pixel of each patch, [patches, 3 · …]."""
        side = self._patches.shape[-1]
        rows = height // side
        cells = patches.unflatten(1, (3, side, side)).unflatten(0, (rows, -1))
        return cells.permute(2, 0, 3, 1, 4).reshape(3, height, -1)  # type: ignore[no-any-return]

    def _entering(self, images: Tensor) -> list[Tensor]:
        """What enters each block, [n, tokens, features], up to the last that is measured."""
        kept: dict[int, Tensor] = {}
        count = max(self._measured, default=0) + 1
        layers = [Layer(f"in{b}", "residual", b, f"blocks.{b}", "input") for b in range(count)]
        with (
            torch.no_grad(),
            capture(self._model, layers, lambda b, x: kept.update({b: x.clone()})),
        ):
            self._model(images)
        return [kept[block] for block in range(count)]

    def _of_image(self, tokens: Sequence[Tensor]) -> Iterator[tuple[int, Tensor]]:
        for index, channels in self._embedded:
            yield index, self._to_pixels(self._at_centre(tokens[0], channels))
        for run in self._runs(tokens[0]):
            yield from self._of_run(tokens, run)

    def _runs(self, tokens: Tensor) -> list[list[int]]:
        """Measured blocks, divided so that the rows of each part fit into memory."""
        runs: list[list[int]] = [[]]
        numbers = 0
        for block in sorted(self._measured):
            own = 3 * len(self._measured[block].channels) * tokens.numel()
            if runs[-1] and numbers + own > NUMBERS_AT_ONCE:
                runs.append([])
                numbers = 0
            runs[-1].append(block)
            numbers += own
        return [run for run in runs if run]

    def _of_run(self, tokens: Sequence[Tensor], run: list[int]) -> Iterator[tuple[int, Tensor]]:
        rows, mlps = self._down(tokens, run)
        before: Tensor | None = None
        for block in run:
            weights, measured = self._blocks[block], self._measured[block]
            scales = [scale[measured.channels] for scale in weights.scales]
            entering = rows[block, "in"] if (block, "in") in rows else before
            assert entering is not None
            found = {"attn": rows[block, "attn"]}
            found["sum"] = entering + found["attn"] * scales[0]
            has_all = (block, "mlp") not in rows
            found["mlp"] = found["sum"] @ mlps[block] if has_all else rows[block, "mlp"]
            found["out"] = before = found["sum"] + found["mlp"] * scales[1]
            for part, indices in measured.parts.items():
                for index in indices:
                    yield index, self._to_pixels(found[part])

    def _down(
        self, tokens: Sequence[Tensor], run: list[int]
    ) -> tuple[dict[tuple[int, str], Tensor], dict[int, Tensor]]:
        """Take the rows of some blocks down to what enters the first block.

        Returns:
            Rows [tokens, features, channels] by block and part: ``attn``; ``in``, what enters the
            block, unless the block below says so; ``mlp``, where not all channels are measured.
            And the matrix of each block's MLP at the centre.
        """
        rows: list[Tensor] = []
        keys: list[tuple[int, str]] = []
        mlps = {}
        entering: list[tuple[int, Tensor]] = []
        for block in range(run[-1], -1, -1):
            inside = BlockRows(self._blocks[block], tokens[block], self._centre)
            rows = [inside.through(torch.cat(rows, 2))] if rows else []
            for above, centre in entering:
                rows.append(inside.from_output(centre))
                keys.append((above, "in"))
            entering = []
            if block not in run:
                continue
            channels = self._measured[block].channels
            ones = _ones(tokens[block], channels)
            rows.append(inside.from_attention(ones))
            keys.append((block, "attn"))
            mlps[block] = inside.through_centre_mlp(ones)
            if len(channels) < len(ones):
                rows.append(inside.from_sum(mlps[block]))
                keys.append((block, "mlp"))
            if not (block - 1 in run and self._have_same_channels(block - 1, block)):
                entering = [(block, ones)]
        for above, _ in entering:
            rows.append(self._at_centre(tokens[0], self._measured[above].channels))
            keys.append((above, "in"))
        widths = [len(self._measured[block].channels) for block, _ in keys]
        parts = torch.cat(rows, 2).split(widths, 2)
        return dict(zip(keys, parts, strict=True)), mlps

    def _have_same_channels(self, *blocks: int) -> bool:
        first, second = (self._measured[block].channels for block in blocks)
        return np.array_equal(first, second)

    def _at_centre(self, tokens: Tensor, channels: np.ndarray) -> Tensor:
        """Rows of channels of the tokens themselves."""
        rows = tokens.new_zeros(*tokens.shape, len(channels))
        rows[self._centre] = _ones(tokens, channels)
        return rows

    def _to_pixels(self, rows: Tensor) -> Tensor:
        """From rows of what enters the first block to those of the pixels of each patch."""
        patches = rows[self._prefix :]
        weight = self._patches.flatten(1).t()
        return torch.bmm(weight.expand(len(patches), -1, -1), patches)


def _ones(tokens: Tensor, channels: np.ndarray) -> Tensor:
    """Gradients of some channels with respect to all, [features, channels]."""
    chosen = torch.from_numpy(channels).to(tokens.device)
    return torch.eye(tokens.shape[-1], dtype=tokens.dtype, device=tokens.device)[:, chosen]


def _require_plain(model: Any) -> None:
    """Check classes and what is in the way.

    Raises:
        LookupError: the model is no ViT of timm's usual blocks.
    """
    _require(model, CLASSES, IDLE)
    for block in model.blocks:
        _require(block, BLOCK_CLASSES, BLOCK_IDLE)
        for norm in (block.norm1, block.norm2):
            if not isinstance(norm, nn.LayerNorm) or norm.weight is None or norm.bias is None:
                raise LookupError(f"a norm is a {class_name(type(norm))}")
        if block.attn.gate is not None:
            raise LookupError("attention has a gate")


def _require(owner: Any, classes: dict[str, str], idle: Sequence[str]) -> None:
    for path, name in classes.items():
        module = owner.get_submodule(path)
        if class_name(type(module)) != name:
            raise LookupError(f"{path or 'it'} is a {class_name(type(module))}, not a {name}")
    for path in idle:
        module = attrgetter(path)(owner)
        if not isinstance(module, nn.Identity):
            raise LookupError(f"{path} is a {class_name(type(module))}")
