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
DELETE = "Delete it; snakemake fetches it again."


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
    return (
        f"{TINY} has md5 {md5(content)} instead of {md5(ARCHIVE)}: it is damaged, incomplete or "
        f"another file. {DELETE}"
    )


@case("archives", DataError, wrong_md5(ARCHIVE[:1000]))
def archive_cut_off(here, monkeypatch):
    return archived(here, monkeypatch, ARCHIVE[:1000], release())


@case("archives", DataError, wrong_md5(b""))
def archive_of_no_bytes(here, monkeypatch):
    return archived(here, monkeypatch, b"", release())


@case("archives", DataError, wrong_md5(b"<html>Moved</html>"))
def web_page_instead_of_an_archive(here, monkeypatch):
    return archived(here, monkeypatch, b"<html>Moved</html>", release())


@case(
    "archives",
    DataError,
    f"{TINY} cannot be read (Compressed file ended before the end-of-stream marker was reached): "
    f"it is damaged or incomplete. {DELETE}",
)
def archive_whose_compression_ends_early(here, monkeypatch):
    return archived(here, monkeypatch, ARCHIVE[:-5])


@case("archives", DataError, f"{TINY} lacks two: it is not the official archive. {DELETE}")
def member_missing(here, monkeypatch):
    fewer = make_archive({name: MEMBERS[name] for name in ("one", "test", "meta")})
    return archived(here, monkeypatch, fewer)


@case(
    "archives",
    DataError,
    f"{TINY}: {FOLDER}/one is there twice or far too large: it is not the official archive. "
    f"{DELETE}",
)
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
    f"two of {FOLDER} does not hold images of 3072 bytes with one label below 3 each in "
    "'labels'. Fetch the official archive again.",
)
def batch_of_another_shape(here, monkeypatch):
    batch = {b"data": np.zeros((5, 3 * 28 * 28), np.uint8), b"labels": [0] * 5}
    return changed(here, monkeypatch, two=pickle.dumps(batch, protocol=2))


@case(
    "archives",
    DataError,
    f"one of {FOLDER} is not a CIFAR file: it asks for __builtin__.eval. Nothing of it was run. "
    "Delete it and fetch the official archive again.",
)
def hostile_pickle(here, monkeypatch):
    code = f"open({str(here / 'sources' / 'hacked')!r}, 'w')"
    batch = pickle.dumps({b"data": Hostile(eval, code)}, protocol=2)
    return changed(here, monkeypatch, one=batch)


def hostile(name):
    return (
        f"{TINY} holds {name!r}, which is a link, a device or leads out of the archive: it is not "
        "the official archive. Nothing of it was unpacked. Delete it."
    )


@case("archives", DataError, hostile("../../escaped"))
def member_that_leads_out(here, monkeypatch):
    return archived(here, monkeypatch, make_archive(MEMBERS, [("../../escaped", b"x", {})]))


@case("archives", DataError, hostile(f"{FOLDER}/link"))
def member_that_is_a_link(here, monkeypatch):
    link = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}
    return archived(here, monkeypatch, make_archive(MEMBERS, [(f"{FOLDER}/link", b"", link)]))


@case(
    "archives",
    DataError,
    "cannot download http://127.0.0.1:9/tiny.tar.gz: [Errno 111] Connection refused. Without a "
    f"network, put tiny.tar.gz (md5 {md5(ARCHIVE)}) or its unpacked folder {FOLDER} into "
    "{here}/sources",
)
def no_archive_and_no_network(here, monkeypatch):
    return prepared(here, release(), monkeypatch)


@case(
    "archives",
    DataError,
    "{here}/sources/" + f"{FOLDER} is not the official {FOLDER}:\n"
    f"  one: md5 {md5(MEMBERS['one'][:-1])} instead of {md5(MEMBERS['one'])}\n"
    "  two: No such file or directory\n"
    "Delete the folder, or unpack tiny.tar.gz again.",
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
    "cannot write {here}/sources/tiny.tar.gz.part: {here}/sources is a file, not a folder. "
    "Make the folder writable, or "
    "set SIGHTLINES_DATA to one that is.",
)
def sources_that_are_a_file(here, monkeypatch):
    (here / "sources").write_text("a file")
    own = dataclasses.replace(release(), url="http://127.0.0.1:9/tiny.tar.gz")
    return prepared(here, own, monkeypatch)
