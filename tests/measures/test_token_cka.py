"""CKA of class token and of spatial tokens against the slow twin on tokens cut out by hand."""

import numpy as np
import pytest

from sightlines.core.files import TensorReader, write_tensors
from sightlines.measures import token_cka
from sightlines.plan.networks import Network
from sightlines.stats.jackknife import standard_error
from tests.measures.making_dumps import (
    STORED,
    layer_rows,
    pack_features,
    random_minibatches,
    write_gram,
)
from tests.measures.running import run_measure
from tests.reference.cka_song import cka_song
from tests.rounding import rounded

SIZES = [13] * 8 + [5]
WIDTH, TOKENS = 3, 6
"""Features of a token, and tokens of a layer: the class token first."""
ARCHITECTURES = {"vit": {"family": "vit", "pool": "cls"}, "resnet": {"family": "resnet"}}
VITS = {"vit/f100/s0": 1, "vit/f100/s1": 2, "vit/f000/s0": 3}
RESNETS = {"resnet/f100/s0": 4, "resnet/f000/s0": 5}


def write_tokens(path, minibatches, network):
    """A dump of the class token of all layers but the first, which is of patches alone."""
    meta = {
        "network": list(Network.parse(network)),
        "layers": layer_rows(len(minibatches[0]))[1:],
        "batch_sizes": [len(layers[0]) for layers in minibatches],
        "reference_sha256": "r",
        "prefix_tokens": 1,
    }
    grams = {
        f"gram.{b:03d}": np.stack([pack_features(x[:, :WIDTH]) for x in layers[1:]])
        for b, layers in enumerate(minibatches)
    }
    write_tensors(path, grams, meta)


@pytest.fixture(scope="module")
def data():
    widths = [WIDTH * TOKENS] * 3
    found = {slug: random_minibatches(seed, SIZES, widths) for slug, seed in VITS.items()}
    found |= {slug: random_minibatches(seed, SIZES, [7, 4]) for slug, seed in RESNETS.items()}
    for minibatch in found["vit/f000/s0"]:
        minibatch[1][:, :WIDTH] = 0.3  # no image has changed the class token yet
    return found


@pytest.fixture(scope="module")
def measured(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    inputs = {"gram": [], "class_token": []}
    for slug, minibatches in data.items():
        inputs["gram"].append(folder / "gram" / f"{slug}.safetensors")
        write_gram(inputs["gram"][-1], minibatches, Network.parse(slug))
        if slug in VITS:
            inputs["class_token"].append(folder / "class_token" / f"{slug}.safetensors")
            write_tokens(inputs["class_token"][-1], minibatches, slug)
    dumped = {"gram": list(data), "class_token": list(VITS)}
    own = {"dumped": dumped, "architectures": ARCHITECTURES}
    table = run_measure("token_cka", inputs, folder, list(data), **own)["token_cka"]
    return table, TensorReader(folder / "token_cka_replicates.safetensors")


def features(data, slug, layer, tokens):
    """What a network shows of its tokens, minibatch after minibatch."""
    part = {"cls": slice(0, WIDTH), "spatial": slice(WIDTH, None)}[tokens]
    if layer == 0 or slug in RESNETS:
        part = slice(None)
    return [layers[layer][:, part] for layers in data[slug]]


def twin(data, tokens, a, b, layer_a, layer_b):
    """Of all images, then without each minibatch."""
    x = features(data, a, layer_a, tokens)
    y = features(data, b, layer_b, tokens)
    left = [range(len(x)), *([j for j in range(len(x)) if j != i] for i in range(len(x)))]
    return [cka_song([x[i] for i in own], [y[i] for i in own]) for own in left]


PAIRS = [
    *((slug, slug) for slug in VITS),
    *(("vit/f100/s0", "resnet/f100/s0"), ("vit/f100/s1", "resnet/f100/s0")),
    ("vit/f000/s0", "resnet/f000/s0"),
]


def test_each_vit_is_compared_with_itself_and_with_a_resnet_of_its_fraction(measured):
    _, reader = measured
    assert set(reader.names()) == {f"{t}|{a}|{b}" for t in token_cka.TOKENS for a, b in PAIRS}


@pytest.mark.parametrize(("a", "b"), PAIRS)
@pytest.mark.parametrize("tokens", token_cka.TOKENS)
def test_values_and_replicates_agree_with_the_twin(measured, data, tokens, a, b):
    _, reader = measured
    found = np.array(reader[f"{tokens}|{a}|{b}"])
    bare = {0, 1} if "f000" in a else {0}
    for layer_a in range(3):
        for layer_b in range(found.shape[2]):
            undefined = bare & {layer_a, *([layer_b] if b in VITS else [])}
            if tokens == "cls" and undefined:
                assert np.isnan(found[:, layer_a, layer_b]).all()
                continue
            expected = twin(data, tokens, a, b, layer_a, layer_b)
            assert found[:, layer_a, layer_b].tolist() == rounded(expected, **STORED)


def test_the_table_says_the_same_with_its_error(measured):
    table, reader = measured
    assert table[table["layer_a"] == 0]["tokens"].unique().tolist() == ["spatial"]
    for (tokens, a, b), rows in table.groupby(["tokens", "seed_a", "model_b"]):
        own = rows[rows["fraction_a"] == "f100"]
        other = f"vit/f100/{a}" if b == "vit" else "resnet/f100/s0"
        values = np.array(reader[f"{tokens}|vit/f100/{a}|{other}"], np.float64)
        chosen = values[:, own["layer_a"], own["layer_b"]]
        assert own["cka"].tolist() == rounded(chosen[0], **STORED)
        size = {"size": 1, "terms": len(SIZES), "dtype": np.float32}
        assert own["cka_se"].tolist() == rounded(standard_error(chosen), **size)


def test_spatial_tokens_that_do_not_vary_have_no_cka(data, tmp_path):
    """What is left of a float32 Gram is rounding, and must not pass for a representation."""
    minibatches = [[x.copy() for x in layers] for layers in data["vit/f100/s0"]]
    for layers in minibatches:
        layers[2][:, WIDTH:] = 1.7
    write_gram(tmp_path / "g.safetensors", minibatches, Network.parse("vit/f100/s0"))
    write_tokens(tmp_path / "c.safetensors", minibatches, "vit/f100/s0")
    inputs = {"gram": [tmp_path / "g.safetensors"], "class_token": [tmp_path / "c.safetensors"]}
    run_measure("token_cka", inputs, tmp_path, ["vit/f100/s0"], architectures=ARCHITECTURES)
    reader = TensorReader(tmp_path / "token_cka_replicates.safetensors")
    found = np.array(reader["spatial|vit/f100/s0|vit/f100/s0"])
    assert np.isnan(found[:, 2]).all() and np.isfinite(found[:, :2, :2]).all()
