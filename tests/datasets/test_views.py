"""What a network sees of an image is what timm's evaluation would show it."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from sightlines.core.errors import ConfigError
from sightlines.datasets.photographs import decode
from sightlines.datasets.reading import scale
from sightlines.datasets.views import View


def photograph(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width)
    small = rng.integers(0, 255, (height // 5 + 2, width // 5 + 2, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def seen(image: Image.Image, view: View) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return decode(buffer.getvalue(), view).astype(int)


@pytest.mark.parametrize("size", [(300, 451), (224, 224), (500, 375), (97, 1201), (131, 128)])
@pytest.mark.parametrize(
    ("side", "share", "how"),
    [(224, 0.9, "bicubic"), (224, 0.875, "bilinear"), (64, 1.0, "lanczos"), (96, 0.95, "bicubic")],
)
def test_a_view_is_torchvisions_resize_and_centre_crop(size, side, share, how):
    image = photograph(*size)
    resize = transforms.Resize(math.floor(side / share), InterpolationMode(how))
    expected = np.asarray(transforms.CenterCrop(side)(resize(image))).astype(int)
    found = seen(image, View(side, how, share))
    # Pillow may scale rows and columns in another order, and rounds in between.
    assert np.abs(found - expected).max() <= 2
    assert np.abs(found - expected).mean() < 0.25


def test_nearest_takes_pixels_that_are_there():
    image = photograph(90, 60)
    levels = {tuple(p) for p in np.asarray(image).reshape(-1, 3).astype(int)}
    assert {tuple(p) for p in seen(image, View(16, "nearest")).reshape(-1, 3)} <= levels


def test_squash_keeps_no_proportions():
    image = photograph(200, 100)
    found = seen(image, View(50, crop_mode="squash"))
    expected = np.asarray(image.resize((50, 50), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(found - expected).max() <= 1, "Pillow rounds rows and columns in another order"


def test_arrays_are_scaled_and_cropped_alike():
    image = photograph(64, 64)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    found = scale(View(96, "bicubic", 0.75), pixels)[0].permute(1, 2, 0).numpy().astype(int)
    assert found.shape == (96, 96, 3)
    assert np.abs(found - seen(image, View(96, "bicubic", 0.75))).mean() < 1


def test_a_card_without_a_crop_is_the_whole_image():
    assert View.of({"size_px": 32, "mean": [0]}) == View(32)


@pytest.mark.parametrize("odd", [{"interpolation": "random"}, {"crop_mode": "border"}])
def test_what_cannot_be_scaled_so_is_refused(odd):
    with pytest.raises(ConfigError, match="set interpolation"):
        View(224, **odd)
