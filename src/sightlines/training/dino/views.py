"""The views of an image that student and teacher compare: random crops and changes of colour.

Two large crops and some small ones (Caron et al. 2021, section 3.2), changed as in BYOL (Grill et
al. 2020): brightness, contrast, saturation and hue, grey, blur, and for the second large crop
solarisation. All draws of a step are made for its whole minibatch from one generator, so that they
follow from the seed and the step, whichever process shows which images.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightlines.training.augment import ASPECT_RATIO, RESIZED_MARGIN
from sightlines.training.dino import colours
from sightlines.training.dino.resampling import apply, blur_weights, resampling_weights

GLOBAL = 2
"""Large crops."""
LEAST_BLUR = 1 / 20
"""Of the largest blur's standard deviation: .1 and 2 px in the authors' code."""
BLURRED = (1.0, 0.1, 0.5)
"""Probability of a blur: first and second large crop, small ones."""


@dataclass(frozen=True)
class Kind:
    """How one view is made.

    Attributes:
        side_px: Of the crop when it is scaled.
        areas: Smallest and largest share of the image's area.
        blurred: Probability of a blur.
        solarised: Probability of solarisation.
    """

    side_px: int
    areas: tuple[float, float]
    blurred: float
    solarised: float


class Views:
    """Makes all views of a minibatch; what a recipe asks for, made ready once."""

    def __init__(
        self, settings: dict[str, Any], size_px: int, local_px: int, has_flips: bool
    ) -> None:
        """Prepare the views.

        Args:
            settings: The recipe's block `dino`.
            size_px: Side of the large crops.
            local_px: Side of the small ones.
            has_flips: Mirror left and right at random.
        """
        self._settings, self._size_px, self._has_flips = settings, size_px, has_flips
        large = (settings["global_min_area"], 1.0)
        small = (settings["local_min_area"], settings["local_max_area"])
        first, second, other = BLURRED
        self.kinds = [
            Kind(size_px, large, first, 0.0),
            Kind(size_px, large, second, settings["solarise"]),
            *[Kind(local_px, small, other, 0.0)] * settings["local_crops"],
        ]

    @property
    def margin_px(self) -> int:
        """How much larger than needed images should come, where there is more of them."""
        return round(self._size_px * RESIZED_MARGIN)

    def draw(self, n: int, generator: np.random.Generator) -> list[dict[str, np.ndarray]]:
        """All that is random of the views of n images, one mapping a view.

        Each value has one row an image, so that some of the images can be made alone.
        """
        return [self._draw(kind, n, generator) for kind in self.kinds]

    def _draw(self, kind: Kind, n: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
        settings, chance = self._settings, generator.random
        area = generator.uniform(*kind.areas, n)
        ratio = np.exp(generator.uniform(-math.log(ASPECT_RATIO), math.log(ASPECT_RATIO), n))
        height, width = np.minimum(np.sqrt(area / ratio), 1), np.minimum(np.sqrt(area * ratio), 1)
        most = settings["blur"] * self._size_px
        sigma = generator.uniform(LEAST_BLUR * most, most, n)
        return {
            "height": height,
            "width": width,
            "top": (1 - height) * chance(n),
            "left": (1 - width) * chance(n),
            "flip": (chance(n) < 0.5) & self._has_flips,
            "factors": colours.draw(n, generator),
            "jitter": chance(n) < settings["jitter"],
            "grey": chance(n) < settings["grey"],
            "sigma": np.where((chance(n) < kind.blurred) & (most > 0), sigma, 0.0),
            "solarise": chance(n) < kind.solarised,
        }

    def make(self, images: Tensor, drawn: list[dict[str, np.ndarray]]) -> tuple[Tensor, Tensor]:
        """The views of some images, as shares of the largest level.

        Args:
            images: uint8 [n, 3, rows, columns], not changed in place.
            drawn: Of `draw`, the rows of these images.

        Returns:
            Large crops [2 · n, 3, size, size], the first of all images and then the second; and
            small ones [small crops · n, 3, side, side] likewise.
        """
        pixels = images.float() / 255
        made = [self._make(pixels, kind, own) for kind, own in zip(self.kinds, drawn, strict=True)]
        small = made[GLOBAL:]
        none = pixels.new_zeros((0, 3, self._size_px, self._size_px))
        return torch.cat(made[:GLOBAL]), torch.cat(small) if small else none

    def _make(self, pixels: Tensor, kind: Kind, own: dict[str, np.ndarray]) -> Tensor:
        side, device = kind.side_px, pixels.device
        high, wide = pixels.shape[-2:]
        rows = resampling_weights(high, side, high * own["top"], high * own["height"], device)
        columns = resampling_weights(wide, side, wide * own["left"], wide * own["width"], device)
        flip = torch.from_numpy(own["flip"]).to(device)[:, None, None]
        columns = torch.where(flip, columns.flip(1), columns)
        view = apply(rows, columns, pixels).clamp(0, 1)
        view = colours.change(view, own["factors"], own["jitter"], own["grey"])
        if own["sigma"].any():
            weights = blur_weights(side, own["sigma"], device)
            view = apply(weights, weights, view)
        return colours.solarised(view, own["solarise"]) if own["solarise"].any() else view


def some(drawn: list[dict[str, np.ndarray]], part: slice) -> list[dict[str, np.ndarray]]:
    """Draws of some of the images."""
    return [{name: values[part] for name, values in own.items()} for own in drawn]
