"""cka_replicates.safetensors: what claims are judged by agrees with the table that people read."""

import numpy as np
import pytest

from sightlines.core.files import TensorReader, read_table
from sightlines.plan.networks import Network
from sightlines.stats.jackknife import standard_error
from tests.measures.making_dumps import STORED, random_minibatches, write_gram
from tests.measures.running import run_measure
from tests.reference.cka_song import cka_song
from tests.rounding import assert_rounded, rounded

SIZES = [13] * 8 + [5]
NETWORKS = {
    "vit/f100/s0": (1, [5, 4, 3]),
    "vit/f100/s1": (2, [5, 4, 3]),
    "vit/f000/s0": (3, [5, 4, 3]),
    "resnet/f100/s0": (4, [6, 2]),
    "resnet/f010/s1": (5, [6, 2]),
}
JUDGED = {
    *("vit/f100/s0|vit/f100/s0", "vit/f100/s1|vit/f100/s1", "vit/f000/s0|vit/f000/s0"),
    *("resnet/f100/s0|resnet/f100/s0", "resnet/f010/s1|resnet/f010/s1"),
    *("vit/f100/s0|vit/f100/s1", "vit/f100/s0|vit/f000/s0", "vit/f100/s1|vit/f000/s0"),
    *("resnet/f100/s0|resnet/f010/s1", "vit/f100/s0|resnet/f100/s0", "vit/f100/s1|resnet/f100/s0"),
}
"""A network with itself, with others of its model, with others of its fraction and seed.

On all images a model's first network also stands in for a seed that the model lacks.
"""


def measure(folder, data, out="tables"):
    paths = []
    for slug, minibatches in data.items():
        paths.append(folder / "dumps" / f"{slug}.safetensors")
        write_gram(paths[-1], minibatches, Network.parse(slug))
    run_measure("cka", {"gram": paths}, folder / out, list(data))
    return TensorReader(folder / out / "cka_replicates.safetensors")


@pytest.fixture(scope="module")
def data():
    return {slug: random_minibatches(seed, SIZES, w) for slug, (seed, w) in NETWORKS.items()}


@pytest.fixture(scope="module")
def measured(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cka")
    reader = measure(folder, data)
    return reader, read_table(folder / "tables" / "cka.parquet"), folder


def pair_rows(table, pair):
    for side, slug in zip("ab", pair.split("|"), strict=True):
        for key, value in Network.parse(slug)._asdict().items():
            table = table[table[f"{key}_{side}"] == value]
    return table


def test_judged_pairs_are_those_that_claims_are_about(measured):
    assert set(measured[0].names()) == JUDGED
    assert measured[0].meta == {"groups": 9}


@pytest.mark.parametrize("pair", sorted(JUDGED))
def test_value_and_standard_error_are_those_of_the_table(measured, pair):
    reader, table, _ = measured
    replicates = np.asarray(reader[pair])
    rows = pair_rows(table, pair).sort_values(["layer_a", "layer_b"])
    widths = tuple(len(NETWORKS[slug][1]) for slug in pair.split("|"))
    assert replicates.shape == (1 + 9, *widths) and replicates.dtype == np.float32
    assert_rounded(replicates[0].ravel(), rows["cka"], **STORED)
    errors = STORED | {"terms": len(replicates)}
    assert_rounded(standard_error(replicates).ravel(), rows["cka_se"], **errors)


def test_a_replicate_leaves_out_one_minibatch(measured, data):
    replicates = np.asarray(measured[0]["vit/f100/s0|vit/f000/s0"])
    x, y = (
        [m[layer] for m in data[slug]] for slug, layer in (("vit/f100/s0", 2), ("vit/f000/s0", 1))
    )
    for group in (0, 5, 8):
        kept = [[m for i, m in enumerate(side) if i != group] for side in (x, y)]
        assert replicates[1 + group, 2, 1] == rounded(cka_song(*kept), **STORED)


def test_a_network_with_itself_is_one_on_the_diagonal_and_symmetric(measured):
    own = np.asarray(measured[0]["resnet/f010/s1|resnet/f010/s1"])
    assert_rounded(np.einsum("gll->gl", own), 1, **STORED)
    assert_rounded(own, own.transpose(0, 2, 1), **STORED)
    assert (np.abs(own - 1) > 0.01).any()


def test_many_minibatches_make_twenty_groups(tmp_path):
    reader = measure(tmp_path, {"vit/f100/s0": random_minibatches(6, [5] * 43, [3, 2])})
    assert np.asarray(reader["vit/f100/s0|vit/f100/s0"]).shape == (21, 2, 2)


def test_a_layer_that_does_not_vary_is_undefined_in_every_replicate(tmp_path):
    minibatches = random_minibatches(7, [9] * 8, [3, 2, 4])
    for minibatch in minibatches:
        minibatch[1] = np.ones_like(minibatch[1])
    found = np.asarray(measure(tmp_path, {"a/f000/s0": minibatches})["a/f000/s0|a/f000/s0"])
    assert np.isnan(found[:, 1]).all() and np.isnan(found[:, :, 1]).all()
    assert np.isfinite(found[:, [0, 2]][:, :, [0, 2]]).all()


def test_same_dumps_same_bytes(measured, data):
    folder = measured[2]
    measure(folder, data, "again")
    name = "cka_replicates.safetensors"
    assert (folder / "tables" / name).read_bytes() == (folder / "again" / name).read_bytes()


# -- further controls ------------------------------------------------------------------------------

CONTROLS = {
    "vit/f000/s1": (6, [5, 4, 3]),
    "resnet/f000/s0": (7, [6, 2]),
    "resnet/f000/s0_on": (8, [6, 2]),
    "resnet/f000/s2_on": (9, [6, 2]),
}
"""Second controls are vit/f000/s1 and resnet/f000/s2_on; of resnet/f000/s0 there is a twin."""


def test_further_controls_are_compared_with_each_other_alone(data, measured, tmp_path):
    more = {slug: random_minibatches(seed, SIZES, w) for slug, (seed, w) in CONTROLS.items()}
    reader = measure(tmp_path, data | more)
    table = read_table(tmp_path / "tables" / "cka.parquet")
    second = {"vit/f000/s1", "resnet/f000/s2_on"}
    sides = [table[[f"{key}_{s}" for key in Network._fields]].agg("/".join, axis=1) for s in "ab"]
    pairs = {*zip(*sides, strict=True)}
    assert {p for p in pairs if second & {*p}} == {
        *(("vit/f000/s1", "vit/f000/s1"), ("resnet/f000/s2_on", "resnet/f000/s2_on")),
        ("vit/f000/s1", "resnet/f000/s2_on"),
    }
    judged = {*reader.names()}
    assert JUDGED < judged
    assert {"vit/f000/s1|resnet/f000/s2_on", "vit/f000/s0|resnet/f000/s0_on"} < judged
    first = measured[0]
    assert all(np.array_equal(first[name], reader[name]) for name in JUDGED)
    shuffled = read_table(tmp_path / "tables" / "cka_shuffled.parquet")
    found = {*shuffled[[*Network._fields]].agg("/".join, axis=1)}
    assert found == {*data, *more}
