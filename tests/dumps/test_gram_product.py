import numpy as np
import pytest
import torch

from sightlines.dumps.gram_product import packed_gram


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


def relative_error(gram, x):
    expected = truth(x)
    return np.abs(gram.numpy() - expected).max() / np.abs(expected).max()


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("images", [2, 4, 127, 128, 131, 521])
@pytest.mark.parametrize("columns", [7, 64, 4096])
def test_agrees_with_float64_for_every_size_of_blocks_and_chunks(images, columns):
    x = torch.randn(images, 3, 5, 7, generator=torch.Generator().manual_seed(images))
    gram = centred_gram(x, columns)
    assert relative_error(gram, x) < 1e-6


def test_means_of_thirty_standard_deviations_are_removed_before_the_product():
    x = torch.randn(67, 503, generator=torch.Generator().manual_seed(1)) + 30
    assert relative_error(centred_gram(x), x) < 3e-6


@pytest.mark.parametrize("mean", [0.3, 0.9, 1.1, 3.0, 30.0])
def test_small_and_large_means_give_the_same_similarity(mean):
    x = torch.randn(67, 4003, generator=torch.Generator().manual_seed(8)) + mean
    error = np.abs(centred_gram(x, 512).numpy() - truth(x))
    np.fill_diagonal(error, 0)
    off_diagonal = truth(x)[np.triu_indices(67, 1)].std()
    assert error.max() < 1e-4 * off_diagonal


def test_one_massive_unit_does_not_reach_the_others():
    x = torch.randn(67, 503, generator=torch.Generator().manual_seed(2))
    x[:, 11] = 3000.0
    assert relative_error(centred_gram(x), x) < 1e-5


def test_channels_last_maps_have_the_same_gram():
    x = torch.randn(13, 5, 7, 3, generator=torch.Generator().manual_seed(3))
    strided = x.to(memory_format=torch.channels_last)
    assert relative_error(centred_gram(strided), x) < 1e-6
    assert relative_error(centred_gram(x[:, :, ::2]), x[:, :, ::2]) < 1e-6


@pytest.mark.parametrize("value", [0.0, 1.7, 1e4, -3e-5])
@pytest.mark.parametrize("images", [64, 250, 1021])
def test_a_constant_layer_has_no_gram(value, images):
    assert not centred_gram(torch.full((images, 97), value)).any()


def test_a_layer_that_varies_a_little_keeps_its_gram():
    x = 1 + 1e-3 * torch.randn(31, 97, generator=torch.Generator().manual_seed(4))
    assert relative_error(centred_gram(x), x) < 1e-3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_what_is_not_finite_stays_so(value):
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(5))
    x[2, 3] = value
    assert not packed_gram(x).isfinite().all()


def test_bfloat16_is_summed_in_float32():
    """In bfloat16 the error would be 4e-3; float32's own over 4,001 features is near 1e-6."""
    x = torch.randn(11, 4001, generator=torch.Generator().manual_seed(6)).bfloat16()
    assert relative_error(centred_gram(x), x) < 5e-6


def test_autocast_does_not_touch_the_products():
    x = torch.randn(11, 401, generator=torch.Generator().manual_seed(7))
    with torch.autocast("cpu", torch.bfloat16):
        assert relative_error(centred_gram(x), x) < 1e-6


def test_packed_rows_follow_each_other_from_the_diagonal():
    x = torch.tensor([[1.0, 0], [0, 2], [-1, -2]])
    assert packed_gram(x).tolist() == pytest.approx([1, 0, -1, 4, -4, 5], abs=1e-6)
