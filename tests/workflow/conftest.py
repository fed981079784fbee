"""Runs the real workflow: the smoke experiment once a session, in a folder of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "workflow" / "config" / "smoke.yaml"


def snakemake(folder, *arguments, **environment):
    """Call Snakemake in `folder` as a user would, and return what it said."""
    program = Path(sys.executable).with_name("snakemake")
    return subprocess.run(
        [program, "--snakefile", ROOT / "Snakefile", "--directory", folder, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def results(folder):
    """Relative path -> bytes of every result that must be reproducible."""
    left_out = ("logs", "records", "report.html")
    found = {}
    for path in sorted((folder / "results").rglob("*")):
        parts = path.relative_to(folder / "results").parts
        if path.is_file() and not set(parts[1:2]) & set(left_out):
            found["/".join(parts)] = path.read_bytes()
    return found


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """The finished smoke experiment; tests must leave it as it is (see `copied`)."""
    folder = tmp_path_factory.mktemp("smoke")
    done = snakemake(folder, "--configfile", SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def copied(smoke, tmp_path):
    """A copy of the finished smoke experiment with its file times, free to change."""
    folder = tmp_path / "copy"
    shutil.copytree(smoke, folder, symlinks=True)
    return folder
