"""Statistics of CKA maps against slow twins that compute them by loops."""

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from sightlines.claims import statistics
from tests.rounding import rounded

LAYERS = (4, 5, 11, 13)
MEANS = {"terms": max(LAYERS) ** 2, "size": 1}


def a_map(layers, seed=0, columns=None):
    """Symmetric, with a diagonal of 1; or a rectangle."""
    random = np.random.default_rng(seed)
    if columns:
        return random.uniform(-0.1, 1, (layers, columns))
    values = random.uniform(-0.1, 1, (layers, layers))
    values = (values + values.T) / 2
    np.fill_diagonal(values, 1)
    return values


def mean(cells):
    found = [cell for cell in cells if np.isfinite(cell)]
    return sum(found) / len(found) if found else np.nan


def depth(layer, layers):
    return layer / (layers - 1)


def slow_low_high(m):
    n = len(m)
    low = [i for i in range(n) if depth(i, n) < 0.25]
    high = [j for j in range(n) if depth(j, n) >= 0.75]
    return mean(m[i, j] for i in low for j in high)


def slow_parts(m, cut):
    """Mean within the layers below a cut, within those above, and across."""
    n = len(m)
    below = mean(m[i, j] for i in range(cut) for j in range(cut) if i != j)
    above = mean(m[i, j] for i in range(cut, n) for j in range(cut, n) if i != j)
    across = mean(m[i, j] for i in range(cut) for j in range(cut, n))
    return below, above, across


def slow_split(m):
    """Largest contrast and the depth of its cut."""
    best = (-np.inf, np.nan)
    for cut in range(2, len(m) - 1):
        if 0.15 <= depth(cut, len(m)) <= 0.85:
            below, above, across = slow_parts(m, cut)
            best = max(best, ((below + above) / 2 - across, depth(cut, len(m))))
    return best


def slow_cut_ratio(m, cut):
    below, above, across = slow_parts(m, cut)
    return across / ((below + above) / 2)


def slow_path(m):
    """Of all paths whose rows never fall the first with the largest mean."""
    seen = [c for c in range(m.shape[1]) if np.isfinite(m[:, c]).any()]
    filled = np.where(np.isfinite(m), m, -np.inf)
    paths = itertools.combinations_with_replacement(range(len(m)), len(seen))
    path = max(paths, key=lambda rows: sum(filled[rows, seen]))
    rows = np.full(m.shape[1], -1)
    rows[seen] = path
    return rows, sum(filled[path, seen]) / len(seen)


def slow_spearman(values, against):
    def ranks(numbers):
        return [
            1 + sum(b < a for b in numbers) + (sum(b == a for b in numbers) - 1) / 2
            for a in numbers
        ]

    a, b = ranks(values), ranks(against)
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    top = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    bottom = sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
    return top / bottom**0.5


def holed(m):
    """With one layer undefined."""
    m = m.copy()
    m[3], m[:, 3] = np.nan, np.nan
    return m


MAPS = [*(a_map(n, seed) for n in LAYERS for seed in range(3)), holed(a_map(11)), holed(a_map(13))]


@pytest.mark.parametrize("m", MAPS)
def test_statistics_are_their_slow_twins(m):
    contrast, cut = slow_split(m)
    if np.isfinite(contrast):
        assert statistics.split_contrast(m) == rounded(contrast, **MEANS)
        assert statistics.split(m)[1] == rounded(cut, **MEANS)
    half = next(i for i in range(len(m)) if depth(i, len(m)) >= 0.5)
    assert statistics.low_high(m) == rounded(slow_low_high(m), nan_ok=True, **MEANS)
    assert statistics.mid_ratio(m) == rounded(slow_cut_ratio(m, half), **MEANS)
    assert statistics.mean_all(m) == rounded(mean(m.ravel()), **MEANS)
    low = np.arange(len(m)) < 2
    assert statistics.cut_ratio(m, low) == rounded(slow_cut_ratio(m, 2), **MEANS)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("is_holed", [False, True])
def test_the_monotone_path_is_the_best_of_all_paths(seed, is_holed):
    m = a_map(7, seed, columns=5)
    m = holed(m) if is_holed else m
    rows, mean = slow_path(m)
    found, similarity = statistics.monotone_path(m)
    assert found.tolist() == rows.tolist()
    assert similarity == rounded(mean, **MEANS)


@pytest.mark.parametrize("is_holed", [False, True])
def test_means_of_paths_are_those_of_the_paths_of_the_rows_in_that_order(is_holed):
    stack = np.array([a_map(7, seed, columns=5) for seed in range(4)])
    stack = np.array([holed(m) for m in stack]) if is_holed else stack
    orders = [np.arange(7), np.arange(7)[::-1], np.array([3, 1, 6, 0, 2, 5, 4])]
    expected = [statistics.monotone_path(stack[:, order])[1] for order in orders]
    np.testing.assert_array_equal(statistics.monotone_means(stack, orders), expected)
    assert not np.array_equal(expected[0], expected[1], equal_nan=True)


def test_there_is_no_path_where_what_is_defined_lies_the_wrong_way_round():
    m = np.full((3, 2), np.nan)
    m[2, 0] = m[0, 1] = 1.0
    assert np.isnan(statistics.monotone_path(m)[1])


@pytest.mark.parametrize("seed", range(5))
def test_spearman_is_its_slow_twin_and_scipy_with_and_without_ties(seed):
    random = np.random.default_rng(seed)
    values, against = random.integers(0, 5, (2, 9)).astype(float)
    found = statistics.spearman(values, against)
    assert found == rounded(slow_spearman(values, against), **MEANS)
    assert found == rounded(spearmanr(values, against).statistic, **MEANS)
    assert statistics.spearman(values) == rounded(slow_spearman(values, range(9)), **MEANS)


def test_replicates_go_through_at_once():
    stack = np.stack([a_map(11, seed) for seed in range(4)])
    for name in ("low_high", "split", "mid_ratio", "mean_all"):
        function = getattr(statistics, name)
        alone = np.stack([function(m) for m in stack], axis=-1)
        assert np.array(function(stack)) == rounded(alone, **MEANS), name
    rows, means = statistics.monotone_path(stack)
    alone = [statistics.monotone_path(m) for m in stack]
    assert rows.tolist() == [own.tolist() for own, _ in alone]
    assert means == rounded([mean for _, mean in alone], **MEANS)
    rows = stack[:, 0]
    one = np.stack([statistics.spearman(row, np.arange(11)) for row in rows])
    assert statistics.spearman(rows, np.arange(11)) == rounded(one, **MEANS)
    pairs = zip(rows, stack[:, 1], strict=True)
    each = np.stack([statistics.spearman(a, b) for a, b in pairs])
    assert statistics.spearman(rows, stack[:, 1]) == rounded(each, **MEANS)


def blocks(layers, cut, within, across):
    low = np.arange(layers) < cut
    return np.where(low[:, None] == low, within, across)


def test_closed_forms():
    m = blocks(12, 7, 0.8, 0.2)
    assert statistics.split_contrast(m) == rounded(0.6, **MEANS)
    assert statistics.split(m)[1] == rounded(7 / 11, **MEANS)
    assert statistics.cut_ratio(m, np.arange(12) < 7) == rounded(0.25, **MEANS)
    assert statistics.mid_ratio(blocks(12, 6, 0.8, 0.2)) == rounded(0.25, **MEANS)
    assert statistics.low_high(m) == rounded(0.2, **MEANS)
    assert statistics.monotone_path(np.eye(5))[0].tolist() == [0, 1, 2, 3, 4]
    assert statistics.monotone_path(np.eye(5)[::-1])[1] == rounded(0.2, **MEANS)
    rising = np.arange(5.0) ** 3
    assert statistics.spearman(rising) == rounded(1, **MEANS)
    assert statistics.spearman(-rising) == rounded(-1, **MEANS)


def test_negative_control_a_uniform_map_has_no_contrast():
    m = np.full((12, 12), 0.5)
    assert statistics.split_contrast(m) == rounded(0, **MEANS)
    assert statistics.mid_ratio(m) == rounded(1, **MEANS)


def test_nothing_depends_on_the_scale_of_similarity_that_is_a_ratio_or_an_order():
    m = a_map(11)
    low = np.arange(11) < 4
    assert statistics.cut_ratio(3 * m, low) == rounded(statistics.cut_ratio(m, low), **MEANS)
    paths = [statistics.monotone_path(own)[0].tolist() for own in (m, 3 * m - 1)]
    assert paths[0] == paths[1]
    assert statistics.spearman(np.exp(m[0])) == rounded(statistics.spearman(m[0]), **MEANS)


def test_undefined_cells_are_left_out_and_undefined_maps_stay_undefined():
    nothing = np.full((2, 9, 9), np.nan)
    for name in ("low_high", "split_contrast", "mid_ratio", "mean_all"):
        assert np.isnan(getattr(statistics, name)(nothing)).all(), name
    rows, means = statistics.monotone_path(nothing)
    assert (rows == -1).all() and np.isnan(means).all()
    assert np.isnan(statistics.spearman(np.full(4, 2.0)))
    assert np.isnan(statistics.spearman(np.array([1, np.nan, 3, 4])))


def test_too_few_layers_have_no_cut():
    assert np.isnan(statistics.split_contrast(np.ones((3, 3))))
    assert np.isnan(statistics.split(np.ones((3, 3)))[1])


def test_a_part_of_one_layer_has_no_similarity_within_and_leaves_it_to_the_other():
    low, own = np.arange(6) < 1, a_map(6)
    within = own[1:, 1:][~np.eye(5, dtype=bool)].mean()
    assert statistics.cut_ratio(own, low) == rounded(own[0, 1:].mean() / within, **MEANS)
    assert np.isnan(statistics.cut_ratio(a_map(2), np.arange(2) < 1))
