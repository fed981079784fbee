"""A change of images, before they are normalised: what every family of conditions is made of.

One file a family declares SETTINGS, the keys of its block of the config's `conditions`, and
`conditions(settings, facts)`, which lists what a config asks for. Changed images are made a
minibatch at a time and never stored: the same condition, image and seed give the same bytes,
whatever images are beside it.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from sightlines.core.errors import ConfigError, ResultError
from sightlines.core.seeds import generator

NAME = re.compile(r"[a-z0-9_]+")

Number = float | int

Pixels = UInt8[np.ndarray, "images height width 3"]
Changed = Pixels | Float32[np.ndarray, "images height width 3"]
Indices = Int64[np.ndarray, " images"]
Masks = Bool[np.ndarray, "images height width"]

Change = Callable[[Pixels, Indices, int], Changed]
"""Pixels as the network sees them, the place of each image in its split, and the experiment's root
seed -> the changed pixels, of the same shape: uint8, or float32 in [0, 1]. Never the array that was
given, changed in place."""


@dataclass(frozen=True)
class Condition:
    """One change of images at one severity.

    Attributes:
        name: What is done: small letters, digits and ``_``.
        severity: How much of it; 0 does nothing.
        change: Makes the changed images.
    """

    name: str
    severity: Number
    change: Change

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigError(
                f"a condition cannot be called {self.name!r}: use small letters, digits and _"
            )
        if not (math.isfinite(self.severity) and self.severity >= 0):
            raise ConfigError(
                f"condition {self.name} has severity {self.severity}: it must be a number from 0"
            )

    @property
    def label(self) -> str:
        """Name and severity in one word, such as ``drop_black:0.5``."""
        return f"{self.name}:{self.severity:g}"

    def apply(self, pixels: Pixels, indices: Indices, seed: int) -> Changed:
        """The changed images, checked.

        Args:
            pixels: As the network sees them.
            indices: Place of each image in its split.
            seed: The experiment's root seed.

        Raises:
            ResultError: they have another shape or type, or are not within [0, 1].
        """
        found = self.change(pixels, indices, seed)
        if found.shape != pixels.shape or found.dtype not in (np.uint8, np.float32):
            raise ResultError(
                f"condition {self.label} made {found.dtype} {found.shape} of uint8 {pixels.shape}: "
                "it must keep the shape, and give uint8, or float32 within [0, 1]"
            )
        if found.dtype == np.float32 and not bool(np.all((found >= 0) & (found <= 1))):
            raise ResultError(f"condition {self.label} made pixels beyond [0, 1], or no numbers")
        return found


@dataclass(frozen=True)
class ImageFacts:
    """What a family may know of the images that are changed.

    Attributes:
        size_px: Side of the images as the network sees them.
        mean: Mean of each channel over the training images, of [0, 1] pixels.
        masks: Where the object is, for some images of the split; None where nobody says so.
        attention: How much the network that is shown them looks at each cell of its grid, for some
            images that it was shown clean; None where it does not look at cells.
    """

    size_px: int
    mean: tuple[float, float, float]
    masks: Callable[[Indices], Masks] | None = None
    attention: Callable[[Indices], np.ndarray] | None = None


def check_distinct(conditions: Sequence[Condition]) -> None:
    """Check that no two conditions have one name and severity.

    Raises:
        ConfigError: naming those that do.
    """
    labels = [condition.label for condition in conditions]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ConfigError(f"conditions are asked for more than once: {', '.join(twice)}")


def generators(
    seed: int, name: str, severity: Number, indices: Indices
) -> Iterator[np.random.Generator]:
    """A generator for each image, of its own: by what is done and which image it is.

    Args:
        seed: The experiment's root seed.
        name: What is drawn: the condition's name, or a word that several share whose draws are to
            be the same (the cells that are dropped, whatever they are filled with).
        severity: The condition's.
        indices: Places of the images in their split.
    """
    for index in indices:
        yield generator(seed, "condition", name, f"{severity:g}", int(index))
