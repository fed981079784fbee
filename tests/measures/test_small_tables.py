import pandas as pd
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import write_json
from sightlines.measures.data_fractions import compare_fractions
from sightlines.plan.networks import Network
from sightlines.plan.table_schemas import written
from sightlines.results.tables import joined, required
from tests.measures.predicting import make_predictions
from tests.measures.running import run_measure
from tests.rounding import rounded

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


def data_fractions(networks):
    parts = compare_fractions(similarity_table(), layer_table(), networks)
    return joined(parts, written("measures", "data_fractions")["data_fractions.csv"])


def test_blocks_are_compared_with_the_first_network_on_all_images():
    networks = [Network.parse(slug) for slug in NETWORKS]
    table = data_fractions(networks)
    assert list(table.columns) == list(required("data_fractions.csv"))
    assert table.kind.tolist() == ["untrained"] * 2 + ["fraction"] * 2 + ["ceiling"] * 2
    assert set(table.reference_seed) == {"s0"} and set(table.model) == {"vit"}
    assert table.block.tolist() == [0, 1] * 3
    expected = [0.2 + 0.011, 0.2 + 0.033, 1.2 + 0.011, 1.2 + 0.033, 2.3 + 0.011, 2.3 + 0.033]
    assert table.cka.tolist() == rounded(expected, terms=4)


def test_without_a_full_network_the_table_is_empty():
    networks = [Network.parse("resnet/f010/s0")]
    table = data_fractions(networks)
    assert list(table.columns) == list(required("data_fractions.csv")) and table.empty


def test_a_missing_pair_is_named():
    networks = [Network.parse("vit/f100/s0"), Network.parse("vit/f030/s0")]
    with pytest.raises(ResultError, match="lacks vit/f030/s0 with vit/f100/s0"):
        data_fractions(networks)


def test_a_missing_entry_of_a_card_is_named(tmp_path):
    dump = make_predictions(tmp_path / "p.safetensors", ("v", "f100", "s0"))
    card = tmp_path / "v/f100/s0/card.json"
    write_json(card, {"steps": 3})
    inputs = {"predictions": [dump.path], "card.json": [card]}
    with pytest.raises(ResultError, match=r"card\.json lacks parameters"):
        run_measure("accuracy", inputs, tmp_path, ["v/f100/s0"])


def test_histories_are_joined(tmp_path):
    text = "step,split,loss,accuracy,learning_rate\n0,train,2.3,0.1,0.001\n5,train,2.1,0.2,0\n"
    slugs = ["vit/f100/s0", "vit/f010/s0"]
    paths = [tmp_path / slug / "history.csv" for slug in slugs]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text(text)
    table = run_measure("curves", {"history.csv": paths}, tmp_path, slugs)["curves"]
    assert list(table.columns) == ["model", "fraction", "seed", *required("history.csv")]
    assert table.fraction.tolist() == ["f100", "f100", "f010", "f010"]


def test_a_history_without_a_column_is_named(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("step,loss\n1,2\n")
    with pytest.raises(
        ResultError, match=r"history\.csv lacks the columns split, accuracy, learning_rate"
    ):
        run_measure("curves", {"history.csv": [path]}, tmp_path, ["v/f100/s0"])


def test_networks_that_were_not_trained_here_have_no_curve(tmp_path):
    head = "step,split,loss,accuracy,learning_rate\n"
    own, other = (tmp_path / slug / "history.csv" for slug in ("vit/f100/s0", "net/f100/s0"))
    for path, text in ((own, head + "0,train,2.3,0.1,0.001\n"), (other, head)):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    run_measure("curves", {"history.csv": [own, other]}, tmp_path, ["vit/f100/s0", "net/f100/s0"])
    expected = "model,fraction,seed,step,split,loss,accuracy,learning_rate\n"
    expected += "vit,f100,s0,0,train,2.3,0.1,0.001\n"
    assert (tmp_path / "curves.csv").read_text() == expected
    run_measure("curves", {"history.csv": [other]}, tmp_path, ["net/f100/s0"])
    assert (tmp_path / "curves.csv").read_text() == expected.splitlines(keepends=True)[0]
