"""What a network sees of images that lie in memory and are no split of its dataset."""

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from sightlines.datasets.reading import scale
from sightlines.datasets.views import View
from sightlines.dumps.network import Shown


def seen(
    shown: Shown, pixels: UInt8[np.ndarray, "images side side 3"]
) -> UInt8[Tensor, "images 3 height width"]:
    """Images as a network sees those of its dataset, scaled and cropped, on its device.

    Args:
        shown: The network; its card tells how it sees.
        pixels: Square images.

    Raises:
        ConfigError: torch cannot scale so.
    """
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    placed, view = images.to(shown.device), View.of(shown.card)
    return placed if view == View(pixels.shape[1]) else scale(view, placed)
