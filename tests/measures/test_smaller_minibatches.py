"""CKA within halves and quarters of minibatches against the slow twin on those images."""

import itertools

import numpy as np
import pytest

from sightlines.core.files import TensorReader
from sightlines.plan.networks import Network
from tests.measures.making_dumps import STORED, random_minibatches, write_gram
from tests.measures.running import run_measure
from tests.reference.cka_song import cka_song
from tests.rounding import rounded

SIZES = [34, 34, 34, 33]
NETWORKS = {
    "vit/f100/s0": (1, [5, 4, 3]),
    "vit/f100/s1": (2, [5, 4, 3]),
    "vit/f000/s0": (3, [5, 4, 3]),
    "resnet/f100/s0": (4, [6, 2]),
    "cut/f100/s0": (5, [5, 4]),
}
ARCHITECTURES = {
    "vit": {"family": "vit", "skipless_block": -1},
    "resnet": {"family": "resnet"},
    "cut": {"family": "vit", "skipless_block": 1},
}
PAIRS = [
    *(("vit/f100/s0",) * 2, ("resnet/f100/s0",) * 2, ("cut/f100/s0",) * 2),
    ("vit/f100/s0", "resnet/f100/s0"),
]


def measure(folder, data):
    paths = []
    for slug, minibatches in data.items():
        paths.append(folder / "dumps" / f"{slug}.safetensors")
        write_gram(paths[-1], minibatches, Network.parse(slug))
    own = {"architectures": ARCHITECTURES}
    run_measure("smaller_minibatches", {"gram": paths}, folder, list(data), **own)
    return TensorReader(folder / "smaller_minibatches.safetensors")


@pytest.fixture(scope="module")
def data():
    return {slug: random_minibatches(seed, SIZES, w) for slug, (seed, w) in NETWORKS.items()}


@pytest.fixture(scope="module")
def reader(data, tmp_path_factory):
    return measure(tmp_path_factory.mktemp("small"), data)


def cut(minibatch, parts):
    bounds = [len(minibatch) * i // parts for i in range(parts + 1)]
    return [minibatch[a:b] for a, b in itertools.pairwise(bounds)]


def test_first_networks_on_all_images_those_without_skips_with_themselves_alone(reader):
    assert set(reader.names()) == {f"{n}|{a}|{b}" for n in (16, 8) for a, b in PAIRS}
    assert reader.meta == {"groups": 4, "images": 33}


@pytest.mark.parametrize(("images", "parts"), [(16, 2), (8, 4)])
@pytest.mark.parametrize("pair", PAIRS)
def test_values_and_replicates_agree_with_the_twin(reader, data, images, parts, pair):
    found = np.array(reader[f"{images}|{'|'.join(pair)}"])
    a, b = (data[slug] for slug in pair)
    assert found.shape == (1 + len(SIZES), len(a[0]), len(b[0]))
    for left_out in range(-1, len(SIZES)):
        kept = [i for i in range(len(SIZES)) if i != left_out]
        for i, j in np.ndindex(found.shape[1:]):
            x, y = (
                [part for m in kept for part in cut(data_[m][layer], parts)]
                for data_, layer in ((a, i), (b, j))
            )
            assert found[1 + left_out, i, j] == rounded(cka_song(x, y), **STORED)


def test_a_constant_layer_has_none(data, tmp_path):
    own = {"vit/f100/s0": [[x.copy() for x in m] for m in data["vit/f100/s0"]]}
    for minibatch in own["vit/f100/s0"]:
        minibatch[1][:] = 2.5
    found = np.array(measure(tmp_path, own)["16|vit/f100/s0|vit/f100/s0"])
    assert np.isnan(found[:, 1]).all() and np.isnan(found[:, :, 1]).all()
    assert np.isfinite(found[:, ::2, ::2]).all()
