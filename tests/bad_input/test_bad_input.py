"""Bad input of every kind: the error says what, where and the cure, and no file is changed.

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

from sightlines.core.errors import ResultError
from tests.bad_input import (
    archive_cases,
    catalogue,
    config_cases,
    disk_cases,
    file_cases,
    image_cases,
    study_cases,
)
from tests.bad_input.catalogue import CASES, contents, lost_in, lost_words
from tests.measures.predicting import make_predictions
from tests.workflow.conftest import snakemake

MODULES = (archive_cases, config_cases, disk_cases, file_cases, image_cases, study_cases)


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def differences(before, after, may_go):
    """Names of files that are new, gone or changed."""
    names = sorted(before.keys() | after.keys())
    gone = {name for name in may_go if name not in after}
    return [name for name in names if before.get(name) != after.get(name) and name not in gone]


def only_known_variables(text):
    """Process and state ids differ from run to run; nothing else may."""
    text = re.sub(r"(?<=training/)[0-9a-f]{20}", "{state}", text)
    text = re.sub(r"(?<=images )\d+(, \d+){7}", "{batch}", text)
    return re.sub(rf"\b{os.getpid()}\b", "{pid}", text)  # not within a digest


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
    assert lost_words(case, said) == [], said
    assert differences(before, contents(tmp_path), case.lost) == []


def test_every_case_asks_for_an_offender_and_a_cure_in_few_words():
    for case in CASES:
        parts = [(case.names, case.cure), *case.lines]
        assert all(names for names, _ in parts) and any(cure for _, cure in parts), case.name
        words = [word for names, cure in parts for word in (*names, *cure)]
        assert all(len(word.split()) <= 6 and not word.endswith(".") for word in words), case.name


def test_an_error_may_be_reworded_and_may_lose_neither_offender_nor_cure():
    found = catalogue.Case("files", "a", ResultError, ("a.csv", "width 5"), ("width 4",), (), str)
    assert lost_words(found, "A.csv has a width 5. Use width 4.") == []
    assert lost_words(found, "a.csv has a width 5. Try another.") == ["width 4"]
    assert lost_words(found, "The width 5 is none: width 4.") == ["a.csv"]
    same = catalogue.Case("files", "a", ResultError, ("a.key",), ("a.key",), (), str)
    assert lost_words(same, "a.key is 5: lower a.key.") == []
    assert lost_words(same, "a.key is 5.") == ["a.key"]
    two = ((("one",), ("mend",)), (("two",), ()))
    listed = catalogue.Case("files", "a", ResultError, ("mine",), ("again",), two, str)
    assert lost_words(listed, "mine has:\n  one: mend it\n  two\nRun it again.") == []
    assert lost_words(listed, "mine has:\n  one\n  two\nRun it.") == ["again", "mend"]
    assert lost_words(listed, "mine has:\n  one: mend\n  two: mend\n  three\nRun again.")


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


def assert_one_line(done, names, cure):
    """The command ended with one line, which begins with the first of `names`."""
    assert done.stderr.startswith(names[0]) and done.stderr.count("\n") == 1
    assert lost_in(done.stderr, names, cure) == [], done.stderr


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
    assert_one_line(
        done,
        ("[measure/accuracy] ResultError: ", str(card_of(tmp_path)), "line 1 column 10"),
        (*file_cases.REBUILD, f"(log: {log})"),
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
    names = ("[a] DiskError: ", f"{tmp_path}/logs:", f"{tmp_path}/logs is a file")
    assert_one_line(done, names, disk_cases.AGAIN)
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


@pytest.mark.whole  # programs on a disk of their own
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
    cure = (*disk_cases.AGAIN, f"(log: {tmp_path}/logs/a.log)")
    assert_one_line(done, ("[a] DiskError: ", str(table), disk_cases.FULL), cure)
    assert table.read_text() == "an earlier result"
    assert sorted(path.name for path in tiny_disk.iterdir()) == ["accuracy.csv", "filler"]
    # With the log on the full disk too: the same line, and no traceback of the logging.
    done = accuracy(tmp_path, table, tiny_disk / "a.log")
    cure = (*disk_cases.AGAIN, f"(log: {tiny_disk}/a.log)")
    assert_one_line(done, (f"[{tiny_disk}/a] DiskError: ", str(table), disk_cases.FULL), cure)


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("change", "names", "cure"),
    [
        (
            ("train.steps", "many"),
            ("ConfigError: ", "{here}/mine.yaml", "train.steps", "'many'"),
            ("'integer'", "workflow/config/README.md"),
        ),
        (
            ("dataset", {"kind": "imagefolder", "folder": "mine", "size_px": 32}),
            ("MissingSourceError: ", "sources/mine"),
            ("set dataset.folder", "data_root", "SIGHTLINES_DATA"),
        ),
    ],
    ids=["config", "no image folder"],
)
def test_snakemake_stops_before_any_job(tmp_path, monkeypatch, change, names, cure):
    monkeypatch.delenv("SIGHTLINES_DATA", raising=False)
    config_cases.smoke(tmp_path, *change)
    done = snakemake(tmp_path, "--configfile", tmp_path / "mine.yaml", "-n")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert lost_in(said.replace(str(tmp_path), "{here}"), names, cure) == [], said
    assert "Traceback" not in said
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
    names = ("DataError: ", "sources/mine", "1 problem", "cat/zero.png", "empty file")
    assert lost_in(said, names, image_cases.MEND) == [], said
    assert "Traceback" not in said
    kept = (".log", ".lock")  # what claims are judged by is registered before the first job
    left = [p for p in (tmp_path / "results").rglob("*") if p.is_file() and p.suffix not in kept]
    assert left == [] and list((tmp_path / "data").rglob("*.*")) == []
