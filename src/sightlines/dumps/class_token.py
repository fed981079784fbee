"""Gram matrices of the class token alone, of every layer that has one.

Source: Raghu et al. 2021, sections 3 and 5: a ViT's final third, which resembles no layer of a
ResNet, is said to change the class token mainly. One file a network; per minibatch of n images a
tensor `gram.<minibatch>` [layers, n(n+1)/2] float32, packed as in the dump of layers, and where
there are registers too `prefix.<minibatch>`, of all tokens before the patches'. Grams of features
side by side add: that of the spatial tokens alone is the layer's, less that of the prefix tokens.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorShapes
from sightlines.dumps.gram_product import packed_gram
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.passes import Rows, Watched
from sightlines.models.attention import has_class_token, prefix_tokens
from sightlines.models.layers import capture

KIND = "class_token"
READER = "sightlines.dumps.class_token_reading:ClassTokenDump"
NETWORKS = "compared"
FAMILIES = "CLASS_TOKEN"
SPLITS = "reference"
PASS = "reference"


def record(shown: Shown) -> Watched:
    """The Grams of the class token in all layers that have it, for every reference minibatch."""
    table, prefix = layers_with_prefix(shown), prefix_tokens(shown.model)
    meta = shown.describe() | {"layers": table, "prefix_tokens": prefix}
    layers = [shown.layers[row["index"]] for row in table]
    parts = token_parts(prefix)

    @contextlib.contextmanager
    def watch(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
        size = len(images) * (len(images) + 1) // 2
        rows = {f"{p}.{minibatch.name}": np.empty((len(layers), size), np.float32) for p in parts}

        def keep(index: int, tokens: torch.Tensor) -> None:
            for part, last in parts.items():
                packed = packed_gram(tokens[:, :last]).cpu().numpy()
                if not np.isfinite(packed).all():
                    raise ResultError(
                        f"tokens of layer {layers[index].name} of {shown.network.slug} are not "
                        "finite: its training has diverged; lower train.learning_rate, or "
                        "lengthen train.warmup_steps"
                    )
                rows[f"{part}.{minibatch.name}"][index] = packed

        with capture(shown.model, layers, keep):
            yield rows

    return Watched(
        shapes=token_shapes(meta),
        meta=meta,
        minibatches=shown.reference(),
        watch=watch,
    )


def layers_with_prefix(shown: Shown) -> list[dict[str, Any]]:
    """Rows of the layer table whose layers hold the prefix tokens before the patches'.

    Raises:
        ResultError: the network has no class token, or none of its layers shows it.
    """
    tokens = prefix_tokens(shown.model) + int(np.prod(shown.card["grid"]))
    shapes = shown.layer_shapes(shown.layers)
    rows = zip(shown.describe_layers(), shapes, strict=True)
    found = [row for row, shape in rows if len(shape) == 2 and shape[0] == tokens]
    if not has_class_token(shown.model) or not found:
        raise ResultError(f"no layer of {shown.network.slug} has a class token: no dump")
    return found


def token_parts(prefix: int) -> dict[str, int]:
    """Tensor -> how many of the first tokens its Grams are of."""
    return {"gram": 1} | ({"prefix": prefix} if prefix > 1 else {})


def token_shapes(meta: dict[str, Any]) -> TensorShapes:
    """The file's tensors, in order."""
    return {
        f"{part}.{index:03d}": ("F32", (len(meta["layers"]), images * (images + 1) // 2))
        for index, images in enumerate(meta["batch_sizes"])
        for part in token_parts(meta["prefix_tokens"])
    }
