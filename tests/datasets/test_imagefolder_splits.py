"""Folders train, val and test, in all usual names: which serve, which are told not to be read."""

import logging

import pytest

from sightlines.core.errors import DataError
from sightlines.datasets import imagefolder
from sightlines.datasets.imagefolder_splits import find_division, part_of
from tests.datasets.test_imagefolder import (
    LOG,
    SETTINGS,
    make_folder,
    offences,
    picture,
    run_prepare,
)

COUNTS = {"train": 5, "val": 3, "test": 2}


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make_parts(tmp_path, *names):
    """COUNTS photographs a class in each folder."""
    for i, name in enumerate(names):
        make_folder(tmp_path / "mine" / name, count=COUNTS[part_of(name)], first=1000 * i)


@pytest.mark.parametrize(
    ("names", "test_folder", "serves", "tests"),
    [
        (("train", "val"), None, "val", 6),
        (("train", "test"), None, "test", 4),
        (("train", "valid"), None, "valid", 6),
        (("Train", "Validation"), None, "Validation", 6),
        (("training", "testing"), None, "testing", 4),
        (("training_set", "test_set"), None, "test_set", 4),
        (("train", "val", "test"), None, "val", 6),
        (("train", "val", "test"), "val", "val", 6),
        (("train", "val", "test"), "test", "test", 4),
        (("train", "test"), "test", "test", 4),
    ],
)
def test_which_folders_serve(tmp_path, names, test_folder, serves, tests, caplog):
    make_parts(tmp_path, *names)
    chosen = {"test_folder": test_folder} if test_folder else {}
    with caplog.at_level(logging.INFO):
        facts, table = run_prepare(tmp_path, **chosen)
    assert facts["counts"] == {"train": 10, "test": tests} and facts["classes"] == ["cat", "dog"]
    assert facts["has_val"] is True
    folders = table["path"].str.partition("/")[0]
    assert set(folders[table["split"] == "train"]) == {names[0]}
    assert set(folders[table["split"] == "test"]) == {serves}
    assert f"training images: {names[0]}; test: {serves}" in caplog.text
    unused = {*names[1:]} - {serves}
    assert all(f"{name} is not read" in caplog.text for name in unused)
    usual = (names[0], serves) == ("train", "val")
    assert facts.get("folders") == (None if usual else {"train": names[0], "test": serves})


def test_a_folder_that_is_not_read_is_no_part_of_the_identity(tmp_path):
    make_parts(tmp_path, "train", "val")
    before, (facts, _) = imagefolder.fingerprint(SETTINGS, tmp_path), run_prepare(tmp_path)
    make_folder(tmp_path / "mine" / "test", first=3000)
    assert imagefolder.fingerprint(SETTINGS, tmp_path) == before
    assert run_prepare(tmp_path)[0] == facts
    chosen = SETTINGS | {"test_folder": "test"}
    assert imagefolder.fingerprint(chosen, tmp_path) != before
    assert imagefolder.variant(chosen) != imagefolder.variant(SETTINGS)


def test_the_same_photograph_is_told_with_the_folders_names(tmp_path):
    make_parts(tmp_path, "Train", "Test")
    root = tmp_path / "mine"
    (root / "Test/cat/9.png").write_bytes((root / "Train/cat/0.png").read_bytes())
    said = "the same photograph as Test/cat/9.png, in Train and in Test: keep one of the two"
    assert f"Train/cat/0.png: {said}" in offences(tmp_path)


def test_classes_that_one_part_lacks_are_told_with_its_name(tmp_path):
    make_parts(tmp_path, "training", "valid")
    make_folder(tmp_path / "mine" / "training", ("eel",), first=5000)
    assert "valid: lacks the class 'eel'" in offences(tmp_path)


@pytest.mark.parametrize(("flat", "sorted_"), [("test", "train"), ("train", "test")])
def test_one_part_without_classes_is_named_once(tmp_path, flat, sorted_):
    make_parts(tmp_path, sorted_)
    (tmp_path / "mine" / flat).mkdir()
    for i in range(3):
        picture(5000 + i).save(tmp_path / "mine" / flat / f"{i}.png")
    message = offences(tmp_path)
    assert f"{flat}: photographs without a class" in message and "has 1 problem:" in message


def test_two_folders_for_one_part_and_strange_ones_are_offences(tmp_path):
    make_parts(tmp_path, "train", "Train", "val")
    make_folder(tmp_path / "mine" / "extra", first=7000)
    message = offences(tmp_path)
    assert "'Train' and 'train': folders for one part, train" in message
    assert "extra: a folder beside Train and val" in message


@pytest.mark.parametrize(("names", "asked"), [(("train", "val"), "test"), ((), "val")])
def test_a_test_folder_that_is_not_there_is_said_with_its_key(tmp_path, names, asked):
    make_parts(tmp_path, *names) if names else make_folder(tmp_path / "mine")
    with pytest.raises(DataError, match=f"{asked}: dataset.test_folder asks for it"):
        imagefolder.prepare(SETTINGS | {"test_folder": asked}, tmp_path, tmp_path / "out", LOG)


@pytest.mark.parametrize("name", ["train", "Test", "validation"])
def test_a_part_alone_is_said_with_what_to_set(tmp_path, name):
    make_parts(tmp_path, name)
    message = offences(tmp_path)
    assert f"{name}: without its counterpart" in message and f"…/{name}" in message
    assert "has 1 problem:" in message


def test_classes_may_be_called_train_and_test_beside_others(tmp_path):
    make_folder(tmp_path / "mine", ("bus", "test", "train"))
    facts, _ = run_prepare(tmp_path)
    assert facts["classes"] == ["bus", "test", "train"] and facts["has_val"] is False


def test_what_lies_beside_train_and_val_is_passed_over_and_counted(tmp_path, caplog):
    make_parts(tmp_path, "train", "val")
    for name in ("archive.tar.gz", "LICENCE", "synsets.txt"):
        (tmp_path / "mine" / name).write_bytes(b"x")
    (tmp_path / "mine" / "@eaDir").mkdir()
    with caplog.at_level(logging.INFO):
        assert run_prepare(tmp_path)[0]["counts"] == {"train": 10, "test": 6}
    assert "4 files and folders" in caplog.text and "1 LICENCE" in caplog.text


def test_names_of_parts():
    names = ["train", "Training", "TRAIN_SET", "val", "Valid", "validation set", "testset", "test"]
    assert [part_of(name) for name in names] == 3 * ["train"] + 3 * ["val"] + 2 * ["test"]
    assert not any(map(part_of, ("trains", "set", "", "trainer", "tested", "evaluation", "cat")))


def test_a_class_called_train_alone_divides_nothing():
    assert find_division(["car", "train"], lambda name: False) is None
