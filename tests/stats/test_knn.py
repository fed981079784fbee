"""Weighted nearest neighbours against a slow twin, with duplicates and ties."""

import math

import numpy as np
import pytest

from sightlines.stats.knn import STEPS, TEMPERATURE, nearest, rank, rank_among, scaled, vote

CLASSES = 4


def features(seed, images, width=6):
    return np.random.Generator(np.random.Philox(seed)).standard_normal((images, width))


def predict(support, labels, test, classes, neighbours):
    """Class of every test image, by so many neighbours."""
    ranked = rank(support, test, max(neighbours))
    return np.array([vote(ranked, labels, classes, k) for k in neighbours])


def slow(support, labels, test, k):
    """One test image at a time, in exact order: by (−s, place)."""
    answers = []
    for query in test:
        similar = []
        for place, row in enumerate(support):
            norms = math.sqrt(math.fsum(row**2)) * math.sqrt(math.fsum(query**2))
            similar.append((-math.fsum(row * query) / norms, place))
        votes = [0.0] * CLASSES
        for similarity, place in sorted(similar)[:k]:
            votes[labels[place]] += math.exp(-similarity / TEMPERATURE)
        answers.append(votes.index(max(votes)))
    return answers


@pytest.mark.parametrize("k", [1, 3, 20, 40])
def test_it_is_the_slow_twin(k):
    support, test = features(1, 40), features(2, 30)
    labels = np.random.Generator(np.random.Philox(3)).integers(0, CLASSES, 40)
    (found,) = predict(support, labels, test, CLASSES, [k])
    assert found.tolist() == slow(support, labels, test, k)


def test_several_numbers_of_neighbours_are_as_one_by_one():
    support, test = features(1, 40), features(2, 30)
    labels = np.arange(40) % CLASSES
    found = predict(support, labels, test, CLASSES, [10, 1, 40])
    for own, k in zip(found, (10, 1, 40), strict=True):
        assert (own == predict(support, labels, test, CLASSES, [k])[0]).all()


def test_of_equally_near_images_the_first_is_taken():
    row = features(1, 1)
    support = np.concatenate([row, row, -row, row])
    (found,) = predict(support, np.array([2, 1, 0, 1]), row, CLASSES, [1])
    assert found.tolist() == [2]
    _, places = nearest(scaled(support), scaled(row), 4)
    assert places.tolist() == [[0, 1, 3, 2]]


def test_duplicates_whose_sums_round_apart_are_equally_near():
    """The same direction at lengths for which cosines differ in their last bits."""
    row = features(4, 1, width=700)
    support = np.concatenate([row * factor for factor in (1 / 3, 1e-3, 7.0, 1e5 / 9)])
    similarity, places = nearest(scaled(support), scaled(row * np.pi), 4)
    assert places.tolist() == [[0, 1, 2, 3]] and len({*similarity[0]}) == 1


def test_of_classes_with_equal_votes_the_first_is_taken():
    row = features(1, 1)
    (found,) = predict(np.repeat(row, 4, 0), np.array([3, 1, 1, 3]), row, CLASSES, [4])
    assert found.tolist() == [1]


def test_answers_do_not_depend_on_the_chunk_or_the_scale():
    support, test = features(1, 60), features(2, 700)
    labels = np.arange(60) % CLASSES
    (whole,) = predict(support, labels, test, CLASSES, [7])
    (parts,) = predict(support * 3, labels, test * 0.1, CLASSES, [7])
    ones = [
        predict(support, labels, test[i : i + 1], CLASSES, [7])[0, 0] for i in range(0, 700, 97)
    ]
    assert (whole == parts).all() and ones == whole[::97].tolist()


def test_a_row_of_zeros_is_like_nothing():
    support = np.concatenate([np.zeros((1, 6)), features(1, 3)])
    similarity, places = nearest(scaled(support), scaled(-features(1, 1)), 4)
    assert similarity[0, places[0].tolist().index(0)] == 0


def test_more_neighbours_than_images_are_refused():
    with pytest.raises(ValueError, match="5 neighbours of 4 support images"):
        predict(features(1, 4), np.zeros(4, int), features(2, 1), CLASSES, [5])


@pytest.mark.parametrize("ranked", [20, 40, 100])
def test_the_nearest_of_some_are_what_these_alone_would_give(ranked):
    """Where half of those ranked hold too few of them, and where they hold enough."""
    support, test = features(1, 100), features(2, 30)
    support[50:60] = support[40:50]
    chosen = np.random.Generator(np.random.Philox(3)).permutation(100) < 50
    found = rank_among(chosen, rank(support, test, ranked), support, test, 20)
    alone = rank(support[chosen], test, 20)
    assert (found.places == np.flatnonzero(chosen)[alone.places]).all()
    assert np.abs(found.similarity - alone.similarity).max() <= 2 / STEPS
