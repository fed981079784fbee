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
    """The finished smoke experiment, made by the README's command in a copy of the checkout.

    The copy shares this environment. Tests must leave it as it is (see `copied`).
    """
    folder = tmp_path_factory.mktemp("smoke") / "checkout"
    kept = shutil.ignore_patterns(".git", ".venv", "results", "data", ".snakemake", ".cache")
    shutil.copytree(ROOT, folder, ignore=kept)
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    done = subprocess.run(
        [
            "make",
            "run",
            "--no-print-directory",
            "--old-file=.venv/ready",
            "CONFIG=workflow/config/smoke.yaml",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("The report: results/smoke/report.html")
    return folder


@pytest.fixture
def copied(smoke, tmp_path):
    """A copy of the finished smoke experiment with its file times, free to change."""
    folder = tmp_path / "copy"
    for name in ("results", "data", ".snakemake"):
        shutil.copytree(smoke / name, folder / name, symlinks=True)
    return folder
