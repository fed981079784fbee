"""Ranks, likelihood and calibration against loops, torch's own functions and hand examples."""

import numpy as np
import pytest
import torch

from sightlines.stats.classification import BINS, judge, reliability
from tests.rounding import assert_rounded, rounded


def made(images=40, outputs=7, seed=4):
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 3, (images, outputs)).astype(np.float32)
    return logits, draw.integers(outputs, size=images)


def test_answers_are_those_of_torch():
    logits, right = made()
    found = judge(logits, right)
    exact = torch.from_numpy(logits).double()
    loss = torch.nn.functional.cross_entropy(exact, torch.from_numpy(right), reduction="none")
    assert_rounded(found.loss, loss.numpy(), terms=logits.shape[1], size=np.abs(logits).max())
    assert found.taken.tolist() == exact.argmax(1).tolist()
    assert_rounded(found.confidence, exact.softmax(1).max(1).values.numpy(), terms=logits.shape[1])
    for row, own, rank in zip(logits, right, found.rank, strict=True):
        assert np.argsort(-row, kind="stable").tolist().index(own) == rank


def test_of_equal_outputs_the_first_is_taken():
    logits = np.array([[0, 2, 2, 1], [0, 2, 2, 1], [0, 2, 2, 1], [5, 5, 5, 5]], np.float32)
    found = judge(logits, np.array([1, 2, 3, 3]))
    assert found.taken.tolist() == [1, 1, 1, 0]
    assert found.rank.tolist() == [0, 1, 2, 3]
    assert found.loss[3] == rounded(np.log(4), terms=4)


def test_large_outputs_have_a_loss():
    logits = np.array([[3e38, -3e38], [1e4, 1e4 - 2]], np.float32)
    found = judge(logits, np.array([0, 1]))
    assert found.loss[0] == 0 and found.confidence[0] == 1
    assert found.loss[1] == rounded(2 + np.log1p(np.exp(-2)), terms=2)
    assert np.isfinite(judge(logits, np.array([1, 1])).loss).all()


def test_a_single_output_is_always_right():
    found = judge(np.array([[3.0], [-2.0]], np.float32), np.array([0, 0]))
    assert found.rank.tolist() == [0, 0]
    assert found.loss.tolist() == [0, 0] and found.confidence.tolist() == [1, 1]


def test_calibration_by_hand():
    """Two images at .9 (one right), two at .5 (both right), one at 1 (right): bins 14, 8 and 15."""
    confidence = np.array([0.9, 0.9, 0.5, 0.5, 1.0])
    table = reliability(confidence, np.array([True, False, True, True, True]))
    assert BINS == 15 and len(table.images) == 15
    assert {place: n for place, n in enumerate(table.images.tolist()) if n} == {7: 2, 13: 2, 14: 1}
    assert table.accuracy[[7, 13, 14]].tolist() == [1, 0.5, 1]
    assert_rounded(table.confidence[[7, 13, 14]], np.array([0.5, 0.9, 1.0]), terms=2)
    assert np.isnan(table.accuracy[0]) and np.isnan(table.confidence[0])
    expected = 2 / 5 * 0.5 + 2 / 5 * 0.4 + 1 / 5 * 0
    assert table.calibration_error() == rounded(expected, terms=5)


@pytest.mark.parametrize(("confidence", "place"), [(1e-9, 0), (1 / 15, 0), (0.07, 1), (1.0, 14)])
def test_a_bin_ends_with_its_upper_edge(confidence, place):
    table = reliability(np.array([confidence]), np.array([False]))
    assert table.images.argmax() == place and table.images.sum() == 1


def test_calibration_is_that_of_a_loop():
    logits, right = made(300, 4, seed=8)
    found = judge(logits, right)
    is_right = found.taken == right
    total = 0.0
    for m in range(1, 16):
        inside = [i for i, c in enumerate(found.confidence) if (m - 1) / 15 < c <= m / 15]
        if inside:
            gap = np.mean(is_right[inside]) - np.mean(found.confidence[inside])
            total += len(inside) / 300 * abs(gap)
    assert reliability(found.confidence, is_right).calibration_error() == rounded(total, terms=300)
