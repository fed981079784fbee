import platform

import numpy as np
import pytest
import torch

from sightlines.dumps import gram_product
from sightlines.dumps.gram_product import packed_gram
from tests.rounding import assert_rounded


def truth(x):
    x = x.double().flatten(1).numpy()
    x = x - x.mean(0)
    return x @ x.T


def centred_gram(x, *arguments):
    """The whole symmetric matrix."""
    packed = packed_gram(x, *arguments)
    gram = torch.zeros(len(x), len(x))
    rows, columns = np.triu_indices(len(x))
    gram[rows, columns] = gram[columns, rows] = packed
    return gram


def assert_gram(gram, x):
    """Sums over the features in float32: the sums of chunks are added in float64."""
    assert_rounded(gram, truth(x), terms=x[0].numel(), dtype=np.float32)


@pytest.mark.parametrize("images", [2, 4, 127, 128, 131, 521])
@pytest.mark.parametrize("columns", [7, 64, 4096])
def test_agrees_with_float64_for_every_size_of_blocks_and_chunks(images, columns):
    x = torch.randn(images, 3, 5, 7, generator=torch.Generator().manual_seed(images))
    assert_gram(centred_gram(x, columns), x)


def test_means_of_thirty_standard_deviations_are_removed_before_the_product():
    x = torch.randn(67, 503, generator=torch.Generator().manual_seed(1)) + 30
    assert_gram(centred_gram(x), x)


@pytest.mark.parametrize("mean", [0.3, 0.9, 1.1, 3.0, 30.0])
def test_small_and_large_means_give_the_same_similarity(mean):
    x = torch.randn(67, 4003, generator=torch.Generator().manual_seed(8)) + mean
    upper = np.triu_indices(67, 1)
    expected = truth(x)[upper]
    # Sums of 512 squared means, which are removed afterwards; means above 1 are removed before.
    size = 512 * min(mean, 1) ** 2 + expected.std()
    found = centred_gram(x, 512).numpy()[upper]
    assert_rounded(found, expected, terms=4003, size=size, dtype=np.float32, c=2)


@pytest.mark.parametrize("mean_of_sampled, mean", [(30.0, 0.0), (0.0, 30.0), (30.0, 30.0)])
def test_what_the_sampled_images_suggest_of_the_means_changes_no_digits(mean_of_sampled, mean):
    images, features = 64, gram_product.WORTH_SAMPLING // 64
    x = torch.randn(images, features, generator=torch.Generator().manual_seed(9))
    is_sampled = torch.arange(images) % (images // gram_product.SAMPLED_IMAGES) == 0
    x += torch.where(is_sampled, mean_of_sampled, mean)[:, None]
    assert gram_product._seem_large(x) == (mean_of_sampled > 0)
    assert_gram(centred_gram(x), x)


def test_a_product_in_vain_leaves_nothing_behind():
    x = torch.randn(67, 503, generator=torch.Generator().manual_seed(10)) + 30
    assert not gram_product._seem_large(x)
    before = x.clone()
    assert_gram(centred_gram(x), x)
    assert torch.equal(x, before)


def test_a_layer_wider_than_one_product_is_cut_into_equal_chunks():
    features = 2 * gram_product.ONEDNN_COLUMNS + 7
    x = torch.randn(5, features, generator=torch.Generator().manual_seed(13))
    assert_gram(centred_gram(x), x)


def test_one_token_of_many_has_rows_that_lie_apart():
    x = torch.randn(67, 11, 97, generator=torch.Generator().manual_seed(11))
    assert not x[:, 3].is_contiguous()
    assert_gram(centred_gram(x[:, 3]), x[:, 3])


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="elsewhere torch may be built without oneDNN"
)
def test_torch_still_has_the_operator_that_multiplies():
    """Where a newer torch renames it, products would be right, and half as fast on an AMD."""
    assert gram_product._uses_onednn(torch.device("cpu"))


@pytest.mark.parametrize("shape", [(48, 48, 7), (80, 48, 2340), (1, 64, 4099)])
def test_multiplies_in_float32_whatever_the_shape(shape):
    rows, columns, inner = shape
    generator = torch.Generator().manual_seed(12)
    left, right = torch.randn(rows, inner, generator=generator), torch.ones(columns, inner)
    expected = left.double() @ right.double().T
    assert_rounded(
        gram_product.multiply(left, right), expected, terms=inner, size=inner, dtype=np.float32
    )


def test_one_massive_unit_does_not_reach_the_others():
    x = torch.randn(67, 503, generator=torch.Generator().manual_seed(2))
    x[:, 11] = 3000.0
    assert_gram(centred_gram(x), x)


def test_channels_last_maps_have_the_same_gram():
    x = torch.randn(13, 5, 7, 3, generator=torch.Generator().manual_seed(3))
    strided = x.to(memory_format=torch.channels_last)
    assert_gram(centred_gram(strided), x)
    assert_gram(centred_gram(x[:, :, ::2]), x[:, :, ::2])


@pytest.mark.parametrize("value", [0.0, 1.7, 1e4, -3e-5])
@pytest.mark.parametrize("images", [64, 250, 1021])
def test_a_constant_layer_has_no_gram(value, images):
    assert not centred_gram(torch.full((images, 97), value)).any()


def test_a_layer_that_varies_a_little_keeps_its_gram():
    x = 1 + 1e-3 * torch.randn(31, 97, generator=torch.Generator().manual_seed(4))
    # A mean of 1 rounds by eps · 1, against deviations of 1e-3.
    size = 97 * 1e-3
    assert_rounded(centred_gram(x), truth(x), terms=97, size=size, dtype=np.float32, c=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_what_is_not_finite_stays_so(value):
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(5))
    x[2, 3] = value
    assert not packed_gram(x).isfinite().all()


def test_bfloat16_is_summed_in_float32():
    """In bfloat16 the error would be 4e-3; float32's own over 4,001 features is near 1e-6."""
    x = torch.randn(11, 4001, generator=torch.Generator().manual_seed(6)).bfloat16()
    assert_gram(centred_gram(x), x)


def test_autocast_does_not_touch_the_products():
    x = torch.randn(11, 401, generator=torch.Generator().manual_seed(7))
    with torch.autocast("cpu", torch.bfloat16):
        assert_gram(centred_gram(x), x)


def test_packed_rows_follow_each_other_from_the_diagonal():
    x = torch.tensor([[1.0, 0], [0, 2], [-1, -2]])
    assert packed_gram(x).tolist() == [1, 0, -1, 4, -4, 5]
