import numpy as np
import pytest

from sightlines.stats import hsic
from sightlines.stats.hsic import cka
from tests.measures.making_dumps import STORED, pack_features
from tests.reference.cka_song import cka_biased, cka_song, hsic_song
from tests.rounding import assert_rounded, rounded


def features(seed, n, p):
    return np.random.Generator(np.random.Philox(seed)).standard_normal((n, p))


def compare(x, y):
    vectors = hsic.centred(np.stack([pack_features(x), pack_features(y)]), len(x))
    sums = vectors @ vectors.T
    return cka(sums, np.diag(sums), np.diag(sums))[0, 1]


@pytest.mark.parametrize("n", [4, 5, 31, 67])
def test_dot_products_are_the_estimator_of_song_et_al(n):
    x, y = features(1, n, 13), features(2, n, 7)
    packed = np.stack([pack_features(x), pack_features(y)])
    vectors = hsic.centred(packed, n)
    grams = []
    for row in packed.astype(np.float64):
        gram = np.zeros((n, n))
        gram[np.triu_indices(n)] = row
        grams.append(gram + np.triu(gram, 1).T)
    for a in range(2):
        for b in range(2):
            expected = n * (n - 3) * hsic_song(grams[a], grams[b])
            scale = np.linalg.norm(grams[a]) * np.linalg.norm(grams[b])
            assert vectors[a] @ vectors[b] == rounded(expected, terms=n * n, size=scale)


def test_entries_are_u_centred():
    n = 11
    vector = hsic.centred(pack_features(features(3, n, 5))[None], n)[0] / np.sqrt(2)
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n, 1)] = vector
    matrix += matrix.T
    assert_rounded(matrix.sum(0), 0, terms=n, size=np.abs(matrix).max())


@pytest.mark.parametrize("budget", [1, 3000, 10**9])
def test_rows_in_groups_give_the_same_vectors(budget):
    n = 29
    packed = np.stack([pack_features(features(4, n, 5)), pack_features(features(5, n, 3))])
    means, _ = hsic.centring_means(packed, n)
    groups = hsic.row_groups(n, 2, budget)
    parts = [hsic.centred_rows(packed, means, rows) for rows in groups]
    assert [row for rows in groups for row in rows] == list(range(n - 1))
    assert (len(groups) > 1) == (budget < 10**9)
    assert np.array_equal(np.concatenate(parts, axis=1), hsic.centred(packed, n))
    order = np.random.Generator(np.random.Philox(1)).permutation(n)
    moved = [hsic.shuffled_rows(packed, means, rows, order) for rows in groups]
    whole = hsic.shuffled_rows(packed, means, range(n - 1), order)
    assert np.array_equal(np.concatenate(moved, axis=1), whole)


def test_order_permutes_the_images():
    n = 17
    x = features(6, n, 5)
    order = np.random.Generator(np.random.Philox(7)).permutation(n)
    packed = pack_features(x)[None]
    moved = hsic.shuffled_rows(packed, hsic.centring_means(packed, n)[0], range(n - 1), order)
    expected = hsic.centred(pack_features(x[order])[None], n)
    assert_rounded(moved, expected, terms=1, dtype=np.float32)


def test_fewer_than_four_images_are_refused():
    with pytest.raises(ValueError, match="needs 4 images, got 3"):
        hsic.centred(pack_features(features(8, 3, 2))[None], 3)


def test_scale_is_the_squared_norm_of_the_gram():
    x = features(9, 13, 5)
    x = x - x.mean(0)
    packed = pack_features(x)[None]
    expected = np.square(x @ x.T).sum()
    assert hsic.centring_means(packed, 13)[1][0] == rounded(expected, terms=1, dtype=np.float32)


@pytest.mark.parametrize("p", [64, 512, 4096])
def test_independent_features_are_not_similar_where_the_printed_formula_says_they_are(p):
    x, y = features(10, 256, p), features(11, 256, p)
    spread = np.sqrt(2) / 256  # of a correlation over n²/2 pairs of images
    assert abs(compare(x, y)) < 3 * spread
    assert abs(cka_biased(x, y) - p / (p + 256)) < 3 * spread  # .20, .67, .94


def test_biased_and_unbiased_agree_with_many_images_and_few_features():
    x = features(12, 401, 5)
    y = x @ features(13, 5, 5) + features(14, 401, 5)
    assert abs(compare(x, y) - cka_biased(x, y)) < 5 / 401, "the bias is about features / images"


def test_similarity_to_itself_is_one():
    x = features(15, 37, 11)
    assert compare(x, x) == rounded(1, terms=37 * 37)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
def test_scale_rotation_and_shift_do_not_matter(scale):
    x = features(16, 61, 19)
    y = x[:, :7] + features(17, 61, 7)
    rotation = np.linalg.qr(features(18, 19, 19))[0]
    changed = scale * (x @ rotation) + scale * 30 * features(19, 1, 19)
    assert compare(changed, y) == rounded(compare(x, y), **STORED)
    assert abs(compare(x * np.arange(1, 20), y) - compare(x, y)) > 1e-3


def test_negative_values_are_kept():
    values = [compare(features(s, 8, 50), features(s + 100, 8, 50)) for s in range(20)]
    assert min(values) < -0.05


def test_agrees_with_the_twin():
    x = features(20, 43, 23)
    y = x[:, :11] + features(21, 43, 11)
    assert compare(x, y) == rounded(cka_song([x], [y]), **STORED)
