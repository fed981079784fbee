import itertools
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from sightlines.core import seeds
from sightlines.core.errors import ConfigError, ResultError
from sightlines.core.files import write_tensors
from sightlines.dumps.reading import GramDump
from sightlines.measures import cka
from sightlines.stats import hsic
from sightlines.stats.jackknife import value_and_error
from tests.measures.making_dumps import (
    STORED,
    layer_rows,
    pack_features,
    random_minibatches,
    write_gram,
)
from tests.measures.running import run_measure
from tests.reference.cka_song import cka_song
from tests.rounding import assert_rounded, rounded

WRITTEN = [*cka.TABLES, *cka.FILES]
RAGGED = [31, 31, 31, 31, 31, 31, 31, 31, 5]


def run_main(tmp_path, paths, networks):
    return run_measure("cka", {"gram": paths}, tmp_path, networks)


@pytest.fixture
def two_networks(tmp_path):
    a = random_minibatches(1, RAGGED, [13, 5, 7])
    b = random_minibatches(2, RAGGED, [11, 3])
    for x, y in zip(a, b, strict=True):
        y[1][:, 0] += x[2][:, 0]
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    write_gram(paths[0], a, ("vit", "f100", "s0"))
    write_gram(paths[1], b, ("resnet", "f000", "s1"))
    return (a, b), paths, ["vit/f100/s0", "resnet/f000/s1"]


def test_every_pair_agrees_with_the_twin_also_with_a_ragged_last_minibatch(two_networks, tmp_path):
    data, paths, networks = two_networks
    table = run_main(tmp_path, paths, networks)["cka"]
    assert len(table) == 3 * 3 + 3 * 2 + 2 * 2
    assert list(table.columns) == [
        *("model_a", "fraction_a", "seed_a", "layer_a"),
        *("model_b", "fraction_b", "seed_b", "layer_b", "cka", "cka_se"),
    ]
    index = {"vit": 0, "resnet": 1}
    for row in table.itertuples():
        x = [layers[row.layer_a] for layers in data[index[row.model_a]]]
        y = [layers[row.layer_b] for layers in data[index[row.model_b]]]
        assert row.cka == rounded(cka_song(x, y), **STORED)


def test_jackknife_leaves_out_one_minibatch_after_another(two_networks, tmp_path):
    (a, b), paths, networks = two_networks
    table = run_main(tmp_path, paths, networks)["cka"]
    chosen = table[(table.model_a == "vit") & (table.model_b == "resnet")]
    row = chosen[(chosen.layer_a == 2) & (chosen.layer_b == 1)].iloc[0]
    x, y = [m[2] for m in a], [m[1] for m in b]
    g = len(x)
    left = np.array([cka_song(x[:i] + x[i + 1 :], y[:i] + y[i + 1 :]) for i in range(g)])
    expected = np.sqrt((g - 1) / g * np.square(left - left.mean()).sum())
    assert row.cka_se == rounded(expected, **STORED | {"terms": g})
    assert expected > 1e-3


def test_the_standard_error_is_the_spread_of_repeats():
    values, errors = [], []
    for seed in range(100):
        rng = np.random.Generator(np.random.Philox(seed))
        sums = []
        for _ in range(10):
            x = rng.standard_normal((16, 3))
            y = x + rng.standard_normal((16, 3))
            vectors = hsic.centred(np.stack([pack_features(x), pack_features(y)]), 16)
            sums.append(vectors @ vectors.T)
        own = np.einsum("gll->gl", np.stack(sums))
        value, error = value_and_error(hsic.cka, np.stack(sums), own, own)
        values.append(value[0, 1])
        errors.append(error[0, 1])
    # The spread of 100 repeats is itself known to 1 / √(2 · 100) of itself; here 3 of these.
    assert abs(np.mean(errors) / np.std(values) - 1) < 3 / np.sqrt(2 * 100)


def test_many_minibatches_are_grouped(tmp_path):
    dump = write_gram(tmp_path / "a", random_minibatches(3, [5] * 47, [3, 2]))
    sums = cka.add_hsic([dump], 0)
    assert len(sums.whole) == 20
    data = random_minibatches(3, [5] * 47, [3, 2])
    total = sums.whole.sum(0)
    expected = cka_song([m[0] for m in data], [m[1] for m in data])
    assert total[0, 1] / np.sqrt(total[0, 0] * total[1, 1]) == rounded(expected, **STORED)


def test_a_small_budget_changes_nothing(two_networks, monkeypatch):
    _, paths, _ = two_networks
    dumps = [GramDump(path) for path in paths]
    whole = cka.add_hsic(dumps, 0)
    monkeypatch.setattr(cka, "BUDGET_BYTES", 1000)
    parts = cka.add_hsic(dumps, 0)
    pairs = max(RAGGED) ** 2
    size = np.abs(whole.whole).max()
    assert_rounded(parts.whole, whole.whole, terms=pairs, size=size)
    for a, b in zip(parts.shuffled, whole.shuffled, strict=True):
        assert_rounded(a, b, terms=pairs, size=size)


def test_shuffled_images_are_not_similar(tmp_path):
    path = tmp_path / "a.safetensors"
    write_gram(path, random_minibatches(4, [67] * 8, [13, 5, 7]))
    tables = run_main(tmp_path, [path], ["vit/f100/s0"])
    shuffled = tables["cka_shuffled"]
    assert list(shuffled.columns) == ["model", "fraction", "seed", "layer_a", "layer_b", "cka"]
    assert len(shuffled) == 9
    # 8 · 67²/2 pairs of images have nothing in common: the correlation's spread, and 5 of it.
    assert shuffled.cka.abs().max() < 5 * np.sqrt(2 / 8) / 67
    assert tables["cka"].cka.min() > 0.2


def test_shuffled_control_equals_features_with_their_rows_permuted(tmp_path):
    data = random_minibatches(5, [23, 19], [5, 3])
    sums = cka.add_hsic([write_gram(tmp_path / "a", data)], 7)
    orders = [seeds.generator(7, "cka shuffled", i).permutation(n) for i, n in enumerate((23, 19))]
    moved = [m[1][order] for m, order in zip(data, orders, strict=True)]
    total = sums.whole.sum(0)
    value = sums.shuffled[0][0, 1] / np.sqrt(total[0, 0] * total[1, 1])
    assert value == rounded(cka_song([m[0] for m in data], moved), **STORED)


def test_a_layer_that_does_not_vary_is_named_and_has_no_similarity(tmp_path, caplog):
    data = random_minibatches(6, [13] * 8, [5, 3, 4])
    for minibatch in data:
        minibatch[1] = np.zeros((13, 3))
    path = tmp_path / "a.safetensors"
    write_gram(path, data, ("resnet", "f000", "s0"))
    tables = run_main(tmp_path, [path], ["resnet/f000/s0"])
    table = tables["cka"]
    touched = (table.layer_a == 1) | (table.layer_b == 1)
    assert table.cka[touched].isna().all() and table.cka_se[touched].isna().all()
    assert table.cka[~touched].notna().all()
    assert tables["cka_shuffled"].cka.isna().sum() == 5
    assert tables["cka_degenerate"].to_dict("records")[0]["name"] == "block01.out"
    assert list(tables["cka_degenerate"].columns)[-1] == "reason"
    assert "no similarity for a layer of resnet/f000/s0, block01.out: its output" in caplog.text


def test_layers_of_one_network_that_do_not_vary_are_named_on_one_line(caplog):
    one = {"model": "resnet", "fraction": "f000", "seed": "s0", "reason": "all are the same"}
    other = one | {"seed": "s1", "name": "block01.out"}
    cka.warn_of_constant([one | {"name": name} for name in ("b0.norm2", "b1.norm2")])
    cka.warn_of_constant([other])
    assert caplog.messages == [
        "no similarity for 2 layers of resnet/f000/s0, b0.norm2, b1.norm2: all are the same",
        "no similarity for a layer of resnet/f000/s1, block01.out: all are the same",
    ]


def test_a_gram_of_rounding_alone_is_degenerate(tmp_path):
    rng = np.random.Generator(np.random.Philox(7))
    dump = write_gram(tmp_path / "a", random_minibatches(7, [13] * 3, [5, 3]))
    grams = {f"gram.{i:03d}": np.array(dump.packed(i)) for i in range(3)}
    for gram in grams.values():
        gram[1] = 5 * (1 + 6e-8 * rng.standard_normal(gram.shape[1]))
    write_tensors(tmp_path / "b", grams, dump.meta)
    flags = cka.is_constant(cka.add_hsic([GramDump(tmp_path / "b")], 0))
    assert flags.tolist() == [False, True]


def test_few_minibatches_are_warned_about(tmp_path, caplog):
    path = tmp_path / "a.safetensors"
    write_gram(path, random_minibatches(8, [13] * 7, [5]))
    run_main(tmp_path, [path], ["vit/f100/s0"])
    assert "only 7 minibatches" in caplog.text
    caplog.clear()
    write_gram(path, random_minibatches(8, [13] * 8, [5]))
    run_main(tmp_path, [path], ["vit/f100/s0"])
    assert "minibatches" not in caplog.text


def test_one_minibatch_has_no_standard_error(tmp_path):
    path = tmp_path / "a.safetensors"
    write_gram(path, random_minibatches(9, [13], [5, 3]))
    table = run_main(tmp_path, [path], ["vit/f100/s0"])["cka"]
    assert table.cka.notna().all() and table.cka_se.isna().all()


def test_minibatches_of_three_images_are_refused(tmp_path):
    dump = write_gram(tmp_path / "a", random_minibatches(10, [13, 3], [5]))
    with pytest.raises(ConfigError, match=r"has 3 images.*reference_batch_size"):
        cka.add_hsic([dump], 0)


@pytest.mark.parametrize("field", ["reference", "sizes"])
def test_dumps_of_different_reference_images_do_not_mix(tmp_path, field):
    sizes = [7, 5] if field == "sizes" else [5, 7]
    write_gram(tmp_path / "a", random_minibatches(11, [5, 7], [3]), ("vit", "f100", "s0"))
    reference = "other" if field == "reference" else "r"
    write_gram(tmp_path / "b", random_minibatches(12, sizes, [3]), ("vit", "f100", "s1"), reference)
    with pytest.raises(ResultError, match=r"/a and .*/b are of different reference images"):
        run_main(tmp_path, [tmp_path / "a", tmp_path / "b"], ["vit/f100/s0", "vit/f100/s1"])


def test_a_dump_of_another_network_is_refused(tmp_path):
    write_gram(tmp_path / "a", random_minibatches(13, [5], [3]), ("vit", "f100", "s1"))
    with pytest.raises(ResultError, match=r"expected dumps of vit/f100/s0, but .*vit/f100/s1"):
        run_main(tmp_path, [tmp_path / "a"], ["vit/f100/s0"])


def test_networks_of_one_model_share_their_layers(tmp_path):
    write_gram(tmp_path / "a", random_minibatches(14, [5], [3]), ("vit", "f100", "s0"))
    other = [layer_rows(1)[0] | {"name": "stem"}]
    write_gram(
        tmp_path / "b", random_minibatches(15, [5], [3]), ("vit", "f100", "s1"), layers=other
    )
    with pytest.raises(ResultError, match="different layers of vit"):
        run_main(tmp_path, [tmp_path / "a", tmp_path / "b"], ["vit/f100/s0", "vit/f100/s1"])


def test_layers_are_listed_once_a_model(two_networks, tmp_path):
    _, paths, networks = two_networks
    layers = run_main(tmp_path, paths, networks)["layers"]
    assert list(layers.columns) == ["model", "layer", "name", "kind", "block", "depth", "features"]
    assert layers.model.tolist() == ["vit"] * 3 + ["resnet"] * 2
    assert layers.layer.tolist() == [0, 1, 2, 0, 1]


@pytest.mark.whole
def test_same_dumps_same_bytes_and_no_torch(two_networks, tmp_path):
    _, paths, networks = two_networks
    code = (
        "import sys; from sightlines.run.measure import main;"
        "from sightlines.jobs.command import run;"
        "run(main); assert 'torch' not in sys.modules"
    )
    config = {"networks": networks, "dumped": {"gram": networks}, "seed": 0}
    written = []
    for folder in ("x", "y"):
        outputs = [["--output", w.split(".")[0], f"{folder}/{w}"] for w in WRITTEN]
        command = [
            *(sys.executable, "-c", code, "cka", "--config", json.dumps(config)),
            *("--input", "gram", *map(str, paths), "--log", f"{folder}/logs/cka.log"),
            *itertools.chain.from_iterable(outputs),
        ]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        written.append([(tmp_path / folder / w).read_bytes() for w in WRITTEN])
    assert written[0] == written[1]


def test_a_full_table_has_no_gaps(two_networks, tmp_path):
    _, paths, networks = two_networks
    table = run_main(tmp_path, paths, networks)["cka"]
    assert not table.isna().any(axis=None)
    own = table[(table.model_a == table.model_b) & (table.layer_a == table.layer_b)]
    assert_rounded(own.cka, 1, terms=max(RAGGED) ** 2)
    assert isinstance(table, pd.DataFrame)
