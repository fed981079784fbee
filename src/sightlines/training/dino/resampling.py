"""Parts of images scaled to one size by products of matrices: every image its own, no loop."""

import numpy as np
import torch
from torch import Tensor

SHARPNESS = -0.5
"""Of the bicubic kernel, as Pillow and antialiased torch have it."""


def resampling_weights(
    before: int,
    after: int,
    starts: np.ndarray,
    lengths: np.ndarray,
    device: torch.device | None = None,
) -> Tensor:
    """Weights of a bicubic, antialiased scaling along one axis [images, after, before].

    Row i of an image's matrix makes pixel i of the result. They are those of Pillow's
    `resize(box=…)`: pixels beside the part have a say in its border where there are such.

    Args:
        before: Pixels of the images.
        after: Pixels of the result.
        starts: Where the part of each image begins, in px, fractions included [images].
        lengths: How long it is.
        device: Where to.
    """
    begin, length = (
        torch.from_numpy(np.ascontiguousarray(v, np.float32)).to(device)[:, None, None]
        for v in (starts, lengths)
    )
    scale = length / after
    centre = begin + (torch.arange(after, device=device)[:, None] + 0.5) * scale
    place = torch.arange(before, device=device) + 0.5
    weights = _bicubic((place - centre).abs() / scale.clamp(min=1))
    return weights / weights.sum(-1, keepdim=True)


def _bicubic(x: Tensor) -> Tensor:
    """Keys' kernel at distances [≥ 0]."""
    a = SHARPNESS
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def blur_weights(side: int, sigma: np.ndarray, device: torch.device | None = None) -> Tensor:
    """Weights of a Gaussian blur along one axis [images, side, side]; none where sigma is 0."""
    spread = torch.from_numpy(np.ascontiguousarray(sigma, np.float32)).to(device)[:, None, None]
    place = torch.arange(side, device=device, dtype=torch.float32)
    distance = place[:, None] - place
    weights = torch.exp(-0.5 * (distance / spread.clamp(min=1e-3)).square())
    return weights / weights.sum(-1, keepdim=True)


def apply(rows: Tensor, columns: Tensor, images: Tensor) -> Tensor:
    """Weights along both axes on images.

    Args:
        rows: [n, height, rows].
        columns: [n, width, columns].
        images: [n, channels, rows, columns].

    Returns:
        [n, channels, height, width].
    """
    return rows[:, None] @ images @ columns[:, None].transpose(-1, -2)
