import logging

import pandas as pd
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import read_table, write_json
from sightlines.jobs.command import Job
from sightlines.measures import accuracy, curves
from sightlines.measures.data_fractions import COLUMNS, compare_fractions
from sightlines.plan.networks import Network
from tests.rounding import rounded

LOG = logging.getLogger("test")
NETWORKS = ["vit/f000/s0", "vit/f010/s0", "vit/f100/s0", "vit/f100/s1", "resnet/f010/s0"]


def similarity_table():
    rows = []
    for a, first in enumerate(NETWORKS):
        for b, second in enumerate(NETWORKS[a:], a):
            for i in range(4):
                for j in range(4):
                    names = dict(
                        zip(
                            ["model_a", "fraction_a", "seed_a", "model_b", "fraction_b", "seed_b"],
                            [*Network.parse(first), *Network.parse(second)],
                            strict=True,
                        )
                    )
                    cka = a + b / 10 + i / 100 + j / 1000
                    rows.append(names | {"layer_a": i, "layer_b": j, "cka": cka, "cka_se": 0.5})
    return pd.DataFrame(rows)


def layer_table():
    kinds = ["norm", "residual", "mlp", "residual"]
    rows = [
        {"model": m, "layer": i, "name": f"l{i}", "kind": k, "block": i // 2, "depth": i / 3}
        for m in ("vit", "resnet")
        for i, k in enumerate(kinds)
    ]
    return pd.DataFrame(rows)


def test_blocks_are_compared_with_the_first_network_on_all_images():
    networks = [Network.parse(slug) for slug in NETWORKS]
    table = compare_fractions(similarity_table(), layer_table(), networks)
    assert list(table.columns) == COLUMNS
    assert table.kind.tolist() == ["untrained"] * 2 + ["fraction"] * 2 + ["ceiling"] * 2
    assert set(table.reference_seed) == {"s0"} and set(table.model) == {"vit"}
    assert table.block.tolist() == [0, 1] * 3
    expected = [0.2 + 0.011, 0.2 + 0.033, 1.2 + 0.011, 1.2 + 0.033, 2.3 + 0.011, 2.3 + 0.033]
    assert table.cka.tolist() == rounded(expected, terms=4)


def test_without_a_full_network_the_table_is_empty():
    networks = [Network.parse("resnet/f010/s0")]
    table = compare_fractions(similarity_table(), layer_table(), networks)
    assert list(table.columns) == COLUMNS and table.empty


def test_a_missing_pair_is_named():
    networks = [Network.parse("vit/f100/s0"), Network.parse("vit/f030/s0")]
    with pytest.raises(ResultError, match="lacks vit/f030/s0 with vit/f100/s0"):
        compare_fractions(similarity_table(), layer_table(), networks)


def metrics(**changes):
    values = dict.fromkeys(accuracy.METRICS, 0.5) | {"chance": 0.1, "accuracy_test": 0.45}
    return values | changes


def test_accuracy_stands_beside_chance(tmp_path):
    write_json(tmp_path / "a.json", metrics(confusion=[[1]]))
    config = {"networks": ["vit/f100/s0"]}
    outputs = {"accuracy": [tmp_path / "accuracy.csv"]}
    inputs = {"metrics.json": [tmp_path / "a.json"]}
    accuracy.main(Job("m", config, inputs, outputs, tmp_path, LOG))
    (row,) = read_table(tmp_path / "accuracy.csv").to_dict("records")
    assert row["times_chance"] == rounded(4.5, terms=1) and row["model"] == "vit"
    assert list(row)[:6] == ["model", "fraction", "seed", "train_images", "steps", "parameters"]


def test_how_others_networks_were_read_has_columns_where_there_are_some(tmp_path):
    """Of networks that are all trained here the table is as it would be without."""
    read = {"class_order": "timm", "class_order_note": "by numbers, a", "weights_note": ""}
    write_json(tmp_path / "own.json", metrics(confusion=[[1]]))
    write_json(tmp_path / "read.json", metrics(confusion=[[1]]) | read)
    tables = []
    for files in (["own.json"], ["own.json", "read.json"]):
        config = {"networks": [f"v{place}/f100/s0" for place, _ in enumerate(files)]}
        inputs = {"metrics.json": [tmp_path / file for file in files]}
        outputs = {"accuracy": [tmp_path / "accuracy.csv"]}
        accuracy.main(Job("m", config, inputs, outputs, tmp_path, LOG))
        tables.append(read_table(tmp_path / "accuracy.csv"))
    assert not {*accuracy.REMARKS} & {*tables[0].columns}
    assert {*tables[1].columns} - {*tables[0].columns} == {*accuracy.REMARKS}
    assert tables[1]["class_order"].fillna("").tolist() == ["", "timm"]
    assert tables[1]["class_order_note"].iloc[1] == "by numbers, a"


def test_a_missing_metric_is_named(tmp_path):
    values = metrics()
    del values["chance"]
    write_json(tmp_path / "a.json", values)
    inputs = {"metrics.json": [tmp_path / "a.json"]}
    with pytest.raises(ResultError, match=r"a\.json lacks chance"):
        accuracy.main(Job("m", {"networks": ["v/f100/s0"]}, inputs, {}, tmp_path, LOG))


def test_histories_are_joined(tmp_path):
    text = "step,split,loss,accuracy,learning_rate\n0,train,2.3,0.1,0.001\n5,train,2.1,0.2,0\n"
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(text)
    inputs = {"history.csv": [tmp_path / "a.csv", tmp_path / "b.csv"]}
    config = {"networks": ["vit/f100/s0", "vit/f010/s0"]}
    outputs = {"curves": [tmp_path / "out.csv"]}
    curves.main(Job("m", config, inputs, outputs, tmp_path, LOG))
    table = read_table(tmp_path / "out.csv")
    assert list(table.columns) == ["model", "fraction", "seed", *curves.COLUMNS]
    assert table.fraction.tolist() == ["f100", "f100", "f010", "f010"]


def test_a_history_without_a_column_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("step,loss\n1,2\n")
    inputs = {"history.csv": [tmp_path / "a.csv"]}
    with pytest.raises(
        ResultError, match=r"a\.csv lacks the columns split, accuracy, learning_rate"
    ):
        curves.main(Job("m", {"networks": ["v/f100/s0"]}, inputs, {}, tmp_path, LOG))
