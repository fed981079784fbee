"""Whether CKA depends on its estimation: smaller minibatches and other images, against the twin."""

import itertools

import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import write_tensors
from sightlines.dumps.reading import GramDump
from sightlines.measures import estimator
from sightlines.plan.networks import Network
from sightlines.results.tables import required
from tests.measures.making_dumps import STORED, pack_features, random_minibatches, write_gram
from tests.measures.running import run_measure
from tests.reference.cka_song import cka_song
from tests.rounding import assert_rounded, rounded

WIDTHS = [5, 3, 4]
SIZES = [32] * 4


@pytest.fixture(scope="module")
def data():
    return random_minibatches(1, SIZES, WIDTHS)


def cut(minibatches, parts):
    """The same images in minibatches of a half or a quarter, centred anew."""
    return [
        [x[begin:end] for x in layers]
        for layers in minibatches
        for bounds in [np.linspace(0, len(layers[0]), parts + 1).astype(int).tolist()]
        for begin, end in itertools.pairwise(bounds)
    ]


def by_loops(minibatches):
    """CKA of all layers with each other, by the textbook twin."""
    layers = range(len(minibatches[0]))
    return np.array(
        [
            [cka_song([m[i] for m in minibatches], [m[j] for m in minibatches]) for j in layers]
            for i in layers
        ]
    )


def test_the_block_of_a_packed_gram_is_the_gram_of_those_images():
    x = np.random.default_rng(4).standard_normal((11, 3)).astype(np.float32)
    x -= x.mean(0)
    gram = x.astype(np.float64) @ x.astype(np.float64).T
    packed, place = pack_features(x), estimator._places(11)
    for chosen in (np.arange(3, 8), np.array([9, 0, 4])):
        found = packed[estimator._block(place, chosen)]
        own = gram[np.ix_(chosen, chosen)][np.triu_indices(len(chosen))]
        assert_rounded(found, own, terms=3, dtype=np.float32)
    np.testing.assert_array_equal(packed[estimator._block(place, np.arange(11))], packed)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_cut_minibatches_agree_with_the_twin_on_the_images_themselves(data, tmp_path, parts):
    """Centring is by part: a block of the Gram serves though the whole minibatch was centred."""
    found = estimator.within(write_gram(tmp_path / "a", data), parts)[0]
    assert_rounded(found, by_loops(cut(data, parts)), **STORED)
    assert_rounded(np.diag(found), 1, terms=32 * 32)


def test_odd_minibatches_are_cut_where_they_must(tmp_path):
    ragged = random_minibatches(2, [19, 19, 7], WIDTHS)
    found = estimator.within(write_gram(tmp_path / "a", ragged), 2)[0]
    parts = [m for m in cut(ragged, 2) if len(m[0]) >= 4]
    assert sorted(len(m[0]) for m in parts) == [4, 9, 9, 10, 10], "three images are too few"
    assert_rounded(found, by_loops(parts), **STORED)


@pytest.mark.parametrize("noise", [0.0, 6e-8])
def test_a_layer_that_does_not_vary_has_no_similarity(tmp_path, data, noise):
    """Neither where its Gram is zero, nor where it is rounding alone."""
    dump = write_gram(tmp_path / "a", data)
    grams = {f"gram.{i:03d}": np.array(dump.packed(i)) for i in range(len(SIZES))}
    for gram in grams.values():
        draws = np.random.default_rng(6).standard_normal(gram.shape[1])
        gram[1] = 5 * (1 + noise * draws) * bool(noise)
    write_tensors(tmp_path / "b", grams, dump.meta)
    found = estimator.within(GramDump(tmp_path / "b"), 2)[0]
    assert np.isnan(found[1]).all() and np.isnan(found[:, 1]).all()
    assert np.isfinite(found[[0, 2]][:, [0, 2]]).all()


# -- the command -----------------------------------------------------------------------


def run_main(folder, own, others=(), whole=True):
    """`own` is {slug: data}; `others` a list of (task, slug, data)."""
    gram, other = [], []
    for slug, minibatches in own.items():
        gram.append(folder / "dumps" / f"{slug}.safetensors")
        write_gram(gram[-1], minibatches, Network.parse(slug))
    for task, slug, minibatches in others:
        other.append(folder / "transfer" / task / "gram" / f"{slug}.safetensors")
        write_gram(other[-1], minibatches, Network.parse(slug), reference="task's")
    inputs = {"gram": gram, "other_gram": other}
    table = run_measure("estimator", inputs, folder, list(own))["estimator"]
    return table[table["left_out"] == -1].reset_index(drop=True) if whole else table


def shuffled(minibatches, partition):
    """The same minibatches, each in the random order of a partition."""
    return [
        [x[estimator._order(partition, number, len(x))] for x in layers]
        for number, layers in enumerate(minibatches)
    ]


CHECKS = ["batch_size", "batch_size_square", "noise_floor", "batch_size_largest"]
OFF = ~np.eye(3, dtype=bool)


def by_check(table, source):
    return table[table["source"] == source].set_index("check")["value"]


def test_smaller_minibatches_give_the_largest_change_of_any_pair(data, tmp_path):
    table = run_main(tmp_path, {"vit/f100/s0": data})
    assert list(table.columns) == list(required("estimator.csv"))
    assert table["check"].tolist() == CHECKS * 2
    assert table["source"].drop_duplicates().tolist() == ["16 images", "8 images"]
    whole = by_loops(data)
    for source, parts in (("16 images", 2), ("8 images", 4)):
        change = np.abs(by_loops(cut(data, parts)) - whole)
        value = by_check(table, source)["batch_size_largest"]
        assert value == rounded(change.max(), **STORED) and value > 1e-3


def test_the_signed_change_is_of_several_random_partitions(data, tmp_path):
    """Of one long list of all partitions' parts: the ratio of their sums, less the whole's."""
    table = run_main(tmp_path, {"vit/f100/s0": data})
    random = [cut(shuffled(data, k), 4) for k in range(estimator.PARTITIONS)]
    change = by_loops([part for parts in random for part in parts]) - by_loops(data)
    found = by_check(table, "8 images")
    assert found["batch_size"] == rounded(change[OFF].mean(), **STORED)
    maps = [by_loops(parts) for parts in random]
    floor = [np.abs(a - b).max() for a, b in itertools.pairwise(maps)]
    assert found["noise_floor"] == rounded(np.mean(floor), **STORED)
    assert 0 < found["noise_floor"] and np.abs(change[OFF]).max() < found["noise_floor"]


def test_the_mean_square_is_the_product_of_two_folds_of_images(data, tmp_path):
    found = by_check(run_main(tmp_path, {"vit/f100/s0": data}), "16 images")["batch_size_square"]
    folds = []
    for own in ([0, 2], [1, 3]):
        parts = [
            part
            for partition in range(estimator.PARTITIONS)
            for number, part in enumerate(cut(shuffled(data, partition), 2))
            if number // 2 in own
        ]
        folds.append(by_loops(parts) - by_loops([data[number] for number in own]))
    size = np.abs(folds).max()  # a product's error is that of one factor times the other
    assert found == rounded((folds[0] * folds[1])[OFF].mean(), **STORED | {"size": size})


def test_a_change_that_both_folds_have_is_seen_though_it_cancels_over_entries():
    """Half of the entries rise by .1, half fall by it: the mean is 0, the square is not."""
    layers, groups = 4, 6
    base, moved = np.full((layers, layers), 0.5), np.full((layers, layers), 0.5)
    signs = np.where(np.add.outer(np.arange(layers), np.arange(layers)) % 2, 0.1, -0.1)
    moved += signs * np.where(np.eye(layers), 0, 1)
    for one in (base, moved):
        np.fill_diagonal(one, 1.0)
    scale = np.full(layers, 1.0)
    both = [(np.repeat(one[None], groups, 0), scale) for one in (moved, base)]
    change = estimator._map(*both[0]) - estimator._map(*both[1])
    assert abs(estimator._mean(change)) < 0.04
    found = estimator._squares(*both)
    assert len(found) == 1 + groups
    assert_rounded(np.array(found), 0.01, terms=12)


def test_parts_that_are_too_small_are_left_out(tmp_path):
    table = run_main(tmp_path, {"vit/f100/s0": random_minibatches(3, [16] * 4, WIDTHS)})
    assert table["source"].tolist() == ["8 images"] * 4
    none = run_main(tmp_path, {"vit/f100/s0": random_minibatches(3, [8] * 4, WIDTHS)})
    assert none.empty and list(none.columns) == list(required("estimator.csv"))


def test_replicates_leave_out_one_minibatch(data, tmp_path):
    dump = write_gram(tmp_path / "a", data)
    found = estimator.within(dump, 2)
    assert len(found) == 1 + len(SIZES)
    rest = write_gram(tmp_path / "b", data[:1] + data[2:])
    assert_rounded(found[2], estimator.within(rest, 2)[0], terms=32 * 32, size=1)
    table = run_main(tmp_path, {"vit/f100/s0": data}, whole=False)
    assert table["left_out"].tolist() == [-1, 0, 1, 2, 3] * 8


def test_the_first_network_on_all_images_of_each_model_is_taken(data, tmp_path):
    slugs = ("vit/f000/s0", "vit/f100/s2", "vit/f100/s0", "resnet/f010/s0", "resnet/f100/s0")
    table = run_main(tmp_path, dict.fromkeys(slugs, data))
    found = table[["model", "fraction", "seed"]].drop_duplicates().to_numpy().tolist()
    assert found == [["vit", "f100", "s2"], ["resnet", "f100", "s0"]]


def test_other_images_give_the_correlation_of_the_maps(data, tmp_path):
    unlike = random_minibatches(8, [24] * 3, WIDTHS)
    others = [("near", "vit/f100/s0", unlike), ("far", "resnet/f100/s0", data)]
    table = run_main(tmp_path, {"vit/f100/s0": data, "resnet/f100/s0": data}, others)
    rows = table[table["check"] == "image_source"]
    assert rows["model"].tolist() == ["vit", "resnet"]
    assert rows["source"].tolist() == ["near", "far"]
    off = ~np.eye(3, dtype=bool)
    expected = np.corrcoef(by_loops(data)[off], by_loops(unlike)[off])[0, 1]
    # A correlation divides what CKAs round by the spread of their map.
    size = 1 / min(by_loops(images)[off].std() for images in (data, unlike))
    assert rows["value"].iloc[0] == rounded(expected, **STORED | {"size": size})
    assert rows["value"].iloc[1] == rounded(1, terms=6), "the same images: the same map"


def test_other_images_shown_to_another_network_are_ignored(data, tmp_path):
    table = run_main(tmp_path, {"vit/f100/s0": data}, [("near", "gap/f100/s0", data)])
    assert set(table["check"]) == set(CHECKS)


def test_undefined_layers_leave_the_others_to_speak(data, tmp_path):
    dead = [[x if i != 1 else np.zeros_like(x) for i, x in enumerate(m)] for m in data]
    table = run_main(tmp_path, {"vit/f100/s0": dead}, [("near", "vit/f100/s0", data)])
    assert np.isfinite(table[table["check"] == "batch_size"]["value"]).all()
    assert np.isnan(table[table["check"] == "image_source"]["value"]).all(), "one pair is left"


def test_a_dump_of_another_network_is_refused(data, tmp_path):
    path = tmp_path / "transfer" / "near" / "gram" / "vit" / "f100" / "s0.safetensors"
    write_gram(path, data, ("vit", "f100", "s1"))
    own = write_gram(tmp_path / "own", data)
    with pytest.raises(ResultError, match=r"expected dumps of vit/f100/s0"):
        inputs = {"gram": [own.path], "other_gram": [path]}
        run_measure("estimator", inputs, tmp_path, ["vit/f100/s0"])
