"""Views of images: crops against Pillow's, colours against torchvision's; what is drawn."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as TF

from sightlines.plan import objectives
from sightlines.training.dino import colours
from sightlines.training.dino.resampling import apply, blur_weights, resampling_weights
from sightlines.training.dino.views import Views, some
from tests.rounding import rounded

N, SIZE, SMALL = 6, 24, 10


def pictures(n=N, size=SIZE, seed=3):
    """Smooth pictures: what Pillow rounds between its two passes would show in noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
    return (smooth * 255).round().to(torch.uint8)


def generator(seed=1):
    return np.random.Generator(np.random.Philox(seed))


def views(**changes):
    settings = objectives.settings("dino", {"local_crops": 3} | changes)
    return Views(settings, SIZE, SMALL, has_flips=True)


@pytest.mark.parametrize("after", [SMALL, SIZE, 40])
def test_a_part_is_scaled_as_pillow_scales_it(after):
    images = pictures()
    starts, lengths = np.linspace(0, 9, N), np.linspace(24, 6, N)
    rows = resampling_weights(SIZE, after, starts, lengths)
    found = apply(rows, rows, images.float()).clamp(0, 255)
    for i in range(N):
        box = (starts[i], starts[i], starts[i] + lengths[i], starts[i] + lengths[i])
        picture = Image.fromarray(images[i].permute(1, 2, 0).numpy())
        wanted = np.asarray(picture.resize((after, after), Image.Resampling.BICUBIC, box=box))
        difference = found[i].permute(1, 2, 0).numpy() - wanted
        assert np.abs(difference).max() < 2, "Pillow rounds after each of its two passes"
        assert np.abs(difference).mean() < 0.5


def test_the_whole_image_at_its_own_size_is_the_image():
    weights = resampling_weights(SIZE, SIZE, np.zeros(1), np.full(1, float(SIZE)))
    assert torch.equal(weights[0], torch.eye(SIZE))


def test_a_blur_keeps_level_images_and_spreads_a_point_by_its_sigma():
    sigma = np.array([0.0, 0.8, 2.0])
    weights = blur_weights(41, sigma)
    assert torch.equal(weights[0], torch.eye(41))
    flat = apply(weights, weights, torch.full((3, 3, 41, 41), 0.4))
    assert float((flat - 0.4).abs().max()) < 1e-6
    place = torch.arange(41) - 20.0
    for i in (1, 2):
        assert float((weights[i, 20] * place**2).sum() ** 0.5) == pytest.approx(sigma[i], rel=2e-3)


def test_colours_change_as_torchvision_changes_them():
    images = pictures().float() / 255
    factors = colours.draw(N, generator())
    is_changed, is_grey = np.arange(N) % 3 != 0, np.arange(N) >= 4
    found = colours.change(images, factors, is_changed, is_grey)
    for i in range(N):
        wanted = images[i : i + 1]
        if is_changed[i]:
            wanted = TF.adjust_brightness(wanted, factors[i, 0])
            wanted = TF.adjust_contrast(wanted, factors[i, 1])
            wanted = TF.adjust_saturation(wanted, factors[i, 2])
            wanted = TF.adjust_hue(wanted, factors[i, 3])
        if is_grey[i]:
            wanted = TF.rgb_to_grayscale(wanted, num_output_channels=3)
        assert float((found[i] - wanted[0]).abs().max()) < 1e-3, i
    assert not torch.equal(found[1], images[1]) and torch.equal(found[0], images[0])


def test_solarised_as_torchvision_does():
    images = pictures()
    found = colours.solarised(images.float() / 255, np.arange(N) % 2 == 0)
    for i in range(N):
        wanted = TF.solarize(images[i], 128) if i % 2 == 0 else images[i]
        assert torch.equal((found[i] * 255).round().to(torch.uint8), wanted)


def test_views_follow_from_the_generator_alone():
    images, made = pictures(), views()
    before = images.clone()
    torch.manual_seed(1)
    one = made.make(images, made.draw(N, generator()))
    torch.manual_seed(2)
    again = made.make(images, made.draw(N, generator()))
    other = made.make(images, made.draw(N, generator(2)))
    assert [part.shape for part in one] == [(2 * N, 3, SIZE, SIZE), (3 * N, 3, SMALL, SMALL)]
    for a, b, c in zip(one, again, other, strict=True):
        assert torch.equal(a, b) and not torch.equal(a, c)
        assert float(a.min()) > -1e-6 and float(a.max()) < 1 + 1e-6
    assert torch.equal(images, before)
    assert not torch.equal(one[0][:N], one[0][N:]), "each view has its own draws"


def test_a_part_of_a_minibatch_has_the_views_that_it_has_in_the_whole():
    images, made = pictures(), views()
    drawn = made.draw(N, generator())
    whole = made.make(images, drawn)
    for part in (slice(0, 2), slice(2, N)):
        found = made.make(images[part], some(drawn, part))
        for own, all_ in zip(found, whole, strict=True):
            expected = all_.unflatten(0, (-1, N))[:, part].flatten(0, 1)
            assert torch.equal(own, expected)


def test_crops_have_the_areas_that_were_asked_for():
    n = 2000
    drawn = views(global_min_area=0.5, local_min_area=0.1, local_max_area=0.3).draw(n, generator())
    for own, (least, most) in zip(drawn, [(0.5, 1), (0.5, 1), *[(0.1, 0.3)] * 3], strict=True):
        area = own["height"] * own["width"]
        assert area.max() <= most + 1e-12
        full = (own["height"] < 1) & (own["width"] < 1)
        assert area[full].min() >= least - 1e-12 and area[full].max() > most - 0.1
        for side, start in (("height", "top"), ("width", "left")):
            assert own[start].min() >= 0 and (own[start] + own[side]).max() <= 1 + 1e-12
        ratio = own["width"] / own["height"]
        assert ratio[full].max() <= 4 / 3 + 1e-9 and ratio[full].min() >= 3 / 4 - 1e-9


def test_shares_of_changes_are_those_of_the_paper():
    n = 4000
    first, second, *small = views().draw(n, generator())
    error = 4 * 0.5 / n**0.5
    for own, blurred, solarised in ((first, 1, 0), (second, 0.1, 0.2), (small[0], 0.5, 0)):
        assert (own["sigma"] > 0).mean() == pytest.approx(blurred, abs=error)
        assert own["solarise"].mean() == pytest.approx(solarised, abs=error)
        assert own["jitter"].mean() == pytest.approx(0.8, abs=error)
        assert own["grey"].mean() == pytest.approx(0.2, abs=error)
        assert own["flip"].mean() == pytest.approx(0.5, abs=error)
        assert own["sigma"].max() <= 0.009 * SIZE


def test_what_is_switched_off_changes_nothing():
    made = views(global_min_area=1.0, jitter=0.0, grey=0.0, blur=0.0, solarise=0.0, local_crops=0)
    made._has_flips = False
    images = pictures()
    drawn = made.draw(N, generator())
    for own in drawn:  # a ratio away from 1 still shortens one side
        own["height"][:], own["width"][:], own["top"][:], own["left"][:] = 1, 1, 0, 0
    large, small = made.make(images, drawn)
    assert len(small) == 0
    expected = (images.float() / 255).numpy()
    assert large[:N].numpy() == rounded(expected, terms=SIZE, dtype=np.float32)


def test_flips_mirror():
    made, images = views(jitter=0.0, grey=0.0, blur=0.0, solarise=0.0), pictures()
    drawn = made.draw(N, generator())
    plain, flipped = ([own | {"flip": np.full(N, is_on)} for own in drawn] for is_on in (0, 1))
    for own in plain + flipped:
        own["flip"] = own["flip"].astype(bool)
    for a, b in zip(made.make(images, plain), made.make(images, flipped), strict=True):
        assert torch.allclose(a.flip(-1), b, atol=1e-6) and not torch.equal(a, b)
