"""Links are followed wherever they lead, cycles and broken ones named; side files are counted."""

import hashlib
import logging
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from sightlines.core import file_hashes
from sightlines.core.errors import DataError
from sightlines.datasets import imagefolder
from sightlines.datasets.imagefolder_scan import scan
from tests.datasets.test_imagefolder import SETTINGS, make_folder, offences, picture, run_prepare


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def plain_and_linked(tmp_path, link):
    """The manifest and fingerprint of a folder, and of one that `link` makes of a store beside it.

    The store lies outside of the folder of photographs.
    """
    store = make_folder(tmp_path / "store")
    shutil.copytree(store, tmp_path / "plain")
    (tmp_path / "mine").mkdir()
    link(store, tmp_path / "mine")
    found = []
    for folder in ("plain", "mine"):
        _, table = run_prepare(tmp_path, folder=folder)
        print_of = imagefolder.fingerprint(SETTINGS | {"folder": folder}, tmp_path)
        found.append((table.to_dict("list"), print_of))
    return found


def link_files(store, mine):
    for path in store.rglob("*.png"):
        (mine / path.parent.name).mkdir(exist_ok=True)
        (mine / path.parent.name / path.name).symlink_to(path)


def link_classes(store, mine):
    for path in store.iterdir():
        (mine / path.name).symlink_to(os.path.relpath(path, mine))


def link_chains(store, mine):
    """As the hub's cache: a class is a link, its files are links to links."""
    middle = store.parent / "snapshots"
    middle.mkdir()
    link_files(store, middle)
    link_classes(middle, mine)


@pytest.mark.parametrize("link", [link_files, link_classes, link_chains])
def test_links_that_lead_out_are_read_as_what_they_lead_to(tmp_path, link):
    plain, linked = plain_and_linked(tmp_path, link)
    assert linked == plain and len(plain[0]["sha256"]) == 10


def test_train_and_val_may_be_links(tmp_path):
    (tmp_path / "mine").mkdir()
    for first, name in enumerate(("train", "val")):
        make_folder(tmp_path / "store" / name, first=1000 * first)
        (tmp_path / "mine" / name).symlink_to(tmp_path / "store" / name)
    assert run_prepare(tmp_path)[0]["counts"] == {"train": 10, "test": 10}


def test_a_moved_store_is_the_same_dataset(tmp_path):
    (tmp_path / "mine").mkdir()
    link_files(make_folder(tmp_path / "store"), tmp_path / "mine")
    before = imagefolder.fingerprint(SETTINGS, tmp_path)
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "mine")
    (tmp_path / "mine").mkdir()
    link_files(tmp_path / "elsewhere", tmp_path / "mine")
    assert imagefolder.fingerprint(SETTINGS, tmp_path) == before


def test_a_link_that_was_led_elsewhere_is_read_again(tmp_path, monkeypatch):
    """Also where the clock is coarse: two targets of one size, with the same times."""
    monkeypatch.setattr(file_hashes, "SETTLED_NS", -(10**18))
    real = Path.stat

    def coarse(path, **options):
        status = real(path, **options)
        names = ("st_mode", "st_size", "st_ino")
        kept = {name: getattr(status, name) for name in names}
        return SimpleNamespace(**kept, st_mtime_ns=10**18, st_ctime_ns=10**18)

    monkeypatch.setattr(Path, "stat", coarse)
    hashes = []
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(name)
        hashes += file_hashes.hash_files(tmp_path, ["link"])
    assert hashes == [hashlib.sha256(content).hexdigest() for content in (b"a", b"b")]


def test_cycles_are_named_and_end(tmp_path):
    root = make_folder(tmp_path / "mine")
    (root / "all").symlink_to(".")
    (root / "above").symlink_to(tmp_path)
    (root / "cat" / "up").symlink_to("..")
    (root / "dog" / "self.png").symlink_to("self.png")
    (root / "here").symlink_to("there")
    (root / "there").symlink_to("here")
    message = offences(tmp_path)
    for place in ("all", "above", "cat/up"):
        assert f"  {place}: a link to a folder that it lies in: a cycle\n" in message
    for place in ("dog/self.png", "here", "there"):
        assert f"  {place}: a link that leads back to itself: a cycle\n" in message
    assert "has 6 problems" in message


@pytest.mark.parametrize(
    ("target", "cure"),
    [
        (
            "../../.git/annex/objects/Xk/9f/MD5E-s70--ab.png/MD5E-s70--ab.png",
            "git annex get 'cat/a b.png'",
        ),
        ("/mnt/repo/.dvc/cache/files/md5/3d/ca40a2654d21016eeafa0dd43952bf", "dvc pull"),
        ("/mnt/cache/files/md5/3d/ca40a2654d21016eeafa0dd43952bf", "dvc pull"),
        ("../../blobs/" + 64 * "a", "hf download"),
        ("/mnt/disk/a.png", "put it there"),
    ],
)
def test_a_broken_link_is_named_with_its_target_and_what_brings_it(tmp_path, target, cure):
    root = make_folder(tmp_path / "mine")
    (root / "cat" / "a b.png").symlink_to(target)
    message = offences(tmp_path)
    assert "has 1 problem:" in message
    assert "cat/a b.png: " in message and target in message and cure in message


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        (b"/annex/objects/MD5E-s70--0123456789abcdef.png\n", "git annex get"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 70\n", "git lfs pull"),
    ],
)
def test_a_file_that_stands_for_a_photograph_says_what_fetches_it(tmp_path, content, cure):
    root = make_folder(tmp_path / "mine")
    (root / "cat" / "9.png").write_bytes(content)
    message = offences(tmp_path)
    assert "cat/9.png: a pointer of" in message and cure in message and "1 problem:" in message


def test_a_class_that_is_a_broken_link_is_named(tmp_path):
    root = make_folder(tmp_path / "mine")
    (root / "eel").symlink_to("/mnt/gone/eel")
    assert "eel: a link that leads nowhere: there is no /mnt/gone/eel" in offences(tmp_path)


def test_a_test_folder_that_is_a_broken_link_is_not_passed_over(tmp_path):
    for first, name in enumerate(("train", "val")):
        make_folder(tmp_path / "mine" / name, first=1000 * first)
    (tmp_path / "mine" / "test").symlink_to("/mnt/gone/test")
    assert "test: a link that leads nowhere: there is no /mnt/gone/test" in offences(tmp_path)


def test_links_to_devices_and_to_what_no_photograph_can_be_are_not_opened(tmp_path):
    root = make_folder(tmp_path / "mine")
    (root / "cat" / "zero.png").symlink_to("/dev/zero")
    with (tmp_path / "huge").open("wb") as handle:
        handle.truncate(2**32 + 1)
    (root / "cat" / "huge.png").symlink_to(tmp_path / "huge")
    message = offences(tmp_path)
    assert "cat/zero.png: not a regular file" in message
    assert "cat/huge.png: larger than 4 GiB" in message and "has 2 problems" in message


def test_what_others_leave_beside_photographs_is_passed_over_and_counted(tmp_path, caplog):
    root = make_folder(tmp_path / "mine")
    for folder in (root, root / "cat"):
        for name in ("@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"):
            (folder / name).mkdir()
            picture(1).save(folder / name / "thumbnail.png")
    for name in ("a.AAE", "0.png.xmp", "Icon\r", "0.png~", "1.png.crdownload", "2.png.part"):
        (root / "cat" / name).write_bytes(b"x")
    (root / "labels.csv").write_text("a,b\n")
    (root / "cat.dvc").write_text("outs: []\n")
    with caplog.at_level(logging.INFO):
        facts, table = run_prepare(tmp_path)
    assert facts["classes"] == ["cat", "dog"] and len(table) == 10
    (line,) = [r.getMessage() for r in caplog.records if "passed over" in r.getMessage()]
    assert ": 16 files and folders" in line
    for kind in ("2 @eaDir", "2 lost+found", "1 .aae", "1 .xmp", "1 Icon", "1 ~", "1 .part"):
        assert kind in line, kind


def test_hidden_things_are_passed_over_in_silence(tmp_path):
    root = make_folder(tmp_path / "mine")
    (root / ".thumbnails").mkdir()
    (root / "cat" / ".ipynb_checkpoints").mkdir()
    for name in (".DS_Store", "._0.png", "Thumbs.db", "desktop.ini", ".picasa.ini"):
        (root / "cat" / name).write_bytes(b"x")
    (root / "cat" / ".gone").symlink_to("nowhere")
    listing = scan(root)
    assert listing.passed.total() == 0 and listing.offences == [] and len(listing.images) == 10


def test_what_may_be_a_photograph_or_a_film_is_never_passed_over(tmp_path):
    root = make_folder(tmp_path / "mine")
    for name in ("a.heic", "b.mov", "c", "d.zip"):
        (root / "cat" / name).write_bytes(b"x")
    with pytest.raises(DataError, match="has 4 problems"):
        run_prepare(tmp_path)
