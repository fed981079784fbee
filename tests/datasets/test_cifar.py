"""CIFAR: official form only, wherever it comes from; hostile and damaged files do nothing."""

import dataclasses
import gzip
import hashlib
import io
import pickle
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from sightlines.core.errors import DataError
from sightlines.core.files import read_json
from sightlines.datasets import cifar10, cifar100, download
from sightlines.datasets.cifar_release import Release
from sightlines.datasets.unpickling import read_pickle
from tests.making_jobs import LOG

FOLDER = "tiny-batches-py"
CURE = "put tiny.tar.gz there"


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def make_members() -> dict[str, bytes]:
    rng = np.random.default_rng(11)

    def batch(count: int) -> bytes:
        pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = rng.integers(0, 3, count).tolist()
        return pickle.dumps({b"data": pixels, b"labels": labels}, protocol=2)

    meta = pickle.dumps({b"label_names": [b"cat", b"dog", b"eel"]}, protocol=2)
    return {"one": batch(7), "two": batch(5), "test": batch(11), "meta": meta}


def add(pack: tarfile.TarFile, name: str, content: bytes, **changes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    pack.addfile(info, io.BytesIO(content))


def make_archive(members: dict[str, bytes], extra=()) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as pack:
        for name, content in members.items():
            add(pack, f"{FOLDER}/{name}", content)
        for name, content, changes in extra:
            add(pack, name, content, **changes)
    return gzip.compress(raw.getvalue(), mtime=0)


MEMBERS = make_members()
ARCHIVE = make_archive(MEMBERS)


def release(archive: bytes = ARCHIVE, members=MEMBERS, url: str = "http://127.0.0.1:9/tiny.tar.gz"):
    hashes = {name: md5(content) for name, content in members.items()}
    return Release(url, md5(archive), FOLDER, hashes, ("one", "two"), ("test",), "meta")


def prepare(source, out, archive=ARCHIVE, **changes):
    own = dataclasses.replace(release(archive), **changes)
    cifar10.prepare({}, source, out, LOG, own)


def test_archive_and_folder_give_the_same_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "tiny.tar.gz").write_bytes(ARCHIVE)
    (tmp_path / "b" / FOLDER).mkdir(parents=True)
    for name, content in MEMBERS.items():
        (tmp_path / "b" / FOLDER / name).write_bytes(content)
    for name in "ab":
        prepare(tmp_path / name, tmp_path / f"out_{name}")
    assert sorted(p.name for p in (tmp_path / "out_a").iterdir()) == sorted(cifar10.FILES)
    for name in cifar10.FILES:
        one, two = (tmp_path / f"out_{k}" / name for k in "ab")
        assert one.read_bytes() == two.read_bytes()
    facts = read_json(tmp_path / "out_a" / "dataset.json")
    assert facts["counts"] == {"train": 12, "test": 11}
    assert facts["classes"] == ["cat", "dog", "eel"]
    first = pickle.loads(MEMBERS["one"])
    images = np.load(tmp_path / "out_a" / "train_images.npy")
    assert images.shape == (12, 32, 32, 3)
    assert images[3, 5, 7, 2] == first[b"data"][3, 2 * 1024 + 5 * 32 + 7]
    labels = np.load(tmp_path / "out_a" / "train_labels.npy")
    assert labels[:7].tolist() == first[b"labels"]


def test_cifar100_reads_fine_or_coarse(tmp_path):
    def batch(count):
        keys = {b"data": np.zeros((count, 3072), np.uint8), b"fine_labels": [1] * count}
        return pickle.dumps(keys | {b"coarse_labels": [0] * count}, protocol=2)

    meta = {b"fine_label_names": [b"x", b"y"], b"coarse_label_names": [b"z"]}
    members = {"train": batch(3), "test": batch(2), "meta": pickle.dumps(meta, protocol=2)}
    archive = make_archive(members)
    (tmp_path / "tiny.tar.gz").write_bytes(archive)
    own = dataclasses.replace(release(archive, members), train=("train",))
    for kind, classes in (("fine", ["x", "y"]), ("coarse", ["z"])):
        cifar100.prepare({"labels": kind}, tmp_path, tmp_path / kind, LOG, own)
        assert read_json(tmp_path / kind / "dataset.json")["classes"] == classes
    assert cifar100.check({"labels": "fine"}) == (32, 100)
    assert cifar100.variant({"labels": "fine"}) != cifar100.variant({"labels": "coarse"})


def test_wrong_checksums_are_listed(tmp_path):
    (tmp_path / FOLDER).mkdir()
    for name, content in MEMBERS.items():
        (tmp_path / FOLDER / name).write_bytes(content[:-1] if name == "one" else content)
    (tmp_path / FOLDER / "two").unlink()
    with pytest.raises(DataError, match="not the official") as caught:
        prepare(tmp_path, tmp_path / "out")
    assert "one: md5" in str(caught.value) and "two: No such file" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("cut", [0, 1, 100, len(ARCHIVE) - 5])
def test_truncated_archive_is_named(tmp_path, cut):
    (tmp_path / "tiny.tar.gz").write_bytes(ARCHIVE[:cut])
    with pytest.raises(DataError, match=r"tiny\.tar\.gz has md5 .* instead of"):
        prepare(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match=r"cannot be read|lacks"):
        prepare(tmp_path, tmp_path / "out", ARCHIVE[:cut])


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("../escape", {}),
        ("/etc/escape", {}),
        (f"{FOLDER}/../../escape", {}),
        (f"{FOLDER}/link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}),
        (f"{FOLDER}/hard", {"type": tarfile.LNKTYPE, "linkname": "one", "size": 0}),
        (f"{FOLDER}/device", {"type": tarfile.CHRTYPE, "size": 0}),
        (f"{FOLDER}/pipe", {"type": tarfile.FIFOTYPE, "size": 0}),
    ],
)
def test_hostile_members_are_refused(tmp_path, name, changes):
    archive = make_archive(MEMBERS, [(name, b"x", changes)])
    source = tmp_path / "source"
    source.mkdir()
    (source / "tiny.tar.gz").write_bytes(archive)
    with pytest.raises(DataError, match="Nothing of it was unpacked"):
        prepare(source, tmp_path / "out", archive)
    assert [p.name for p in tmp_path.rglob("*")] == ["source", "tiny.tar.gz"]


def test_missing_and_repeated_members(tmp_path):
    fewer = make_archive({name: MEMBERS[name] for name in ("one", "test", "meta")})
    (tmp_path / "tiny.tar.gz").write_bytes(fewer)
    with pytest.raises(DataError, match="lacks two"):
        prepare(tmp_path, tmp_path / "out", fewer)
    twice = make_archive(MEMBERS, [(f"{FOLDER}/one", MEMBERS["one"], {})])
    (tmp_path / "tiny.tar.gz").write_bytes(twice)
    with pytest.raises(DataError, match="there twice"):
        prepare(tmp_path, tmp_path / "out", twice)


class Hostile:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("function", [eval, print, np.load, np.ndarray, np.frombuffer])
def test_hostile_pickles_run_nothing(function, protocol, capsys):
    content = pickle.dumps({"data": Hostile(function, "boo")}, protocol=protocol)
    with pytest.raises(DataError, match=r"not a CIFAR file|damaged"):
        read_pickle(content, "batch")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "value", [np.array([object()]), np.zeros(3), np.array(["x"]), np.zeros(2, "u1,u1")]
)
def test_only_uint8_arrays_are_admitted(value):
    with pytest.raises(DataError, match=r"instead of uint8|damaged|not a CIFAR"):
        read_pickle(pickle.dumps({"data": value}, protocol=2), "batch")


@pytest.mark.parametrize("cut", [0, 1, 20, -3])
def test_damaged_pickles_are_named(cut):
    with pytest.raises(DataError, match="batch is damaged"):
        read_pickle(MEMBERS["one"][:cut], "batch")
    with pytest.raises(DataError, match="holds a list"):
        read_pickle(pickle.dumps([1]), "batch")


def test_admitted_arrays_are_read_whole():
    for order in "CF":
        value = np.asarray(np.arange(35, dtype=np.uint8).reshape(5, 7), order=order)
        for protocol in (2, 3, 4):
            found = read_pickle(pickle.dumps({b"data": value}, protocol=protocol), "batch")
            np.testing.assert_array_equal(found["data"], value)


@pytest.mark.parametrize(
    "batch",
    [
        {b"labels": [0]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]},
        {b"data": np.zeros((1, 3071), np.uint8), b"labels": [0]},
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": [3]},
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": [-1]},
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": ["cat"]},
    ],
)
def test_batches_of_another_form_are_refused(tmp_path, batch):
    members = MEMBERS | {"two": pickle.dumps(batch, protocol=2)}
    archive = make_archive(members)
    (tmp_path / "tiny.tar.gz").write_bytes(archive)
    with pytest.raises(DataError, match="does not hold images of 3072 bytes"):
        cifar10.prepare({}, tmp_path, tmp_path / "out", LOG, release(archive, members))


class Server(BaseHTTPRequestHandler):
    """Serves `content`; the first `cuts` answers end early; may or may not know ranges."""

    content, cuts, ranges, status, seen = ARCHIVE, 0, True, 200, []

    def do_GET(self):
        asked = self.headers.get("Range")
        type(self).seen.append(asked)
        begin = int(asked[6:-1]) if asked and self.ranges else 0
        if self.status != 200 or begin >= len(self.content):
            self.send_error(self.status if self.status != 200 else 416)
            return
        body = self.content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.cuts:
            type(self).cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    handler = type("Handler", (Server,), {"seen": []})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}).start()
    handler.url = f"http://127.0.0.1:{httpd.server_port}/tiny.tar.gz"
    yield handler
    httpd.shutdown()
    httpd.server_close()


def fetch(server, target, checksum=None):
    download.download(server.url, target, checksum or md5(ARCHIVE), CURE, LOG, pause_s=0.0)


def test_download_resumes_where_it_broke_off(server, tmp_path):
    server.cuts = 2
    fetch(server, tmp_path / "a.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == ARCHIVE
    half = len(ARCHIVE) // 2
    assert server.seen[0] is None and server.seen[1] == f"bytes={half}-"
    assert len(server.seen) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar.gz"]


def test_download_continues_the_part_of_a_killed_run(server, tmp_path):
    (tmp_path / "a.tar.gz.part").write_bytes(ARCHIVE[:101])
    fetch(server, tmp_path / "a.tar.gz")
    assert server.seen == ["bytes=101-"]
    (tmp_path / "b.tar.gz.part").write_bytes(ARCHIVE)
    fetch(server, tmp_path / "b.tar.gz")
    assert (tmp_path / "b.tar.gz").read_bytes() == ARCHIVE


def test_download_starts_over_where_ranges_are_unknown(server, tmp_path):
    server.ranges = False
    (tmp_path / "a.tar.gz.part").write_bytes(b"x" * 101)
    fetch(server, tmp_path / "a.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == ARCHIVE


def test_download_with_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(DataError, match="gave a file with md5"):
        fetch(server, tmp_path / "a.tar.gz", "0" * 32)
    assert not list(tmp_path.iterdir())


def test_download_gives_up_at_once_on_a_missing_address(server, tmp_path):
    server.status = 404
    with pytest.raises(DataError, match=f"404.*{CURE}"):
        fetch(server, tmp_path / "a.tar.gz")
    assert len(server.seen) == 1 and not list(tmp_path.iterdir())
    server.status = 503
    with pytest.raises(DataError, match="503"):
        fetch(server, tmp_path / "a.tar.gz")
    assert len(server.seen) == 1 + download.ATTEMPTS


def test_without_a_network_the_error_says_where_to_put_the_file(tmp_path):
    with pytest.raises(
        DataError, match=rf"Without a network, put tiny\.tar\.gz .* into {tmp_path}"
    ):
        prepare(tmp_path, tmp_path / "out")


def test_prepare_downloads_what_is_missing(server, tmp_path):
    prepare(tmp_path / "new" / "source", tmp_path / "out", url=server.url)
    assert (tmp_path / "out" / "dataset.json").exists()
    assert (tmp_path / "new" / "source" / "tiny.tar.gz").read_bytes() == ARCHIVE


def test_official_checksums_are_those_of_the_real_release():
    assert cifar10.CIFAR.release.md5 == "c58f30108f718f92721af3b95e74349a"
    assert cifar100.CIFAR.release.md5 == "eb9058c3a382ffc7106e4002c42a8d85"
    assert cifar10.check({}) == (32, 10)
