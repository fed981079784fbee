"""The dump of the class token against tokens that were cut out by hand, in float64."""

import dataclasses

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from sightlines.core import files
from sightlines.core.errors import ResultError
from sightlines.core.files import write_tensor_file
from sightlines.datasets.reading import normalise
from sightlines.dumps import class_token
from sightlines.dumps.class_token_reading import ClassTokenDump
from sightlines.dumps.reading import GramDump
from tests.dumps.grams import assert_gram, gram_of
from tests.dumps.making_experiments import (
    RESNET,
    VIT,
    content_of,
    make_dataset,
    make_network,
    make_reference,
    open_shown,
    record,
)
from tests.rounding import assert_rounded

SIZES = [13, 9]


@pytest.fixture
def experiment(tmp_path):
    dataset = make_dataset(tmp_path / "data")
    make_reference(dataset, tmp_path / "reference.safetensors", SIZES)
    return dataset


def dump(tmp_path, experiment, kind="class_token", config=VIT, change=None):
    folder = tmp_path / config["family"]
    model = make_network(folder, config, experiment, change=change)
    path = folder / f"{kind}.safetensors"
    record(kind, folder, experiment, tmp_path / "reference.safetensors", path)
    return model.eval(), path


def pixels(tmp_path, experiment, minibatch):
    indices = files.TensorReader(tmp_path / "reference.safetensors")["reference"]
    begin = sum(SIZES[:minibatch])
    chosen = np.load(experiment.parent / "test_images.npy")[indices[begin:][: SIZES[minibatch]]]
    chosen = torch.from_numpy(np.ascontiguousarray(chosen.transpose(0, 3, 1, 2)))
    return normalise(chosen, [0.5] * 3, [0.25] * 3)


def outputs(model, images):
    """Outputs of some modules by their layer's name, [n, tokens, features] float64."""
    modules = {f"block{i:02d}.out": block for i, block in enumerate(model.blocks)}
    modules |= {"block01.attn": model.blocks[1].attn, "block00.mlp_hidden": model.blocks[0].mlp.fc1}
    modules |= {"norm": model.norm}
    found = {}

    def keep(name):
        return lambda module, arguments, output: found.update({name: output.double().numpy()})

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    with torch.inference_mode():
        model(images)
    for handle in handles:
        handle.remove()
    return found


def test_it_holds_the_class_token_of_every_layer_that_has_one(tmp_path, experiment):
    model, path = dump(tmp_path, experiment)
    _, whole = dump(tmp_path, experiment, "gram")
    found, layers = ClassTokenDump(path), GramDump(whole).layers
    assert found.layers == layers[1:], "patches alone have no class token"
    assert found.places.tolist() == list(range(1, len(layers)))
    names = {row["name"]: place for place, row in enumerate(found.layers)}
    for minibatch in range(len(SIZES)):
        for name, tokens in outputs(model, pixels(tmp_path, experiment, minibatch)).items():
            assert_gram(found.packed(minibatch)[names[name]], tokens[:, 0], name)


def test_before_the_first_attention_the_class_token_does_not_vary(tmp_path, experiment):
    _, path = dump(tmp_path, experiment)
    found = ClassTokenDump(path)
    bare = [r["name"] for r, g in zip(found.layers, found.packed(0), strict=True) if not g.any()]
    assert bare == ["embed.pos", "block00.norm1"]


def test_the_layers_gram_less_the_prefixs_is_the_spatial_tokens(tmp_path, experiment):
    model, path = dump(tmp_path, experiment)
    _, whole = dump(tmp_path, experiment, "gram")
    found, layers = ClassTokenDump(path), GramDump(whole)
    names = {row["name"]: row["index"] for row in layers.layers}
    for name, tokens in outputs(model, pixels(tmp_path, experiment, 0)).items():
        place = found.places.tolist().index(names[name])
        spatial = layers.packed(0)[names[name]].astype(float) - found.prefix(0)[place]
        size = float(np.abs(gram_of(tokens)).max())
        terms = tokens[0].size
        expected = gram_of(tokens[:, 1:])
        assert_rounded(spatial, expected, name, terms=terms, dtype=np.float32, size=size)


def test_registers_are_taken_out_with_the_class_token(tmp_path, experiment):
    make_network(tmp_path, VIT, experiment)
    shown = open_shown(tmp_path, experiment, tmp_path / "reference.safetensors")
    model = VisionTransformer(
        img_size=8, patch_size=4, embed_dim=12, depth=2, num_heads=3, num_classes=3, reg_tokens=2
    ).eval()
    shown = dataclasses.replace(shown, model=model)
    write_tensor_file(tmp_path / "dump", content_of(shown, class_token.record(shown)))
    found = ClassTokenDump(tmp_path / "dump")
    tokens = outputs(model, pixels(tmp_path, experiment, 1))["block01.out"]
    place = [row["name"] for row in found.layers].index("block01.out")
    assert tokens.shape[1] == 3 + 4
    assert_gram(found.prefix(1)[place], tokens[:, :3])
    assert_gram(found.packed(1)[place], tokens[:, 0])


def test_a_network_without_a_class_token_is_refused(tmp_path, experiment):
    for config in (VIT | {"pool": "gap"}, RESNET):
        with pytest.raises(ResultError, match="no layer of vit/f000/s0 has a class token"):
            dump(tmp_path, experiment, config=config)


def test_activations_that_are_not_finite_are_named(tmp_path, experiment):
    def overflow(state):
        state["blocks.1.mlp.fc2.bias"][:] = 3e38
        state["blocks.1.mlp.fc2.weight"][:] *= 3e38

    with pytest.raises(ResultError, match=r"tokens of layer block01\.mlp of vit/f000/s0 are not"):
        dump(tmp_path, experiment, change=overflow)
