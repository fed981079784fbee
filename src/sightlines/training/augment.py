"""Random changes of a minibatch of images, on the device, without a loop over images.

Every image has its own crop and flip; RandAugment has one draw for each group of images, mixup
and CutMix one for the minibatch. All draws of a step follow from the step's seed.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sightlines.plan.schedule import Recipe

ASPECT_RATIO = 4 / 3
"""A resized crop's sides differ by this factor at most."""

RESIZED_MARGIN = 1 / 7
"""Photographs come this much larger for resized crops: 256 px for 224, as is customary."""


class Augmentation:
    """The recipe's random changes, made ready once."""

    def __init__(self, recipe: Recipe, size_px: int, classes: int) -> None:
        """Prepare the changes that `recipe` asks for.

        Args:
            recipe: The config's `train`.
            size_px: Side of the images that the network sees.
            classes: Number of classes.
        """
        self._recipe = recipe
        self._size_px = size_px
        self._rand_augment = _rand_augment(recipe)
        self._mixers = _mixers(recipe, classes)

    @property
    def margin_px(self) -> int:
        """How much larger than needed images should come, where there is more of them."""
        if self._recipe["crop"] == "pad":
            return 2 * self._recipe["crop_padding_px"]
        return round(self._size_px * RESIZED_MARGIN) if self._recipe["crop"] == "resized" else 0

    def change_pixels(self, images: Tensor, generator: np.random.Generator) -> Tensor:
        """Crop, flip and RandAugment uint8 images.

        Args:
            images: [n, 3, rows, columns], of the network's size or larger; not changed in place.
            generator: Draws crops and flips; RandAugment draws from torch's global one.
        """
        recipe, size_px, n = self._recipe, self._size_px, len(images)
        flips = generator.random(n) < 0.5 if recipe["flip"] else np.zeros(n, bool)
        if recipe["crop"] == "resized":
            images = resized_crop(images, size_px, flips, recipe["crop_min_area"], generator)
        elif recipe["crop"] == "pad":
            padding = recipe["crop_padding_px"]
            offsets = generator.integers(-padding, padding + 1, size=(2, n))
            images = shifted_crop(images, size_px, offsets, flips)
        elif recipe["flip"]:
            images = shifted_crop(images, size_px, np.zeros((2, n), np.int64), flips)
        if self._rand_augment is None:
            return images
        groups = images.chunk(recipe["randaugment_groups"])
        with _integer_sums(images.device):
            return torch.cat([self._rand_augment(group) for group in groups])

    def mix(
        self, images: Tensor, labels: Tensor, generator: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mixup or CutMix a share of the minibatches, each with the same chance.

        Args:
            images: Normalised, [n, 3, rows, columns].
            labels: Class indices [n].
            generator: Decides whether and which; torch's global one draws the strength.

        Returns:
            Images, and labels as given, or as shares of the classes [n, classes] where mixed.
        """
        if not self._mixers or generator.random() >= self._recipe["mix_probability"]:
            return images, labels
        mixer = self._mixers[generator.integers(len(self._mixers))]
        return mixer(images, labels)  # type: ignore[no-any-return]


def shifted_crop(images: Tensor, size_px: int, offsets: np.ndarray, flips: np.ndarray) -> Tensor:
    """Cut out a square off the centre, and flip some; images continue mirrored at their borders.

    For images of just this size it equals padding by reflection and a random crop.

    Args:
        images: [n, 3, rows, columns].
        size_px: Side of the square.
        offsets: [2, n] pixels by which the square lies below and to the right of the centre.
        flips: [n] whether left and right are swapped.
    """
    n, channels, rows, columns = images.shape
    side = np.arange(size_px)
    y = _reflected(side + (rows - size_px) // 2 + offsets[0][:, None], rows)
    x = _reflected(side + (columns - size_px) // 2 + offsets[1][:, None], columns)
    x = np.where(flips[:, None], x[:, ::-1], x)
    pixel = torch.from_numpy(y[:, :, None] * columns + x[:, None, :]).to(images.device)
    pixel = pixel.reshape(n, 1, size_px * size_px).expand(n, channels, size_px * size_px)
    chosen = images.reshape(n, channels, rows * columns).gather(2, pixel)
    return chosen.reshape(n, channels, size_px, size_px)


def _reflected(index: np.ndarray, size: int) -> np.ndarray:
    period = max(2 * (size - 1), 1)
    folded = index % period
    return np.minimum(folded, period - folded) if size > 1 else np.zeros_like(index)


def resized_crop(
    images: Tensor,
    size_px: int,
    flips: np.ndarray,
    min_area: float,
    generator: np.random.Generator,
) -> Tensor:
    """Cut out a random part of each image and scale it to the full size, bilinearly.

    Area uniform in [min_area, 1], aspect ratio log-uniform in [3/4, 4/3] (Szegedy et al. 2015);
    a side longer than the image's is shortened to it.

    Args:
        images: uint8 [n, 3, rows, columns].
        size_px: Side of the result.
        flips: [n] whether left and right are swapped.
        min_area: Smallest share of the area.
        generator: Draws size and place.
    """
    n, channels = images.shape[:2]
    area = generator.uniform(min_area, 1, n)
    ratio = np.exp(generator.uniform(-np.log(ASPECT_RATIO), np.log(ASPECT_RATIO), n))
    height = np.minimum(np.sqrt(area / ratio), 1)
    width = np.minimum(np.sqrt(area * ratio), 1)
    theta = np.zeros((n, 2, 3), np.float32)
    theta[:, 0, 0] = np.where(flips, -width, width)
    theta[:, 0, 2] = (1 - width) * generator.uniform(-1, 1, n)
    theta[:, 1, 1] = height
    theta[:, 1, 2] = (1 - height) * generator.uniform(-1, 1, n)
    matrices = torch.from_numpy(theta).to(images.device)
    grid = functional.affine_grid(matrices, [n, channels, size_px, size_px], align_corners=False)
    scaled = functional.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return scaled.round_().clamp_(0, 255).to(torch.uint8)


def _rand_augment(recipe: Recipe) -> Any:
    if not recipe["randaugment_ops"]:
        return None
    from torchvision.transforms import v2

    return v2.RandAugment(
        num_ops=recipe["randaugment_ops"], magnitude=round(recipe["randaugment_magnitude"])
    )


def _mixers(recipe: Recipe, classes: int) -> list[Any]:
    if not (recipe["mixup_alpha"] or recipe["cutmix_alpha"]):
        return []
    from torchvision.transforms import v2

    kinds = ((v2.MixUp, recipe["mixup_alpha"]), (v2.CutMix, recipe["cutmix_alpha"]))
    return [kind(alpha=alpha, num_classes=classes) for kind, alpha in kinds if alpha]


@contextlib.contextmanager
def _integer_sums(device: torch.device) -> Iterator[None]:
    """Allow torch's unordered sums on a GPU: RandAugment's only ones count whole numbers."""
    if device.type != "cuda":
        yield
        return
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode("error")
