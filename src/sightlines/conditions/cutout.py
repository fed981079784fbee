"""CutOut: one square of the image is filled.

Source: Paul & Chen 2021, Table 6, with the squares of DeVries & Taylor 2017. There the square's
middle is uniform over the image and what lies beyond the edge is cut, so that a "masking factor" of
.5 covers 34 to 41 % of the image in the mean; here the square grows until what is inside covers the
share that was asked for, to the pixel row. Squares are drawn anew for every image, are the same for
every fill, and lie in the same place whatever the size in which a network sees the image.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from sightlines.conditions.condition import (
    Condition,
    ImageFacts,
    Indices,
    Masks,
    Pixels,
    generators,
)


def conditions(settings: Mapping[str, Any], facts: ImageFacts) -> list[Condition]:
    """``cutout_black`` and ``cutout_mean`` at each share of the area.

    Args:
        settings: `shares` and `mean_shares` of the area that are filled black and with the mean.
        facts: Of the images.
    """
    mean = tuple(float(np.rint(255 * value)) for value in facts.mean)
    fills = (("black", "shares", (0.0, 0.0, 0.0)), ("mean", "mean_shares", mean))
    return [
        Condition(f"cutout_{name}", share, partial(cut_out, share, colour))
        for name, key, colour in fills
        for share in settings[key]
    ]


def cut_out(
    share: float, colour: tuple[float, ...], pixels: Pixels, indices: Indices, seed: int
) -> Pixels:
    """Fill one square of each image.

    Args:
        share: Of the area.
        colour: Levels of the fill, of 255.
        pixels: As a network sees them.
        indices: Place of each image in its split.
        seed: The experiment's root seed.
    """
    found = pixels.copy()
    found[squares(share, pixels.shape[1], indices, seed)] = np.array(colour, np.uint8)
    return found


def squares(share: float, side: int, indices: Indices, seed: int) -> Masks:
    """Where the square of each image is.

    Args:
        share: Of the area that it covers; 0: there is none.
        side: Of the images in px.
        indices: Place of each image in its split.
        seed: The experiment's root seed.
    """
    masks = np.zeros((len(indices), side, side), bool)
    if not share:
        return masks
    halves = np.arange(1, 2 * side + 1) / 2
    for mask, draws in zip(masks, generators(seed, "cutout", share, indices), strict=True):
        middle = draws.uniform(0, side, 2)
        first = np.clip(np.rint(middle - halves[:, None]), 0, side).astype(int)
        last = np.clip(np.rint(middle + halves[:, None]), 0, side).astype(int)
        areas = np.prod(last - first, axis=1)
        nearest = np.abs(areas - share * side**2).argmin()
        (top, left), (bottom, right) = first[nearest], last[nearest]
        mask[top:bottom, left:right] = True
    return masks
