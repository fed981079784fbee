"""Random changes of colour, each image its own, as torchvision's ColorJitter defines them.

Images are shares of the largest level, [n, 3, rows, columns]. The order is fixed: brightness,
contrast, saturation, hue; torchvision draws it.
"""

import numpy as np
import torch
from torch import Tensor

STRENGTHS = (0.4, 0.4, 0.2)
"""Largest change of brightness, contrast and saturation, as a share."""
HUE = 0.1
"""Largest turn of the hue, of the whole circle."""
GREY = (0.299, 0.587, 0.114)
"""What red, green and blue count in grey (ITU-R BT.601)."""
THRESHOLD = 128 / 255
"""From this level on solarisation inverts."""


def draw(n: int, generator: np.random.Generator) -> np.ndarray:
    """Factors of brightness, contrast and saturation, and a turn of the hue [n, 4]."""
    factors = [generator.uniform(1 - most, 1 + most, n) for most in STRENGTHS]
    return np.stack([*factors, generator.uniform(-HUE, HUE, n)], axis=1)


def change(
    images: Tensor, factors: np.ndarray, is_changed: np.ndarray, is_grey: np.ndarray
) -> Tensor:
    """Jitter the colours of some images, then take those of some away.

    Args:
        images: [n, 3, rows, columns].
        factors: As `draw` gives them.
        is_changed: [n] which images are jittered.
        is_grey: [n] which lose their colours.
    """
    own = torch.from_numpy(factors.astype(np.float32)).to(images.device)
    brightness, contrast, saturation, turn = own.T[:, :, None, None, None]
    jittered = (images * brightness).clamp(0, 1)
    mean = grey(jittered).mean((1, 2, 3), keepdim=True)
    jittered = (mean + contrast * (jittered - mean)).clamp(0, 1)
    plain = grey(jittered)
    jittered = (plain + saturation * (jittered - plain)).clamp(0, 1)
    jittered = turned(jittered, turn)
    images = _where(is_changed, jittered, images)
    return _where(is_grey, grey(images).expand_as(images), images)


def grey(images: Tensor) -> Tensor:
    """Grey levels [n, 1, rows, columns]."""
    red, green, blue = images.unbind(1)
    return (GREY[0] * red + GREY[1] * green + GREY[2] * blue)[:, None]


def turned(images: Tensor, turn: Tensor) -> Tensor:
    """Images whose hue is turned, of HSV.

    Args:
        images: [n, 3, rows, columns].
        turn: Share of the circle [n, 1, 1, 1].
    """
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    spread = value - least
    part = spread.clamp(min=1e-12)
    hue = torch.where(
        value == red,
        (green - blue) / part,
        torch.where(value == green, (blue - red) / part + 2, (red - green) / part + 4),
    )
    hue = hue + 6 * turn[:, 0]
    found = []
    for offset in (5, 3, 1):  # red, green, blue
        k = torch.remainder(hue + offset, 6)
        found.append(value - spread * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(found, dim=1)


def solarised(images: Tensor, is_solarised: np.ndarray) -> Tensor:
    """Light levels of some images inverted."""
    return _where(is_solarised, torch.where(images >= THRESHOLD, 1 - images, images), images)


def _where(chosen: np.ndarray, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(torch.from_numpy(chosen).to(one.device)[:, None, None, None], one, other)
