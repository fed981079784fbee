import numpy as np
import pytest

from sightlines.stats import hsic, indices
from sightlines.stats.hsic import cka
from tests.measures.making_dumps import pack_features
from tests.reference.cka_song import cka_song, hsic_song
from tests.rounding import assert_rounded, rounded

IMAGES = 61


def features(seed, n=IMAGES, p=19):
    return np.random.Generator(np.random.Philox(seed)).standard_normal((n, p))


def related(seed, n=IMAGES):
    """Two representations that share some of their directions."""
    x = features(seed, n)
    return x, np.hstack([x[:, :7] @ features(seed + 1, 7, 7), features(seed + 2, n, 5)])


def grams(*each):
    return np.stack([x @ x.T for x in map(centred, each)])


def kernel_cka(kernels):
    vectors = hsic.centred(indices.pack(kernels), kernels.shape[1])
    sums = vectors @ vectors.T
    return cka(sums, np.diag(sums), np.diag(sums))[0, 1]


def linear(x, y):
    return kernel_cka(grams(x, y))


def rbf(x, y):
    return kernel_cka(indices.rbf(grams(x, y)))


def without_top(x, y, components=1):
    both = grams(x, y)
    return kernel_cka(indices.without_top(both, *indices.decompose(both), components))


def procrustes(x, y, both=None):
    both = grams(x, y) if both is None else both
    return indices.procrustes(indices.square_roots(*indices.decompose(both))[0], both[1])


def stored(x, y):
    """Grams in float32, as dumps hold them: Procrustes' roots of what should be 0 feel it."""
    return indices.unpack(np.stack([*map(pack_features, (x, y))]), len(x))


def neighbours(x, y, count=10, both=None):
    chosen = indices.neighbours(grams(x, y) if both is None else both, count)
    return indices.overlap(chosen, chosen)[0, 1]


def deconfounded(x, y, pixels):
    vectors = hsic.centred(indices.pack(grams(pixels, x, y)), len(x))
    sums = indices.deconfound(vectors @ vectors.T, vectors @ vectors.T)
    return cka(sums, np.diag(sums), np.diag(sums))[0, 1]


PAIRED = {
    "linear": linear,
    "rbf": rbf,
    "without_top": without_top,
    "procrustes": procrustes,
    "neighbours": neighbours,
    "deconfounded": lambda x, y: deconfounded(x, y, features(99, len(x), 5)),
}
HOW: dict = {index: {"terms": IMAGES**2, "size": 1} for index in PAIRED}
"""How they round: sums over pairs of images; all are 1 at most."""
# Roots of eigenvalues near 0 keep half of float64's digits, which is no less than float32 has.
HOW["procrustes"] = {"terms": IMAGES, "size": 1, "dtype": np.float32}
UNBIASED = ("linear", "rbf", "without_top", "deconfounded")


# -- slow twins, from the features ---------------------------------------------------------


def centred(x):
    return x - x.mean(0)


def u_centred(gram):
    """Székely and Rizzo's U-centring, entry by entry."""
    n = len(gram)
    off = gram - np.diag(np.diag(gram))
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                out[i, j] = (
                    off[i, j]
                    - off[i].sum() / (n - 2)
                    - off[:, j].sum() / (n - 2)
                    + off.sum() / ((n - 1) * (n - 2))
                )
    return out


def test_procrustes_is_the_nuclear_norm_from_a_singular_value_decomposition():
    x, y = map(centred, related(1))
    expected = np.linalg.svd(x.T @ y, compute_uv=False).sum()
    expected /= np.linalg.norm(x) * np.linalg.norm(y)
    assert procrustes(x, y) == rounded(expected, **HOW["procrustes"])
    assert procrustes(y, x) == rounded(expected, **HOW["procrustes"])


def test_procrustes_is_what_the_best_rotation_leaves():
    x, y = map(centred, related(2))
    y = np.pad(y, ((0, 0), (0, x.shape[1] - y.shape[1])))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    u, _, vt = np.linalg.svd(x.T @ y)
    distance = np.linalg.norm(x @ (u @ vt) - y)
    assert procrustes(x, y) == rounded(1 - distance**2 / 2, **HOW["procrustes"])


@pytest.mark.parametrize("components", [1, 3])
def test_without_top_is_cka_after_an_explicit_principal_component_analysis(components):
    def reduced(x):
        u, s, vt = np.linalg.svd(centred(x), full_matrices=False)
        s[:components] = 0
        return u * s @ vt

    x, y = related(3)
    x[:, 0] *= 5
    expected = cka_song([reduced(x)], [reduced(y)])
    assert without_top(x, y, components) == rounded(expected, **HOW["without_top"])
    assert abs(linear(x, y) - expected) > 0.03


def test_rbf_is_the_kernel_of_explicit_distances():
    x, y = related(4)
    kernels = []
    for z in (x, y):
        d = np.array([[np.linalg.norm(a - b) for b in z] for a in z])
        sigma = 0.4 * np.median(d[np.triu_indices(len(z), 1)])
        kernels.append(np.exp(-(d**2) / (2 * sigma**2)))
    k, l = kernels  # noqa: E741
    expected = hsic_song(k, l) / np.sqrt(hsic_song(k, k) * hsic_song(l, l))
    assert rbf(x, y) == rounded(expected, **HOW["rbf"])


def test_neighbours_are_found_by_going_through_all_images():
    x, y = related(5)
    common = 0
    for i in range(IMAGES):
        own = []
        for z in (x, y):
            others = sorted(
                (float(np.linalg.norm(z[i] - z[j])), j) for j in range(IMAGES) if j != i
            )
            own.append({j for _, j in others[:10]})
        common += len(own[0] & own[1])
    assert neighbours(x, y) == rounded(common / (10 * IMAGES), terms=1)


def test_of_neighbours_equally_far_away_the_earlier_are_nearer():
    groups = np.array([0, 1, 1, 0, 1, 2, 0, 1, 2, 0, 0, 1])
    gram = (groups[:, None] == groups).astype(float)  # Gram of the groups' unit vectors
    chosen = indices.neighbours(gram[None], 3)[0]
    for image, found in enumerate(chosen):
        others = [other for other in range(len(groups)) if other != image]
        nearest = sorted(others, key=lambda other: groups[other] != groups[image])[:3]
        assert sorted(np.flatnonzero(found)) == sorted(nearest)


def test_deconfounded_compares_the_residuals_of_a_regression_on_the_pixels():
    pixels = features(6, IMAGES, 4)
    x = np.hstack([2 * pixels, features(7, p=6)])
    y = np.hstack([3 * pixels, features(8, p=6), 0.5 * x[:, 4:]])
    k0, k, l = (u_centred(centred(z) @ centred(z).T).ravel() for z in (pixels, x, y))  # noqa: E741
    residuals = [z - np.linalg.lstsq(k0[:, None], z, rcond=None)[0] * k0 for z in (k, l)]
    expected = residuals[0] @ residuals[1]
    expected /= np.linalg.norm(residuals[0]) * np.linalg.norm(residuals[1])
    assert deconfounded(x, y, pixels) == rounded(expected, **HOW["deconfounded"])
    assert linear(x, y) > 0.9 > 0.4 > expected


def test_deconfounding_of_shuffled_images_shuffles_the_residual():
    x, pixels = features(9), features(10, p=3)
    x[:, :3] += 2 * pixels
    y = x + pixels @ features(11, 3, 19)
    order = np.random.Generator(np.random.Philox(1)).permutation(IMAGES)
    packed = np.stack([pack_features(z) for z in (pixels, x, y)])
    means, _ = hsic.centring_means(packed, IMAGES)
    rows = range(IMAGES - 1)
    own = hsic.centred_rows(packed, means, rows)
    moved = hsic.shuffled_rows(packed, means, rows, order)
    products = own @ own.T
    share = products[1:, 0] / products[0, 0]
    expected = (own[1:] - np.outer(share, own[0])) @ (moved[1:] - np.outer(share, moved[0])).T
    found = indices.deconfound(own @ moved.T, products)
    assert_rounded(found, expected, terms=IMAGES**2, size=products.max())


# -- invariances ---------------------------------------------------------------------------


@pytest.mark.parametrize("index", PAIRED)
@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_rotation_scale_and_shift_do_not_matter(index, scale):
    x, y = related(12)
    rotation = np.linalg.qr(features(13, 19, 19))[0]
    changed = scale * (x @ rotation + 3)
    own = PAIRED[index](x, y)
    assert PAIRED[index](changed, y) == rounded(own, **HOW[index])
    assert abs(PAIRED[index](x * np.arange(1, 20), y) - own) > 1e-3


@pytest.mark.parametrize("index", PAIRED)
def test_the_order_of_the_images_does_not_matter(index):
    x, y = related(14)
    order = np.random.Generator(np.random.Philox(2)).permutation(IMAGES)
    if index != "deconfounded":
        assert PAIRED[index](x[order], y[order]) == rounded(PAIRED[index](x, y), **HOW[index])
    else:
        pixels = features(15, p=4)
        found = deconfounded(x[order], y[order], pixels[order])
        assert found == rounded(deconfounded(x, y, pixels), **HOW[index])


# -- closed forms --------------------------------------------------------------------------


@pytest.mark.parametrize("index", PAIRED)
def test_the_same_representation_is_one(index):
    x = features(16)
    assert PAIRED[index](x, 3 * x) == rounded(1, **HOW[index])


def test_one_shared_direction_decides_linear_cka_but_not_the_rest():
    """Two independent Gaussians that share one direction of amplitude 10."""
    n, p = 512, 768
    x, y = features(17, n, p), features(18, n, p)
    x[:, 0] = y[:, 0] = 10 * features(19, n, 1)[:, 0]
    # 100² of the shared direction, beside the others' variances of 1 in one layer's own similarity.
    expected = 1e4 / (1e4 + p - 1)
    # The drawn variance v has a standard error of √(2/n) v, and d CKA / dv = 2 CKA (1 - CKA) / v.
    error = 2 * expected * (1 - expected) * np.sqrt(2 / n)
    assert abs(linear(x, y) - expected) < 3 * error < 0.03
    assert abs(without_top(x, y)) < 4 * np.sqrt(2) / n  # of a correlation over n²/2 pairs
    assert procrustes(x, y) > 0.6 > 0.2 > neighbours(x, y)


def test_procrustes_of_two_spectra_in_one_basis():
    basis = np.linalg.qr(centred(features(20, 31, 5)))[0]
    s, t = np.array([5.0, 4, 3, 2, 1]), np.array([1.0, 1, 1, 2, 0])
    expected = s @ t / np.sqrt((s @ s) * (t @ t))
    assert procrustes(basis * s, basis * t) == rounded(expected, **HOW["procrustes"])


def test_regressing_out_the_layer_itself_leaves_nothing():
    x = features(21)
    vectors = hsic.centred(np.stack([pack_features(x)] * 2), IMAGES)
    products = vectors @ vectors.T
    assert_rounded(indices.deconfound(products, products), 0, terms=IMAGES**2, size=products[0, 0])
    assert np.isnan(indices.deconfound(0 * products, 0 * products)).all()


def test_bandwidth_is_a_share_of_the_median_distance():
    points = np.array([[0.0], [1.0], [3.0]])
    (kernel,) = indices.rbf(grams(points), 0.5)
    assert kernel[0, 2] == rounded(np.exp(-9 / 2), terms=9)
    assert kernel[0, 1] == rounded(np.exp(-1 / 2), terms=9)
    assert np.diagonal(kernel).tolist() == [1, 1, 1]


def test_a_constant_layer_has_no_kernel_and_no_rotation():
    both = grams(np.ones((9, 3)), features(22, 9, 3))
    assert not indices.rbf(both)[0].any() and indices.rbf(both)[1].any()
    roots = indices.square_roots(*indices.decompose(both))
    assert np.isnan(indices.procrustes(roots[0], both[1]))
    assert np.isnan(indices.procrustes(roots[1], both[0]))


@pytest.mark.parametrize(("images", "count"), [(4, 1), (31, 10), (32, 10), (128, 10), (13, 4)])
def test_small_minibatches_have_fewer_neighbours(images, count):
    assert indices.neighbour_count(images) == count


def test_packing_is_undone():
    both = grams(features(23), features(24))
    assert np.array_equal(indices.unpack(indices.pack(both), IMAGES), both)
    assert np.array_equal(both, both.transpose(0, 2, 1))


# -- negative control ----------------------------------------------------------------------


@pytest.mark.parametrize("index", UNBIASED)
def test_unbiased_indices_of_independent_features_are_zero(index):
    values = [PAIRED[index](features(s, 128, 300), features(s + 50, 128, 300)) for s in range(4)]
    # Over n²/2 pairs of images a correlation spreads by √2 / n; the mean of four by half of it.
    assert abs(np.mean(values)) < 3 * np.sqrt(2) / 128 / 2


def test_independent_features_reach_far_in_procrustes_and_chance_in_neighbours():
    x, y = features(25, 128, 2000), features(26, 128, 2000)
    order = np.random.Generator(np.random.Philox(3)).permutation(128)
    assert procrustes(x, y) > 0.9
    # A sum over a spectrum of 128 values spreads no more than one of them: 1 / 128 of the whole.
    assert abs(procrustes(x, y) - procrustes(x, y[order])) < 1 / 128
    assert abs(procrustes(x, x[order]) - procrustes(x, y)) < 1 / 128
    chance = 10 / 127
    error = np.sqrt(chance * (1 - chance) / (10 * 128))  # of 1,280 draws
    assert abs(neighbours(x, y) - chance) < 3 * error
