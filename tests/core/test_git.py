import subprocess

import pytest

from sightlines.core.errors import ResultError, ShareError
from sightlines.core.git import git, must_git


@pytest.fixture
def repository(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "--quiet", "--initial-branch", "main", tmp_path], check=True)
    (tmp_path / "a file").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_git_says(repository):
    assert git("ls-files", "--others") == "a file\n"
    assert must_git(ResultError, "ls-files", "--others") == "a file"


def test_git_in_another_folder(repository, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert git("ls-files", "--others") == ""
    assert must_git(ResultError, "ls-files", "--others", folder=repository) == "a file"


def test_a_command_that_fails_is_named_with_what_git_said(repository):
    assert git("show", "no such thing") == ""
    with pytest.raises(ShareError, match=r"`git show 'no such thing'` failed: fatal: .*no such"):
        must_git(ShareError, "show", "no such thing")
    with pytest.raises(ResultError, match="failed in"):
        must_git(ResultError, "show", "no such thing", folder=repository)
    with pytest.raises(ResultError, match="status 1"):  # which says nothing by itself
        must_git(ResultError, "rev-parse", "--verify", "--quiet", "HEAD")


def test_without_git(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    assert git("ls-files") == ""
    with pytest.raises(ShareError, match="is git installed"):
        must_git(ShareError, "ls-files")
