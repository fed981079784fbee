"""A block of a ViT without one or both of its skip connections (Raghu et al. 2021, Figure 8)."""

import functools
from typing import TYPE_CHECKING, Any

from sightlines.models.lean import timm_module

if TYPE_CHECKING:
    from torch import nn

SKIPS = {
    "both": frozenset[str](),
    "attn": frozenset({"mlp"}),
    "mlp": frozenset({"attn"}),
}
"""Skips that stay, by those that the config takes away."""


def take_skips(model: "nn.Module", block: int, which: str) -> None:
    """Rebuild one block of a ViT so that it lacks skips; its weights and their names stay.

    The block's attribute `skips` says which are left.

    Args:
        model: timm's VisionTransformer.
        block: Index of the block.
        which: A key of SKIPS.
    """
    blocks: Any = model.blocks
    blocks[block].__class__ = _block_class()
    blocks[block].skips = SKIPS[which]


@functools.cache
def _block_class() -> Any:
    """A class made when torch is there: planning an experiment does without it."""
    vision_transformer = timm_module("models.vision_transformer")

    class SkiplessBlock(vision_transformer.Block):  # type: ignore[misc, name-defined]
        """timm's block of a ViT, in which a skip that is not in `skips` adds nothing."""

        def forward(self, x: Any, attn_mask: Any = None, is_causal: bool = False) -> Any:
            """Tokens [n, tokens, width] to tokens of the same shape."""
            attended = self.attn(self.norm1(x), attn_mask=attn_mask, is_causal=is_causal)
            attended = self.drop_path1(self.ls1(attended))
            x = x + attended if "attn" in self.skips else attended
            mixed = self.drop_path2(self.ls2(self.mlp(self.norm2(x))))
            return x + mixed if "mlp" in self.skips else mixed

    return SkiplessBlock
