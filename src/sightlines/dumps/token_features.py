"""Features of every token of labelled images at a few depths, for tokens' own linear probes.

Source: Raghu et al. 2021, section 6 and Figures 11 and D.4. One file a network; for each chosen
layer `tokens.<layer>` [images, places, D] float32: the class token first where there is one, then
patches, or the cells of a ResNet's last map, row after row. `labels` and `subset` (0 train, 1
held-out, 2 test) are int64 [images].
"""

from typing import Any

import numpy as np
import torch

from sightlines.core import seeds
from sightlines.core.files import TensorFile, TensorShapes
from sightlines.datasets.split import choose_stratified
from sightlines.dumps.labelled import (
    SUBSETS,
    describe_labelled,
    labelled,
    last_shape,
)
from sightlines.dumps.network import Shown
from sightlines.dumps.pooling import Shape, places, width_of
from sightlines.models.attention import has_class_token, prefix_tokens
from sightlines.models.layers import Layer, block_outputs

KIND = "token_features"
READER = "sightlines.dumps.features_reading:LabelledDump"
NETWORKS = "first_seed"
SPLITS = "probes"
USES = ("probes", "seed")
LIMITS = ("token_train", "token_held_out", "token_test")
"""Keys of the config's `probes` that limit each subset."""


def record(shown: Shown, probes: dict[str, Any], seed: int) -> TensorFile:
    """Stream some of the labelled images through the network and keep all tokens of few layers."""
    layers = spread(block_outputs(shown.layers), probes["token_depths"])
    prefix, has_cls = prefix_tokens(shown.model), has_class_token(shown.model)
    chosen = []
    for (name, split), limit in zip(SUBSETS, LIMITS, strict=True):
        indices = np.asarray(shown.splits[name])
        labels = shown.images.labels(split)[indices]
        chosen.append((split, draw(indices, labels, probes[limit], seed, name)))
    meta = describe_labelled(shown, chosen, layers) | {
        "grid": list(shown.card["grid"]),
        "class_token": has_cls,
    }
    sizes = shown.layer_shapes(layers)
    last = last_shape(layers, sizes)
    kept = token_shapes(layers, sizes, prefix - has_cls, meta["images"])

    def reduce(activations: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"tokens": places(activations, prefix, last, has_cls)}

    return labelled(shown, layers, chosen, kept, meta, reduce)


def spread(layers: list[Layer], count: int) -> list[Layer]:
    """So many block outputs, evenly spread from first to last, and the norm after them."""
    blocks = [layer for layer in layers if layer.block >= 0]
    picked = np.unique(np.linspace(0, len(blocks) - 1, min(count, len(blocks))).round().astype(int))
    return [blocks[i] for i in picked] + [layer for layer in layers if layer.block < 0]


def draw(indices: np.ndarray, labels: np.ndarray, limit: int, seed: int, name: str) -> np.ndarray:
    """At most `limit` of the images, with the shares of their classes, in the order that they had.

    Args:
        indices: Images of one subset.
        labels: Class of each.
        limit: Of images.
        seed: The experiment's root seed.
        name: Of the subset, which the draw is named after.
    """
    rng, count = seeds.generator(seed, "token probes", name), min(limit, len(indices))
    places = np.arange(len(indices), dtype=np.int64)
    return indices[choose_stratified(labels.astype(np.int64), places, count, rng)]


def token_shapes(
    layers: list[Layer], sizes: list[Shape], left_out: int, images: int
) -> TensorShapes:
    """The file's features, in order.

    Args:
        layers: Those that are kept.
        sizes: Shape of each one's representation of one image.
        left_out: Prefix tokens that are not kept: all but the class token.
        images: How many there are.
    """
    last = last_shape(layers, sizes)
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for layer, size in zip(layers, sizes, strict=True):
        count = size[0] - left_out if len(size) == 2 else last[1] * last[2]
        found[f"tokens.{layer.name}"] = ("F32", (images, count, width_of(size, last)))
    return found
