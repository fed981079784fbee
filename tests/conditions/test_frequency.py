"""Fourier noise: waves of one frequency and norm, and which frequencies there are."""

import numpy as np
import pytest

from sightlines.conditions import frequency
from sightlines.conditions.condition import ImageFacts
from tests.conditions.making_photographs import photographs

FACTS = ImageFacts(32, (0.5, 0.5, 0.5))
GREY = np.full((4, 32, 32, 3), 128, np.uint8)


def settings(**own):
    return {"frequencies": "rings", "norm": 0, "cells": 8} | own


def test_there_are_513_waves_of_32_px_each_with_its_mirror_image():
    found = frequency.frequencies(32)
    assert len(found) == len(set(found)) == 513
    seen = np.zeros((32, 32), int)
    for i, j in found:
        for a, b in {(i % 32, j % 32), (-i % 32, -j % 32)}:
            seen[a, b] += 1
    assert seen.sum() == 32 * 32 - 1 and seen.max() == 1 and seen[0, 0] == 0
    assert len(frequency.frequencies(224)) == (63**2 - 1) // 2


@pytest.mark.parametrize("side", [32, 7])
def test_a_wave_is_real_of_norm_1_and_of_one_frequency(side):
    for i, j in frequency.frequencies(side):
        own = frequency.wave((i, j), side).astype(float)
        assert np.linalg.norm(own) == pytest.approx(1, abs=1e-5)
        power = np.abs(np.fft.fft2(own)) ** 2
        places = {(i % side, j % side), (-i % side, -j % side)}
        kept = sum(power[place] for place in places)
        assert kept == pytest.approx(power.sum(), rel=1e-5), (i, j)


def test_names_say_the_frequency():
    for own in [(0, 1), (-3, 16), (16, 0), (-31, 31)]:
        assert frequency.frequency_of(frequency.name_of(own)) == own
    assert frequency.name_of((-3, 16)) == "wave_m3_16"
    assert frequency.frequency_of("fog") is None


def test_noise_has_the_norm_that_was_asked_for_where_nothing_is_clipped():
    found = frequency.add_wave((3, 5), 1.5, GREY, np.arange(4), 0)
    noise = found - np.float32(128 / 255)
    norms = np.sqrt(np.square(noise).sum(axis=(1, 2)))
    assert found.dtype == np.float32 and norms == pytest.approx(1.5, abs=1e-4)
    own = frequency.wave((3, 5), 32)
    signs = np.einsum("nhwc,hw->nc", noise, own) / 1.5
    assert np.abs(signs) == pytest.approx(1, abs=1e-4)
    assert len({tuple(np.sign(s)) for s in signs}) > 1, "signs are by image and channel"


def test_clipping_takes_of_the_norm_and_the_rest_stays_within_levels():
    images = photographs(32)
    found = frequency.add_wave((1, 0), 8.0, images, np.arange(len(images)), 0)
    assert found.min() >= 0 and found.max() <= 1
    norms = np.sqrt(np.square(found - images / 255).sum(axis=(1, 2)))
    assert (norms < 8).all() and norms.max() > 4
    nothing = frequency.add_wave((1, 0), 0.0, images, np.arange(len(images)), 0)
    assert np.allclose(nothing, images / 255)


def test_signs_are_by_seed_image_and_frequency_whatever_the_minibatch():
    images = photographs(32)
    whole = frequency.add_wave((2, 2), 4.0, images, np.arange(6), 0)
    order = np.array([4, 1])
    assert np.array_equal(frequency.add_wave((2, 2), 4.0, images[order], order, 0), whole[order])
    signs = {
        (
            seed,
            wave,
            tuple(
                np.sign(
                    (frequency.add_wave(wave, 1.0, GREY, np.arange(4), seed) - 0.5)[
                        ..., 0, 0, :
                    ].ravel()
                )
            ),
        )
        for seed in (0, 1)
        for wave in ((2, 2), (2, 3))
    }
    assert len({own for _, _, own in signs}) > 1


def test_norms_between_the_published_ones_follow_a_power():
    assert frequency.published_norm(32) == 4.0 and frequency.published_norm(224) == 15.7
    assert 4 < frequency.published_norm(64) < frequency.published_norm(128) < 15.7


def test_a_grids_frequencies_are_alike_in_every_cell():
    own = frequency.grid_frequencies(32, 8)
    assert len(own) == 9
    for wave in own:
        cells = frequency.wave(wave, 32).reshape(8, 4, 8, 4).transpose(0, 2, 1, 3)
        assert np.abs(cells - cells[:1, :1]).max() < 1e-6
    for wave in frequency.neighbours((8, 8), 32):
        cells = frequency.wave(wave, 32).reshape(8, 4, 8, 4).transpose(0, 2, 1, 3)
        assert np.abs(cells - cells[:1, :1]).max() > 1e-3
    assert len(frequency.neighbours((8, 8), 32)) == 8
    assert (0, 0) not in frequency.neighbours((0, 1), 32)


def test_what_is_asked_for_holds_the_map_and_the_grid():
    found = frequency.conditions(settings(), FACTS)
    waves = {frequency.frequency_of(c.name) for c in found}
    assert {*frequency.on_rings(32), *frequency.around_grid(32, 8)} == waves
    assert {c.severity for c in found} == {4.0}
    assert len(frequency.on_rings(32)) > 55
    everything = frequency.conditions(settings(frequencies="all", norm=2), FACTS)
    assert len(everything) == 513 and {c.severity for c in everything} == {2.0}
    seen = found[3].apply(GREY, np.arange(4), 0)
    assert seen.shape == GREY.shape
