"""What DVC would put where, and which remote it goes to."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from sightlines.core.errors import ShareError
from sightlines.sharing.dvc import Remote, _check_listing, _outs, default_remote, write_stage
from sightlines.sharing.remotes import prepare
from sightlines.sharing.share import _for_colleagues
from sightlines.sharing.unpulled import advice
from tests.workflow.conftest import ok, tool


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
    """Writes DVC's settings of the project, of this clone, of its user, and of the system."""
    monkeypatch.chdir(tmp_path)
    for place in (".dvc", "user", "system"):
        (tmp_path / place).mkdir()
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "user"))
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "system"))

    def write(project="", local="", user="", system=""):
        (tmp_path / ".dvc/config").write_text(project)
        (tmp_path / ".dvc/config.local").write_text(local)
        (tmp_path / "user/config").write_text(user)
        (tmp_path / "system/config").write_text(system)

    return write


DEFAULT = "[core]\n    remote = a\n"
REMOTE = "['remote \"a\"']\n    url = "


def test_remotes_and_where_they_are_named(settings):
    settings("")
    assert default_remote() is None
    settings(f"{DEFAULT}{REMOTE}ssh://h/x\n    user = u\n    port = 22\n")
    remote = default_remote()
    assert (remote.url, remote.options["user"], remote.is_local) == ("ssh://h/x", "u", False)
    assert remote.options["port"] == "22"
    settings("", f"{DEFAULT}{REMOTE}/x\n")
    assert default_remote().is_local
    settings(
        f"{DEFAULT}['remote \"b\"']\n    url = ssh://h/x\n    user = u\n{REMOTE}remote://b/y\n"
    )
    assert default_remote().url == "ssh://h/x/y" and default_remote().options["user"] == "u"
    settings("[core]\n    remote = gone\n")
    with pytest.raises(ShareError, match="has no url"):
        default_remote()


@pytest.mark.parametrize("level", ["user", "system"])
def test_the_users_and_the_systems_remote_is_the_default_as_for_dvc(settings, level):
    settings(**{level: f"{DEFAULT}{REMOTE}/theirs\n"})
    remote = default_remote()
    assert (remote.name, remote.url, remote.is_local) == ("a", "/theirs", True)
    # The project names where it lies, its user that it is the default.
    settings(f"{REMOTE}/ours\n", **{level: DEFAULT})
    assert (default_remote().url, default_remote().is_local) == ("/ours", False)
    # Of two, the nearer one counts.
    settings(f"{DEFAULT}{REMOTE}/ours\n", **{level: f"[core]\n    remote = b\n{REMOTE}/theirs\n"})
    assert (default_remote().name, default_remote().url) == ("a", "/ours")


def test_names_and_folders_are_read_as_dvc_reads_them(settings, tmp_path):
    settings(f"[core]\n    remote = A\n{REMOTE}../store\n    verify = True\n")
    remote = default_remote()
    assert (remote.name, remote.url) == ("a", str(tmp_path / "store"))
    assert remote.options["verify"].lower() == "true"


@pytest.mark.parametrize("level", ["project", "local", "user"])
def test_settings_that_cannot_be_read_are_no_missing_remote(settings, level):
    settings(**{level: "[core\n"})
    with pytest.raises(ShareError, match="settings cannot be read"):
        default_remote()


@pytest.mark.whole  # git and DVC
def test_a_users_remote_is_made_to_verify_in_this_clone_alone(settings, tmp_path):
    ok(tool(tmp_path, "git", "init", "--quiet"))
    (tmp_path / ".dvc").rmdir()
    ok(tool(tmp_path, "dvc", "init", "--quiet"))
    user = f"{DEFAULT}{REMOTE}{tmp_path / 'store'}\n"
    settings(user=user)
    assert not prepare(default_remote())  # nothing of it is for git
    assert (tmp_path / "user/config").read_text() == user
    assert "verify = true" in (tmp_path / ".dvc/config.local").read_text()
    assert default_remote().options["verify"].lower() == "true"


NAMES = [
    "smoke",
    "my exp",
    "it's",
    "a;b",
    "$(touch owned)",
    "`touch owned`",
    "a$b",
    'a"b',
    "日本 語",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_the_config_out_of_the_command_in_dvc_yaml(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    config = Path("workflow/config") / f"{name}.yaml"
    write_stage(name, config)
    stage = yaml.safe_load(Path("dvc.yaml").read_text())["stages"][name]
    assert typed(stage["cmd"])[-3:] == ["snakemake", "--configfile", str(config)]
    assert stage["params"] == [{str(config): None}]


@pytest.mark.parametrize("name", NAMES)
def test_advice_can_be_typed_as_it_stands(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    config = f"workflow/config/{name}.yaml"
    remote = Remote("a b", "/some where/x", {}, is_local=True)
    lines = [line.strip() for line in _for_colleagues(name, Path(config), remote, "").splitlines()]
    message = next(line for line in lines if line.startswith("git commit"))
    assert typed(message.removesuffix(" && git push"))[2:] == ["-m", f"Results of {name}"]
    added = next(line for line in lines if line.startswith("dvc remote add"))
    assert typed(added)[-2:] == ["a b", "/some where/x"]
    pull = next(line for line in lines if line.startswith("make pull"))
    assert seen_by_make(pull) == [config, ""]
    dump = f"results/{name}/dumps/{name}/a.bin"
    pull = next(x for x in advice(name, [dump], {dump: 1}).splitlines() if "make pull" in x)
    assert seen_by_make(pull.partition(":")[2]) == [config, f"dumps/{name}"]
    assert not Path("owned").exists()


def typed(line):
    """The words that a shell makes of a line."""
    done = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True)
    return done.stdout.splitlines()


def seen_by_make(line):
    """The values that make has of the variables in a line, typed in a shell."""
    rule = "pull:\n\t@printenv CONFIG WHAT\nexport CONFIG WHAT\n"
    Path("Makefile").write_text(rule)
    done = subprocess.run(["sh", "-c", line.strip()], capture_output=True, text=True)
    return done.stdout.splitlines()


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
