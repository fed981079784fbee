"""The head of student and teacher (Caron et al. 2021, appendix C), and the two with a backbone."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sightlines.core.errors import ConfigError
from sightlines.training.dino.resampling import resampling_weights

SPREAD = 0.02
"""Standard deviation of initial weights, cut off at 2 as in the authors' code."""


class Head(nn.Module):
    """Features [n, width] to outputs [n, outputs], which are cosines.

    Three layers with GELU between them; the result has unit length and meets, in a last layer
    without bias, one direction an output. Directions have unit length too (weight normalisation
    with a magnitude of 1 that does not learn), so that they can but turn.
    """

    def __init__(self, width: int, hidden: int, bottleneck: int, outputs: int) -> None:
        """Fresh weights, drawn from torch's global generator; biases are 0."""
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=SPREAD)
                nn.init.zeros_(layer.bias)
        last = nn.Linear(bottleneck, outputs, bias=False)  # initialised as torch does
        self.directions = nn.Parameter(last.weight.detach())

    def forward(self, features: Tensor) -> Tensor:
        """Cosines between the bottleneck and every direction."""
        short = functional.normalize(self.mlp(features), dim=-1)
        return functional.linear(short, functional.normalize(self.directions, dim=-1))


class Learner(nn.Module):
    """A backbone and its head: what student and teacher both are.

    Images may be smaller than the backbone's own. A ViT's position embeddings are then resampled
    by a fixed matrix, which gives the same gradients at every call, also on a GPU.

    Attributes:
        backbone: The network that is kept: images to one vector each.
        head: What is left when training has ended.
    """

    def __init__(self, backbone: Any, head: Head, size_px: int, local_px: int) -> None:
        """Join the two.

        Args:
            backbone: A network of timm without a last layer.
            head: For vectors of its width.
            size_px: Side of its own images.
            local_px: Side of other images that it will see.

        Raises:
            ConfigError: the backbone has patches, but no position embeddings to resample.
        """
        super().__init__()
        self.backbone, self.head = backbone, head
        self.size_px = size_px
        self._matrices: dict[int, Tensor] = {}
        patches = getattr(backbone, "patch_embed", None)
        is_resized = local_px != size_px and patches is not None
        if is_resized and not _has_one_position_each(backbone):
            raise ConfigError(
                f"dino.local_px {local_px}: {type(backbone).__name__} has no position embeddings "
                f"that could be resampled; set local_px to {size_px}"
            )
        if is_resized and not backbone.dynamic_img_size:
            patches.strict_img_size = False  # type: ignore[union-attr]
            self._matrices[local_px] = _resampling_matrix(
                patches.grid_size[0],  # type: ignore[union-attr]
                local_px // patches.patch_size[0],  # type: ignore[union-attr]
            )

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [n, 3, side, side] to outputs [n, outputs]."""
        return self.head(self.embed(images))

    def embed(self, images: Tensor) -> Tensor:
        """Normalised images [n, 3, side, side] to vectors [n, width]."""
        side = images.shape[-1]
        if side == self.size_px or side not in self._matrices:
            return self.backbone(images)
        own = self.backbone.pos_embed
        matrix = self._matrices[side].to(own.device)
        self._matrices[side] = matrix
        prefix = own.shape[1] - matrix.shape[1]
        placed = torch.cat([own[:, :prefix], matrix @ own[:, prefix:]], dim=1)
        replaced = {"pos_embed": placed}
        return torch.func.functional_call(self.backbone, replaced, (images,))


def _has_one_position_each(backbone: Any) -> bool:
    own = getattr(backbone, "pos_embed", None)
    return isinstance(own, nn.Parameter) and hasattr(backbone, "dynamic_img_size")


def _resampling_matrix(before: int, after: int) -> Tensor:
    """From a grid of `before` rows and columns to one of `after` [after², before²]."""
    whole = np.zeros(1), np.full(1, float(before))
    weights = resampling_weights(before, after, *whole)[0].double()
    return torch.kron(weights, weights).float()
