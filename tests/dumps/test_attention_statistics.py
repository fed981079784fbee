import numpy as np
import pytest
import torch

from sightlines.dumps.attention_statistics import AttentionStatistics, patch_distances, uniform_px
from tests.reference.attention_loops import head_statistics

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
    offsets = np.zeros((3, 5, 9))
    for image in range(2):
        for head in range(3):
            expected = head_statistics(attention[image, head].double(), grid, patch_px, prefix)
            for name in NAMES:
                value = float(getattr(found, name)[image, head])
                assert value == pytest.approx(expected[name], abs=1e-5), name
            offsets[head] += expected["offset_mass"] / 2
    np.testing.assert_allclose(found.offset_mass.numpy(), offsets, atol=1e-6)


def test_uniform_attention_on_8_x_8_patches_of_4_px_reaches_16_5_px():
    uniform = torch.full((1, 1, 64, 64), 1 / 64)
    found = collect(uniform, (8, 8), 4, 0, 64)
    assert float(found.distance_px) == pytest.approx(16.5, abs=0.05)
    assert uniform_px((8, 8), 4) == pytest.approx(float(found.distance_px), abs=1e-5)
    assert uniform_px((14, 14), 16) == pytest.approx(116.5, abs=0.1)
    assert float(found.entropy_nats) == pytest.approx(np.log(64), abs=1e-5)


def test_attention_to_oneself_reaches_nowhere():
    found = collect(torch.eye(12)[None, None], (3, 4), 16, 0, 5)
    assert float(found.distance_px) == 0 and float(found.entropy_nats) == 0
    assert found.offset_mass[0, 2, 3] == 1 and found.offset_mass.sum() == 1


def test_class_token_shortens_the_primary_distance_only():
    attention = torch.full((1, 1, 17, 17), 0.4 / 16)
    attention[..., 0] = 0.6
    found = collect(attention, (4, 4), 8, 1, 17)
    assert float(found.prefix_mass) == pytest.approx(0.6, abs=1e-6)
    assert float(found.distance_renormalised_px) == pytest.approx(uniform_px((4, 4), 8), abs=1e-5)
    assert float(found.distance_px) == pytest.approx(0.4 * uniform_px((4, 4), 8), abs=1e-5)
    assert float(found.offset_mass.sum()) == pytest.approx(0.4, abs=1e-6)


def test_shifted_attention_lands_on_its_offset():
    attention = torch.zeros(1, 1, 6, 6)
    attention[0, 0, torch.arange(6), torch.tensor([1, 2, 0, 4, 5, 3])] = 1
    found = collect(attention, (2, 3), 4, 0, 6)
    assert found.offset_mass[0, 1].tolist() == pytest.approx([1 / 3, 0, 0, 2 / 3, 0])


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
    assert float(found.distance_renormalised_px) == pytest.approx(4)
    assert float(found.renormalised_share) == 0.25
    assert float(found.distance_px) == pytest.approx(4 * 0.5 / 4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_attention_that_is_not_finite_is_known(value):
    for key in (0, 1):
        attention = torch.full((1, 1, 5, 5), 0.2)
        attention[0, 0, 3, key] = value
        assert not collect(attention, (2, 2), 4, 1, 2).is_finite


def test_distances_are_between_patch_centres():
    distances = patch_distances((2, 3), 4)
    assert distances[0].tolist() == pytest.approx([0, 4, 8, 4, 32**0.5, 80**0.5])
