import numpy as np
import pytest
import torch

from sightlines.dumps.attention_statistics import (
    AttentionStatistics,
    entropy,
    patch_distances,
    uniform_px,
)
from tests.reference.attention_loops import head_statistics
from tests.rounding import assert_rounded, rounded

NAMES = (
    *("distance_px", "distance_renormalised_px", "renormalised_share"),
    *("prefix_mass", "entropy_nats"),
)


def random_attention(images, heads, tokens, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(images, heads, tokens, tokens, generator=generator)).softmax(-1)


def collect(attention, grid, patch_px, prefix, chunk):
    images, heads, tokens, _ = attention.shape
    statistics = AttentionStatistics(images, heads, grid, patch_px, prefix)
    for start in range(0, tokens, chunk):
        statistics.add(attention[:, :, start : start + chunk], start)
    return statistics


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_agrees_with_loops_over_queries_and_keys(prefix, chunk):
    grid, patch_px = (3, 5), 7
    attention = random_attention(2, 3, prefix + 15)
    if prefix:  # two queries of one head look at the class token alone
        attention[1, 2, [prefix + 1, prefix + 13]] = torch.eye(prefix + 15)[0]
    found = collect(attention, grid, patch_px, prefix, chunk)
    expected = {name: np.zeros((2, 3)) for name in NAMES}
    offsets = np.zeros((3, 5, 9))
    for image in range(2):
        for head in range(3):
            one = head_statistics(attention[image, head].double(), grid, patch_px, prefix)
            for name in NAMES:
                expected[name][image, head] = one[name]
            offsets[head] += one["offset_mass"] / 2
    keys = prefix + 15
    for name, values in expected.items():
        size = values.max() or 1  # without prefix tokens there is no mass on them
        assert_rounded(getattr(found, name), values, name, terms=keys, size=size, dtype=np.float32)
    assert_rounded(found.offset_mass, offsets, terms=keys, dtype=np.float32)


def test_uniform_attention_on_8_x_8_patches_of_4_px_reaches_16_5_px():
    uniform = torch.full((1, 1, 64, 64), 1 / 64)
    found = collect(uniform, (8, 8), 4, 0, 64)
    assert round(float(found.distance_px), 1) == 16.5
    assert float(found.distance_px) == rounded(uniform_px((8, 8), 4), terms=64, dtype=np.float32)
    assert round(uniform_px((14, 14), 16), 1) == 116.5
    assert float(found.entropy_nats) == rounded(np.log(64), terms=64, dtype=np.float32)


def test_attention_to_oneself_reaches_nowhere():
    found = collect(torch.eye(12)[None, None], (3, 4), 16, 0, 5)
    assert float(found.distance_px) == 0 and float(found.entropy_nats) == 0
    assert found.offset_mass[0, 2, 3] == 1 and found.offset_mass.sum() == 1


def test_entropy_counts_what_is_too_small_for_a_logarithm_as_nothing():
    rows = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 1e-45], [0.25, 0.25, 0.5]])
    assert entropy(rows).tolist() == rounded(
        [0.0, np.log(2), 1.5 * np.log(2)], terms=3, dtype=np.float32
    )
    assert not entropy(torch.tensor([0.5, float("nan")])).isfinite()


def test_class_token_shortens_the_primary_distance_only():
    attention = torch.full((1, 1, 17, 17), 0.4 / 16)
    attention[..., 0] = 0.6
    found = collect(attention, (4, 4), 8, 1, 17)
    sums = {"terms": 17, "dtype": np.float32}
    assert float(found.prefix_mass) == rounded(0.6, **sums)
    assert float(found.distance_renormalised_px) == rounded(uniform_px((4, 4), 8), **sums)
    assert float(found.distance_px) == rounded(0.4 * uniform_px((4, 4), 8), **sums)
    assert float(found.offset_mass.sum()) == rounded(0.4, **sums)


def test_shifted_attention_lands_on_its_offset():
    attention = torch.zeros(1, 1, 6, 6)
    attention[0, 0, torch.arange(6), torch.tensor([1, 2, 0, 4, 5, 3])] = 1
    found = collect(attention, (2, 3), 4, 0, 6)
    assert found.offset_mass[0, 1].tolist() == rounded([1 / 3, 0, 0, 2 / 3, 0], terms=6)


def test_attention_to_prefix_tokens_alone_has_no_renormalised_distance():
    attention = torch.zeros(1, 1, 5, 5)
    attention[..., 0] = 1
    found = collect(attention, (2, 2), 4, 1, 5)
    assert float(found.distance_px) == 0 and found.is_finite
    assert float(found.distance_renormalised_px) == float(found.renormalised_share) == 0


def test_a_query_that_looks_at_prefix_tokens_alone_is_left_out_of_the_renormalised_mean():
    attention = torch.zeros(1, 1, 5, 5)
    attention[0, 0, 1:, 0] = 1
    attention[0, 0, 1] = torch.tensor([0.5, 0, 0.5, 0, 0])  # patch 0 looks at its neighbour
    found = collect(attention, (2, 2), 4, 1, 2)
    assert float(found.distance_renormalised_px) == 4
    assert float(found.renormalised_share) == 0.25
    assert float(found.distance_px) == 4 * 0.5 / 4


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_attention_that_is_not_finite_is_known(value):
    for key in (0, 1):
        attention = torch.full((1, 1, 5, 5), 0.2)
        attention[0, 0, 3, key] = value
        assert not collect(attention, (2, 2), 4, 1, 2).is_finite


def test_distances_are_between_patch_centres():
    distances = patch_distances((2, 3), 4)
    assert distances[0].tolist() == rounded([0, 4, 8, 4, 32**0.5, 80**0.5], terms=2)
