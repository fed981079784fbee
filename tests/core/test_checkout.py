"""An environment belongs to one folder and one Python, and code to one checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightlines.core import checkout
from sightlines.core.checkout import CHECKOUT, exit_status, other_code, require_own_code
from sightlines.core.errors import CheckoutError
from tests.making_environments import make_environment

CODE = "src/sightlines/core/checkout.py"
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("system", "words"),
    [("Darwin", "this is Darwin"), ("MINGW64_NT-10.0", "WSL 2"), ("", "an unknown system")],
)
def test_make_refuses_other_systems_in_words(system, words):
    command = ["make", "-n", "-C", ROOT, "test", f"SYSTEM={system}"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode != 0 and "WSL 2" in ran.stderr and words in ran.stderr


def test_the_library_refuses_other_systems_in_words():
    code = "import sys, sightlines; sys.platform = 'win32'; sightlines.load"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "UnsupportedSystemError" in ran.stderr and "this is linux" not in ran.stderr


def make_project(folder):
    """A checkout of a package without content, with an environment that is ready."""
    package = folder / "src" / "sightlines"
    (package / "core").mkdir(parents=True)
    for name in ("__init__.py", "core/__init__.py", "core/checkout.py"):
        shutil.copy(ROOT / "src/sightlines" / name, package / name)
    for name in (*checkout.MADE_FROM, "Snakefile"):
        shutil.copy(ROOT / name, folder)
    make_environment(folder / ".venv", folder / "src", ["snakemake"])
    assert said(folder, "sign") == ("", "")
    return folder


def said(folder, *arguments):
    """What this folder's own check says, by the Python of its environment."""
    command = [
        folder / ".venv/bin/python",
        "-I",
        folder / "src/sightlines/core/checkout.py",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def make(folder, *arguments):
    """A call of make, without a Python that could make an environment."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = ["make", "--no-print-directory", "PYTHON=false", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "first")


@pytest.mark.parametrize("name", ["plain", "mit Umlauten äöü and blanks", "it's $HOME `x`"])
def test_an_environment_of_its_own_folder_is_ready(tmp_path, name):
    folder = make_project(tmp_path / name)
    assert said(folder) == ("ready", "")
    (tmp_path / "link").symlink_to(folder)
    assert said(tmp_path / "link") == ("ready", "")
    done = make(folder, "setup")
    assert done.returncode == 0 and "Nothing to be done" in done.stdout, done.stdout + done.stderr


def test_a_renamed_folder_has_no_environment(project):
    moved = project.rename(project.with_name("second"))
    word, reason = said(moved)
    assert word == "foreign" and str(project / ".venv/bin/python") in reason


def test_a_copy_has_no_environment_and_the_first_keeps_its_own(project):
    copy = project.with_name("copy")
    shutil.copytree(project, copy, symlinks=True)
    word, reason = said(copy)
    assert word == "foreign" and str(project / ".venv/bin/python") in reason
    assert said(project)[0] == "ready"
    done = make(copy, "setup")
    assert done.returncode and not (copy / ".venv").exists(), done.stdout
    assert said(project)[0] == "ready"


def test_the_environment_of_another_checkout_is_not_taken_from_it(project, tmp_path):
    other = make_project(tmp_path / "other")
    shutil.rmtree(other / ".venv")
    (other / ".venv").symlink_to(project / ".venv")
    word, reason = said(other)
    assert word == "foreign" and str(project / "src/sightlines") in reason
    assert make(other, "setup").returncode
    assert not (other / ".venv").is_symlink() and said(project) == ("ready", "")


def test_an_environment_may_lie_elsewhere(project, tmp_path):
    shutil.rmtree(project / ".venv")
    make_environment(tmp_path / "large disk", project / "src", ["snakemake"])
    (project / ".venv").symlink_to(tmp_path / "large disk")
    assert said(project, "sign") == ("", "")
    assert said(project) == ("ready", "")


@pytest.mark.parametrize("name", checkout.MADE_FROM)
def test_what_it_was_made_from_decides_and_no_file_time(project, name):
    os.utime(project / name)
    assert said(project)[0] == "ready"
    with open(project / name, "a") as handle:
        handle.write("# a later one\n")
    os.utime(project / name, (0, 0))
    assert said(project)[0] == "outdated"
    assert make(project, "setup").returncode and (project / ".venv/bin/python").exists()


def test_an_environment_without_this_package_is_brought_up_to_date(project):
    for source in ("", ROOT / "src"):
        shutil.rmtree(project / ".venv")
        make_environment(project / ".venv", source, ["snakemake"] if source else [])
        assert said(project)[0] == "outdated"


def test_a_python_that_is_gone_or_another_version(project):
    python = project / ".venv/bin/python"
    version = "python{}.{}".format(*sys.version_info[:2])
    (project / ".venv/lib" / version).rename(project / ".venv/lib/python3.0")
    word, reason = said(project)
    assert word == "foreign" and "version" in reason
    python.unlink()
    python.symlink_to(project / "gone")
    done = make(project, "setup")
    assert done.returncode and not (project / ".venv").exists(), done.stdout


def test_a_link_to_an_environment_that_is_gone_is_removed(project):
    shutil.rmtree(project / ".venv")
    (project / ".venv").symlink_to(project / "gone")
    assert make(project, "setup").returncode and not (project / ".venv").is_symlink()


def test_a_folder_that_is_no_environment_is_not_removed(project):
    shutil.rmtree(project / ".venv")
    (project / ".venv").mkdir()
    (project / ".venv/mine").touch()
    assert make(project, "setup").returncode and (project / ".venv/mine").exists()


def test_code_of_another_checkout_is_named_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/some/where")
    own, other = ROOT / "src/sightlines", tmp_path / "it's another"
    (tmp_path / "link").symlink_to(ROOT)
    assert other_code(ROOT, own) == other_code(tmp_path / "link", own) == ""
    reason = other_code(other, own)
    for word in (str(own), str(other / "src/sightlines"), "make setup", "/some/where"):
        assert word in reason
    assert f"PYTHONPATH='{tmp_path}/it'\"'\"'s another/src'" in reason


@pytest.mark.parametrize("by", ["Snakemake", "hand"])
def test_a_job_and_a_command_refuse_the_code_of_another_checkout(project, by, monkeypatch, capsys):
    monkeypatch.chdir(project if by == "hand" else ROOT)
    if by == "Snakemake":
        monkeypatch.setenv(CHECKOUT, str(project))
    with pytest.raises(CheckoutError, match=str(project)):
        require_own_code()
    assert exit_status(lambda: pytest.fail("it began")) == 1
    assert "CheckoutError" in capsys.readouterr().err


def test_own_code_works_in_any_folder(tmp_path, monkeypatch):
    for folder, named in ((ROOT, ""), (tmp_path, ""), (tmp_path, str(ROOT))):
        monkeypatch.chdir(folder)
        monkeypatch.setenv(CHECKOUT, named)
        require_own_code()


def test_a_stage_stops_before_it_computes(project):
    """As by hand in a worktree, with the environment of the first checkout."""
    command = "from sightlines.jobs.command import run; run(lambda job: print('began'))"
    words = ["--config", "{}", "--log", "results/x/logs/a.log"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", command, *words], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 1 and "CheckoutError" in done.stderr and "began" not in done.stdout
    assert not (project / "results/x/records").exists()
