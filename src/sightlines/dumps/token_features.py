"""Features of every token of labelled images at a few depths, for tokens' own linear probes.

Source: Raghu et al. 2021, section 6 and Figures 11 and D.4. One file a network; for each chosen
layer `tokens.<layer>` [images, places, D] float32: the class token first where there is one, then
patches, or the cells of a ResNet's last map, row after row. `labels` and `subset` (0 train, 1
held-out, 2 test) are int64 [images]. The images of a subset are the first of the probes file, which
hold the shares of the classes.
"""

from typing import Any

import numpy as np
import torch

from sightlines.core.files import TensorShapes
from sightlines.dumps.labelled import describe_labelled, labelled, last_shape, probe_walks
from sightlines.dumps.network import Shown
from sightlines.dumps.passes import Watched
from sightlines.dumps.pooling import Shape, places, width_of
from sightlines.models.attention import has_class_token, prefix_tokens
from sightlines.models.layers import Layer, block_outputs

KIND = "token_features"
READER = "sightlines.dumps.features_reading:LabelledDump"
NETWORKS = "first_seed"
SPLITS = "probes"
PASS = "labelled"
USES = ("probes",)
LIMITS = ("token_train", "token_held_out", "token_test")
"""Keys of the config's `probes` that limit each subset."""


def record(shown: Shown, probes: dict[str, Any]) -> Watched:
    """All tokens of few layers, of the first of the labelled images."""
    layers = spread(block_outputs(shown.layers), probes["token_depths"])
    prefix, has_cls = prefix_tokens(shown.model), has_class_token(shown.model)
    walks = probe_walks(shown, [probes[limit] for limit in LIMITS])
    meta = describe_labelled(shown, walks, layers) | {
        "grid": list(shown.card["grid"]),
        "class_token": has_cls,
    }
    sizes = shown.layer_shapes(layers)
    last = last_shape(layers, sizes)
    kept = token_shapes(layers, sizes, prefix - has_cls, meta["images"])

    def reduce(activations: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"tokens": places(activations, prefix, last, has_cls)}

    return labelled(shown, layers, walks, kept, meta, reduce)


def spread(layers: list[Layer], count: int) -> list[Layer]:
    """So many block outputs, evenly spread from first to last, and the norm after them."""
    blocks = [layer for layer in layers if layer.block >= 0]
    picked = np.unique(np.linspace(0, len(blocks) - 1, min(count, len(blocks))).round().astype(int))
    return [blocks[i] for i in picked] + [layer for layer in layers if layer.block < 0]


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
