"""Bad input of every kind: the exact error, and not a byte of anybody's files changed.

The cases lie in the modules beside this one. At the end a few commands run as a user runs them:
`python -m …` in a process of its own, `snakemake`, and a disk that is really full.
"""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.bad_input import (
    archive_cases,
    config_cases,
    disk_cases,
    file_cases,
    image_cases,
)
from tests.bad_input.catalogue import CASES, contents
from tests.measures.predicting import make_predictions
from tests.workflow.conftest import snakemake

MODULES = (archive_cases, config_cases, disk_cases, file_cases, image_cases)


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)


def differences(before, after, may_go):
    """Names of files that are new, gone or changed."""
    names = sorted(before.keys() | after.keys())
    gone = {name for name in may_go if name not in after}
    return [name for name in names if before.get(name) != after.get(name) and name not in gone]


def only_known_variables(text):
    """Process and state ids differ from run to run; nothing else may."""
    text = re.sub(r"(?<=training/)[0-9a-f]{20}", "{state}", text)
    text = re.sub(r"(?<=images )\d+(, \d+){7}", "{batch}", text)
    return text.replace(str(os.getpid()), "{pid}")


@pytest.mark.parametrize("case", CASES, ids=[f"{c.group}: {c.name}" for c in CASES])
def test_bad_input(case, tmp_path, monkeypatch):
    needs = inspect.signature(case.arrange).parameters
    command = case.arrange(tmp_path, **({"monkeypatch": monkeypatch} if len(needs) > 1 else {}))
    before = contents(tmp_path)
    with pytest.raises(case.error) as caught:
        command()
    monkeypatch.undo()
    assert type(caught.value) is case.error
    said = only_known_variables(str(caught.value).replace(str(tmp_path), "{here}"))
    assert said == case.message
    assert differences(before, contents(tmp_path), case.lost) == []


def test_the_catalogue_is_large_and_leans_on_no_schema():
    of_schema = sum(case.group == "schema" for case in CASES)
    of_config = sum(case.group in ("schema", "config") for case in CASES)
    assert len(CASES) >= 50 and of_schema <= len(CASES) / 3 and of_config <= len(CASES) / 3
    assert {case.group for case in CASES} == {
        *("schema", "config", "archives", "images", "files", "disk")
    }
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_training_that_diverged_keeps_its_last_good_state(tmp_path):
    command = file_cases.training_that_diverges(tmp_path)
    with pytest.raises(file_cases.TrainingError):
        command()
    (pointer,) = tmp_path.glob(".cache/sightlines/training/*/state.json")
    kept = json.loads(pointer.read_text())
    assert kept["facts"]["step"] == 0 and (pointer.parent / kept["tensors"]).exists()
    assert list(tmp_path.rglob("*.part")) == []


# -- as a user runs it -------------------------------------------------------------------


def command_line(module, config, inputs, outputs, log):
    words = [sys.executable, "-m", *module.split(), "--config", json.dumps(config), "--log", log]
    for flag, groups in (("--input", inputs), ("--output", outputs)):
        for name, path in groups.items():
            words += [flag, name, path]
    return subprocess.run(words, capture_output=True, text=True)


def card_of(here):
    return here / "vit" / "f100" / "s0" / "card.json"


def write_card(here, text):
    card_of(here).parent.mkdir(parents=True)
    card_of(here).write_text(text)


def accuracy(here, table, log):
    config = {"networks": ["vit/f100/s0"]}
    make_predictions(here / "predictions.safetensors")
    inputs = {"predictions": here / "predictions.safetensors", "card.json": card_of(here)}
    return command_line("sightlines.run.measure accuracy", config, inputs, {"accuracy": table}, log)


def test_a_command_says_what_is_wrong_in_one_line(tmp_path):
    write_card(tmp_path, '{"half": ')
    (tmp_path / "accuracy.csv").write_text("an earlier result")
    log = tmp_path / "logs" / "measure" / "accuracy.log"
    done = accuracy(tmp_path, tmp_path / "accuracy.csv", log)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        f"[measure/accuracy] ResultError: cannot read {card_of(tmp_path)}: Expecting value: "
        "line 1 column 10 (char 9). Delete it and run snakemake again to rebuild it. "
        f"(log: {log})\n"
    )
    assert done.stderr.removeprefix("[measure/accuracy] ") in log.read_text()
    assert "Traceback" not in log.read_text()
    assert (tmp_path / "accuracy.csv").read_text() == "an earlier result"
    assert not (tmp_path / "records").exists()


def test_a_log_that_cannot_be_written_is_no_traceback(tmp_path):
    write_card(tmp_path, json.dumps(disk_cases.CARD))
    (tmp_path / "logs").write_text("a file")
    done = accuracy(tmp_path, tmp_path / "accuracy.csv", tmp_path / "logs" / "a.log")
    assert done.returncode == 1
    assert done.stderr == (
        f"[a] DiskError: cannot write {tmp_path}/logs: {tmp_path}/logs is a file, not a folder. "
        f"{disk_cases.AGAIN}\n"
    )
    assert not (tmp_path / "accuracy.csv").exists()


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no mount command: {error}")
    if done.returncode:
        pytest.skip(f"may not mount: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_is_really_full(tmp_path, tiny_disk):
    write_card(tmp_path, json.dumps(disk_cases.CARD))
    table = tiny_disk / "accuracy.csv"
    table.write_text("an earlier result")
    filler = tiny_disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as handle:
        while True:
            handle.write(bytes(4096))
    done = accuracy(tmp_path, table, tmp_path / "logs" / "a.log")
    assert done.returncode == 1
    assert done.stderr == (
        f"[a] DiskError: cannot write {table}: No space left on device. {disk_cases.AGAIN} "
        f"(log: {tmp_path}/logs/a.log)\n"
    )
    assert table.read_text() == "an earlier result"
    assert sorted(path.name for path in tiny_disk.iterdir()) == ["accuracy.csv", "filler"]
    # With the log on the full disk too: the same line, and no traceback of the logging.
    done = accuracy(tmp_path, table, tiny_disk / "a.log")
    assert done.stderr == (
        f"[{tiny_disk}/a] DiskError: cannot write {table}: No space left "
        f"on device. {disk_cases.AGAIN} (log: {tiny_disk}/a.log)\n"
    )


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("train.steps", "many"),
            "ConfigError: {here}/mine.yaml:\n"
            "  train.steps: 'many' is not of type 'integer' (unit: steps)\n"
            "workflow/config/README.md explains every key.",
        ),
        (
            ("dataset", {"kind": "imagefolder", "folder": "mine", "size_px": 32}),
            "MissingSourceError: there is no image folder sources/mine: set dataset.folder to a "
            "folder below data_root (or below SIGHTLINES_DATA), with one folder of images "
            "per class",
        ),
    ],
    ids=["config", "no image folder"],
)
def test_snakemake_stops_before_any_job(tmp_path, monkeypatch, change, message):
    monkeypatch.delenv("SIGHTLINES_DATA", raising=False)
    config_cases.smoke(tmp_path, *change)
    done = snakemake(tmp_path, "--configfile", tmp_path / "mine.yaml", "-n")
    assert done.returncode == 1
    assert message.replace("{here}", str(tmp_path)) in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "results").exists() and not (tmp_path / "data").exists()


@pytest.mark.workflow
def test_snakemake_names_the_photograph_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("SIGHTLINES_DATA", raising=False)
    root = image_cases.folder(tmp_path, "cat", "dog")
    (root / "cat" / "zero.png").write_bytes(b"")
    settings = {"kind": "imagefolder", "folder": "mine", "size_px": 32}
    config_cases.smoke(tmp_path, "dataset", settings)
    activated = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    call = ("--configfile", tmp_path / "mine.yaml", "--cores", "1")
    done = snakemake(tmp_path, *call, PATH=activated)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert (
        "DataError: sources/mine has 1 offence:\n  cat/zero.png: empty file\n"
        "Mend or remove them, then run snakemake again."
    ) in said
    assert "Traceback" not in said
    left = [p for p in (tmp_path / "results").rglob("*") if p.is_file() and p.suffix != ".log"]
    assert left == [] and list((tmp_path / "data").rglob("*.*")) == []
