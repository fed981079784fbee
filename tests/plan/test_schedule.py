import math

import numpy as np
import pytest

from sightlines.core.errors import ConfigError
from sightlines.plan import schedule
from sightlines.plan.networks import Network
from tests.rounding import rounded
from tests.training.jobs import RECIPE

NETWORK = Network("vit_small", "f010", "s0")
IMAGES = np.arange(100, 123)


def rates(total=20, **recipe):
    complete = RECIPE | {"steps": 20, "warmup_steps": 4, "learning_rate": 0.8} | recipe
    return [schedule.learning_rate(step, complete, total) for step in range(total)]


def test_warm_up_is_linear_and_reaches_the_peak():
    assert rates()[:4] == rounded([0.2, 0.4, 0.6, 0.8], terms=2)


def test_cosine_and_linear_fall_from_the_peak_towards_zero():
    cosine = [0.4 * (1 + math.cos(math.pi * i / 16)) for i in range(16)]
    assert rates()[4:] == rounded(cosine, terms=2)
    linear = [0.8 * (1 - i / 16) for i in range(16)]
    assert rates(schedule="linear")[4:] == rounded(linear, terms=2)
    assert rates(schedule="constant")[4:] == [0.8] * 16


def test_warm_up_shrinks_with_the_steps():
    assert rates(total=10)[:3] == rounded([0.4, 0.8, 0.8], terms=2)
    assert rates(warmup_steps=30)[-1] == rounded(0.8, terms=2)


@pytest.mark.parametrize(
    ("budget", "fraction", "expected"),
    [
        ("equal_steps", "f003", 1000),
        ("equal_epochs", "f003", 30),
        ("equal_epochs", "f100", 1000),
        ("equal_steps", "f000", 0),
        ("equal_epochs", "f000", 0),
    ],
)
def test_steps_of_a_fraction(budget, fraction, expected):
    assert schedule.total_steps(RECIPE | {"steps": 1000, "budget": budget}, fraction) == expected


def test_at_least_one_step():
    assert schedule.total_steps(RECIPE | {"steps": 3, "budget": "equal_epochs"}, "f003") == 1


@pytest.mark.parametrize("batch_size", [1, 7, 23, 60])
def test_every_epoch_holds_each_image_once(batch_size):
    order = schedule.Order(1, NETWORK, IMAGES, batch_size)
    steps = 4 * len(IMAGES) // batch_size + 1
    batches = [order.batch(step) for step in range(steps)]
    assert {len(batch) for batch in batches} == {batch_size}
    stream = np.concatenate(batches)
    epochs = [stream[i * 23 : (i + 1) * 23] for i in range(4)]
    for epoch in epochs:
        assert sorted(epoch) == sorted(IMAGES)
    assert not np.array_equal(epochs[0], epochs[1])


def test_a_step_does_not_depend_on_those_before():
    order = schedule.Order(1, NETWORK, IMAGES, 7)
    forwards = [order.batch(step) for step in range(12)]
    for step in (11, 3, 7, 0):
        fresh = schedule.Order(1, NETWORK, IMAGES, 7)
        assert np.array_equal(fresh.batch(step), forwards[step])
        assert np.array_equal(order.batch(step), forwards[step])


@pytest.mark.parametrize("other", [("m", "f010", "s0"), ("vit_small", "f010", "s1")])
def test_networks_have_orders_of_their_own(other):
    a = schedule.Order(1, NETWORK, IMAGES, 23).batch(0)
    assert not np.array_equal(a, schedule.Order(1, Network(*other), IMAGES, 23).batch(0))
    assert not np.array_equal(a, schedule.Order(2, NETWORK, IMAGES, 23).batch(0))


def test_no_images():
    with pytest.raises(ConfigError, match="fraction f010 has no training images"):
        schedule.Order(1, NETWORK, IMAGES[:0], 7)


def test_padding_larger_than_the_image():
    with pytest.raises(ConfigError, match=r"crop_padding_px 8 .* images of 8 px: use at most 7"):
        schedule.check(RECIPE | {"crop_padding_px": 8}, 8)
    schedule.check(RECIPE | {"crop_padding_px": 8, "crop": "none"}, 8)
    schedule.check(RECIPE | {"crop_padding_px": 7}, 8)


def test_initial_weights_are_shared_only_when_asked_for():
    a, b = Network("v", "f010", "s0"), Network("v", "f100", "s1")
    assert schedule.init_seed(1, a, True) == schedule.init_seed(1, b, True)
    own = {schedule.init_seed(1, n, False) for n in (a, b, a._replace(seed="s1"))}
    assert len(own) == 3
    other_model = a._replace(model="w")
    assert schedule.init_seed(1, a, True) != schedule.init_seed(1, other_model, True)


def test_averaging_starts_fast():
    recipe = RECIPE | {"ema_decay": 0.99}
    assert schedule.ema_decay(0, recipe) == 0.1
    assert schedule.ema_decay(10**6, recipe) == 0.99
