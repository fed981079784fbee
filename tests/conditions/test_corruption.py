"""Analogues of ImageNet-C: what they keep, and slow twins by another route."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from sightlines.conditions import corruption, corruption_blur, corruption_digital
from sightlines.conditions import corruption_noise as noise
from sightlines.conditions import corruption_weather as weather
from sightlines.conditions.condition import ImageFacts
from sightlines.core.errors import ConfigError
from sightlines.core.seeds import generator
from tests.conditions.making_photographs import photographs

ALL = (*corruption.NAMES, *corruption.EXTRA)
PHOTOGRAPHS = {side: photographs(side, 24 if side < 224 else 4) for side in corruption.SIZES}
NOT_STEPWISE = {
    # CIFAR's glass 4 blurs less than 3; shifts of its first three are the same.
    ("glass_blur", 32),
    ("glass_blur", 64),
    ("glass_blur", 224),
    # From the second severity on corners move less, and the field bends more.
    ("elastic_transform", 32),
    ("elastic_transform", 64),
    ("elastic_transform", 224),
    # Its fourth fog is of more, coarser cloud than its third: AlexNet's errors grow all the same.
    ("fog", 224),
    # Its third snow has rarer flakes than its second, as AlexNet's errors tell.
    ("snow", 224),
}
"""Corruptions of which the published constants do not make the change grow at each severity."""


def corrupted(name, severity, images, indices=None, seed=0):
    indices = np.arange(len(images)) if indices is None else indices
    return corruption.corrupt(images, indices, seed, name=name, severity=severity)


def change(name, severity, images):
    return np.square(corrupted(name, severity, images) - images.astype(float)).mean()


@pytest.mark.parametrize("side", corruption.SIZES)
@pytest.mark.parametrize("name", ALL)
def test_it_keeps_shape_and_type_and_grows_with_severity(name, side):
    images = PHOTOGRAPHS[side]
    changes = [change(name, severity, images) for severity in (0, *corruption.SEVERITIES)]
    found = corrupted(name, 3, images)
    assert found.shape == images.shape and found.dtype == np.uint8
    assert changes[0] == 0 and min(changes[1:]) > 0
    grows = [a < b for a, b in itertools.pairwise(changes)]
    assert all(grows) != ((name, side) in NOT_STEPWISE), np.round(changes, 1)


@pytest.mark.parametrize("name", ALL)
def test_an_image_is_corrupted_alike_in_any_minibatch(name):
    images = PHOTOGRAPHS[32]
    whole = corrupted(name, 4, images)
    order = np.array([5, 2, 7])
    assert np.array_equal(corrupted(name, 4, images[order], order), whole[order])
    assert np.array_equal(corrupted(name, 4, images[7:8], order[2:]), whole[7:8])


DRAWS_NOTHING = {
    *("defocus_blur", "zoom_blur", "gaussian_blur", "brightness", "contrast"),
    *("pixelate", "jpeg_compression"),
}


@pytest.mark.parametrize("name", ALL)
def test_draws_are_by_seed_and_by_image(name):
    image = np.repeat(PHOTOGRAPHS[32][:1], 2, axis=0)
    one, other = corrupted(name, 5, image)
    assert np.array_equal(one, other) == (name in DRAWS_NOTHING)
    again = corrupted(name, 5, image, seed=1)[0]
    assert np.array_equal(one, again) == (name in DRAWS_NOTHING)


@pytest.mark.parametrize("order", ["C", "channels first"])
def test_images_are_left_as_they_were(order):
    images = np.ascontiguousarray(PHOTOGRAPHS[32])
    if order != "C":
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    for name in ALL:
        corrupted(name, 5, images)
        assert np.array_equal(images, PHOTOGRAPHS[32]), name
    assert corrupted("fog", 0, images) is not images


def test_constants_of_other_sizes_are_those_of_the_nearest():
    assert [corruption.published_size(side) for side in (16, 44, 46, 96, 128, 240)] == [
        *(32, 32, 64, 64, 224, 224)
    ]
    assert corruption.constant("motion_blur", 5, 240) == (20, 15)
    alpha, sigma, corner = corruption.constant("elastic_transform", 1, 224)
    assert (alpha, sigma, corner) == pytest.approx((488, 170.8, 24.4))
    assert corruption.constant("elastic_transform", 5, 128)[0] == pytest.approx(0.12 * 244 * 4 / 7)


def test_what_there_is_not_is_named_all_at_once():
    facts = ImageFacts(32, (0.5, 0.5, 0.5))
    with pytest.raises(ConfigError, match=r"frost, rain, 6"):
        corruption.conditions({"names": ["frost", "fog", "rain"], "severities": [1, 6]}, facts)
    found = corruption.conditions({"names": ["fog", "snow"], "severities": [1, 5]}, facts)
    assert [c.label for c in found] == ["fog:1", "fog:5", "snow:1", "snow:5"]
    images = PHOTOGRAPHS[32][:2]
    expected = corrupted("fog", 5, images)
    assert np.array_equal(found[1].apply(images, np.arange(2), 0), expected)


# -- slow twins -----------------------------------------------------------------------------------


def test_glass_copies_pixel_after_pixel_as_the_original_does():
    side, reach = 12, 2
    own = corruption_blur.copied_from(side, side, reach, generator(0, "glass"))
    shifts = generator(0, "glass").integers(
        -reach, reach, (2, side - 2 * reach, side - 2 * reach), np.int32
    )
    pixels = np.arange(side**2).reshape(side, side, 1)
    for h in range(side - reach, reach, -1):
        for w in range(side - reach, reach, -1):
            dy, dx = shifts[:, h - reach - 1, w - reach - 1]
            # The original's swap, of views of one array.
            pixels[h, w], pixels[h + dy, w + dx] = pixels[h + dy, w + dx], pixels[h, w]
    assert np.array_equal(own, pixels.ravel())
    assert len(np.unique(own)) < side**2, "what is swapped is lost"


@pytest.mark.parametrize("radius, smoothing", [(1.5, 0.1), (4.0, 0.5), (10.0, 0.5)])
def test_defocus_is_a_correlation_in_real_space(radius, smoothing):
    image = photographs(40, 1)[0].transpose(2, 0, 1)
    kernel = corruption_blur.disc_kernel(radius, smoothing)
    slow = [ndimage.correlate(plane.astype(float), kernel, mode="mirror") for plane in image]
    found = corruption_blur.defocus_blur(image, (radius, smoothing), generator(0))
    assert np.abs(found - slow).max() < 2e-3
    assert kernel.sum() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("deviation", [0.05, 0.4, 1.5, 6.0])
def test_gaussian_blur_is_scipys(deviation):
    image = photographs(40, 1)[0].transpose(2, 0, 1)
    slow = [ndimage.gaussian_filter(p.astype(float), deviation, mode="nearest") for p in image]
    assert np.abs(corruption_blur.smoothed(image, deviation) - slow).max() < 1e-3


@pytest.mark.parametrize("factor", [1.01, 1.06, 1.3, 2.25, 4.5])
def test_magnification_is_scipys_zoom(factor):
    plane = photographs(33, 1)[0, :, :, 0].astype(np.float32)
    kept = int(np.ceil(33 / factor))
    begin = (33 - kept) // 2
    zoomed = ndimage.zoom(plane[begin : begin + kept, begin : begin + kept], factor, order=1)
    trim = (len(zoomed) - 33) // 2
    slow = zoomed[trim : trim + 33, trim : trim + 33]
    assert np.abs(corruption_blur.magnified(plane[None], factor)[0] - slow).max() < 1e-2


def test_motion_is_a_mean_of_shifted_images():
    plane = photographs(24, 1)[0, :, :, 0].astype(float)
    radius, deviation, degrees = 6.0, 2.5, 33.0
    weights = np.exp(-0.5 * (np.arange(13) / deviation) ** 2)
    slow = np.zeros_like(plane)
    for tap, weight in enumerate(weights / weights.sum()):
        down = np.ceil(tap * np.sin(np.deg2rad(degrees)) - 0.5)
        right = np.ceil(tap * np.cos(np.deg2rad(degrees)) - 0.5)
        slow += weight * ndimage.shift(plane, (-down, -right), order=0, mode="nearest")
    assert (
        np.abs(corruption_blur.moved(plane[None], radius, deviation, degrees) - slow).max() < 1e-3
    )


def test_elastic_interpolation_is_scipys_map_coordinates():
    draws = generator(0, "elastic")
    levels = photographs(30, 1)[0].transpose(2, 0, 1).astype(np.float32)
    rows, columns = np.indices((30, 30)) + draws.uniform(-40, 40, (2, 30, 30))
    for fold, mode in (
        (corruption_digital.mirrored, "mirror"),
        (corruption_digital.reflected, "reflect"),
    ):
        own = [rows.astype(np.float32), columns.astype(np.float32)]
        slow = [ndimage.map_coordinates(p, own, order=1, mode=mode) for p in levels]
        found = corruption_digital.interpolated(levels, *own, fold)
        assert np.abs(found - slow).max() < 0.05, mode


def test_the_elastic_field_is_scipys_gaussian_however_wide():
    field = generator(0, "field").uniform(-1, 1, (20, 20))
    for deviation in (0.0, 0.7, 3.0, 40.0):
        slow = ndimage.gaussian_filter(field, deviation, mode="reflect", truncate=3)
        assert np.allclose(corruption_digital.smooth(field, deviation), slow, atol=1e-9)


def test_corners_are_where_the_shear_puts_them():
    shifts = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.0]])
    matrix = corruption_digital.affine(32, 32, shifts)
    corners = 16 + 10 * np.array([[1, 1], [1, -1], [-1, -1]])
    assert np.allclose(np.column_stack([corners + shifts, np.ones(3)]) @ matrix.T, corners)


@pytest.mark.parametrize("photons", [3.0, 60.0, 500.0])
def test_shot_noise_is_poisson(photons):
    cumulated, guide = noise.poisson_tables(photons)
    for level in (0, 1, 40, 255):
        mean = level * photons / 255
        term, total = np.exp(-mean), 0.0
        for count in range(cumulated.shape[1] - 1):
            total += term
            assert cumulated[level, count] == pytest.approx(min(total, 1), abs=1e-9)
            term *= mean / (count + 1)
        for place in (0, 100, 255):
            begin = guide[level, place]
            assert begin == 0 or cumulated[level, begin - 1] <= place / noise.GUIDES
    planes = np.full((3, 200, 200), 200, np.uint8)
    found = noise.shot_noise(planes, photons, generator(0, "shot")) * photons / 255
    mean = 200 * photons / 255
    assert found.mean() == pytest.approx(mean, rel=0.02)
    assert found.var() == pytest.approx(mean, rel=0.03)
    assert np.allclose(found, np.rint(found), atol=1e-3), "counts"


@pytest.mark.parametrize("photons", [3.0, 60.0, 500.0])
def test_a_count_is_the_first_that_exceeds_the_draw_also_in_the_tails(photons):
    """Draws in the lowest and highest 1/256 lie up to hundreds of counts from the guide's."""
    planes = np.arange(256, dtype=np.uint8).repeat(300).reshape(3, 256, 100)
    cumulated, _ = noise.poisson_tables(photons)
    uniform = generator(0, "shot").random(planes.size)
    wanted = [
        np.searchsorted(cumulated[level], draw, side="right")
        for level, draw in zip(planes.ravel(), uniform, strict=True)
    ]
    found = noise.shot_noise(planes, photons, generator(0, "shot")) * (photons / 255)
    assert np.rint(found).ravel().tolist() == wanted


def test_impulses_are_as_many_as_asked_and_salt_as_often_as_pepper():
    planes = np.full((3, 200, 200), 100, np.uint8)
    found = noise.impulse_noise(planes, 0.27, generator(0, "impulse"))
    shares = [(found == level).mean() for level in (0, 255, 100)]
    assert shares == pytest.approx([0.135, 0.135, 0.73], abs=0.005)


def test_brightness_keeps_hue_and_saturation():
    from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

    image = photographs(16, 1)[0]
    hsv = rgb_to_hsv(image / 255)
    hsv[..., 2] = np.clip(hsv[..., 2] + 0.3, 0, 1)
    found = weather.brightness(image.transpose(2, 0, 1), 0.3, generator(0)).transpose(1, 2, 0)
    assert np.abs(found - 255 * hsv_to_rgb(hsv)).max() < 1e-3
    black = np.zeros((3, 2, 2), np.uint8)
    assert np.allclose(weather.brightness(black, 0.3, generator(0)), 76.5)


def test_fog_is_a_diamond_square_on_a_torus():
    def slow(side, decay, draws):
        cloud, step, wibble = np.zeros((side, side)), side, 100.0
        while step >= 2:
            half = step // 2
            places = range(0, side, step)
            noises = [
                draws.uniform(-wibble, wibble, (side // step,) * 2) * wibble for _ in range(3)
            ]
            for a, i in enumerate(places):
                for b, j in enumerate(places):
                    corners = [(i, j), (i + step, j), (i, j + step), (i + step, j + step)]
                    mean = sum(cloud[u % side, v % side] for u, v in corners) / 4
                    cloud[i + half, j + half] = mean + noises[0][a, b]
            for which, (down, right) in ((1, (0, half)), (2, (half, 0))):
                for a, i in enumerate(places):
                    for b, j in enumerate(places):
                        y, x = i + down, j + right
                        beside = [(y - half, x), (y + half, x), (y, x - half), (y, x + half)]
                        mean = sum(cloud[u % side, v % side] for u, v in beside) / 4
                        cloud[y, x] = mean + noises[which][a, b]
            step, wibble = half, wibble / decay
        cloud -= cloud.min()
        return cloud / cloud.max()

    found = weather.plasma(16, 1.75, generator(0, "fog"))
    assert np.allclose(found, slow(16, 1.75, generator(0, "fog")))


@pytest.mark.parametrize("size", [(224, 224), (32, 32), (64, 64), (17, 31), (96, 7), (1, 5)])
def test_rows_are_repeated_as_pillow_does(size):
    image = np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)
    for share in (0.95, 0.9, 0.85, 0.75, 0.65, 0.6, 0.5, 0.4, 0.3, 0.25, 0.01):
        height, width = size
        small = (max(int(width * share), 1), max(int(height * share), 1))
        reduced = Image.fromarray(image).resize(small, Image.Resampling.BOX)
        slow = np.asarray(reduced.resize((width, height), Image.Resampling.NEAREST))
        assert np.array_equal(corruption_digital.pixelate(image, share), slow), share


def test_pixelate_is_by_boxes_both_ways():
    image = photographs(32, 1)[0]
    small = Image.fromarray(image).resize((20, 20), Image.Resampling.BOX)
    slow = np.asarray(small.resize((32, 32), Image.Resampling.BOX))
    assert np.array_equal(corruption_digital.pixelate(image, 0.65), slow)


def test_jpeg_is_pillows():
    image = photographs(32, 1)[0]
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=18)
    slow = np.asarray(Image.open(io.BytesIO(file.getvalue())))
    assert np.array_equal(corruption_digital.jpeg_compression(image, 18), slow)
