"""What DVC would put where, and which remote it goes to."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from sightlines.errors import ShareError
from sightlines.sharing.dvc import (
    _check_listing,
    _outs,
    default_remote,
    shared_parts,
    write_stage,
)


@pytest.mark.parametrize("name", ["../../src/evil.py", "/etc/x", "a/../../b", "", ".git/hooks/x"])
def test_a_listing_that_leaves_its_folder_is_refused(tmp_path, name):
    path = tmp_path / "listing.dir"
    path.write_text(json.dumps([{"md5": "0", "relpath": "a/b"}, {"md5": "0", "relpath": name}]))
    with pytest.raises(ShareError, match="outside of it"):
        _check_listing(path, "results/x/models")


@pytest.mark.parametrize("inside", ["", "/gram", "/pixels.safetensors"])
def test_of_what_lies_in_a_folder_the_folders_listing_is_read(inside):
    outs = [SimpleNamespace(def_path=f"results/x/{name}") for name in ("dumps", "dump", "models")]
    repo = SimpleNamespace(index=SimpleNamespace(stages=[SimpleNamespace(outs=outs)]))
    assert list(_outs(repo, f"results/x/dumps{inside}")) == outs[:1]


@pytest.mark.parametrize("text", ["", "{", "{}x", '[{"md5": "0"}]', "[3]", "[" * 100_000])
def test_a_damaged_listing_is_refused(tmp_path, text):
    path = tmp_path / "listing.dir"
    path.write_text(text)
    with pytest.raises(ShareError, match="damaged"):
        _check_listing(path, "results/x/models")


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()

    def write(text, local=""):
        (tmp_path / ".dvc/config").write_text(text)
        (tmp_path / ".dvc/config.local").write_text(local)

    return write


def test_remotes_and_where_they_are_named(settings):
    settings("")
    assert default_remote() is None
    settings("[core]\n    remote = a\n['remote \"a\"']\n    url = ssh://h/x\n    user = u\n")
    remote = default_remote()
    assert (remote.url, remote.options["user"], remote.is_local) == ("ssh://h/x", "u", False)
    settings("", "[core]\n    remote = a\n['remote \"a\"']\n    url = /x\n")
    assert default_remote().is_local
    settings(
        "[core]\n    remote = a\n['remote \"b\"']\n    url = ssh://h/x\n    user = u\n"
        "['remote \"a\"']\n    url = remote://b/y\n"
    )
    assert default_remote().url == "ssh://h/x/y" and default_remote().options["user"] == "u"
    settings("[core]\n    remote = gone\n")
    with pytest.raises(ShareError, match="has no url"):
        default_remote()


@pytest.mark.parametrize(
    "text", ["", "[", "stages: 3", "stages: {x: {}}", "stages: {x: {outs: [3]}}"]
)
def test_a_damaged_lock_file_names_nothing(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text(text)
    assert shared_parts("x") == []


def test_the_stage_runs_the_code_of_its_folder_on_the_config_whatever_the_path(
    tmp_path, monkeypatch
):
    """DVC may run it in a copy of the project, with the first one's environment."""
    monkeypatch.chdir(tmp_path)
    config = Path("my configs", "it's.one", "exp.yaml")
    write_stage("exp", config)
    command = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]["exp"]["cmd"]
    program = tmp_path / "bin" / "snakemake"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$PYTHONPATH" "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{program.parent}:/usr/bin:/bin", "PYTHONPATH": "/mine"}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["src:/mine", "--configfile", str(config)]
