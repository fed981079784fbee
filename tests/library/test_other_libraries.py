"""Networks that transformers and OpenCLIP built, as objects."""

import numpy as np
import pytest
import torch
from tests.models import transformers_folders as folders
from tests.models.transformers_folders import SIZE_PX

import sightlines as sl
from sightlines.core.errors import ConfigError

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def pixels():
    drawn = np.random.default_rng(0).integers(0, 256, (8, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    return sl.images(drawn)


@pytest.mark.parametrize("name", ["vit", "clip", "swin"])
def test_a_network_of_transformers_is_looked_into(name, tmp_path, pixels):
    network = sl.load(folders.make(tmp_path, name), name=name)
    blocks = [layer for layer in network.layers if layer.kind == "residual"]
    assert network.card["size_px"] == SIZE_PX
    assert len(blocks) == (4 if name == "swin" else 3)
    found = sl.cka(sl.grams(network, pixels))
    assert found.values.shape == (len(network.layers),) * 2
    if name != "swin":
        assert len(sl.attention_distance(network, pixels)) == 3 * 3


def test_attention_that_shows_no_probabilities_is_refused(tmp_path):
    model = folders.make(tmp_path, "vit")
    model.config._attn_implementation = "flex_attention"
    with pytest.raises(ConfigError, match="flex_attention, which shows no probabilities"):
        sl.load(model)


def test_the_image_tower_of_a_clip_is_taken(tmp_path, pixels):
    model = folders.make_clip(tmp_path / "clip")
    model.visual.preprocess_cfg = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    network = sl.load(model, name="clip")
    assert network.card["mean"] == [0.5, 0.4, 0.3] and network.card["size_px"] == SIZE_PX
    with torch.no_grad():
        images = torch.randn(2, 3, SIZE_PX, SIZE_PX)
        assert torch.equal(network.module(images), model.encode_image(images))
    assert len(sl.attention_distance(network, pixels)) == 3 * 3
