"""Position embeddings and patch filters, taken from networks of several makers."""

import pytest
import timm
import torch
from torch import nn

from sightlines.dumps.weights import patch_filters, position_embeddings
from sightlines.dumps.weights_reading import WeightsDump
from tests.dumps.making_experiments import VIT, make_dataset, make_network, make_reference, record


@pytest.fixture
def experiment(tmp_path):
    dataset = make_dataset(tmp_path / "data")
    make_reference(dataset, tmp_path / "reference.safetensors", [13, 9])
    return dataset


def dump(tmp_path, experiment, config, change=None):
    model = make_network(tmp_path / "network", config, experiment, change=change)
    path = tmp_path / "weights.safetensors"
    record("weights", tmp_path / "network", experiment, tmp_path / "reference.safetensors", path)
    return model, WeightsDump(path)


@pytest.mark.parametrize("pool", ["cls", "gap"])
def test_patches_have_positions_and_filters(tmp_path, experiment, pool):
    model, found = dump(tmp_path, experiment, VIT | {"pool": pool})
    own = model.pos_embed.detach().numpy()[0, int(pool == "cls") :]
    assert found.grid == (2, 2) and (found.positions == own).all()
    weight = model.patch_embed.proj.weight.detach().numpy()
    assert (found.filters == weight.astype(float) / 0.25).all()


@pytest.mark.parametrize(
    ("name", "patches", "has_positions", "filters"),
    [
        ("deit_tiny_distilled_patch16_224", 196, True, (192, 3, 16, 16)),
        ("vit_relpos_small_patch16_224", 196, False, (384, 3, 16, 16)),
        ("mixer_s32_224", 49, False, (512, 3, 32, 32)),
        ("resnet18", 49, False, None),
    ],
)
def test_networks_of_timm(name, patches, has_positions, filters):
    with torch.device("meta"):
        model = timm.create_model(name)
    model = model.to_empty(device="cpu")
    positions, own = position_embeddings(model, patches), patch_filters(model)
    assert (None if own is None else own.shape) == filters
    assert (positions is not None) == has_positions
    assert positions is None or positions.shape == (patches, 192)


def test_embeddings_of_other_makers():
    model = nn.Module()
    model.encoder = nn.Module()
    model.encoder.pos_embedding = nn.Parameter(torch.arange(15.0).reshape(1, 5, 3))
    assert position_embeddings(model, 4).tolist() == model.encoder.pos_embedding[0, 1:].tolist()
    model.position_embedding = nn.Embedding(4, 3)
    assert position_embeddings(model, 4).shape == (4, 3)
