"""Analogues of the corruptions of ImageNet-C, CIFAR-10-C and Tiny ImageNet-C.

Hendrycks & Dietterich 2019 (arXiv 1903.12261), with the constants of `make_cifar_c.py` (32 px),
`make_tinyimagenet_c.py` (64 px) and `make_imagenet_c.py` (224 px). Results on the stored files of
the authors and on these are not the same numbers: noise is drawn anew, motion is not ImageMagick's
to the bit, and nothing is saved as JPEG afterwards. Frost is left out, which needs photographs of
frost, so that a mean is over 14 corruptions.

Every image has a generator of its own, named by corruption, severity and the image's place.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import UInt8

from sightlines.conditions import corruption_blur as blur
from sightlines.conditions import corruption_digital as digital
from sightlines.conditions import corruption_noise as noise
from sightlines.conditions import corruption_weather as weather
from sightlines.conditions.condition import Condition, ImageFacts, Indices, Pixels, generators
from sightlines.core.errors import ConfigError

SEVERITIES = (1, 2, 3, 4, 5)
SIZES = (32, 64, 224)
"""Sides in px for which constants were published."""
NAMES = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
"""Over which means run: those of ImageNet-C but frost."""
EXTRA = ("speckle_noise", "gaussian_blur")
"""Corruptions that were published to choose settings by; in no mean."""

Corrupt = Callable[[noise.Planes, Any, np.random.Generator], noise.Levels]
METHODS: Mapping[str, Corrupt] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "speckle_noise": noise.speckle_noise,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": blur.glass_blur,
    "motion_blur": blur.motion_blur,
    "zoom_blur": blur.zoom_blur,
    "gaussian_blur": blur.gaussian_blur,
    "snow": weather.snow,
    "fog": weather.fog,
    "brightness": weather.brightness,
    "contrast": weather.contrast,
    "elastic_transform": digital.elastic_transform,
}
"""Corruptions of levels, channel by channel."""
REDRAWN: Mapping[str, Callable[[digital.Photograph, Any], digital.Photograph]] = {
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
}
"""Corruptions that Pillow makes of whole images, without a draw."""

CONSTANTS: Mapping[str, Mapping[int, tuple[Any, ...]]] = {
    "gaussian_noise": {
        32: (0.04, 0.06, 0.08, 0.09, 0.10),
        64: (0.04, 0.08, 0.12, 0.15, 0.18),
        224: (0.08, 0.12, 0.18, 0.26, 0.38),
    },
    "shot_noise": {
        32: (500, 250, 100, 75, 50),
        64: (250, 100, 50, 30, 15),
        224: (60, 25, 12, 5, 3),
    },
    "impulse_noise": {
        32: (0.01, 0.02, 0.03, 0.05, 0.07),
        64: (0.01, 0.02, 0.05, 0.08, 0.14),
        224: (0.03, 0.06, 0.09, 0.17, 0.27),
    },
    "defocus_blur": {
        32: ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        64: ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
        224: ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    },
    "glass_blur": {
        32: ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        64: ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
        224: ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    },
    "motion_blur": {
        32: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        64: ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        224: ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    },
    "zoom_blur": {
        32: ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        64: ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        224: ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    },
    "snow": {
        32: (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        64: (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
        ),
        224: (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    },
    "fog": {
        32: ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        64: ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
        224: ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    },
    "brightness": {
        32: (0.05, 0.1, 0.15, 0.2, 0.3),
        64: (0.1, 0.2, 0.3, 0.4, 0.5),
        224: (0.1, 0.2, 0.3, 0.4, 0.5),
    },
    "contrast": {
        32: (0.75, 0.5, 0.4, 0.3, 0.15),
        64: (0.4, 0.3, 0.2, 0.1, 0.05),
        224: (0.4, 0.3, 0.2, 0.1, 0.05),
    },
    "elastic_transform": {
        32: (
            (0, 0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        ),
        64: (
            (0, 0, 0.08),
            (0.05, 0.3, 0.06),
            (0.1, 0.08, 0.06),
            (0.1, 0.03, 0.03),
            (0.16, 0.03, 0.02),
        ),
        224: (
            (2, 0.7, 0.1),
            (2, 0.08, 0.2),
            (0.05, 0.01, 0.02),
            (0.07, 0.01, 0.02),
            (0.12, 0.01, 0.02),
        ),
    },
    "pixelate": {
        32: (0.95, 0.9, 0.85, 0.75, 0.65),
        64: (0.9, 0.8, 0.7, 0.6, 0.5),
        224: (0.6, 0.5, 0.4, 0.3, 0.25),
    },
    "jpeg_compression": {
        32: (80, 65, 58, 50, 40),
        64: (65, 58, 50, 40, 25),
        224: (25, 18, 15, 10, 7),
    },
    "speckle_noise": {
        32: (0.06, 0.1, 0.12, 0.16, 0.2),
        64: (0.15, 0.2, 0.25, 0.3, 0.35),
        224: (0.15, 0.2, 0.35, 0.45, 0.6),
    },
    "gaussian_blur": {
        32: (0.4, 0.6, 0.7, 0.8, 1),
        64: (0.5, 0.75, 1, 1.25, 1.5),
        224: (1, 2, 3, 4, 6),
    },
}
"""Corruption -> side in px -> constants at severities 1 to 5, as published: levels as shares of
white, lengths in px; those of `elastic_transform` as shares of the side."""
WHOLE = ("glass_blur", "jpeg_compression")
"""Corruptions of whose constants some are whole numbers."""
ELASTIC_SIDE = {32: 32, 64: 64, 224: 244}
"""What the published shares of `elastic_transform` are of: 244 px, not 224, is the original's."""


def published_size(size_px: int) -> int:
    """The published side whose constants images of a side are given: the nearest by ratio."""
    return min(SIZES, key=lambda side: abs(np.log(size_px / side)))


def constant(name: str, severity: int, size_px: int) -> Any:
    """The constant of a corruption.

    Lengths in px are as published for the nearest side, and not scaled; only those of
    `elastic_transform` are in proportion to the side.

    Raises:
        ConfigError: there is no such corruption or severity.
    """
    if name not in CONSTANTS or severity not in SEVERITIES:
        raise ConfigError(
            f"there is no corruption {name!r} of severity {severity!r}: choose one of "
            f"{', '.join(CONSTANTS)}, and a severity of 1 to 5"
        )
    nearest = published_size(size_px)
    found = CONSTANTS[name][nearest][severity - 1]
    if name == "elastic_transform":
        return tuple(share * ELASTIC_SIDE[nearest] * size_px / nearest for share in found)
    if name in WHOLE:
        return found
    return tuple(map(float, found)) if isinstance(found, tuple) else float(found)


def corrupt(
    pixels: Pixels, indices: Indices, seed: int, *, name: str, severity: int
) -> UInt8[np.ndarray, "images height width 3"]:
    """Corrupted images.

    Args:
        pixels: As a network sees them.
        indices: Place of each image in its split.
        seed: The experiment's root seed.
        name: The corruption.
        severity: 1 to 5; 0 does nothing.

    Raises:
        ConfigError: there is no such corruption or severity.
    """
    if severity == 0:
        return pixels.copy()
    fixed = constant(name, severity, pixels.shape[1])
    if name in REDRAWN:
        found = np.empty_like(pixels, order="C")
        for place, image in enumerate(np.ascontiguousarray(pixels)):
            found[place] = REDRAWN[name](image, fixed)
        return found
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    found = np.empty_like(planes)
    draws = generators(seed, name, float(severity), indices)
    for place, (image, own) in enumerate(zip(planes, draws, strict=True)):
        found[place] = blur.as_bytes(METHODS[name](image, fixed, own))
    return np.ascontiguousarray(found.transpose(0, 2, 3, 1))


def conditions(settings: Mapping[str, Any], facts: ImageFacts) -> list[Condition]:
    """The corruptions that a config asks for, at each severity.

    Args:
        settings: `names` and `severities`.
        facts: Of the images; their side decides about the constants.

    Raises:
        ConfigError: naming what there is not, all at once.
    """
    del facts
    names, severities = settings["names"], settings["severities"]
    unknown = [n for n in names if n not in CONSTANTS] + [
        s for s in severities if s not in SEVERITIES
    ]
    if unknown:
        raise ConfigError(
            f"conditions.corruption asks for {', '.join(map(str, unknown))}: names are "
            f"{', '.join(CONSTANTS)}, severities 1 to 5"
        )
    return [
        Condition(name, float(severity), partial(corrupt, name=name, severity=int(severity)))
        for name in names
        for severity in severities
    ]
