"""What a network's first layer is made of: position embeddings and patch filters, as they are.

Source: Dosovitskiy et al. 2020 (ViT), section 4.5 and Figure 7. One file a network, without a
forward pass: `positions` [patches, width], position embeddings of the patches alone, where there
are learned ones of one row a patch; `filters` [width, 3, height, width of a patch], the weights of
the patch embedding, where it is a convolution; float32. The description has the grid, and the
standard deviations by which the network's pixels are divided.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.passes import Rows, Watched

KIND = "weights"
READER = "sightlines.dumps.weights_reading:WeightsDump"
NETWORKS = "compared"
FAMILIES = "ATTENTION"
SPLITS = "reference"
PASS = "reference"
MOST_PREFIX = 16
"""Tokens before the patches' that may have positions of their own."""
POSITIONS = ("pos_embed", "pos_embedding", "position_embedding", "position_embeddings")
"""How parameters with position embeddings end, with or without `.weight`."""


def record(shown: Shown) -> Watched:
    """The weights of the first layer; the network is shown nothing."""
    rows, columns = (int(side) for side in shown.card["grid"])
    found = {
        "positions": position_embeddings(shown.model, rows * columns),
        "filters": patch_filters(shown.model),
    }
    kept = {name: values for name, values in found.items() if values is not None}
    own: dict[str, Any] = {"grid": [rows, columns], "std": list(shown.card["std"])}
    return Watched(
        shapes={name: ("F32", values.shape) for name, values in kept.items()},
        meta=shown.describe() | own,
        minibatches=(),
        watch=_nothing,
        rest=lambda: kept.items(),
    )


@contextlib.contextmanager
def _nothing(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
    del minibatch, images
    yield {}


def position_embeddings(model: nn.Module, patches: int) -> np.ndarray | None:
    """Position embeddings of the patches [patches, width]; None of a network without learned ones.

    Args:
        model: A ViT; those of tokens before the patches' are left out.
        patches: How many there are.
    """
    for name, parameter in model.named_parameters():
        is_position = name.removesuffix(".weight").rpartition(".")[2] in POSITIONS
        values = parameter.detach()
        values = values[0] if values.dim() == 3 and len(values) == 1 else values
        if is_position and values.dim() == 2 and patches <= len(values) <= patches + MOST_PREFIX:
            return values[len(values) - patches :].float().cpu().numpy()
    return None


def patch_filters(model: nn.Module) -> np.ndarray | None:
    """Weights of the first convolution [filters, 3, height, width] that cuts an image into patches.

    None of a network that has none: a stem of several convolutions has no filters of patches.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            is_cut = module.kernel_size == module.stride and module.padding in ((0, 0), 0, "valid")
            return module.weight.detach().float().cpu().numpy() if is_cut else None
    return None
