"""CIFAR's archive: damaged, incomplete, of another form, hostile."""

import dataclasses
import functools
import pickle
import tarfile

import numpy as np

from sightlines.core.errors import DataError, DiskError
from sightlines.datasets import cifar10, prepare
from tests.bad_input.catalogue import case, job
from tests.datasets.test_cifar import ARCHIVE, FOLDER, MEMBERS, Hostile, make_archive, md5, release

TINY = "{here}/sources/tiny.tar.gz"
AGAIN = ("delete it", "snakemake")
OFFICIAL = "official archive"


def prepared(here, own, monkeypatch):
    """`sightlines.datasets.prepare` on CIFAR-10, a tiny archive in the official one's place."""
    monkeypatch.setattr(cifar10, "prepare", functools.partial(cifar10.prepare, release=own))
    config = {"dataset": {"kind": "cifar10"}, "source": ""}
    files = [here / "data" / name for name in cifar10.FILES]
    return job(prepare.main, config, {}, {"files": files}, here / "sources")


def archived(here, monkeypatch, content, own=None):
    (here / "sources").mkdir()
    (here / "sources" / "tiny.tar.gz").write_bytes(content)
    return prepared(here, own or release(content), monkeypatch)


def wrong_md5(content):
    return (TINY, md5(content), md5(ARCHIVE))


@case("archives", DataError, wrong_md5(ARCHIVE[:1000]), AGAIN)
def archive_cut_off(here, monkeypatch):
    return archived(here, monkeypatch, ARCHIVE[:1000], release())


@case("archives", DataError, wrong_md5(b""), AGAIN)
def archive_of_no_bytes(here, monkeypatch):
    return archived(here, monkeypatch, b"", release())


@case("archives", DataError, wrong_md5(b"<html>Moved</html>"), AGAIN)
def web_page_instead_of_an_archive(here, monkeypatch):
    return archived(here, monkeypatch, b"<html>Moved</html>", release())


@case("archives", DataError, (TINY, "cannot be read", "end-of-stream"), AGAIN)
def archive_whose_compression_ends_early(here, monkeypatch):
    return archived(here, monkeypatch, ARCHIVE[:-5])


@case("archives", DataError, (TINY, "lacks two", OFFICIAL), AGAIN)
def member_missing(here, monkeypatch):
    fewer = make_archive({name: MEMBERS[name] for name in ("one", "test", "meta")})
    return archived(here, monkeypatch, fewer)


@case("archives", DataError, (TINY, f"{FOLDER}/one", "twice", OFFICIAL), AGAIN)
def member_twice(here, monkeypatch):
    twice = make_archive(MEMBERS, [(f"{FOLDER}/one", MEMBERS["one"], {})])
    return archived(here, monkeypatch, twice)


def changed(here, monkeypatch, **members):
    members = MEMBERS | members
    archive = make_archive(members)
    return archived(here, monkeypatch, archive, release(archive, members))


@case(
    "archives",
    DataError,
    (f"two of {FOLDER}", "3072 bytes", "label", "below 3", "'labels'"),
    ("fetch", OFFICIAL),
)
def batch_of_another_shape(here, monkeypatch):
    batch = {b"data": np.zeros((5, 3 * 28 * 28), np.uint8), b"labels": [0] * 5}
    return changed(here, monkeypatch, two=pickle.dumps(batch, protocol=2))


@case(
    "archives",
    DataError,
    (f"one of {FOLDER}", "__builtin__.eval", "nothing of it was run"),
    ("delete it", "fetch", OFFICIAL),
)
def hostile_pickle(here, monkeypatch):
    code = f"open({str(here / 'sources' / 'hacked')!r}, 'w')"
    batch = pickle.dumps({b"data": Hostile(eval, code)}, protocol=2)
    return changed(here, monkeypatch, one=batch)


def hostile(name):
    return (TINY, repr(name), "link", OFFICIAL, "nothing of it was unpacked")


@case("archives", DataError, hostile("../../escaped"), "delete it")
def member_that_leads_out(here, monkeypatch):
    return archived(here, monkeypatch, make_archive(MEMBERS, [("../../escaped", b"x", {})]))


@case("archives", DataError, hostile(f"{FOLDER}/link"), "delete it")
def member_that_is_a_link(here, monkeypatch):
    link = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}
    return archived(here, monkeypatch, make_archive(MEMBERS, [(f"{FOLDER}/link", b"", link)]))


@case(
    "archives",
    DataError,
    ("http://127.0.0.1:9/tiny.tar.gz", "Connection refused"),
    ("tiny.tar.gz", md5(ARCHIVE), FOLDER, "into {here}/sources"),
)
def no_archive_and_no_network(here, monkeypatch):
    return prepared(here, release(), monkeypatch)


@case(
    "archives",
    DataError,
    ("{here}/sources/" + FOLDER,),
    ("delete the folder", "unpack tiny.tar.gz"),
    lines=[
        (("one:", md5(MEMBERS["one"][:-1]), md5(MEMBERS["one"])), ()),
        (("two:", "No such file"), ()),
    ],
)
def unpacked_folder_damaged(here, monkeypatch):
    folder = here / "sources" / FOLDER
    folder.mkdir(parents=True)
    for name in ("one", "test", "meta"):
        (folder / name).write_bytes(MEMBERS[name][: -1 if name == "one" else None])
    return prepared(here, release(), monkeypatch)


@case(
    "disk",
    DiskError,
    ("{here}/sources/tiny.tar.gz.part", "{here}/sources is a file"),
    ("writable", "SIGHTLINES_DATA"),
)
def sources_that_are_a_file(here, monkeypatch):
    (here / "sources").write_text("a file")
    own = dataclasses.replace(release(), url="http://127.0.0.1:9/tiny.tar.gz")
    return prepared(here, own, monkeypatch)
