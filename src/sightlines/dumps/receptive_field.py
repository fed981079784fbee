"""Effective receptive fields: which pixels the centre of a layer depends on.

Source: Luo et al. 2016; Raghu et al. 2021, section 4, Figures 6 and C.1 to C.4. One file a network;
for each layer a tensor `gradient.<layer>` [groups, height, width], float32: the absolute gradient,
averaged over channels, colours and the images of a group.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorFile, TensorShapes
from sightlines.core.progress import Progress
from sightlines.dumps.network import Shown
from sightlines.dumps.receptive_field_gradients import ChannelGradients
from sightlines.dumps.receptive_field_layers import Target, target_of, watched_layers
from sightlines.models.layers import Layer
from sightlines.models.tracing import without_numbers

KIND = "receptive_field"
NETWORKS = "main_seeds"
SPLITS = "reference"
READER = "sightlines.dumps.receptive_field_reading:ReceptiveFieldDump"
USES = ("receptive_field",)

GROUPS = 8
"""Groups of images, for the jackknife."""
PIXELS_AT_ONCE = 2**15
"""Pixels of the images in one pass: what it computes is held until its last backward pass, and is
the faster read again the less of it there is (one image of 224 px, 32 of 32 px)."""


def record(shown: Shown, receptive_field: dict[str, Any]) -> TensorFile:
    """Take the gradients of the first reference images and keep their means."""
    targets = find_targets(shown, receptive_field)
    chosen = np.concatenate(shown.reference_minibatches())[: receptive_field["images"]]
    meta = shown.describe() | {
        "size_px": shown.card["size_px"],
        "group_sizes": group_sizes(len(chosen)),
        "layers": [target.describe() for target in targets],
    }
    shapes = gradient_shapes(meta)

    def means() -> Iterator[tuple[str, np.ndarray]]:
        found = mean_gradients(shown, targets, chosen, meta["group_sizes"])
        yield from zip(shapes, found, strict=True)

    return TensorFile(shapes, meta, means())


def find_targets(shown: Shown, settings: dict[str, Any]) -> list[Target]:
    """What is differentiated in a network.

    Args:
        shown: The network.
        settings: The config's `receptive_field`: how many `depths` and `channels`.
    """
    watched = watched_layers(shown.layers, settings["depths"])
    shapes = _shapes(shown, [w.layer for w in watched])
    card = shown.card
    facts = (card["grid"], card["size_px"], settings["channels"], card.get("centres", "start"))
    return [target_of(w, shape, *facts) for w, shape in zip(watched, shapes, strict=True)]


def _shapes(shown: Shown, layers: list[Layer]) -> list[tuple[int, ...]]:
    """Shape of each layer's value of one image.

    Found without numbers, since a pass with them can cost as much as the gradients; with them where
    a network asks for one, or cannot be copied.
    """
    try:
        blank, meta = without_numbers(shown.model), torch.device("meta")
        return replace(shown, model=blank, device=meta).layer_shapes(layers)
    except Exception:  # what is wrong with the network itself is said with numbers
        return shown.layer_shapes(layers)


def group_sizes(images: int) -> list[int]:
    """Images of each group: runs of neighbours, as equal as can be."""
    groups = min(GROUPS, images)
    return [images * (g + 1) // groups - images * g // groups for g in range(groups)]


def gradient_shapes(meta: dict[str, Any]) -> TensorShapes:
    """The file's tensors, in order."""
    shape = (len(meta["group_sizes"]), meta["size_px"], meta["size_px"])
    return {f"gradient.{index:03d}": ("F32", shape) for index in range(len(meta["layers"]))}


def mean_gradients(
    shown: Shown, targets: Sequence[Target], chosen: np.ndarray, groups: Sequence[int]
) -> np.ndarray:
    """Mean absolute gradients of all layers and groups of images.

    Args:
        shown: The network.
        targets: What is differentiated.
        chosen: Indices of test images.
        groups: So many images are in each group, in order.

    Returns:
        [layers, groups, height, width] float64.

    Raises:
        ResultError: a layer's gradients are not finite.
    """
    size_px = shown.card["size_px"]
    means = np.zeros((len(targets), len(groups), size_px, size_px))
    step = max(PIXELS_AT_ONCE // size_px**2, 1)
    minibatches = [chosen[i : i + step] for i in range(0, len(chosen), step)]
    group_of = np.repeat(np.arange(len(groups)), groups)
    progress = Progress(len(targets) * len(minibatches), "layers")
    gradients = ChannelGradients(shown.model, targets)
    for turn, images in enumerate(shown.pixels("test", minibatches)):
        for index, gradient in enumerate(gradients.of(images)):
            maps = gradient.double().cpu().numpy()
            _require_finite(maps, targets[index], shown)
            for group, image in zip(group_of[turn * step :], maps, strict=False):
                means[index, group] += image / groups[group]
            progress.update(turn * len(targets) + index + 1)
    return means


def _require_finite(maps: np.ndarray, target: Target, shown: Shown) -> None:
    if not np.isfinite(maps).all():
        raise ResultError(
            f"gradients of layer {target.watched.layer.name} of {shown.network.slug} are not "
            "finite: its training has diverged; lower train.learning_rate"
        )
