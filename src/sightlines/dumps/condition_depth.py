"""How alike clean and changed images are to a network, layer by layer: the engine of such dumps.

Reference images are shown as they are and changed, minibatch by minibatch, and of each layer's two
Grams only the sums of unbiased HSIC are kept, from which CKA follows (`stats.hsic`): per minibatch
`own.<minibatch>` [rows], of the clean images with themselves, `changed.<minibatch>` [conditions,
rows], of the changed ones, and `cross.<minibatch>` [conditions, rows], of one with the other, all
float64. Row 0 is the normalised pixels, then come block outputs and the norm after the last.

1 where a layer tells images apart as if nothing had happened, 0 where nothing is left of how it
told them apart.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from sightlines.conditions.condition import Condition, check_distinct
from sightlines.core.errors import ConfigError, ResultError
from sightlines.core.files import TensorFile, TensorShapes
from sightlines.core.progress import Progress
from sightlines.datasets.views import View
from sightlines.dumps.gram_product import packed_gram
from sightlines.dumps.labelled import probe_depths
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.responses import CLEAN, Change, changed_images
from sightlines.models.layers import Layer, block_outputs, capture
from sightlines.stats.hsic import centred

PIXELS = "pixels"
"""Name of the first row."""


def at_labels(conditions: Sequence[Condition], labels: Sequence[str]) -> list[Condition]:
    """Those of some conditions that are asked for by name and severity.

    What there would be of another size of images is left out; a name that no condition has, and a
    list of which nothing is there, is an offence.

    Args:
        conditions: All of a family.
        labels: Such as ``drop_black:0.5``.

    Raises:
        ConfigError: naming all that there is not, and what there is.
    """
    known = [condition.label for condition in conditions]
    names = {condition.name for condition in conditions}
    odd = [label for label in labels if label.partition(":")[0] not in names]
    found = [c for c in conditions if c.label in {*labels}]
    if odd or (labels and not found):
        raise ConfigError(
            f"conditions: depth asks for {', '.join(odd or labels)}; there are {', '.join(known)}"
        )
    return found


def paired(shown: Shown, conditions: Sequence[Condition], seed: int) -> TensorFile:
    """The file of one network.

    Args:
        shown: The network, shown reference images.
        conditions: Changes of images.
        seed: The experiment's root seed.

    Raises:
        ConfigError: two conditions have one name and severity.
        ResultError: activations are not finite, or a condition does not keep to its word.
    """
    check_distinct(conditions)
    layers = block_outputs(shown.layers)
    meta = shown.describe() | {
        "conditions": [[c.name, c.severity] for c in conditions],
        "rows": _described(layers),
    }
    shapes = depth_shapes(len(meta["batch_sizes"]), len(conditions), len(meta["rows"]))
    return TensorFile(shapes, meta, _sums(shown, conditions, layers, seed))


def _described(layers: list[Layer]) -> list[dict[str, Any]]:
    """Name, block and depth of every row; the pixels have neither block nor depth: -1."""
    rows = [{"name": PIXELS, "block": -1, "depth": -1.0}]
    for layer, depth in zip(layers, probe_depths(layers), strict=True):
        rows.append({"name": layer.name, "block": layer.block, "depth": depth})
    return rows


def described_rows(layers: list[Layer]) -> list[dict[str, Any]]:
    """What a file says of its rows, for other dumps of this form."""
    return _described(layers)


def depth_shapes(minibatches: int, conditions: int, rows: int) -> TensorShapes:
    """The file's tensors, in order."""
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for index in range(minibatches):
        shapes[f"own.{index:03d}"] = ("F64", (rows,))
        shapes[f"changed.{index:03d}"] = ("F64", (conditions, rows))
        shapes[f"cross.{index:03d}"] = ("F64", (conditions, rows))
    return shapes


def _sums(
    shown: Shown, conditions: Sequence[Condition], layers: list[Layer], seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    minibatches = shown.reference()
    batches = shown.images.batches(
        "test", [minibatch.images for minibatch in minibatches], view=View.of(shown.card)
    )
    progress = Progress(len(minibatches) * (1 + len(conditions)), "passes")
    done = 0
    for minibatch, pixels in zip(minibatches, batches, strict=True):
        clean = grams(shown, CLEAN, layers, minibatch, pixels, seed)
        done += 1
        progress.update(done)
        own, changed, cross = dots(clean, clean), [], []
        for condition in conditions:
            change = Change(condition.name, condition.severity, condition)
            other = grams(shown, change, layers, minibatch, pixels, seed)
            changed.append(dots(other, other))
            cross.append(dots(clean, other))
            done += 1
            progress.update(done)
        empty = np.zeros((0, len(own)))
        yield f"own.{minibatch.name}", own
        yield f"changed.{minibatch.name}", np.stack(changed) if changed else empty
        yield f"cross.{minibatch.name}", np.stack(cross) if cross else empty


@torch.inference_mode()
def grams(
    shown: Shown,
    change: Change,
    layers: list[Layer],
    minibatch: Minibatch,
    pixels: torch.Tensor,
    seed: int,
) -> np.ndarray:
    """U-centred Grams of pixels and layers, for one minibatch, as vectors [rows, n(n-1)/2].

    Args:
        shown: The network.
        change: What is done.
        layers: Those of which Grams are formed.
        minibatch: Which images these are.
        pixels: uint8 [n, 3, height, width].
        seed: The experiment's root seed.

    Raises:
        ResultError: activations are not finite.
    """
    seen, _ = changed_images(shown, change, minibatch, pixels, seed)
    packed: list[np.ndarray] = [packed_gram(seen).cpu().numpy()]
    packed += [np.empty(0)] * len(layers)

    def keep(index: int, activations: torch.Tensor) -> None:
        packed[1 + index] = packed_gram(activations).cpu().numpy()
        if not np.isfinite(packed[1 + index]).all():
            raise ResultError(
                f"layer {layers[index].name} of {shown.network.slug} has activations that are not "
                f"finite under {change.name} {change.severity:g}: its training has diverged; lower "
                "train.learning_rate, or lengthen train.warmup_steps"
            )

    with capture(shown.model, layers, keep):
        shown.model(seen)
    return centred(np.stack(packed), len(seen))


def dots(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """n(n-3) HSIC₁ of each row of one with the same row of the other [rows] float64."""
    return np.einsum("rp,rp->r", one, other)  # type: ignore[no-any-return]
