import json
import logging
import multiprocessing
import time

import pytest
import torch

from sightlines.core import files
from sightlines.core.errors import DiskError, TrainingError
from sightlines.training import state
from sightlines.training.state import StateFolder, fingerprint

LOG = logging.getLogger("sightlines.tests")


@pytest.fixture
def folder(tmp_path):
    return StateFolder(tmp_path / "state", LOG)


def save(folder, step):
    folder.save({"a": torch.full((3,), float(step))}, {"step": step, "history": [0.1]})


def test_checkpoint_comes_back(folder):
    assert folder.load() is None
    save(folder, 5)
    save(folder, 11)
    tensors, facts = folder.load()
    assert facts == {"step": 11, "history": [0.1]} and tensors["a"].tolist() == [11, 11, 11]
    assert len(list(folder.path.glob("*.safetensors"))) == 1


@pytest.mark.parametrize("died_in", ["write_tensors", "write_json"])
def test_death_within_a_checkpoint_keeps_the_one_before(folder, monkeypatch, died_in):
    save(folder, 5)
    with monkeypatch.context() as patch:
        patch.setattr(files, died_in, lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save(folder, 11)
    tensors, facts = folder.load()
    assert facts["step"] == 5 and tensors["a"].tolist() == [5, 5, 5]
    save(folder, 12)
    assert folder.load()[1]["step"] == 12
    assert len(list(folder.path.glob("*.safetensors"))) == 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "json"])
def test_damaged_state_is_reported_and_left(folder, caplog, damage):
    save(folder, 5)
    (path,) = folder.path.glob("*.safetensors")
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "truncate":
        path.write_bytes(content[:-1])
    elif damage == "remove":
        path.unlink()
    else:
        (folder.path / "state.json").write_text("{")
    assert folder.load() is None
    assert "starting anew" in caplog.text and str(folder.path) in caplog.text


def hold(path, is_removing):
    """Own the folder until a file `release` lies beside it."""
    folder = StateFolder(path, LOG)
    with folder.owned():
        (path.parent / "held").touch()
        await_file(path.parent / "release")
        if is_removing:
            folder.remove()


def await_file(path, patience_s=30):
    until = time.monotonic() + patience_s
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def start_holder(folder):
    children = []

    def start(is_removing=False):
        fork = multiprocessing.get_context("fork")
        child = fork.Process(target=hold, args=(folder.path, is_removing))
        child.start()
        children.append(child)
        await_file(folder.path.parent / "held")
        return child

    yield start
    for child in children:
        child.kill()
        child.join()


def test_two_processes_never_own_one_folder(folder, start_holder, caplog):
    caplog.set_level(logging.INFO)
    child = start_holder()
    with pytest.raises(TrainingError, match=rf"process {child.pid} is training.*kill {child.pid}"):
        with folder.owned(patience_s=0.3):
            pass
    assert f"waiting for process {child.pid}" in caplog.text
    child.kill()
    child.join()
    with folder.owned(patience_s=0.3):
        assert (folder.path / "lock").read_text().strip().isdigit()


def test_a_folder_removed_by_its_owner_is_owned_anew(folder, monkeypatch):
    opened = state._open

    def open_as_the_owner_leaves(lock):
        handle = opened(lock)
        monkeypatch.setattr(state, "_open", opened)
        folder.remove()
        return handle

    monkeypatch.setattr(state, "_open", open_as_the_owner_leaves)
    with folder.owned():
        # Whoever comes now must meet this lock, not find the way free.
        with pytest.raises(TrainingError):
            with StateFolder(folder.path, LOG).owned(patience_s=0.1):
                pass
        save(folder, 1)


def test_successor_goes_on_when_the_owner_has_ended_well(folder, start_holder):
    start_holder(is_removing=True)
    (folder.path.parent / "release").touch()
    with folder.owned(patience_s=10.0):
        save(folder, 1)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"cannot write .*lock"):
        with StateFolder(tmp_path / "file" / "state", LOG).owned():
            pass


def test_fingerprint_follows_every_part():
    parts = [{"a": 1}, "code", {"x": "y"}]
    assert fingerprint(*parts) == fingerprint(*json.loads(json.dumps(parts)))
    assert len({fingerprint(*parts), fingerprint({"a": 2}, *parts[1:]), fingerprint("b")}) == 3
