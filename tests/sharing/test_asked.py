"""Config and code as they are now against records, with no word of Snakemake's."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sightlines.core.files import read_json
from sightlines.sharing import asked as asking
from sightlines.sharing.asked import Asked, list_jobs, outdated
from sightlines.sharing.explain import table
from sightlines.sharing.provenance import local_jobs, read_provenance, write_provenance
from tests.sharing.test_adopt import DATA, LOGS, MODEL, TABLE, make

CODE = "0123456789abcdef"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Three jobs, as Snakemake and they themselves left them; all with the config {"seed": 0}."""
    monkeypatch.chdir(tmp_path)
    make(DATA, [], "images")
    make(MODEL, [DATA], "weights")
    make(TABLE, [MODEL], "numbers")
    write_provenance("mine")
    return tmp_path


def jobs(**changes):
    asked = [
        Asked(f"make_{Path(p).stem}", [p], {"seed": 0}, CODE, {"a.b:f": "1", "a.b:": "2"})
        for p in LOGS
    ]
    return [replace(job, **changes) if job.rule == "make_a" else job for job in asked]


def told(asked, codes=None):
    accounts = [*local_jobs("mine"), *read_provenance("mine").values()]
    return {job.rule: job.reasons for job in outdated(asked, accounts, codes or {})}


@pytest.fixture(params=["made here", "pulled", "both"])
def known(project, request):
    if request.param == "pulled":
        for name in (".snakemake", "results/mine/records"):
            shutil.rmtree(project / name)
    if request.param == "made here":
        (project / "results/mine/provenance.json").unlink()
    return project


def test_what_is_asked_for_as_it_was_made_is_current(known):
    assert told(jobs()) == {}


def test_another_config_is_told_by_its_key(known):
    assert told(jobs(config={"seed": 40})) == {"make_a": ["config changed: seed 0 → 40"]}
    assert told(jobs(config={"seed": 0, "flip": True})) == {
        "make_a": ["config changed: flip added"]
    }
    assert told(jobs(config={})) == {"make_a": ["config changed: seed removed"]}


def test_other_code_is_told_by_its_definitions(known):
    assert told(jobs(code="f" * 16)) == {"make_a": ["its code changed"]}
    codes = {CODE: {"a.b:f": "0", "a.b:g": "1", "a.c:h": "5"}}
    assert told(jobs(code="f" * 16), codes) == {
        "make_a": ["code changed: src/a/b.py (f, g), src/a/c.py (h)"]
    }
    statements = {CODE: {"a.b:f": "1", "a.b:": "3"}}
    assert told(jobs(code="f" * 16), statements) == {"make_a": ["code changed: src/a/b.py"]}
    older = {CODE: {"a.b": "0", "a.c": "5"}}  # of modules: not to be compared
    assert told(jobs(code="f" * 16), older) == {"make_a": ["its code changed"]}
    both = told(jobs(code="f" * 16, config={"seed": 4}))["make_a"]
    assert both == ["config changed: seed 0 → 4", "its code changed"]


def test_a_file_that_is_not_as_any_record_says_has_none(known):
    (known / MODEL).write_text("weightz")
    assert told(jobs()) == {"make_a": ["no record says how it was made"]}


def test_what_is_not_here_is_not_compared(known):
    (known / MODEL).unlink()
    assert told(jobs(config={"seed": 40})) == {}


def test_of_two_accounts_of_the_same_bytes_either_may_be_right(project):
    """Another config made the same table: the shared account is of the one, ours of the other."""
    path = project / LOGS[TABLE].replace("/logs/", "/records/").replace(".log", ".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"config": {"seed": 1}}))
    asked = jobs()
    assert told(asked) == {}
    asked[2] = replace(asked[2], config={"seed": 1})
    assert told(asked) == {}
    asked[2] = replace(asked[2], config={"seed": 2})
    assert set(told(asked)) == {"make_b"}


def test_what_is_outdated_is_a_table_of_reasons(project):
    found = table(outdated(jobs(config={"seed": 40}), local_jobs("mine"), {}))
    assert found.splitlines()[1].split() == "make_a 1 job config changed: seed 0 → 40".split()


def test_jobs_are_listed_only_where_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv(asking.LIST, raising=False)
    list_jobs(jobs())
    monkeypatch.setenv(asking.LIST, str(tmp_path / "jobs.json"))
    list_jobs(jobs())
    assert [Asked(**job) for job in read_json(tmp_path / "jobs.json")] == jobs()
