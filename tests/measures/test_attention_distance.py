import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.results.tables import required
from tests.measures.making_dumps import write_attention
from tests.measures.running import run_measure
from tests.rounding import rounded

NAMES = ("distance_px", "distance_renormalised_px", "prefix_mass", "entropy_nats")


# The table has nine digits, as many as float32 can tell apart.
NINE_DIGITS = {"terms": 1, "dtype": np.float32, "c": 1}


def statistics(seed, sizes):
    rng = np.random.Generator(np.random.Philox(seed))
    return {n: [rng.uniform(1, 9, (s, 2, 3)).astype(np.float32) for s in sizes] for n in NAMES}


def run_main(tmp_path, paths, networks):
    tables = run_measure("attention_distance", {"attention": paths}, tmp_path, networks)
    return tables["attention_distance"]


def test_means_and_spread_over_all_images_of_unequal_minibatches(tmp_path):
    values = statistics(1, [7, 3, 5])
    write_attention(tmp_path / "a", values, uniform_px=11.0)
    table = run_main(tmp_path, [tmp_path / "a"], ["vit/f100/s0"])
    assert list(table.columns) == list(required("attention_distance.csv"))
    assert len(table) == 6
    row = table[(table.block == 1) & (table["head"] == 2)].iloc[0]
    together = {n: np.concatenate(v).astype(np.float64)[:, 1, 2] for n, v in values.items()}
    mean = {name: rounded(values.mean(), **NINE_DIGITS) for name, values in together.items()}
    assert row.distance_px == mean["distance_px"]
    assert row.distance_std_px == rounded(together["distance_px"].std(ddof=1), **NINE_DIGITS)
    assert row.distance_renormalised_px == mean["distance_renormalised_px"]
    assert row.prefix_mass == mean["prefix_mass"]
    assert row.entropy_nats == mean["entropy_nats"]
    assert row.relative == rounded(row.distance_px / 11, **NINE_DIGITS)
    assert row.relative_renormalised == rounded(row.distance_renormalised_px / 11, **NINE_DIGITS)
    assert row.images == 15 and row.uniform_px == 11
    assert (table.undefined_share == 0).all()


def test_queries_without_a_renormalised_distance_are_left_out_of_its_mean(tmp_path):
    values = statistics(4, [7, 3])
    rng = np.random.Generator(np.random.Philox(5))
    shares = [rng.choice([0, 0.25, 1], x.shape) for x in values["distance_px"]]
    for share in shares:
        share[:, 1, 2] = 0
    write_attention(tmp_path / "a", values | {"renormalised_share": shares}, uniform_px=11.0)
    table = run_main(tmp_path, [tmp_path / "a"], ["vit/f100/s0"])
    weights = np.concatenate(shares)
    distances = np.concatenate(values["distance_renormalised_px"]).astype(np.float64)
    for row in table[:-1].itertuples():
        own = weights[:, row.block, row.head]
        expected = np.average(distances[:, row.block, row.head], weights=own)
        assert row.distance_renormalised_px == rounded(expected, **NINE_DIGITS)
        assert row.undefined_share == rounded(1 - own.mean(), **NINE_DIGITS, size=1)
    last = table.iloc[-1]
    assert np.isnan([last.distance_renormalised_px, last.relative_renormalised]).all()
    assert last.undefined_share == 1 and np.isfinite(last.relative)


def test_networks_without_attention_leave_a_table_with_a_header(tmp_path):
    assert list(run_main(tmp_path, [], []).columns) == list(required("attention_distance.csv"))


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    values = statistics(2, [3])
    values["prefix_mass"][0][1, 0, 1] = np.nan
    write_attention(tmp_path / "a", values)
    with pytest.raises(ResultError, match=r"/a: tensor prefix_mass.000 holds numbers"):
        run_main(tmp_path, [tmp_path / "a"], ["vit/f100/s0"])


def test_a_wrong_shape_is_refused(tmp_path):
    write_attention(tmp_path / "a", statistics(3, [3]), sizes=[4])
    with pytest.raises(ResultError, match=r"tensor distance_px.000 should be \(4, 2, 3\)"):
        run_main(tmp_path, [tmp_path / "a"], ["vit/f100/s0"])
