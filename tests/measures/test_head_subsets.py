import math

import numpy as np
import pandas as pd
import pytest

from sightlines.claims.judge import INDICES
from sightlines.core.errors import ConfigError, ResultError
from sightlines.core.files import read_table, write_tensors
from sightlines.dumps.heads_reading import HeadsDump
from sightlines.dumps.reading import AttentionDump
from sightlines.measures import head_subsets
from sightlines.plan.networks import Network
from sightlines.results.tables import required
from sightlines.stats.jackknife import standard_error
from tests.measures.making_dumps import (
    STORED,
    pack_features,
    random_minibatches,
    write_attention,
    write_gram,
)
from tests.measures.running import run_measure
from tests.reference.cka_song import cka_song
from tests.rounding import assert_rounded, rounded
from tests.stats import test_indices as twins

SIZES = [9, 8, 11, 8, 9]
VIT, RESNET = ("vit", "f100", "s0"), ("resnet", "f100", "s0")


def resnet_layers(units=(2, 2), projected=(0, 2)):
    rows, block = [{"name": "stem.conv", "kind": "conv", "block": -1, "features": 5}], 0
    for stage, count in enumerate(units):
        for _ in range(count):
            name = f"block{block:02d}"
            if block in projected:
                rows.append({"name": f"{name}.proj_conv", "kind": "conv"})
                rows[-1] |= {"block": block, "features": 8 + stage}
            row = {"name": f"{name}.out", "kind": "residual", "block": block}
            rows.append(row | {"features": 8 + stage})
            block += 1
    last = len(rows) - 1
    return [row | {"index": i, "depth": i / last} for i, row in enumerate(rows)]


LAYERS = resnet_layers()


def make_features(seed, heads=5, sizes=SIZES, distance_noise=0.3):
    """Heads' and layers' features with something in common, and distances of first-block heads."""
    rng = np.random.Generator(np.random.Philox(seed))
    maps = rng.standard_normal((heads + len(LAYERS), 3, 6))
    means = np.linspace(3, 9, heads)
    outputs, layers, distances = [], [], []
    for n in sizes:
        latent = rng.standard_normal((n, 3))
        noise = rng.standard_normal((heads + len(LAYERS), n, 6))
        every = latent @ maps + 0.8 * noise
        outputs.append(every[:heads])
        layers.append(list(every[heads:]))
        distances.append(means + distance_noise * rng.standard_normal((n, heads)))
    return outputs, layers, distances


def write_heads(path, outputs, network=VIT):
    meta = {"network": list(network), "reference_sha256": "r", "block": 0}
    meta |= {"heads": len(outputs[0]), "batch_sizes": [len(own[0]) for own in outputs]}
    tensors = {
        f"gram.{b:03d}": np.stack([pack_features(x) for x in own]) for b, own in enumerate(outputs)
    }
    write_tensors(path, tensors, meta)
    return HeadsDump(path)


def write_distances(path, distances, network=VIT):
    """Two blocks; only the first may be used."""
    both = [np.stack([own, own[:, ::-1]], axis=1) for own in distances]
    names = ("distance_px", "distance_renormalised_px", "prefix_mass", "entropy_nats")
    write_attention(path, {n: both for n in names}, network=network, uniform_px=12.0)
    return AttentionDump(path)


def write_pixels(path, sizes):
    return write_gram(path, random_minibatches(77, sizes, [6]), network=("pixels", "f000", "s0"))


def tables_of(tmp_path, outputs, layers, distances, seed=4):
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    return head_subsets.pair_tables(
        write_heads(folder / "heads", outputs),
        write_distances(folder / "attention", distances),
        write_gram(folder / "gram", layers, network=RESNET, layers=LAYERS),
        write_pixels(folder / "pixels", [len(own[0]) for own in outputs]),
        seed,
    )


def table_of(*args, **kwargs):
    return tables_of(*args, **kwargs)[0]


def test_other_indices_are_of_the_same_subsets_and_units(tmp_path):
    outputs, layers, distances = make_features(20)
    table, opinions = tables_of(tmp_path, outputs, layers, distances)
    windows = table[(table.subset_kind == "window") & (table.left_out == -1)]
    linear = opinions[opinions["index"] == "linear"]
    keys = ["unit_rank", "subset"]
    both = windows.merge(linear, on=keys, validate="1:1")
    assert len(both) == len(windows) == len(linear) > 8
    assert_rounded(both.value, both.cka, **STORED)
    assert set(opinions["index"]) == set(INDICES)
    assert opinions[["model", "other_model"]].drop_duplicates().to_numpy().tolist() == [
        ["vit", "resnet"]
    ]
    folds = windows[windows.unit_rank == 0].heads.iloc[0].split("|")
    places = [[int(h) for h in text.split()] for text in (folds * 2)[:2]]
    unit = next(i for i, row in enumerate(LAYERS) if row["kind"] == "residual")
    chosen = [np.concatenate([own[h] for h in places[b % 2]], 1) for b, own in enumerate(outputs)]
    pairs = [(x, own[unit]) for x, own in zip(chosen[:4], layers[:4], strict=True)]
    expected = np.mean([twins.procrustes(*pair, twins.stored(*pair)) for pair in pairs])
    found = opinions[(opinions["index"] == "procrustes") & (opinions.unit_rank == 0)]
    # The Gram of heads side by side is a sum of stored ones here, and stored itself in the twin.
    value = found[found.subset == 0].value.item()
    assert value == rounded(expected, **STORED | {"terms": max(SIZES)})


def slow_windows(outputs, unit, distances, places):
    """CKA and distance of every window, from features, by minibatches with these numbers."""
    heads = len(outputs[0])
    size = math.ceil(heads / 4)
    mean = [
        np.mean([row for b in places if b % 2 == fold for row in distances[b]], axis=0)
        for fold in (0, 1)
    ]
    found = []
    for start in range(heads - size + 1):
        x, y, reach, chosen = [], [], [], []
        for b in places:
            order = sorted(range(heads), key=lambda head, b=b: mean[1 - b % 2][head])
            window = order[start : start + size]
            x.append(np.concatenate([outputs[b][head] for head in window], axis=1))
            y.append(unit[b])
        for fold in (0, 1):
            order = sorted(range(heads), key=lambda head, fold=fold: mean[1 - fold][head])
            window = order[start : start + size]
            reach.append(np.mean([mean[1 - fold][head] for head in window]))
            chosen.append(sorted(window))
        found.append((cka_song(x, y), np.mean(reach), chosen))
    return found


def test_windows_agree_with_the_textbook_with_all_images_and_with_a_group_left_out(tmp_path):
    outputs, layers, distances = make_features(1, distance_noise=9.0)
    table = table_of(tmp_path, outputs, layers, distances)
    windows = table[table.subset_kind == "window"]
    outs = [row["index"] for row in LAYERS if row["kind"] == "residual"]
    crossed = 0
    for left_out in (-1, 0, 3):
        places = [b for b in range(len(SIZES)) if b != left_out]
        for rank, layer in zip((0, 1, 3, 4), outs, strict=True):
            unit = [own[layer] for own in layers]
            own = windows[(windows.left_out == left_out) & (windows.unit_rank == rank)]
            assert set(own.unit) == {LAYERS[layer]["name"]}
            expected = slow_windows(outputs, unit, distances, places)
            assert len(own) == len(expected) == 4
            for (_, row), (cka, reach, chosen) in zip(own.iterrows(), expected, strict=True):
                assert row.cka == rounded(cka, **STORED)
                assert row.distance_px == rounded(reach, terms=1, dtype=np.float32)
                assert row.relative == rounded(reach / 12, terms=1, dtype=np.float32)
                texts = [" ".join(map(str, heads)) for heads in chosen]
                assert row["heads"] == "|".join(dict.fromkeys(texts))
                crossed += "|" in row["heads"]
    assert crossed > 0


def test_single_heads_and_random_subsets_agree_with_features_side_by_side(tmp_path):
    outputs, layers, distances = make_features(2)
    table = table_of(tmp_path, outputs, layers, distances)
    whole = table[(table.left_out == -1) & (table.unit_rank == 1)]
    layer = next(row["index"] for row in LAYERS if row["name"] == "block01.out")
    unit = [own[layer] for own in layers]
    for kind, count in (("single", 5), ("random", 10)):
        rows = whole[whole.subset_kind == kind]
        assert len(rows) == count == rows["heads"].nunique()
        for row in rows.itertuples():
            chosen = [int(text) for text in row.heads.split()]
            x = [np.concatenate([own[head] for head in chosen], axis=1) for own in outputs]
            assert row.cka == rounded(cka_song(x, unit), **STORED)
    assert (table.groupby("left_out").size() == 4 * (4 + 5 + 10)).all()
    assert sorted(table.left_out.unique()) == [-1, 0, 1, 2, 3, 4]


def test_distances_come_from_other_images_than_the_similarity(tmp_path):
    outputs, layers, distances = make_features(3, distance_noise=0.0)
    before = table_of(tmp_path, outputs, layers, distances)
    turned = [own[:, ::-1] if b % 2 else own for b, own in enumerate(distances)]
    after = table_of(tmp_path, outputs, layers, turned)
    rows = [t[(t.subset_kind == "window") & (t.left_out == -1)] for t in (before, after)]
    assert rows[0]["heads"].iloc[0] == "0 1"
    # odd minibatches' distances turned: even minibatches are scored with the far heads
    assert rows[1]["heads"].iloc[0] == "3 4|0 1"
    layer = next(i for i, row in enumerate(LAYERS) if row["name"] == rows[1].unit.iloc[0])
    unit = [own[layer] for own in layers]
    pick = [(0, 1) if b % 2 else (3, 4) for b in range(len(SIZES))]
    x = [
        np.concatenate([own[h] for h in heads], axis=1)
        for own, heads in zip(outputs, pick, strict=True)
    ]
    assert rows[1].cka.iloc[0] == rounded(cka_song(x, unit), **STORED)


def test_the_order_in_which_heads_are_numbered_does_not_matter(tmp_path):
    outputs, layers, distances = make_features(5)
    order = [3, 0, 4, 1, 2]
    first = table_of(tmp_path, outputs, layers, distances)
    moved = table_of(
        tmp_path, [own[order] for own in outputs], layers, [own[:, order] for own in distances]
    )
    for kind in ("window", "single"):
        columns = ["unit_rank", "left_out", "cka", "distance_px"]
        a, b = (
            t[t.subset_kind == kind].sort_values(["unit_rank", "left_out", "distance_px"])[columns]
            for t in (first, moved)
        )
        assert a[columns[:2]].to_numpy().tolist() == b[columns[:2]].to_numpy().tolist()
        assert_rounded(a.cka, b.cka, terms=max(SIZES) ** 2, size=1)
        assert_rounded(a.distance_px, b.distance_px, terms=len(SIZES) * max(SIZES))


def test_shuffled_images_have_no_similarity(tmp_path):
    sizes = [40] * 8
    outputs, layers, distances = make_features(6, sizes=sizes)
    true = table_of(tmp_path, outputs, layers, distances)
    rng = np.random.Generator(np.random.Philox(7))
    mixed = [[x[rng.permutation(len(x))] for x in own] for own in layers]
    shuffled = table_of(tmp_path, outputs, mixed, distances)
    assert true[true.left_out == -1].cka.min() > 0.2
    windows = shuffled[shuffled.subset_kind == "window"]
    # 8 · 40²/2 pairs of images have nothing in common: the correlation's spread, and 6 of it.
    assert windows[windows.left_out == -1].cka.abs().max() < 6 * np.sqrt(2 / 8) / 40
    keys = ["unit_rank", "subset"]
    wide = windows.pivot_table(index="left_out", columns=keys, values="cka")
    assert np.all(np.abs(wide.loc[-1]) < 4.5 * standard_error(wide.to_numpy()))


def test_a_layer_equal_to_a_subset_has_similarity_one(tmp_path):
    outputs, layers, distances = make_features(8, distance_noise=0.0)
    layer = next(i for i, row in enumerate(LAYERS) if row["name"] == "block00.out")
    for own, heads in zip(layers, outputs, strict=True):
        own[layer] = np.concatenate([heads[1], heads[2]], axis=1)
    table = table_of(tmp_path, outputs, layers, distances)
    row = table[
        (table.subset_kind == "window") & (table.unit_rank == 0) & (table["heads"] == "1 2")
    ]
    assert_rounded(row.cka, 1, **STORED)


def test_without_a_second_fold_there_is_no_value(tmp_path):
    table = table_of(tmp_path, *make_features(9, sizes=[9]))
    assert table.cka.isna().all()
    two = table_of(tmp_path, *make_features(9, sizes=[9, 9]))
    assert two[two.left_out == -1].cka.notna().all() and two[two.left_out != -1].cka.isna().all()


def test_four_heads_or_fewer_are_their_own_windows(tmp_path):
    table = table_of(tmp_path, *make_features(10, heads=4, distance_noise=0.0))
    own = table[(table.left_out == -1) & (table.unit_rank == 0)]
    assert set(own.groupby("subset_kind").size()) == {4}
    assert [head_subsets.window_size(count) for count in (1, 4, 5, 12, 16)] == [1, 1, 2, 3, 4]


def test_random_subsets_are_distinct_and_of_one_size():
    many = head_subsets.random_subsets(12, 0)
    assert many.shape == (20, 12) and len({tuple(row) for row in many}) == 20
    assert set(many.sum(axis=1)) == {3}
    assert (many == head_subsets.random_subsets(12, 0)).all()
    assert (many != head_subsets.random_subsets(12, 1)).any()


@pytest.mark.parametrize(
    ("units", "projected", "ranks"),
    [
        ((3, 4, 6), (0, 3, 7), {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}),
        ((5, 2), (0, 5), {0: 0, 1: 1, 2: 2, 3: 5, 4: 6}),
        ((1, 1, 1), (0, 1, 2), {0: 0, 3: 1}),
        ((2, 2), (), {0: 0, 1: 1, 3: 2, 4: 3}),
        ((2,), (), {0: 0, 1: 1}),
    ],
)
def test_lower_units_are_the_papers_five(units, projected, ranks):
    layers = resnet_layers(units, projected)
    found = head_subsets.lower_units(layers)
    assert {rank: layers[index]["block"] for rank, index in found.items()} == ranks
    assert all(layers[index]["name"].endswith(".out") for index in found.values())


def test_partners_are_resnets_of_the_same_seed_trained_on_all_images(tmp_path):
    slugs = ["resnet/f000/s0", "resnet/f100/s0", "resnet/f010/s1", "resnet/f100/s1", "deep/f100/s0"]
    dumps = []
    for place, slug in enumerate(slugs):
        features = make_features(11, sizes=[5])[1]
        path = tmp_path / str(place)
        dumps.append(write_gram(path, features, network=slug.split("/"), layers=LAYERS))
    for vit, expected in (
        ("vit/f100/s1", ["resnet/f100/s1", "deep/f100/s0"]),
        ("vit/f000/s0", ["resnet/f100/s0", "deep/f100/s0"]),
        ("vit/f100/s7", ["resnet/f100/s0", "deep/f100/s0"]),
    ):
        found = head_subsets.partners(Network.parse(vit), dumps)
        assert [dump.network.slug for dump in found] == expected


def run_main(tmp_path, inputs, dumped, families):
    write_pixels(tmp_path / "pixels", SIZES)
    inputs = inputs | {"pixels": [tmp_path / "pixels"]}
    architectures = {m: {"family": f} for m, f in families.items()}
    config = {"dumped": dumped, "architectures": architectures}
    found = run_measure("head_subsets", inputs, tmp_path, dumped["heads"], **config)
    return found["head_subsets"]


def test_main_pairs_trained_and_untrained_vits_with_the_trained_resnet(tmp_path):
    outputs, layers, distances = make_features(12)
    vits = [VIT, ("vit", "f000", "s0")]
    inputs = {"heads": [], "attention": [], "gram": []}
    for place, vit in enumerate(vits):
        write_heads(tmp_path / f"h{place}", outputs, vit)
        write_distances(tmp_path / f"a{place}", distances, vit)
        inputs["heads"].append(tmp_path / f"h{place}")
        inputs["attention"].append(tmp_path / f"a{place}")
    others = [RESNET, ("resnet", "f000", "s0"), VIT]
    for place, other in enumerate(others):
        write_gram(tmp_path / f"g{place}", layers, network=other, layers=LAYERS)
        inputs["gram"].append(tmp_path / f"g{place}")
    slugs = ["/".join(vit) for vit in vits]
    dumped = {"heads": slugs, "attention": slugs, "gram": ["/".join(o) for o in others]}
    families = {"vit": "vit", "resnet": "resnet"}
    table = run_main(tmp_path, inputs, dumped, families)
    assert list(table.columns) == list(required("head_subsets.parquet"))
    pairs = table[["fraction", "other_model", "other_fraction"]].drop_duplicates()
    assert pairs.to_numpy().tolist() == [["f100", "resnet", "f100"], ["f000", "resnet", "f100"]]
    first, second = (table[table.fraction == f].cka.to_numpy() for f in ("f100", "f000"))
    assert (first == second).all()
    with pytest.raises(ResultError, match="expected dumps of"):
        run_main(tmp_path, inputs | {"gram": inputs["gram"][:2]}, dumped, families)


def test_nothing_to_compare_leaves_a_table_with_a_header(tmp_path):
    empty = {"heads": [], "attention": [], "gram": []}
    table = run_main(tmp_path, {}, empty, {})
    assert isinstance(table, pd.DataFrame) and len(table) == 0
    assert list(table.columns) == list(required("head_subsets.parquet"))
    other = read_table(tmp_path / "head_subset_indices.parquet")
    assert list(other.columns) == list(required("head_subset_indices.parquet")) and other.empty


def test_too_few_images_and_unlike_dumps_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="unbiased HSIC needs 4"):
        table_of(tmp_path, *make_features(13, sizes=[9, 3]))
    outputs, layers, distances = make_features(13)
    with pytest.raises(ResultError, match="has 5 heads"):
        table_of(tmp_path, outputs, layers, [own[:, :4] for own in distances])


def test_a_dump_without_heads_is_refused(tmp_path):
    meta = {"network": list(VIT), "reference_sha256": "r", "heads": 0, "batch_sizes": [4]}
    write_tensors(tmp_path / "h", {}, meta)
    with pytest.raises(ResultError, match="no heads"):
        HeadsDump(tmp_path / "h")
