"""Remotes for real, on loopback, and their faults: nothing is lost, the error is clear."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workflow.conftest import clone_of, is_whole, ok, plan, pull, share, tool
from tests.workflow.planning import planned
from tests.workflow.servers import key, small_disk, ssh_server, webdav_server

pytestmark = pytest.mark.workflow
SHARED = "-m", "sightlines.sharing.share", "workflow/config/smoke.yaml"
GIT = ("git", "-c", "user.name=B", "-c", "user.email=b@localhost")


@pytest.fixture
def origin(shared, tmp_path):
    """A copy of the finished, shared experiment, free to change; its remote is still to be set."""
    folder = tmp_path / "origin"
    shutil.copytree(shared, folder, symlinks=True, ignore=shutil.ignore_patterns(".cache"))
    ok(tool(folder, "dvc", "remote", "remove", "store"))
    return folder


def set_remote(folder, url, **options):
    ok(tool(folder, "dvc", "remote", "add", "--default", "--force", "lab", str(url)))
    for name, value in options.items():
        ok(tool(folder, "dvc", "remote", "modify", "--local", "lab", name, str(value)))


def commit(folder):
    ok(tool(folder, *GIT, "commit", "--quiet", "--all", "--message", "Remote"))


def objects(store):
    return [p for p in Path(store).rglob("*") if p.is_file() and len(p.parent.name) == 2]


def local(server):
    return {"keyfile": server.login_key}


# -- kinds of remotes ---------------------------------------------------------------------------


# Over SSH: test_transcript.py.


@pytest.mark.slow
def test_webdav_there_and_back(origin, tmp_path):
    login = {"user": "lab", "password": "secret"}
    with webdav_server(tmp_path / "dav") as url:
        set_remote(origin, url, **login)
        ok(share(origin))
        commit(origin)
        clone = clone_of(origin, tmp_path / "clone")
        for name, value in login.items():
            ok(tool(clone, "dvc", "remote", "modify", "--local", "lab", name, value))
        ok(pull(clone))
    assert is_whole(clone, origin) and planned(plan(clone)) == {}


# -- whom one talks to --------------------------------------------------------------------------


def test_a_changed_host_key_stops_both_ways(origin, tmp_path):
    with ssh_server(tmp_path / "sshd") as server:
        set_remote(origin, server.url(tmp_path / "store"), **local(server))
        key(server.folder / "host")
        server.restart()
        for done in (share(origin, **server.environment()), pull(origin, **server.environment())):
            assert done.returncode == 1
            assert "is not the one that is known" in done.stderr and "ssh-keygen -R" in done.stderr
            assert "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists()


def test_an_unknown_host_key_stops(origin, tmp_path):
    with ssh_server(tmp_path / "sshd") as server:
        set_remote(origin, server.url(tmp_path / "store"), **local(server))
        server.known_hosts.write_text("")
        done = share(origin, **server.environment())
    assert done.returncode == 1 and "is not known here" in done.stderr
    assert not (tmp_path / "store").exists()


def test_a_wrong_login_key_is_told(origin, tmp_path):
    with ssh_server(tmp_path / "sshd") as server:
        set_remote(origin, server.url(tmp_path / "store"), keyfile=key(tmp_path / "other"))
        done = share(origin, **server.environment())
    assert done.returncode == 1 and "refuses this user or key" in done.stderr


def test_a_host_that_is_down_is_told(origin, tmp_path):
    set_remote(origin, "ssh://127.0.0.1:9/nowhere")
    done = share(origin)
    assert done.returncode == 1 and "cannot be reached" in done.stderr


# -- faults -------------------------------------------------------------------------------------


def start(folder, *arguments):
    """Begin a command in a clone, on the clone's own code."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(folder) / "src")},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill_when(process, is_time, seconds=120):
    end = time.monotonic() + seconds
    while not is_time():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.005)
    subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)
    process.wait()


@pytest.mark.slow
def test_a_push_that_was_killed_is_repeated(origin, tmp_path):
    store = tmp_path / "store"
    set_remote(origin, store)
    process = start(origin, *SHARED)
    kill_when(process, lambda: len(objects(store)) > 5)
    assert process.returncode == -signal.SIGKILL
    ok(share(origin))
    commit(origin)
    clone = clone_of(origin, tmp_path / "clone")
    ok(pull(clone))
    assert is_whole(clone, origin) and planned(plan(clone)) == {}


@pytest.mark.slow
def test_a_pull_that_was_killed_is_repeated(shared, tmp_path):
    clone = clone_of(shared, tmp_path / "clone")
    process = start(clone, "-m", "sightlines.sharing.pull", "smoke")
    kill_when(process, lambda: len(objects(clone / ".dvc/cache")) > 5)
    ok(pull(clone))
    assert is_whole(clone, shared) and planned(plan(clone)) == {}


@pytest.mark.slow
def test_two_push_at_once(origin, tmp_path):
    store = tmp_path / "store"
    set_remote(origin, store)
    other = tmp_path / "other"
    shutil.copytree(origin, other, symlinks=True, ignore=shutil.ignore_patterns(".cache"))
    both = [start(folder, *SHARED) for folder in (origin, other)]
    assert [process.wait(300) for process in both] == [0, 0]
    commit(origin)
    clone = clone_of(origin, tmp_path / "clone")
    ok(pull(clone))
    assert is_whole(clone, origin)


def victim(origin, store):
    """The remote's object of one network's weights."""
    from hashlib import md5

    weights = origin / "results/smoke/models/resnet/f100/s0/weights.safetensors"
    digest = md5(weights.read_bytes()).hexdigest()
    return next(p for p in objects(store) if p.parent.name + p.name == digest)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["corrupted", "missing"])
def test_an_object_that_the_remote_damaged_or_lost(origin, tmp_path, fault):
    store = tmp_path / "store"
    set_remote(origin, store)
    ok(share(origin))
    commit(origin)
    lost = victim(origin, store)
    content = lost.read_bytes()
    lost.chmod(0o644)
    if fault == "missing":
        lost.unlink()
    else:
        lost.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    clone = clone_of(origin, tmp_path / "clone")
    done = pull(clone)
    print(done.stderr)
    assert done.returncode == 1 and "make share" in done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    weights = clone / "results/smoke/models/resnet/f100/s0/weights.safetensors"
    assert not weights.exists()
    # Whoever has it whole gives it again.
    lost.unlink(missing_ok=True)
    ok(share(origin))
    ok(pull(clone))
    assert is_whole(clone, origin) and planned(plan(clone)) == {}


@pytest.mark.slow
def test_a_full_remote(origin, tmp_path):
    with small_disk(tmp_path / "small", 1) as store:
        set_remote(origin, store / "store")
        done = share(origin)
        assert done.returncode == 1 and "full" in done.stderr and "Traceback" not in done.stderr
    set_remote(origin, tmp_path / "large")
    ok(share(origin))
    assert planned(plan(origin)) == {}


@pytest.mark.slow
def test_a_disk_that_is_full_while_pulling(shared, tmp_path):
    clone = clone_of(shared, tmp_path / "clone")
    with small_disk(tmp_path / "small", 3) as disk:
        ok(tool(clone, "dvc", "cache", "dir", "--local", str(disk / "cache")))
        done = pull(clone)
        assert done.returncode == 1 and "full" in done.stderr and "Traceback" not in done.stderr
    ok(tool(clone, "dvc", "cache", "dir", "--local", str(tmp_path / "cache")))
    ok(pull(clone))
    assert is_whole(clone, shared) and planned(plan(clone)) == {}


@pytest.mark.thorough
def test_files_of_ones_own_are_not_overwritten(pulled):
    table = pulled / "results/smoke/tables/accuracy.csv"
    table.write_text(table.read_text() + "\n")
    done = pull(pulled)
    assert done.returncode == 1 and "FORCE=1" in done.stderr
    assert table.read_text().endswith("\n\n")
    ok(pull(pulled, "--force"))
    assert planned(plan(pulled)) == {}
    assert share(pulled).returncode == 0
