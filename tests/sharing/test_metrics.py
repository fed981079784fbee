"""Accuracies and verdicts in one file; tables may come from somebody else."""

from pathlib import Path

import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import read_json
from sightlines.sharing.metrics import metrics_path, write_metrics

ACCURACY = "model,fraction,seed,accuracy_test\nvit,f100,s0,0.5\nvit,f010,s0,\n"
CLAIMS = "claim,verdict\nC1,stands\nC2,falls\nC3,stands\n"


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("results/mine/tables")
    folder.mkdir(parents=True)

    def write(accuracy=ACCURACY, claims=CLAIMS):
        (folder / "accuracy.csv").write_bytes(accuracy.encode("latin-1"))
        (folder / "claims.csv").write_bytes(claims.encode("latin-1"))

    return write


def test_accuracies_verdicts_and_their_counts(tables):
    tables()
    write_metrics("mine")
    assert read_json(metrics_path("mine")) == {
        "accuracy_test": {"vit/f100/s0": 0.5},
        "verdict": {"C1": "stands", "C2": "falls", "C3": "stands"},
        "verdicts": {"stands": 2, "falls": 1},
    }


def test_metrics_that_git_could_not_merge_are_made_anew(tables):
    tables()
    write_metrics("mine")
    good = metrics_path("mine").read_bytes()
    metrics_path("mine").write_bytes(b"<<<<<<< HEAD\n" + good + b"=======\n{}\n>>>>>>> bob\n")
    write_metrics("mine")
    assert metrics_path("mine").read_bytes() == good


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("accuracy", "model,fraction,seed\n", "lacks one of the columns"),
        ("accuracy", ACCURACY.replace("0.5", "half"), "'half' where a number"),
        ("accuracy", ACCURACY.replace("0.5", "nan"), "'nan' where a number"),
        ("accuracy", "model,fraction,seed,accuracy_test\nvit,f1\n", "cut short"),
        ("claims", "claim,verdict\nC1\n", "cut short"),
        ("claims", "claim,verdict\nC1,\xff\n", "cannot read"),
    ],
)
def test_an_odd_table_is_named(tables, name, text, why):
    tables(**{name: text})
    with pytest.raises(ResultError, match=rf"{name}\.csv") as stop:
        write_metrics("mine")
    assert why in str(stop.value) and not metrics_path("mine").exists()
