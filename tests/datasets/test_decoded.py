"""Decoded photographs are kept: what is kept is what decoding gives, or is not used."""

import errno
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch

from sightlines.core.devices import Compute
from sightlines.core.errors import DataError
from sightlines.core.files import read_json
from sightlines.datasets import decoded, imagefolder, photographs, reading
from sightlines.datasets.views import View
from sightlines.plan.code_digest import reached
from tests.datasets.test_imagefolder import SETTINGS, make_folder, picture
from tests.making_jobs import LOG

BATCHES = [np.array([3, 1, 0]), np.array([2, 2]), np.array([5, 4, 3, 2, 1, 0, 0])]
VIEWS = [View(24), View(24, "bilinear", 0.8), View(17)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = make_folder(tmp_path / "mine")
    imagefolder.prepare(SETTINGS, tmp_path, tmp_path / "out", LOG)
    return root


def read(tmp_path, view=VIEWS[0], workers=0, opened=decoded.open_decoded):
    compute = Compute(torch.device("cpu"), torch.float32, 1, workers)
    images = opened(tmp_path / "out" / "dataset.json", tmp_path, compute)
    return torch.cat(list(images.batches("train", BATCHES, view=view)))


def files(tmp_path):
    return sorted((tmp_path / decoded.FOLDER).glob("*"))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("view", VIEWS)
def test_kept_pixels_are_those_of_decoding_and_need_no_photograph(tmp_path, folder, view, workers):
    expected = read(tmp_path, view, opened=reading.open_dataset)
    assert torch.equal(read(tmp_path, view, workers), expected)
    shutil.rmtree(folder)
    assert torch.equal(read(tmp_path, view, workers), expected)
    (path,) = files(tmp_path)
    assert path.stat().st_size == 6 * (4 + 3 * view.size_px**2)


def test_only_what_was_not_kept_is_decoded(tmp_path, folder, monkeypatch):
    seen = []
    real = photographs.decode
    monkeypatch.setattr(reading, "decode", lambda *a: seen.append(1) or real(*a))
    compute = Compute(torch.device("cpu"), torch.float32, 1, 0)
    images = decoded.open_decoded(tmp_path / "out" / "dataset.json", tmp_path, compute)
    list(images.batches("train", [np.array([1, 4])]))
    assert len(seen) == 2
    read(tmp_path)
    assert len(seen) == 6
    list(images.batches("train", [np.array([4, 0])], view=VIEWS[1]))
    assert len(seen) == 8 and len(files(tmp_path)) == 2


def test_damage_is_noticed_and_mended(tmp_path, folder):
    expected = read(tmp_path)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    stride = len(whole) // 6
    damaged = {
        "a bit": whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
        "half a slot": whole[: 2 * stride + 700] + bytes(stride - 700) + whole[3 * stride :],
        "another image's slot": whole[stride:] + whole[:stride],
        "cut off": whole[: 3 * stride + 5],
        "longer": whole + b"more",
        "nothing": b"",
    }
    for what, content in damaged.items():
        path.write_bytes(content)
        assert torch.equal(read(tmp_path), expected), what
        assert path.read_bytes() == whole, what


def test_edited_photographs_get_a_new_file_and_the_old_one_goes(tmp_path, folder):
    read(tmp_path)
    read(tmp_path, VIEWS[2])
    before = files(tmp_path)
    picture(7).save(folder / "cat" / "0.png")
    picture(8).save(folder / "dog" / "0.png")
    imagefolder.prepare(SETTINGS, tmp_path, tmp_path / "out", LOG)
    expected = read(tmp_path, opened=reading.open_dataset)
    assert torch.equal(read(tmp_path), expected)
    after = files(tmp_path)
    assert len(after) == 2 and len({*after} & {*before}) == 1
    assert next(p for p in after if p in before).name.startswith("out-train-17px-")


def test_files_long_unused_go_when_another_is_made(tmp_path):
    read(tmp_path)
    (old,) = files(tmp_path)
    long_ago = time.time() - (decoded.UNUSED_DAYS + 1) * 86400
    os.utime(old, (long_ago, long_ago))
    read(tmp_path)  # it is used again
    read(tmp_path, VIEWS[1])
    assert old in files(tmp_path)
    os.utime(old, (long_ago, long_ago))
    read(tmp_path, VIEWS[2])
    assert old not in files(tmp_path) and len(files(tmp_path)) == 2


def test_names_tell_what_decides_about_pixels(tmp_path):
    path = tmp_path / "out" / "dataset.json"
    facts = read_json(path)
    whites = {"white_levels": {"12": {"white_level": 4095}}}
    other = {"files": {"manifest.parquet": "0" * 64}}
    names = {
        decoded.name_parts(path, facts | changes, split, view)
        for changes in ({}, whites, other)
        for split in ("train", "test")
        for view in VIEWS
    }
    assert len(names) == 18
    assert decoded.name_parts(path, facts, "test", VIEWS[0]) in names
    covered = {(place.module.rpartition(".")[2], place.name) for place in reached(*decoded.CODE)}
    assert {("photographs", "_decode"), ("views", "View"), ("wide_pixels", "to_8_bits")} <= covered


def test_a_disk_without_room_streams(tmp_path, monkeypatch, caplog):
    expected = read(tmp_path, opened=reading.open_dataset)
    slots = 6 * (4 + 3 * 24**2)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10 * slots - 10))
    with caplog.at_level("INFO"):
        assert torch.equal(read(tmp_path), expected)
    assert "photographs are decoded by every job: keeping 6 of 24 px" in caplog.text
    assert files(tmp_path) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10 * slots))
    assert torch.equal(read(tmp_path), expected) and len(files(tmp_path)) == 1


def test_a_disk_that_fills_up_and_a_folder_that_cannot_be_made_stop_nothing(
    tmp_path, monkeypatch, caplog
):
    expected = read(tmp_path, opened=reading.open_dataset)
    (tmp_path / decoded.FOLDER.parent).mkdir(parents=True, exist_ok=True)
    (tmp_path / decoded.FOLDER).write_text("a file")
    with caplog.at_level("INFO"):
        assert torch.equal(read(tmp_path), expected)
    assert "is a file, not a folder" in caplog.text
    (tmp_path / decoded.FOLDER).unlink()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    assert torch.equal(read(tmp_path), expected)
    assert caplog.text.count("No space left on device") == 1


def test_a_photograph_that_cannot_be_read_is_named_as_ever(tmp_path, folder):
    for path in folder.glob("*/*.png"):
        picture(99).save(path)
    with pytest.raises(DataError, match=r"^the photograph \S* was edited since"):
        read(tmp_path)


def sum_of(path):
    return int(read(path).sum(dtype=torch.int64))


def test_several_jobs_fill_one_file_at_once(tmp_path):
    expected = int(read(tmp_path, opened=reading.open_dataset).sum(dtype=torch.int64))
    context = get_context("fork")
    with context.Pool(4) as pool:
        assert pool.map(sum_of, [tmp_path] * 8, chunksize=1) == [expected] * 8
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(sum_of, [tmp_path] * 4)] == [expected] * 4
    assert len(files(tmp_path)) == 1


def test_what_lies_in_its_place_and_is_no_file_of_it_is_let_be(tmp_path):
    expected = read(tmp_path)
    (path,) = files(tmp_path)
    other = tmp_path / "somebody's"
    other.write_text("not pixels")
    for put in (lambda: path.symlink_to(other), lambda: os.mkfifo(path), path.mkdir):
        path.unlink()
        put()
        assert torch.equal(read(tmp_path), expected)
        assert other.read_text() == "not pixels"
        if path.is_dir():
            path.rmdir()
