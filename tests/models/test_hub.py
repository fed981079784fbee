"""Weights from the hub: a server on this machine that answers as the hub and its store do."""

import hashlib
import os
import resource
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from sightlines.core.errors import ConfigError, DiskError, WeightsError
from sightlines.models import hub, hub_cache
from tests.making_jobs import LOG

HUB_ID = "timm/tiny_patch2_5.test_in3"
FILE = "model.safetensors"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTENT = save({"weight": np.arange(10007, dtype=np.float32)})
SHA256 = hashlib.sha256(CONTENT).hexdigest()
RESOLVE = f"/{HUB_ID}/resolve/main/{FILE}"


class Server(BaseHTTPRequestHandler):
    """The hub answers HEAD and sends GET on to the store, which is another port."""

    def do_HEAD(self):
        self.answer_as_hub()

    def do_GET(self):
        if self.headers["Host"] == self.world.store:
            self.answer_as_store()
        else:
            self.answer_as_hub()

    def answer_as_hub(self):
        world = self.world
        if self.path == "/api/agent-harnesses":  # huggingface_hub, unless DO_NOT_TRACK is set
            self.send_error(404)
            return
        world.asked.append((self.command, self.path))
        if world.refusals:
            status, code = world.refusals.pop(0)
            self.send_response(status)
            self.send_header("X-Error-Code", code)
        elif world.is_login_page:
            self.send_response(200)
        else:
            self.send_response(302)
            self.send_header("Location", f"http://{world.store}/a/signed/address")
            self.send_header("X-Repo-Commit", world.commit)
            self.send_header("X-Linked-Size", str(world.size))
            self.send_header("X-Linked-Etag", f'"{world.etag}"')
            self.send_header("X-Xet-Hash", "ab" * 32)
            self.send_header("Link", f'<{world.url}/xet-token>; rel="xet-auth"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer_as_store(self):
        world = self.world
        asked = self.headers["Range"]
        world.ranges.append(asked)
        world.tokens.append(self.headers["Authorization"])
        begin = int(asked[6:-1]) if asked and world.knows_ranges else 0
        body = world.content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        end = world.ends.pop(0) if world.ends else len(world.content)
        self.wfile.write(body[: max(end - begin, 0)])
        if world.holds:
            self.wfile.flush()
            world.holds.wait(20)

    def log_message(self, *_):
        pass


class World:
    """What the hub has, what it was asked, and how it misbehaves."""

    def __init__(self, folder):
        self.content, self.commit, self.etag, self.size = CONTENT, COMMIT, SHA256, len(CONTENT)
        self.refusals, self.ends, self.holds = [], [], None
        self.knows_ranges, self.is_login_page = True, False
        self.asked, self.ranges, self.tokens = [], [], []
        self.source, self.home = folder / "sources", folder / "home"
        self.placed = self.source / "hub" / HUB_ID / FILE
        self.cache = self.home / "hub"
        self.blobs = self.cache / f"models--{HUB_ID.replace('/', '--')}" / "blobs"
        handler = type("Handler", (Server,), {"world": self})
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
        names = [f"127.0.0.1:{server.server_port}" for server in self.servers]
        self.url, self.store = f"http://{names[0]}", names[1]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, args=(0.01,)).start()

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.servers = []

    def fetch(self, revision="main"):
        return hub.fetch(HUB_ID, FILE, revision, self.source, LOG)

    def names(self):
        return sorted(p.name for p in self.blobs.iterdir())


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    template = world.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", world.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(world.cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(hub_cache, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield world
    huggingface_hub.close_session()
    world.close()


def test_first_time_from_the_hub_then_from_the_cache(world):
    found = world.fetch()
    assert found.path.read_bytes() == CONTENT
    assert (found.sha256, found.origin) == (SHA256, f"hf:{HUB_ID}@{COMMIT}")
    assert world.names() == [SHA256]
    assert world.fetch() == found
    assert world.ranges == [None], "the second time no byte of it is fetched"
    resolve_commit = RESOLVE.replace("main", COMMIT)
    assert world.asked == [("HEAD", RESOLVE), ("GET", resolve_commit), ("HEAD", RESOLVE)]
    assert world.tokens == [None], "the token is for the hub alone"


def test_huggingface_hub_reads_the_cache_that_we_write(world):
    found = world.fetch()
    for revision in ("main", COMMIT):
        known = huggingface_hub.try_to_load_from_cache(HUB_ID, FILE, revision=revision)
        assert known == str(found.path)
    (repository,) = huggingface_hub.scan_cache_dir(world.cache).repos
    assert repository.repo_id == HUB_ID and repository.size_on_disk == len(CONTENT)
    (revision,) = repository.revisions
    assert revision.commit_hash == COMMIT and revision.refs == {"main"}


def test_we_read_the_cache_that_huggingface_hub_writes(world, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    path = huggingface_hub.hf_hub_download(HUB_ID, FILE, tqdm_class=huggingface_hub.utils.tqdm)
    assert world.fetch() == hub.Fetched(Path(path), SHA256, f"hf:{HUB_ID}@{COMMIT}")
    assert len(world.ranges) == 1


def test_a_cut_connection_goes_on_where_it_stopped(world):
    world.ends = [101, 5003, 20011]
    assert world.fetch().path.read_bytes() == CONTENT
    assert world.ranges == [None, "bytes=101-", "bytes=5003-", "bytes=20011-"]


def test_the_next_run_goes_on_where_the_last_one_stopped(world):
    world.ends = [101] * 3
    with pytest.raises(WeightsError, match=rf"broke off.* 101 of {len(CONTENT)} bytes are kept"):
        world.fetch()
    assert world.names() == [f"{SHA256}.part"]
    world.ranges.clear()
    assert world.fetch().path.read_bytes() == CONTENT
    assert world.ranges == ["bytes=101-"]
    assert world.names() == [SHA256]


def process(world, **variables):
    code = (
        "import logging; from pathlib import Path; from sightlines.models import hub\n"
        "logging.basicConfig(level='INFO')\n"
        f"print(hub.fetch({HUB_ID!r}, {FILE!r}, 'main', Path('sources'), logging.getLogger('x')))"
    )
    environment = os.environ | {"HF_ENDPOINT": world.url, "HF_HOME": str(world.home)} | variables
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.whole
def test_a_killed_process_leaves_what_arrived_to_the_next(world):
    world.ends, world.holds = [5003], threading.Event()
    killed = process(world)
    part = world.blobs / f"{SHA256}.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size == 5003):
        assert time.monotonic() < deadline and killed.poll() is None, killed.communicate()
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    world.holds.set()
    world.holds = None
    out, error = process(world).communicate()
    assert SHA256 in out, error
    assert world.ranges == [None, "bytes=5003-"]
    assert "of which 0.0 MB are here" in error and "%|" not in error
    world.close()
    out, error = process(world, HF_HUB_OFFLINE="1").communicate()
    assert SHA256 in out and f"HF_HUB_OFFLINE is set: taking hf:{HUB_ID}@{COMMIT}" in error


def test_a_server_without_ranges_gives_it_from_the_beginning(world):
    world.ends, world.knows_ranges = [101], False
    assert world.fetch().path.read_bytes() == CONTENT
    assert world.ranges == [None, "bytes=101-"]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (CONTENT[:-1] + b"x", "gave a file with SHA-256 .* instead of .* it was deleted"),
        (CONTENT + b"x", f"more than the {len(CONTENT)} bytes"),
        (CONTENT[:-1], "1 bytes early"),
    ],
)
def test_other_content_than_stated_is_not_kept(world, content, match):
    world.content = content
    with pytest.raises(WeightsError, match=match):
        world.fetch()
    assert not (world.blobs / SHA256).exists()
    assert not (world.blobs.parent / "snapshots").exists()
    world.content = CONTENT
    (world.blobs / f"{SHA256}.part").unlink(missing_ok=True)
    assert world.fetch().path.read_bytes() == CONTENT


def test_too_long_a_rest_of_another_download_is_dropped(world):
    world.blobs.mkdir(parents=True)
    (world.blobs / f"{SHA256}.part").write_bytes(CONTENT + b"x")
    assert world.fetch().path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "code", "match"),
    [
        (404, "EntryNotFound", rf"{HUB_ID} has no {FILE}: see .*/tree/main"),
        (404, "RevisionNotFound", rf"{HUB_ID} has no revision 'main': see .*/commits/main"),
        (401, "RepoNotFound", rf"no {HUB_ID}, or it is private: mend the name, or set HF_TOKEN"),
        (403, "GatedRepo", rf"{HUB_ID} is gated: ask for access at .*{HUB_ID}, then set HF_TOKEN"),
        (401, "", "answers 401: set HF_TOKEN"),
        (404, "", "answers 404"),
    ],
)
def test_a_refusal_says_what_to_do(world, status, code, match):
    world.refusals = [(status, code)]
    with pytest.raises(WeightsError, match=match):
        world.fetch()
    assert len(world.asked) == 1 and not world.ranges


def test_an_overloaded_hub_is_asked_again(world):
    world.refusals = [(503, ""), (429, "")]
    assert world.fetch().sha256 == SHA256
    world.refusals = [(503, "")] * 3
    assert world.fetch().sha256 == SHA256, "then the cache has it"


def test_a_hub_without_a_checksum_is_refused(world):
    world.etag = COMMIT
    with pytest.raises(WeightsError, match="without a SHA-256") as caught:
        world.fetch()
    assert str(world.placed) in str(caught.value)


@pytest.mark.parametrize("kind", ["no server", "silent server", "login page", "offline"])
def test_without_a_network_the_error_says_where_to_put_the_file(world, monkeypatch, kind):
    monkeypatch.setattr(hub_cache, "CONNECT_S", 0.2)
    words = {"no server": "refused", "silent server": "timed out", "login page": "is no hub"}
    if kind == "no server":
        world.close()
    elif kind == "silent server":
        world.servers[0].shutdown()
    elif kind == "login page":
        world.is_login_page = True
    else:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    began = time.monotonic()
    with pytest.raises(WeightsError, match=words.get(kind, "HF_HUB_OFFLINE is set")) as caught:
        world.fetch()
    assert time.monotonic() - began < 5
    assert f"fetch {world.url}{RESOLVE} on another machine" in str(caught.value)
    assert str(world.placed) in str(caught.value)
    assert not world.cache.exists()


def test_a_file_put_in_place_needs_no_network(world):
    world.placed.parent.mkdir(parents=True)
    world.placed.write_bytes(CONTENT)
    origin = f"file:hub/{HUB_ID}/{FILE}"
    assert world.fetch() == hub.Fetched(world.placed, SHA256, origin)
    assert not world.asked and not world.cache.exists()


@pytest.mark.parametrize(
    "content", [b"", CONTENT[:-1], b"version https://git-lfs", b"<!doctype html>" * 99, None]
)
def test_a_damaged_file_put_in_place_is_named(world, content):
    if content is None:
        world.placed.mkdir(parents=True)
    else:
        world.placed.parent.mkdir(parents=True)
        world.placed.write_bytes(content)
    with pytest.raises(WeightsError, match="is no whole safetensors file") as caught:
        world.fetch()
    assert str(world.placed) in str(caught.value) and RESOLVE in str(caught.value)
    assert not world.asked


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *(
            ("hub_id", value)
            for value in (
                *("", "timm", "/etc/passwd", "../timm", "timm/..", "timm/../x", "timm/a/b", "./x"),
                *("timm\\x/y", "timm/x\n", "timm/a..b", "timm/a--b", "timm/.x", "timm/x/", "a/b?c"),
                *("http://evil/x", "timm/%2e%2e", "timm/é", "timm/" + "x" * 200),
            )
        ),
        *(
            ("filename", value)
            for value in (
                *("", "model.bin", "../model.safetensors", "/model.safetensors", ".safetensors"),
                *("a/model.safetensors", "..\\model.safetensors", "model.safetensors\n"),
                "pytorch_model.bin",
            )
        ),
        *(("revision", value) for value in ("", "..", "../main", "refs/pr/1", "a\\b", "a b", "-x")),
    ],
)
def test_names_that_lead_elsewhere_are_refused(world, place, value):
    names = {"hub_id": HUB_ID, "filename": FILE, "revision": "main"} | {place: value}
    with pytest.raises(ConfigError, match="is no name of a"):
        hub.fetch(**names, source=world.source, log=LOG)
    assert not world.asked and not world.cache.exists()


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_cached_file_works_without_the_hub(world, revision):
    found = world.fetch(revision)
    world.close()
    assert world.fetch(revision) == found


def test_a_deleted_file_is_not_taken_from_the_cache(world):
    world.fetch()
    world.refusals = [(404, "EntryNotFound")]
    with pytest.raises(WeightsError, match=f"has no {FILE}"):
        world.fetch()


def test_a_damaged_cached_file_is_fetched_anew_or_refused(world):
    found = world.fetch()
    blob = world.blobs / SHA256
    for damaged in (CONTENT[:-1] + b"x", CONTENT[:101]):
        blob.write_bytes(damaged)
        assert world.fetch() == found and found.path.read_bytes() == CONTENT
    assert world.ranges == [None] * 3
    blob.write_bytes(CONTENT[:-1] + b"x")
    world.close()
    with pytest.raises(WeightsError, match=r"was damaged .* it was removed"):
        world.fetch()
    assert not blob.exists() and not found.path.is_symlink()


def test_removing_a_damaged_file_ends_at_the_cache(world, tmp_path):
    found = world.fetch()
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(CONTENT[:101])
    (world.blobs / SHA256).unlink()
    (world.blobs / SHA256).symlink_to(mine)
    assert world.fetch() == found and found.path.read_bytes() == CONTENT
    assert mine.read_bytes() == CONTENT[:101]


def test_the_same_file_of_a_new_commit_is_not_fetched_again(world):
    world.fetch()
    world.commit = COMMIT[::-1]
    found = world.fetch()
    assert found.origin.endswith(world.commit) and found.path.read_bytes() == CONTENT
    assert world.ranges == [None]
    world.close()
    assert world.fetch() == found


def test_a_cache_without_links(world, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    found = world.fetch()
    assert not found.path.is_symlink() and world.names() == []
    assert world.fetch() == found and world.ranges == [None]
    world.close()
    assert world.fetch() == found
    found.path.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match="no whole safetensors"):
        world.fetch()


def test_of_two_at_a_time_one_downloads(world):
    world.holds = threading.Event()
    found = []
    threads = [threading.Thread(target=lambda: found.append(world.fetch())) for _ in range(2)]
    for thread in threads:
        thread.start()
    while not world.ranges:
        time.sleep(0.01)
    world.holds.set()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] and world.ranges == [None]


def test_a_disk_without_room_is_named(world, tmp_path, monkeypatch):
    world.size = 10**18
    with pytest.raises(DiskError, match=r"need 1,000,000,000,000 MB.*set HF_HOME"):
        world.fetch()
    world.size = len(CONTENT)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20011, limits[1]))
    try:
        with pytest.raises(DiskError, match=rf"cannot write .*{SHA256}\.part: File too large"):
            world.fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    world.fetch()
    assert world.ranges == [None, "bytes=20011-"]
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(DiskError, match="file is a file, not a folder"):
        world.fetch()
