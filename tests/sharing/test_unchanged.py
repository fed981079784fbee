"""What a call remembers of having had nothing to do, and everything that makes it plan again."""

import json
import os
from pathlib import Path

import pytest

from sightlines.sharing import unchanged
from sightlines.sharing.unchanged import LOCKS, MEMORY, MOST_KEPT, Call

WORDS = ("/somewhere/bin/snakemake", "--cores", "1")
FILES = (
    "Snakefile",
    "src/sightlines/plan/config.py",
    "src/sightlines/sharing/carried.json",
    "workflow/rules/common.smk",
    "workflow/config/mine.yaml",
    "profiles/default/config.yaml",
    "results/mine/tables/cka.parquet",
    "results/mine/records/measure/cka.json",
    "results/mine/provenance.json",
    "data/shapes/dataset.json",
    "dvc.yaml",
    ".snakemake/metadata/cmVz",
    ".snakemake/metadata/@cmVz/bXk",
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A finished experiment, as far as is looked at; what was just written counts as settled."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(unchanged, "SETTLED_NS", 0)
    of_pytest = {"PYTEST_CURRENT_TEST"}  # another in a fixture than in a test
    monkeypatch.setattr(unchanged, "OF_THE_SHELL", unchanged.OF_THE_SHELL | of_pytest)
    for name in FILES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("some text")
    call().remember()
    assert call().has_nothing_to_do()
    return tmp_path


def call(words=WORDS, config="workflow/config/mine.yaml", snakefile="Snakefile"):
    here = Path.cwd()
    begun_in = here / "elsewhere"
    return Call(here / snakefile, begun_in, Path(config), Path(config).stem, words, here)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_looked_at_again(project, name):
    kept = Path(name).stat()
    Path(name).write_text("SOME TEXT")  # of the same size, and with the same time
    os.utime(name, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert not call().has_nothing_to_do()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_looked_for_again(project, name):
    Path(name).unlink()
    assert not call().has_nothing_to_do()


@pytest.mark.parametrize(
    "name",
    [
        "src/sightlines/measures/new.py",
        "results/mine/figures/new.svg",
        "results/mine/.hidden",
        "data/other/dataset.json",
        ".snakemake/incomplete/cmVz",
        "workflow/config/mine.yml",
        "dvc.lock",
        "data.dvc",
        ".dvc/config",
        "default/config.yaml",
        "elsewhere/default",
        "elsewhere/profiles/default/profile.v9+.yaml",
    ],
)
def test_a_new_file_is_looked_at(project, name):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("")
    assert not call().has_nothing_to_do()


def test_what_no_plan_depends_on_changes_nothing(project):
    for name in ("README.md", "results/other/report.html", "src/sightlines/__pycache__/x.pyc"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    assert call().has_nothing_to_do()


def test_another_command_or_environment_is_another_call(project, monkeypatch):
    assert not call((*WORDS, "results/mine/report.html")).has_nothing_to_do()
    assert not call(config="workflow/config/other.yaml").has_nothing_to_do()
    monkeypatch.setenv("SHLVL", "7")
    assert call().has_nothing_to_do()
    monkeypatch.setenv("SIGHTLINES_DATA", "elsewhere")
    assert not call().has_nothing_to_do()


def test_another_package_in_the_environment_is_noticed(project, monkeypatch):
    packages = project / "other/site-packages"
    packages.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(packages))
    assert not call().has_nothing_to_do()
    call().remember()
    assert call().has_nothing_to_do()
    (packages / "timm").mkdir()
    assert not call().has_nothing_to_do()


@pytest.mark.parametrize(
    "odd",
    [
        {"words": (*WORDS, "--profile", "mine")},
        {"words": (*WORDS, "--workflow-prof=mine")},
        {"words": (*WORDS, "--report-after-run")},
        {"words": (*WORDS, "--forceall")},
        {"words": (*WORDS, "-nF")},
        {"words": ("/usr/bin/pytest",)},
        {"words": ()},
        {"snakefile": "other/Snakefile"},
    ],
)
def test_what_is_not_all_looked_at_is_never_remembered(project, odd):
    before = MEMORY.read_bytes()
    call(**odd).remember()
    assert not call(**odd).has_nothing_to_do()
    assert MEMORY.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ("-n",),
        ("-c1", "-np", "--quiet"),
        ("-kj", "all", "--config", "train={steps: 6}"),
        ("--cores=2", "--keep-going", "--", "results/mine/report.html"),
        ("-npd", "elsewhere", "-sSnakefile"),
    ],
)
def test_usual_options_are_remembered(project, words):
    words = (WORDS[0], *words)
    assert not call(words).has_nothing_to_do()
    call(words).remember()
    assert call(words).has_nothing_to_do()


def test_a_profile_of_the_environment_is_never_remembered(project, monkeypatch):
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "mine")
    call().remember()
    assert not call().has_nothing_to_do()


def test_a_link_is_what_it_leads_to(project):
    target, link = project / "cache", Path("results/mine/tables/cka.parquet")
    target.write_text("some text")
    link.unlink()
    link.symlink_to(target)
    call().remember()
    assert call().has_nothing_to_do()
    target.write_text("other text")
    assert not call().has_nothing_to_do()
    target.unlink()
    assert not call().has_nothing_to_do()


def test_a_link_to_a_folder_is_never_remembered(project):
    (project / "other").mkdir()
    Path("results/mine/models").symlink_to(project / "other")
    call().remember()
    assert not call().has_nothing_to_do()


def test_a_lock_is_for_snakemake_to_speak_of(project):
    LOCKS.mkdir()
    (LOCKS / "0.output.lock").write_text("results/mine/report.html")
    assert not call().has_nothing_to_do()
    (LOCKS / "0.output.lock").unlink()
    assert call().has_nothing_to_do()


def test_what_changed_while_it_was_planned_is_not_remembered(project):
    """A result was missing, came before Snakemake looked, and went again."""
    result = Path("results/mine/tables/cka.parquet")
    result.unlink()
    begun = call()
    result.write_text("some text")
    begun.remember()
    result.unlink()
    assert not call().has_nothing_to_do()


def test_what_was_just_written_is_not_remembered(project, monkeypatch):
    monkeypatch.setattr(unchanged, "SETTLED_NS", 10**12)
    MEMORY.unlink()
    call().remember()
    assert not MEMORY.exists()


@pytest.mark.parametrize("text", [b"", b"\xff", b"{}", b"[[]]", b'"text"', b"[" * 100_000])
def test_a_damaged_memory_is_as_none(project, text):
    MEMORY.write_bytes(text)
    assert not call().has_nothing_to_do()
    call().remember()
    assert call().has_nothing_to_do()


def test_a_few_calls_are_kept_and_nothing_of_what_was_looked_at(project, monkeypatch):
    monkeypatch.setenv("SECRET", "sesame")
    for number in range(MOST_KEPT + 3):
        call((*WORDS, str(number))).remember()
    kept = json.loads(MEMORY.read_text())
    assert len(kept) == MOST_KEPT and all(len(state) == 64 for state in kept)
    assert not call().has_nothing_to_do()
    assert call((*WORDS, str(MOST_KEPT))).has_nothing_to_do()


def test_it_waits_as_long_as_the_memory_of_hashes():
    from sightlines.core import file_hashes

    assert unchanged.SETTLED_NS == file_hashes.SETTLED_NS
