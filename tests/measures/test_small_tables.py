import logging

import pandas as pd
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import read_table, write_json
from sightlines.jobs.command import Job
from sightlines.measures import accuracy, curves
from sightlines.measures.data_fractions import COLUMNS, compare_fractions
from sightlines.plan.networks import Network
from tests.measures.predicting import make_predictions
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


def test_a_missing_entry_of_a_card_is_named(tmp_path):
    dump = make_predictions(tmp_path / "p.safetensors", ("v", "f100", "s0"))
    write_json(tmp_path / "card.json", {"steps": 3})
    inputs = {"predictions": [dump.path], "card.json": [tmp_path / "card.json"]}
    with pytest.raises(ResultError, match=r"card\.json lacks parameters"):
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


def test_networks_that_were_not_trained_here_have_no_curve(tmp_path):
    head = "step,split,loss,accuracy,learning_rate\n"
    (tmp_path / "a.csv").write_text(head + "0,train,2.3,0.1,0.001\n")
    (tmp_path / "b.csv").write_text(head)
    config = {"networks": ["vit/f100/s0", "net/f100/s0"]}
    outputs = {"curves": [tmp_path / "out.csv"]}
    inputs = {"history.csv": [tmp_path / "a.csv", tmp_path / "b.csv"]}
    curves.main(Job("m", config, inputs, outputs, tmp_path, LOG))
    expected = "model,fraction,seed,step,split,loss,accuracy,learning_rate\n"
    expected += "vit,f100,s0,0,train,2.3,0.1,0.001\n"
    assert (tmp_path / "out.csv").read_text() == expected
    config, inputs = {"networks": ["net/f100/s0"]}, {"history.csv": [tmp_path / "b.csv"]}
    curves.main(Job("m", config, inputs, outputs, tmp_path, LOG))
    assert (tmp_path / "out.csv").read_text() == expected.splitlines(keepends=True)[0]
