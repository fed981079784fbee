"""A small git repository with DVC and a remote beside it, shared without Snakemake."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from sightlines.sharing.dvc import write_stage
from sightlines.sharing.provenance import write_provenance

ROOT = Path(__file__).resolve().parents[2]
KEYS = ("NAME", "EMAIL")
CONFIG = Path("workflow/config/mine.yaml")


def run(*words):
    """What a program says; fails where it ends badly."""
    program = Path(sys.executable).with_name(words[0])
    command = [str(program if program.exists() else words[0]), *words[1:]]
    identity = {
        f"GIT_{who}_{key}": "a@localhost" for who in ("AUTHOR", "COMMITTER") for key in KEYS
    }
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | identity)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def begin(folder):
    """An empty repository in the current folder, with what DVC's stage depends on."""
    run("git", "init", "--quiet", "--initial-branch", "main")
    shutil.copytree(ROOT / ".dvc/plots", ".dvc/plots")
    for name in ("Snakefile", "workflow/rules/a.smk", "src/sightlines/a.py", CONFIG):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("{}\n")
    Path(".dvcignore").write_text("*.part\n")
    Path(".dvc/config").write_text("[core]\n    analytics = false\n")
    Path(".gitignore").write_text(
        "/results/*/\n/data\n/.dvc/cache\n/.dvc/tmp\n/.snakemake\n/.cache\n"
    )
    run("dvc", "remote", "add", "--quiet", "--default", "store", str(folder.parent / "store"))


def share(message="Results"):
    """As `make share` does, with no look at what is current or left out."""
    write_provenance("mine")
    metrics = Path("results/mine/metrics.json")
    metrics.write_text(metrics.read_text() if metrics.exists() else "{}")
    write_stage("mine", CONFIG)
    if Path("data").exists():
        run("dvc", "add", "--quiet", "data")
    run("dvc", "commit", "--force", "mine")
    run("dvc", "push", "--quiet")
    run("git", "add", "--all")
    run("git", "add", "--force", *map(str, Path("results").glob("*/*.json")))
    run("git", "commit", "--quiet", "--message", message)
