import numpy as np
import pytest

from sightlines.core.files import TensorReader, write_tensors
from sightlines.measures import attention_distance
from sightlines.results.tables import required
from tests.measures.making_dumps import write_attention
from tests.measures.running import run_measure
from tests.rounding import assert_rounded

NAMES = ("distance_px", "distance_renormalised_px", "prefix_mass", "entropy_nats")
TABLES = ("attention_replicates", "attention_offsets")


def write_dump(path, seed, sizes):
    """Grid 2 × 3, so offsets [3, 5]; 2 blocks, 3 heads."""
    rng = np.random.Generator(np.random.Philox(seed))
    values = {n: [rng.uniform(1, 9, (s, 2, 3)).astype(np.float32) for s in sizes] for n in NAMES}
    write_attention(path, values, uniform_px=11.0)
    mass = rng.uniform(0, 0.1, (2, 3, 3, 5)).astype(np.float32)
    reader = TensorReader(path)
    tensors = {name: np.array(reader[name]) for name in reader.names()}
    write_tensors(path, tensors | {"offset_mass": mass}, reader.meta)
    return values["distance_px"], mass


def run_main(tmp_path, paths, networks):
    found = run_measure("attention_replicates", {"attention": paths}, tmp_path, networks)
    return [found[name] for name in TABLES]


def test_replicates_are_means_over_all_images_but_one_group(tmp_path):
    distances, _ = write_dump(tmp_path / "a", 1, [7, 3, 5])
    table, _ = run_main(tmp_path, [tmp_path / "a"], ["vit/f100/s0"])
    assert list(table.columns) == list(required("attention_replicates.parquet"))
    assert len(table) == 4 * 2 * 3
    for left_out in (-1, 0, 1, 2):
        kept = [x for b, x in enumerate(distances) if b != left_out]
        expected = np.concatenate(kept).astype(np.float64).mean(axis=0) / 11
        own = table[table.left_out == left_out].pivot(index="block", columns="head")["relative"]
        assert_rounded(own, expected, terms=15)


def test_the_whole_equals_the_distance_table(tmp_path):
    write_dump(tmp_path / "a", 2, [6] * 23)
    table, _ = run_main(tmp_path, [tmp_path / "a"], ["vit/f100/s0"])
    assert sorted(table.left_out.unique()) == list(range(-1, 20))
    dump = attention_distance.AttentionDump(tmp_path / "a")
    whole = attention_distance.head_table(dump)["relative"]
    assert_rounded(table.loc[table.left_out == -1, "relative"], whole, terms=6 * 23)


def test_one_group_leaves_nothing_when_left_out(tmp_path):
    write_dump(tmp_path / "a", 3, [6])
    table, _ = run_main(tmp_path, [tmp_path / "a"], ["vit/f100/s0"])
    assert table.loc[table.left_out == 0, "relative"].isna().all()
    assert table.loc[table.left_out == -1, "relative"].notna().all()


def test_offsets_are_key_less_query_in_patches(tmp_path):
    _, mass = write_dump(tmp_path / "a", 4, [3])
    _, table = run_main(tmp_path, [tmp_path / "a"], ["vit/f100/s0"])
    assert list(table.columns) == list(required("attention_offsets.parquet"))
    assert (table.row.min(), table.row.max()) == (-1, 1)
    assert (table.column.min(), table.column.max()) == (-2, 2)
    own = table[(table.block == 1) & (table["head"] == 2)]
    assert own[(own.row == -1) & (own.column == 2)].mass.item() == mass[1, 2, 0, 4]
    assert own[(own.row == 0) & (own.column == 0)].mass.item() == mass[1, 2, 1, 2]
    total = table.groupby(["block", "head"]).mass.sum().to_numpy().reshape(2, 3)
    assert_rounded(total, mass.sum((2, 3)), terms=3 * 5, dtype=np.float32)


def test_no_attention_leaves_headers(tmp_path):
    for table, name in zip(run_main(tmp_path, [], []), TABLES, strict=True):
        assert len(table) == 0 and list(table.columns) == list(required(f"{name}.parquet"))


def test_dumps_of_other_networks_are_refused(tmp_path):
    write_dump(tmp_path / "a", 5, [3])
    with pytest.raises(Exception, match="expected dumps of vit/f000/s0"):
        run_main(tmp_path, [tmp_path / "a"], ["vit/f000/s0"])
