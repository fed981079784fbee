"""Gram matrices of every layer over the reference images: all that similarity needs.

Source: design of the minibatch estimator in Raghu et al. 2021, appendix A, and Nguyen et al. 2021.
One file a network; per minibatch of n images a tensor `gram.<minibatch>` [layers, n(n+1)/2], the
upper triangle with its diagonal of X_c X_cᵀ, float32. Beside it what no Gram shows: how large the
activations are, `largest.<minibatch>` and `median.<minibatch>` [layers], float32 (massive
activations: Sun et al. 2024).
"""

import contextlib
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorShapes
from sightlines.dumps.gram_product import flatten, packed_gram
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.passes import Rows, Watched, rows_of
from sightlines.models.layers import capture

KIND = "gram"
READER = "sightlines.dumps.reading:GramDump"
NETWORKS = "all"
TRANSFER = ("shown", "tuned")
SPLITS = "reference"
PASS = "reference"
SAMPLED = 16_384
"""Activations of a layer and minibatch, at most, that the median is taken of."""
CACHED = 2**22
"""Activations that a processor's cache holds: two quick passes beat a slow one."""


class LayerStatistics(NamedTuple):
    """What is kept of one minibatch, all layers.

    Attributes:
        gram: Packed Grams, [layers, n(n+1)/2] float32.
        largest: Largest absolute activation, [layers] float32.
        median: Median absolute activation of those that are not 0, [layers] float32.
    """

    gram: np.ndarray
    largest: np.ndarray
    median: np.ndarray


def record(shown: Shown) -> Watched:
    """The Grams of all layers for every reference minibatch."""
    meta = shown.describe() | {"layers": shown.describe_layers()}
    shapes = gram_shapes(meta["batch_sizes"], len(shown.layers))

    @contextlib.contextmanager
    def watch(minibatch: Minibatch, images: torch.Tensor) -> Iterator[Rows]:
        with watch_grams(shown, images) as kept:
            yield {f"{name}.{minibatch.name}": each for name, each in kept._asdict().items()}

    return Watched(shapes=shapes, meta=meta, minibatches=shown.reference(), watch=watch)


def gram_shapes(batch_sizes: list[int], layers: int) -> TensorShapes:
    """The file's tensors, in order."""
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for index, images in enumerate(batch_sizes):
        shapes[f"gram.{index:03d}"] = ("F32", (layers, images * (images + 1) // 2))
        shapes[f"largest.{index:03d}"] = shapes[f"median.{index:03d}"] = ("F32", (layers,))
    return shapes


def minibatch_grams(shown: Shown, images: torch.Tensor) -> LayerStatistics:
    """What is kept of one minibatch [n, 3, height, width]; see `watch_grams`."""
    found: LayerStatistics = rows_of(shown.model, images, watch_grams(shown, images))
    return found


@contextlib.contextmanager
def watch_grams(shown: Shown, images: torch.Tensor) -> Iterator[LayerStatistics]:
    """Packed Grams of all layers for one minibatch, formed while the network runs in the block.

    Each is formed inside its layer's hook, so no two layers' activations are held at once and no
    later in-place operation reaches them.

    Args:
        shown: The network.
        images: Normalised pixels [n, 3, height, width].

    Raises:
        ResultError: a layer's activations are not finite, or so large that their Gram is not.
    """
    count, layers = len(images), len(shown.layers)
    kept = LayerStatistics(
        np.empty((layers, count * (count + 1) // 2), np.float32),
        np.empty(layers, np.float32),
        np.empty(layers, np.float32),
    )

    def keep(index: int, activations: torch.Tensor) -> None:
        features = flatten(activations)
        packed = packed_gram(features).cpu().numpy()
        if not np.isfinite(packed).all():
            raise ResultError(
                f"layer {shown.layers[index].name} of {shown.network.slug} has activations that "
                "are not finite, or too large for a float32 Gram: its training has diverged; "
                "lower train.learning_rate, or lengthen train.warmup_steps"
            )
        kept.gram[index] = packed
        kept.largest[index], kept.median[index] = activation_sizes(features)

    with capture(shown.model, shown.layers, keep):
        yield kept


def activation_sizes(features: torch.Tensor) -> tuple[float, float]:
    """The largest absolute activation, and the median absolute activation of those that are not 0.

    Zeros are left out, because a ReLU's say nothing about the layer's scale and would often be the
    median. The median is of every so many-th activation, in steps that share no factor with the
    number of features, so that all features are met.

    Args:
        features: [images, features].

    Returns:
        Both 0 where all activations are.
    """
    step = max(1, -(-features.numel() // SAMPLED))
    while math.gcd(step, features.shape[1]) > 1:
        step += 1
    sizes = np.sort(np.abs(features.flatten()[::step].float().cpu().numpy()))
    sizes = sizes[np.searchsorted(sizes, 0, side="right") :]
    middle = sizes[[(len(sizes) - 1) // 2, len(sizes) // 2]] if len(sizes) else np.zeros(2)
    return _largest(features), float(middle.mean())


def _largest(features: torch.Tensor) -> float:
    """Largest absolute value, the quicker way for the features' size."""
    if features.numel() <= CACHED:
        low, high = features.amin(), features.amax()
    else:
        low, high = features.aminmax()
    return max(-float(low), float(high))
