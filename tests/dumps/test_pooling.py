import numpy as np
import pytest
import torch

from sightlines.dumps.pooling import places, pool, split_side, to_last_grid, width_of
from tests.reference.pooling_loops import slow_grid
from tests.rounding import assert_rounded


@pytest.mark.parametrize(
    ("channels", "side", "last", "wanted"),
    [
        (32, 32, (128, 8, 8), 128),  # cells of 4 x 4, cut into 2 x 2
        (64, 16, (128, 8, 8), 64),  # one and a half sub-cells are one
        (256, 56, (2048, 7, 7), 2304),  # the paper's ResNet50: 3 x 3 of 8 x 8
        (8, 4, (128, 2, 2), 32),  # never smaller than a pixel
        (128, 8, (128, 8, 8), 128),
        (64, 4, (32, 2, 2), 64),
    ],
)
def test_early_maps_get_about_as_many_channels_as_the_last(channels, side, last, wanted):
    assert width_of((channels, side, side), last) == wanted
    maps = torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(1))
    pooled = to_last_grid(maps, last)
    assert pooled.shape == (2, wanted, *last[1:])
    if side % (last[1] * split_side(channels, side // last[1], last[0])) == 0:
        expected = slow_grid(maps[1].double().numpy(), last)
        assert_rounded(pooled[1], expected, terms=maps[0, 0].numel(), dtype=np.float32)


def test_pooling_keeps_the_mean_of_every_channel():
    maps = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    last = (16, 4, 4)
    pooled = pool(maps, 0, last)["mean"].unflatten(1, (4, 4))
    size = float(maps.abs().max())
    means = maps.mean((2, 3))
    assert_rounded(pooled.mean(2), means, terms=64, size=size, dtype=np.float32)
    cells = places(maps, 0, last)
    assert cells.shape == (3, 16, 16)
    assert torch.equal(cells[:, 6], to_last_grid(maps, last)[:, :, 1, 2])


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_tokens_are_pooled_without_their_prefix(prefix):
    x = torch.arange(2 * (prefix + 4) * 3.0).reshape(2, prefix + 4, 3)
    found = pool(x, prefix, (prefix + 4, 3))
    assert set(found) == ({"cls", "mean", "first"} if prefix else {"mean", "first"})
    assert torch.equal(found["mean"], x[:, prefix:].mean(1))
    assert torch.equal(found["first"], x[:, prefix])
    tokens = places(x, prefix, (prefix + 4, 3))
    assert tokens.shape[1] == 4 + (prefix > 0)
    assert torch.equal(tokens[:, -4:], x[:, prefix:])
    if prefix:
        assert torch.equal(found["cls"], tokens[:, 0])
        assert torch.equal(found["cls"], x[:, 0])
