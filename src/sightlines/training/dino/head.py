"""The head of student and teacher (Caron et al. 2021, appendix C), and the two with a backbone."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

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
            local_px: Side of other images that it will see. What has no position embeddings takes
                them as they are, or cannot; a plan finds out (`dino/trial.py`).
        """
        super().__init__()
        self.backbone, self.head = backbone, head
        self.size_px = size_px
        self._matrices: dict[int, Tensor] = {}
        is_resized = local_px != size_px and _has_one_position_each(backbone)
        if is_resized and not backbone.dynamic_img_size:
            patches = backbone.patch_embed
            patches.strict_img_size = False
            self._matrices[local_px] = _resampling_matrix(
                patches.grid_size[0], local_px // patches.patch_size[0]
            )

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [n, 3, side, side] to outputs [n, outputs]."""
        return self.head(self.embed(images))  # type: ignore[no-any-return]

    def embed(self, images: Tensor) -> Tensor:
        """Normalised images [n, 3, side, side] to vectors [n, width]."""
        side = images.shape[-1]
        if side == self.size_px or side not in self._matrices:
            return self.backbone(images)  # type: ignore[no-any-return]
        own = self.backbone.pos_embed
        matrix = self._matrices[side].to(own.device)
        self._matrices[side] = matrix
        prefix = own.shape[1] - matrix.shape[1]
        placed = torch.cat([own[:, :prefix], matrix @ own[:, prefix:]], dim=1)
        replaced = {"pos_embed": placed}
        return torch.func.functional_call(self.backbone, replaced, (images,))  # type: ignore[no-any-return]


def width_of(backbone: Any) -> int:
    """Length of the vectors that a network of timm gives without its last layer.

    Some have a layer between the pooled features and the last one, such as MobileNetV3.
    """
    return int(getattr(backbone, "head_hidden_size", 0) or backbone.num_features)


def _has_one_position_each(backbone: Any) -> bool:
    own = getattr(backbone, "pos_embed", None)
    return isinstance(own, nn.Parameter) and hasattr(backbone, "dynamic_img_size")


def _resampling_matrix(before: int, after: int) -> Tensor:
    """From a grid of `before` rows and columns to one of `after` [after², before²]."""
    whole = np.zeros(1), np.full(1, float(before))
    weights = resampling_weights(before, after, *whole)[0].double()
    return torch.kron(weights, weights).float()
