"""Statistics of position embeddings and patch filters, against slow twins and known cases."""

import itertools
import math

import numpy as np
import pytest

from sightlines.models.vit import waves_2d
from sightlines.stats.embeddings import (
    along_rows_and_columns,
    analyse_filters,
    cosines,
    encodes_distance,
    pairs_of,
)
from tests.rounding import assert_rounded, rounded

GRID = (3, 4)


def random(seed, *shape):
    return np.random.Generator(np.random.Philox(seed)).standard_normal(shape)


def ranks(values):
    """Mean ranks, by counting."""
    return [sum(v < w for v in values) + (sum(v == w for v in values) + 1) / 2 for w in values]


def test_distance_and_rows_against_loops():
    embeddings = random(1, 12, 5)
    places = list(itertools.product(range(GRID[0]), range(GRID[1])))
    pairs = list(itertools.combinations(range(12), 2))
    cosine = [
        embeddings[i]
        @ embeddings[j]
        / math.sqrt((embeddings[i] @ embeddings[i]) * (embeddings[j] @ embeddings[j]))
        for i, j in pairs
    ]
    distance = [math.dist(places[i], places[j]) for i, j in pairs]
    similarity, known = cosines(embeddings), pairs_of(GRID)
    expected = np.corrcoef(ranks(cosine), ranks([-d for d in distance]))[0, 1]
    assert encodes_distance(similarity, known) == rounded(expected, terms=len(pairs))
    total = weight = 0.0
    for step in {round(2 * d) for d in distance}:
        own = {True: [], False: []}
        for (i, j), value, d in zip(pairs, cosine, distance, strict=True):
            if round(2 * d) == step:
                own[places[i][0] == places[j][0] or places[i][1] == places[j][1]].append(value)
        if own[True] and own[False]:
            total += len(own[True]) * (np.mean(own[True]) - np.mean(own[False]))
            weight += len(own[True])
    found = along_rows_and_columns(similarity, known)
    assert found == rounded(total / weight, terms=len(pairs))


def test_embeddings_that_are_distances_have_correlation_one():
    known = pairs_of((5, 5))
    similarity = np.zeros((25, 25))
    similarity[known.first, known.second] = -(known.distance**2)
    assert encodes_distance(similarity, known) == rounded(1.0, terms=300)
    assert abs(along_rows_and_columns(similarity / 50, known)) < 0.02


def test_sums_of_rows_and_columns_are_seen_and_so_are_sines():
    row, column = random(2, 8, 40), random(3, 8, 40)
    summed = (row[:, None] + column).reshape(64, 40)
    known = pairs_of((8, 8))
    assert along_rows_and_columns(cosines(summed), known) > 0.3
    sines = np.array(waves_2d(8, 8, 48))
    assert encodes_distance(cosines(sines), known) > 0.8


def test_without_differences_nothing_is_told():
    known = pairs_of(GRID)
    assert np.isnan(encodes_distance(np.ones((12, 12)), known))
    assert np.isnan(encodes_distance(cosines(np.zeros((12, 4))), known))


def slow_frequency(filters):
    """By the definition of the cosine transform (type II), filter by filter."""
    centred = filters - filters.mean(axis=0)
    _, _, height, width = filters.shape
    power = np.zeros((height, width))
    for u, v in itertools.product(range(height), range(width)):
        wave = np.array(
            [
                [
                    math.cos(math.pi * u * (2 * y + 1) / (2 * height))
                    * math.cos(math.pi * v * (2 * x + 1) / (2 * width))
                    for x in range(width)
                ]
                for y in range(height)
            ]
        )
        wave /= math.sqrt((wave**2).sum())
        power[u, v] = ((centred * wave).sum(axis=(2, 3)) ** 2).sum()
    grid = np.array(
        [[math.hypot(u / height, v / width) for v in range(width)] for u in range(height)]
    )
    return (power * grid).sum() / power.sum() / grid.mean()


def test_frequency_and_components_of_filters():
    filters = random(4, 7, 3, 4, 5)
    found = analyse_filters(filters)
    assert found.frequency == rounded(slow_frequency(filters), terms=400)
    centred = (filters - filters.mean(axis=0)).reshape(7, -1)
    variance = np.sort(np.linalg.eigvalsh(centred @ centred.T))[::-1]
    assert_rounded(found.share, variance / variance.sum(), terms=60, size=1)
    needed = 1 + int((np.cumsum(variance) / variance.sum() < 0.9).sum())
    assert found.needed == needed / 7
    whole = (found.share[:, None] * found.components.reshape(7, -1) ** 2).sum(axis=0)
    assert_rounded(whole, (centred**2).sum(axis=0) / (centred**2).sum(), terms=60, size=1)
    largest = np.abs(found.components.reshape(7, -1)).argmax(axis=1)
    assert (found.components.reshape(7, -1)[range(7), largest] > 0).all()


def test_white_filters_have_one_and_smooth_ones_less():
    white = analyse_filters(random(5, 300, 3, 8, 8))
    assert white.frequency == pytest.approx(1, abs=0.02) and white.needed > 0.5
    y, x = np.indices((8, 8))
    bars = np.cos((2 * x + 1) * np.pi / 16) * random(6, 40, 1, 1, 1) + 0 * y
    smooth = analyse_filters(np.repeat(bars, 3, axis=1))
    frequency = np.hypot(*(np.indices((8, 8)) / 8)).mean()
    assert smooth.frequency == rounded(0.125 / frequency, terms=400, size=1)
    assert smooth.needed == 1 / 40
