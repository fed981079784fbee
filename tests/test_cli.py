"""The command `sightlines`."""

import json
import os
import sys

import pandas as pd
import pytest
import torch  # noqa: F401 (before a test takes this for another system)

from sightlines import cli
from sightlines.plan.config import FOLDER


def call(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return ended.value.code, *capsys.readouterr()


def test_check_goes_through_all_files(capsys, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("modles: {}\n")
    code, out, err = call(capsys, "check", str(bad), str(FOLDER / "smoke.yaml"))
    assert code == 1 and "smoke.yaml: no errors" in out and "modles" in err


@pytest.mark.whole
def test_describe_says_what_would_be_looked_at(capsys):
    code, out, _ = call(capsys, "describe", "test_vit", "--size-px", "64", "--json")
    assert code == 0 and json.loads(out)["blocks"] == 6
    code, _, err = call(capsys, "describe", "nonsuch_net")
    assert code == 1 and "nonsuch_net" in err


@pytest.mark.parametrize(
    ("system", "cure"), [("win32", "WSL 2"), ("darwin", "Linux container"), ("freebsd14", "Linux")]
)
def test_other_systems_are_refused_in_words_and_examined_all_the_same(
    capsys, monkeypatch, system, cure
):
    monkeypatch.setattr(sys, "platform", system)
    code, out, err = call(capsys, "check", str(FOLDER / "smoke.yaml"))
    assert code == 1 and out == "" and f"this is {system}" in err and cure in err
    monkeypatch.delattr(os, "sched_getaffinity")
    code, out, _ = call(capsys, "doctor", "--json")
    assert code == 0 and "runs on Linux only" in json.loads(out)["system"]


def results(folder, verdict, accuracy):
    tables = folder / "tables"
    tables.mkdir(parents=True)
    claims = {"claim": ["C1", "C2"], "verdict": [verdict, "not run"], "value": [0.5, None]}
    claims |= {"low": [0.4, None], "high": [0.6, None]}
    pd.DataFrame(claims).to_csv(tables / "claims.csv", index=False)
    rows = {"model": ["vit"], "fraction": ["f100"], "seed": ["s0"], "accuracy_test": [accuracy]}
    pd.DataFrame(rows).to_csv(tables / "accuracy.csv", index=False)
    network = folder / "models" / "vit" / "f100" / "s0"
    network.mkdir(parents=True)
    (network / "weights.safetensors").touch()


def test_compare_names_what_differs(capsys, tmp_path):
    results(tmp_path / "a", "holds", 0.5)
    results(tmp_path / "b", "does not hold", 0.625)
    code, out, _ = call(capsys, "compare", str(tmp_path / "a"), str(tmp_path / "b"))
    assert code == 0
    verdicts, accuracy, networks = out.split("\n\n")
    assert "C1" in verdicts and "C2" not in verdicts and "does not hold" in verdicts
    assert "vit/f100/s0" in accuracy and "+12.5%" in accuracy
    assert "nothing" in networks


def test_compare_of_equal_results_finds_nothing(capsys, tmp_path):
    for name in "ab":
        results(tmp_path / name, "holds", 0.5)
    code, out, _ = call(capsys, "compare", str(tmp_path / "a"), str(tmp_path / "b"))
    assert code == 0 and out.count("nothing") == 3


def test_open_says_where_there_is_no_report(capsys, tmp_path):
    code, _, err = call(capsys, "open", str(tmp_path))
    assert code == 1 and "report.html" in err and "pull" in err


def test_remotes_are_named_without_their_addresses(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    text = "['remote \"lab\"']\n    url = ssh://somebody@secret.example/data\n"
    (tmp_path / ".dvc" / "config").write_text(text)
    found = cli.examine()
    assert found["remotes"] == "lab (ssh)"
