"""Gram matrices of the reference images themselves: what similarity owes to the input alone.

Source: Cui et al. 2022 (input similarity as the confounder of representation similarity). One file
an experiment, read like a Gram dump of a network with a single layer: normalised pixels, flattened.
"""

import numpy as np
import torch

from sightlines.core.files import TensorFile
from sightlines.dumps.gram_product import packed_gram
from sightlines.dumps.network import ShownImages

READER = "sightlines.dumps.reading:GramDump"
NAME = ("pixels", "f000", "s0")
"""What the file says in place of a network."""


def record(shown: ShownImages) -> TensorFile:
    """The Gram of each minibatch of reference images."""
    meta = shown.describe() | {"network": list(NAME), "layers": [_layer(shown.images.size_px)]}
    shapes = {
        f"gram.{index:03d}": ("F32", (1, n * (n + 1) // 2))
        for index, n in enumerate(meta["batch_sizes"])
    }
    return TensorFile(shapes, meta, shown.each_minibatch(_gram))


@torch.inference_mode()
def _gram(images: torch.Tensor) -> dict[str, np.ndarray]:
    return {"gram": packed_gram(images).cpu().numpy()[None]}


def _layer(size_px: int) -> dict[str, object]:
    """The layer table's only row."""
    row = {"index": 0, "name": "pixels", "kind": "embed", "block": -1, "depth": 0.0}
    return row | {"features": 3 * size_px**2}
