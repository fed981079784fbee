"""How a network sees images of whatever size: scaled, cropped, and in what size.

The same as torchvision's `Resize` of the short side and `CenterCrop`, with which timm evaluates its
models: sizes and places are rounded alike.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sightlines.core.errors import ConfigError

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
CROP_MODES = ("center", "squash")

Box = tuple[float, float, float, float]
"""Left, top, right, lower, in px of the original."""


@dataclass(frozen=True)
class View:
    """How images are brought to the size that a network sees.

    Attributes:
        size_px: Side of the square that it sees.
        interpolation: One of INTERPOLATIONS; all but nearest with antialiasing.
        crop_share: Side of that square as a share of the scaled image's short side.
        crop_mode: ``center`` keeps the image's proportions, ``squash`` makes it square.
    """

    size_px: int
    interpolation: str = "bicubic"
    crop_share: float = 1.0
    crop_mode: str = "center"

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS or self.crop_mode not in CROP_MODES:
            raise ConfigError(
                f"images cannot be scaled by {self.interpolation!r} with crop {self.crop_mode!r}: "
                f"set interpolation to one of {', '.join(INTERPOLATIONS)}"
            )

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "View":
        """The view that a network's card tells; without a word of it, scaling to `size_px`."""
        keys = ("size_px", "interpolation", "crop_share", "crop_mode")
        return cls(**{key: facts[key] for key in keys if key in facts})

    def box(self, width: int, height: int) -> Box:
        """What of an image of so many px is seen."""
        scaled = math.floor(self.size_px / self.crop_share)
        if self.crop_mode == "squash":
            wide = high = scaled
        else:
            short = min(width, height)
            wide, high = (int(scaled * side / short) for side in (width, height))
        left, top = (round((side - self.size_px) / 2) for side in (wide, high))
        return (
            left * width / wide,
            top * height / high,
            (left + self.size_px) * width / wide,
            (top + self.size_px) * height / high,
        )
