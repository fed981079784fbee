"""What claims read of the tables: asked for again it is the same, whatever was done with it."""

import pandas as pd
import pytest

from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.plan.networks import Network

VIT, RESNET = Network("vit", "f100", "s0"), Network("resnet", "f100", "s0")
NAME = "probe_replicates.parquet"


@pytest.fixture
def evidence():
    rows = [
        {"model": model, "fraction": "f100", "seed": "s0", "layer": layer, "left_out": left_out}
        for model in ("vit", "resnet")
        for left_out in (1, -1, 0)
        for layer in (2, 0, 1)
    ]
    table = pd.DataFrame(rows)
    table["accuracy"] = 10.0 * table["left_out"] + table["layer"]
    table["pool"] = "gap"
    config = {
        "networks": [VIT.slug, RESNET.slug],
        "labels": {},
        "families": {},
        "architectures": {},
        "tasks": [],
    }
    return Evidence(config, {NAME: table, "layers.csv": table})


def test_rows_are_those_of_the_table_in_its_order(evidence):
    found = evidence.rows(NAME, VIT, layer=1)
    assert found["left_out"].tolist() == [1, -1, 0]
    assert set(found["model"]) == {"vit"}


def test_replicates_are_sorted_by_group_and_column(evidence):
    found = evidence.replicates(NAME, VIT, "accuracy", ["layer"])
    assert found.index.tolist() == [-1, 0, 1] and found.columns.tolist() == [0, 1, 2]
    assert found.to_numpy().tolist() == [[-10, -9, -8], [0, 1, 2], [10, 11, 12]]


@pytest.mark.parametrize(
    "ask",
    [
        lambda evidence: evidence.rows(NAME, VIT),
        lambda evidence: evidence.rows(NAME, VIT, pool="gap"),
        lambda evidence: evidence.replicates(NAME, VIT, "accuracy", ["layer"]),
        lambda evidence: evidence.layers("vit"),
    ],
)
def test_whoever_writes_into_what_is_given_changes_no_other_answer(evidence, ask):
    before = ask(evidence).copy()
    given = ask(evidence)
    given.iloc[0, -1] = given.iloc[1, -1]
    given["more"] = 1
    assert ask(evidence).equals(before)


def test_what_is_not_there_is_said_each_time(evidence):
    nobody = Network("vit", "f100", "s9")
    for _ in range(2):
        with pytest.raises(NotMeasured, match="vit/f100/s9"):
            evidence.rows(NAME, nobody)
        with pytest.raises(NotMeasured, match="pool cls"):
            evidence.rows(NAME, VIT, pool="cls")
