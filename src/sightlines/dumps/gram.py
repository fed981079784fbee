"""Gram matrices of every layer over the reference images: all that similarity needs.

Source: design of the minibatch estimator in Raghu et al. 2021, appendix A, and Nguyen et al. 2021.
One file a network; per minibatch of n images a tensor `gram.<minibatch>` [layers, n(n+1)/2], the
upper triangle with its diagonal of X_c X_cᵀ, float32. Beside it what no Gram shows: how large the
activations are, `largest.<minibatch>` and `median.<minibatch>` [layers], float32 (massive
activations: Sun et al. 2024).
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorFile, TensorShapes
from sightlines.dumps.gram_product import flatten, packed_gram
from sightlines.dumps.network import Shown
from sightlines.models.layers import capture

KIND = "gram"
READER = "sightlines.dumps.reading:GramDump"
NETWORKS = "all"
TRANSFER = ("shown", "tuned")
SPLITS = "reference"
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


def record(shown: Shown) -> TensorFile:
    """Stream the reference minibatches through the network and keep its layers' Grams."""
    meta = shown.describe() | {"layers": shown.describe_layers()}
    kept = shown.each_minibatch(lambda images: minibatch_grams(shown, images)._asdict())
    return TensorFile(gram_shapes(meta["batch_sizes"], len(shown.layers)), meta, kept)


def gram_shapes(batch_sizes: list[int], layers: int) -> TensorShapes:
    """The file's tensors, in order."""
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for index, images in enumerate(batch_sizes):
        shapes[f"gram.{index:03d}"] = ("F32", (layers, images * (images + 1) // 2))
        shapes[f"largest.{index:03d}"] = shapes[f"median.{index:03d}"] = ("F32", (layers,))
    return shapes


def minibatch_grams(shown: Shown, images: torch.Tensor) -> LayerStatistics:
    """Packed Grams of all layers for one minibatch, formed while the network runs.

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

    with torch.inference_mode(), capture(shown.model, shown.layers, keep):
        shown.model(images)
    return kept


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
