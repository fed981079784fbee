import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sightlines.training.augment import Augmentation, resized_crop, shifted_crop
from tests.rounding import assert_rounded
from tests.training.jobs import RECIPE

N, SIZE = 7, 11


def pictures(size=SIZE, n=N):
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (n, 3, size, size), generator=generator, dtype=torch.uint8)


def generator(seed=1):
    return np.random.Generator(np.random.Philox(seed))


def change(seed=1, images=None, size=SIZE, **recipe):
    plain = RECIPE | {"crop": "none", "flip": False, "randaugment_ops": 0} | recipe
    torch.manual_seed(seed)
    augmentation = Augmentation(plain, size, 5)
    return augmentation.change_pixels(pictures() if images is None else images, generator(seed))


@pytest.mark.parametrize("padding", [0, 1, 4, 10])
def test_crop_equals_reflection_padding_and_a_cut(padding):
    images = pictures()
    offsets = generator().integers(-padding, padding + 1, size=(2, N))
    flips = generator(2).random(N) < 0.5
    assert flips.any() and not flips.all()
    padded = F.pad(images.float(), (padding,) * 4, mode="reflect").to(torch.uint8)
    found = shifted_crop(images, SIZE, offsets, flips)
    for i in range(N):
        y, x = offsets[:, i] + padding
        cut = padded[i, :, y : y + SIZE, x : x + SIZE]
        assert torch.equal(found[i], cut.flip(-1) if flips[i] else cut)


def test_crop_of_a_larger_photograph_shows_its_own_pixels():
    images = pictures(SIZE + 6)
    offsets = np.array([[-3, 0, 3, 1, 2, -1, -2], [3, -3, 0, 1, -2, 2, -1]])
    found = shifted_crop(images, SIZE, offsets, np.zeros(N, bool))
    for i, (y, x) in enumerate(offsets.T + 3):
        assert torch.equal(found[i], images[i, :, y : y + SIZE, x : x + SIZE])


def test_resized_crop_of_the_whole_image_is_the_image():
    images = pictures()
    flips = np.arange(N) % 2 == 0
    # With area 1 a ratio away from 1 still shortens one side: take the ratio out.
    same = resized_crop(images, SIZE, flips, 1.0, _Middle())
    for i in range(N):
        assert torch.equal(same[i], images[i].flip(-1) if flips[i] else images[i])


class _Middle(np.random.Generator):
    """Draws the middle of every range."""

    def __init__(self):
        super().__init__(np.random.Philox(1))

    def uniform(self, low, high, size):
        return np.full(size, (low + high) / 2)


def test_resized_crop_keeps_the_area_that_was_asked_for():
    ramp = torch.arange(0, 250, 2, dtype=torch.uint8).expand(50, 3, 125, 125)
    found = resized_crop(ramp, 125, np.zeros(50, bool), 0.25, generator()).float()
    width = (found[:, 0, 0, -1] - found[:, 0, 0, 0]) / 248
    assert width.min() > 0.4 and width.max() <= 1 and width.std() > 0.05
    assert torch.equal(found[:, 0, 0], found[:, 2, -1]), "columns of a ramp are constant"
    photographs = pictures(17)
    assert resized_crop(photographs, SIZE, np.zeros(N, bool), 0.3, generator()).shape[-1] == SIZE


@pytest.mark.parametrize(
    "recipe",
    [
        {"flip": True},
        {"crop": "pad", "crop_padding_px": 3},
        {"crop": "resized"},
        {"randaugment_ops": 2, "randaugment_groups": 4},
    ],
)
def test_draws_differ_between_images_and_follow_the_seed(recipe):
    alike = pictures(n=1).expand(64, -1, -1, -1).contiguous()
    found = change(images=alike, **recipe)
    assert found.dtype == torch.uint8 and found.shape == alike.shape
    distinct = {image.numpy().tobytes() for image in found}
    assert len(distinct) >= (20 if recipe.get("crop") else 2)
    assert torch.equal(found, change(images=alike, **recipe))
    assert not torch.equal(found, change(seed=2, images=alike, **recipe))


def test_flips_are_half_of_the_images():
    alike = pictures(n=1).expand(1000, -1, -1, -1).contiguous()
    flipped = change(images=alike, flip=True)
    mirrored = (flipped == alike.flip(-1)).flatten(1).all(1)
    assert 420 < int(mirrored.sum()) < 580
    assert ((flipped == alike).flatten(1).all(1) ^ mirrored).all()


def test_randaugment_draws_once_a_group():
    alike = pictures(n=1).expand(24, -1, -1, -1).contiguous()
    found = change(images=alike, randaugment_ops=2, randaugment_groups=4)
    groups = found.reshape(4, 6, -1)
    assert (groups == groups[:, :1]).all()
    assert len({group.numpy().tobytes() for group in groups[:, 0]}) > 1


def test_nothing_asked_for_changes_nothing():
    assert torch.equal(change(), pictures())


def mix(seed=1, n=64, **recipe):
    off = {"mixup_alpha": 0, "cutmix_alpha": 0, "mix_probability": 1.0}
    torch.manual_seed(seed)
    augmentation = Augmentation(RECIPE | off | recipe, SIZE, 5)
    images = torch.arange(n, dtype=torch.float32).view(n, 1, 1, 1).expand(n, 3, SIZE, SIZE)
    return images, *augmentation.mix(images, torch.arange(n) % 5, generator(seed))


def test_cutmix_shares_of_the_labels_are_shares_of_the_pixels():
    images, mixed, targets = mix(cutmix_alpha=1.0)
    other = (mixed != images).float().mean((1, 2, 3))
    assert 0 < other[0] < 1
    own = targets[torch.arange(64), torch.arange(64) % 5]
    assert_rounded(own, 1 - other, terms=3 * SIZE * SIZE, size=1, dtype=np.float32)
    assert_rounded(targets.sum(1), torch.ones(64), terms=5, dtype=np.float32)


def test_mixup_blends_images_as_it_blends_labels():
    images, mixed, targets = mix(mixup_alpha=0.8)
    own = targets[torch.arange(64), torch.arange(64) % 5][1]
    expected = own * images[1, 0, 0, 0] + (1 - own) * 0
    assert_rounded(mixed[1, 0, 0, 0], expected, terms=2, dtype=np.float32)


def test_share_of_the_minibatches_that_is_mixed():
    changed = [mix(seed, n=2, cutmix_alpha=1.0, mix_probability=0.3)[2].ndim for seed in range(200)]
    assert 35 < changed.count(2) < 85
    assert mix()[2].ndim == 1


def test_mixup_and_cutmix_take_turns():
    kinds = {
        bool((m % 1).any())
        for _, m, _ in (mix(s, mixup_alpha=1.0, cutmix_alpha=1.0) for s in range(20))
    }
    assert kinds == {True, False}


@pytest.mark.parametrize(
    ("recipe", "expected"), [({}, 4), ({"crop": "none"}, 0), ({"crop": "resized"}, 32)]
)
def test_margin(recipe, expected):
    assert Augmentation(RECIPE | recipe, 224, 5).margin_px == expected
