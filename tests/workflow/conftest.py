"""Runs the real workflow: the smoke experiment once a session, in a folder of its own."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightlines.jobs.shown import CONSOLE, OFF
from sightlines.plan.code_digest import CACHE, READ
from tests.making_environments import lend_environment
from tests.workflow.warm_runs import WarmRuns

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "workflow" / "config" / "smoke.yaml"
MADE = ("results", "data", ".snakemake", ".cache")
"""What commands make in a checkout."""
call_warm = WarmRuns()
"""`call_warm(folder, …)`: what `snakemake …` says there, without its imports."""
factory = []
"""Of temporary folders; none where these functions are called from tests of another folder."""


def snakemake(folder, *arguments, **environment):
    """Call Snakemake in `folder` as a user would, and return what it said.

    Calls are forks of one process (`tests.workflow.warm_runs`), but where the environment is not
    this one's.
    """
    lend_code(folder)
    if environment.keys() <= {"SIGHTLINES_DATA"}:
        return call_warm(ROOT, "--directory", folder, *arguments, **environment)
    program = Path(sys.executable).with_name("snakemake")
    return subprocess.run(
        [program, "--snakefile", ROOT / "Snakefile", "--directory", folder, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def dry_run(folder, *arguments, **environment):
    """What `snakemake -n` says in `folder`, on the code of its `src`."""
    return call_warm(folder, "-n", *arguments, **environment)


def tool(folder, name, *arguments, **environment):
    """Call a program of this environment in a clone, on the clone's own code."""
    program = Path(sys.executable).with_name(name)
    command = [program, *arguments] if program.exists() else [name, *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(folder) / "src"), **environment},
        capture_output=True,
        text=True,
    )


def ok(done):
    """What a program said; fails where it ended badly."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def copy_project(source, folder, left_out=(".git", ".venv", *MADE)):
    """Copy a checkout without what was made in it.

    Args:
        left_out: Names at its root; `src/sightlines/results` is code.
    """
    at_root = {str(source): set(left_out)}
    shutil.copytree(source, folder, ignore=lambda place, _: at_root.get(str(place), set()))


def results(folder):
    """Relative path -> bytes of every result that must be reproducible."""
    left_out = ("logs", "records", "report.html", "provenance.json")
    found = {}
    for path in sorted((folder / "results").rglob("*")):
        parts = path.relative_to(folder / "results").parts
        if path.is_file() and not set(parts[1:2]) & set(left_out):
            found["/".join(parts)] = path.read_bytes()
    return found


@pytest.fixture(scope="session", autouse=True)
def settings_of_nobody(tmp_path_factory):
    """DVC has settings of whoever runs the tests, and of the system: a default remote, perhaps."""
    with pytest.MonkeyPatch.context() as patch:
        for level in ("GLOBAL", "SYSTEM"):
            patch.setenv(f"DVC_{level}_CONFIG_DIR", str(tmp_path_factory.mktemp(level.lower())))
        yield


@pytest.fixture(scope="session", autouse=True)
def all_of_snakemakes_lines():
    """What Snakemake says is what these tests read; `test_console` reads the console's lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONSOLE, OFF)
        yield


@pytest.fixture(scope="session", autouse=True)
def end_of_warm_runs():
    yield
    call_warm.close()


@pytest.fixture(scope="session", autouse=True)
def folders_for_all(tmp_path_factory):
    factory.append(tmp_path_factory)
    yield
    factory.clear()


def lend_code(folder):
    """Leave in a folder what a call elsewhere read of the package's modules.

    Each folder's first call would read them anew: 4 s of a processor, in dozens of folders. What is
    known goes by the modules' text; no digest is lent. The smoke experiment is made without it.
    """
    known = Path(folder) / CACHE
    if factory and not known.exists():
        made = made_once(
            factory[0],
            "code",
            lambda it: ok(dry_run(ROOT, "--directory", it, "--configfile", SMOKE)),
        )
        known.mkdir(parents=True)
        shutil.copyfile(made / CACHE / READ, known / READ)


def made_once(tmp_path_factory, name, make):
    """The folder that `make(folder)` fills once, whichever of several processes comes first."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / f"{name}_made"
    with open(base / f"{name}.lock", "a") as lock:  # whoever comes second waits here
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / "whole").touch()
    return folder


def make_smoke(folder):
    """The smoke experiment, made by the README's command in a copy of the checkout."""
    checkout = folder / "checkout"
    copy_project(ROOT, checkout)
    lend_environment(checkout)
    done = subprocess.run(
        ["make", "run", "--no-print-directory", "CONFIG=workflow/config/smoke.yaml"],
        cwd=checkout,
        env={key: os.environ[key] for key in os.environ.keys() - {"PYTHONPATH", CONSOLE}},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("The report: results/smoke/report.html")
    (checkout / "said.txt").write_text(done.stderr)  # for tests of what a run says


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """The finished smoke experiment in a copy of the checkout, of this process alone.

    The copy has an environment of its own, with the packages of this one. Tests must leave it as
    it is (see `copied`).
    """
    made = made_once(tmp_path_factory, "smoke", make_smoke)
    folder = tmp_path_factory.mktemp("smoke") / "checkout"
    left_out = shutil.ignore_patterns(".venv", ".cache")
    shutil.copytree(made / "checkout", folder, symlinks=True, ignore=left_out)
    lend_environment(folder)
    return folder


@pytest.fixture
def copied(smoke, tmp_path):
    """A copy of the finished smoke experiment with its file times, free to change."""
    folder = tmp_path / "copy"
    for name in ("results", "data", ".snakemake"):
        shutil.copytree(smoke / name, folder / name, symlinks=True)
    return folder


@pytest.fixture(scope="session")
def shared(smoke, tmp_path_factory):
    """A git repository with the finished smoke experiment, shared by `make share`.

    Its remote is the folder `store` beside it. It is that of all processes: tests clone it.
    """

    def make(made):
        folder = made / "origin"
        kept = shutil.ignore_patterns(".cache", ".venv")
        shutil.copytree(smoke, folder, symlinks=True, ignore=kept)
        identity = ["-c", "user.name=A", "-c", "user.email=a@localhost"]
        ok(tool(folder, "git", "init", "--quiet", "--initial-branch", "main"))
        ok(tool(folder, "git", "add", "--all"))
        ok(tool(folder, "git", *identity, "commit", "--quiet", "--message", "Code"))
        ok(tool(folder, "dvc", "remote", "add", "--default", "store", str(made / "store")))
        said = ok(share(folder))
        assert "make pull CONFIG=workflow/config/smoke.yaml" in said
        ok(tool(folder, "git", *identity, "commit", "--quiet", "--all", "--message", "Results"))

    return made_once(tmp_path_factory, "shared", make) / "origin"


@pytest.fixture
def pulled(shared, tmp_path_factory, tmp_path):
    """A fresh clone into which all results were pulled, free to change."""
    return copy_of_pulled("pulled", (), shared, tmp_path_factory, tmp_path)


@pytest.fixture
def pulled_tables(shared, tmp_path_factory, tmp_path):
    """A fresh clone into which the report, tables and figures were pulled and nothing else."""
    what = ("report", "tables", "figures")
    return copy_of_pulled("pulled_tables", what, shared, tmp_path_factory, tmp_path)


def copy_of_pulled(name, what, shared, tmp_path_factory, tmp_path):
    """A copy, with its file times, of a clone that is pulled into once."""
    made = made_once(
        tmp_path_factory, name, lambda it: ok(pull(clone_of(shared, it / "clone"), *what))
    )
    folder = tmp_path / "elsewhere" / "clone"
    shutil.copytree(made / "clone", folder, symlinks=True)
    return folder


def share(folder, *options, **environment):
    """What `make share` runs for the smoke experiment."""
    arguments = ("-m", "sightlines.sharing.share", "workflow/config/smoke.yaml", *options)
    return tool(folder, "python", *arguments, **environment)


def pull(folder, *what, **environment):
    """What `make pull` runs for the smoke experiment."""
    arguments = ("-m", "sightlines.sharing.pull", "smoke", *what)
    return tool(folder, "python", *arguments, **environment)


def plan(folder, *options, **environment):
    """What `snakemake -n` says in a clone."""
    config = "workflow/config/smoke.yaml"
    return dry_run(folder, "--configfile", config, *options, **environment)


def clone_of(origin, folder):
    """A fresh clone of a repository."""
    ok(tool(origin, "git", "clone", "--quiet", str(origin), str(folder)))
    lend_code(folder)
    return folder


def is_whole(clone, origin):
    """Whether every result of the clone has the bytes of the original."""
    names = [p.relative_to(origin) for p in (origin / "results/smoke").rglob("*.safetensors")]
    assert len(names) > 20
    return all((clone / n).read_bytes() == (origin / n).read_bytes() for n in names)
