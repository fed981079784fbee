"""Which stages of an older version are carried over: what two runs' files and records show."""

import contextlib
import json
import sys
from pathlib import Path

import pytest

from sightlines.core.errors import ResultError
from sightlines.sharing import carry_over as carrying
from sightlines.sharing import snakemake_records
from sightlines.sharing.carried import Command, read_table
from sightlines.sharing.carry_over import carry_over, compare, finished
from tests.sharing.repository import run
from tests.sharing.test_carried import CONFIG, DATA, NEW, NEWEST, OLD, SCORES, TABLES, WEIGHTS, make

OTHER = "results/mine/models/b/weights.bin"


def version(folder, code, **changes):
    """A finished run of one version: two networks and a table; `changes` by name of the rule."""
    folder.mkdir()
    jobs = {
        "prepare": {"reads": [], "files": {DATA: "images"}},
        "train": {"reads": [DATA], "files": {WEIGHTS: "weights"}},
        "measure": {"reads": [WEIGHTS], "files": {TABLES: "numbers"}},
    }
    with contextlib.chdir(folder):
        Path("src").mkdir()
        Path("src/a.py").write_text(f"CODE = {code!r}\n")
        run("git", "init", "--quiet", "--initial-branch", "main")
        run("git", "add", "src")
        run("git", "commit", "--quiet", "--message", code)
        for rule, job in jobs.items():
            make(rule, **{"code": code} | job | changes.get(rule, {}))
    return folder


def another_network(folder, code, text):
    """A second job of the rule that trains."""
    with contextlib.chdir(folder):
        make("other", [DATA], {OTHER: text}, code=code)
        snakemake_records.install(OTHER, snakemake_records.read_one(OTHER) | {"rule": "train"})


def runs(*folders):
    return [finished(folder, "mine", "HEAD") for folder in folders]


@pytest.fixture
def old(tmp_path):
    files = {WEIGHTS: "weights", SCORES: "scores"}
    train = {"files": files, "shell": "train {output.metrics}", "params": ["'old'"]}
    return version(tmp_path / "old", OLD, train=train)


def why(old, tmp_path, **changes):
    """What is said of the stage that a newer version makes in another way."""
    stages, left_out = compare(*runs(old, version(tmp_path / "new", NEW, **changes)))
    told = {stage.rule: stage.why for stage in left_out}
    assert told.keys() & {stage.rule for stage in stages} == set()
    return {stage.rule for stage in stages}, told


def test_what_is_byte_for_byte_the_same_gets_an_entry(old, tmp_path):
    table = tmp_path / "carried.json"
    before, now = runs(old, version(tmp_path / "new", NEW, train={"shell": "train"}))
    said = list(carry_over(before, now, table))
    assert said[-1].startswith(f"3 stages of {before.commit} are carried over to {now.commit}")
    assert any(f"{OLD} → {NEW}, another command" in line for line in said)
    stage = read_table(table)["train", OLD, "train {output.metrics}"]
    assert stage.old == Command(OLD, "train {output.metrics}", ("'old'",))
    assert stage.new == Command(NEW, "train", ())
    assert stage.no_longer_written == ("metrics.json",) and stage.no_longer_read == ()
    assert stage.jobs == 1 and stage.commits == (before.commit, now.commit)


def test_other_bytes_are_left_out_with_what_was_made_of_them(old, tmp_path):
    train = {"files": {WEIGHTS: "weightz"}}
    carried, told = why(old, tmp_path, train=train)
    assert carried == {"prepare"}
    assert told == {
        "train": f"train writes other bytes: {WEIGHTS}",
        "measure": f"measure reads other bytes: {WEIGHTS}",
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"files": {WEIGHTS: "weights", OTHER: "new"}}, f"also writes {OTHER}"),
        ({"reads": [DATA, TABLES]}, f"also reads {TABLES}"),
        ({"code": "no digest"}, ""),
        ({"params": ["'--input a results/mine/b'"]}, "parameters that name files"),
    ],
)
def test_what_has_another_form_is_left_out(old, tmp_path, change, reason):
    folder = tmp_path / "new"
    version(folder, NEW)
    with contextlib.chdir(folder):
        make("train", **{"reads": [DATA], "files": {WEIGHTS: "weights"}, "code": NEW} | change)
    stages, left_out = compare(*runs(old, folder))
    if reason:
        assert [s.why for s in left_out if s.rule == "train" and reason in s.why]
        assert "train" not in {stage.rule for stage in stages}
    else:
        assert next(s for s in stages if s.rule == "train").new.code == "no digest"


def test_another_config_is_left_out(old, tmp_path):
    folder = version(tmp_path / "new", NEW)
    path = folder / "results/mine/records/train.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    _, left_out = compare(*runs(old, folder))
    assert [s.why for s in left_out] == ["train: the config that it uses differs"]


def test_records_that_do_not_tell_the_same_are_left_out(old, tmp_path):
    folder = version(tmp_path / "new", NEW)
    path = folder / "results/mine/records/train.json"
    path.write_text(path.read_text().replace(NEW, NEWEST))
    _, left_out = compare(*runs(old, folder))
    assert [s.why for s in left_out] == ["no whole record tells how train was made"]


@pytest.mark.parametrize("where", ["old", "new"])
def test_a_file_that_was_altered_since_is_left_out(old, tmp_path, where):
    folder = version(tmp_path / "new", NEW)
    (tmp_path / where / TABLES).write_text("numberz")
    _, left_out = compare(*runs(old, folder))
    assert [s.why for s in left_out] == [f"{TABLES} is not what its record says"]


def test_both_altered_alike_show_nothing(old, tmp_path):
    folder = version(tmp_path / "new", NEW)
    for place in (old, folder):
        (place / TABLES).write_text("numberz")
    _, left_out = compare(*runs(old, folder))
    assert [s.rule for s in left_out] == ["measure"]


def test_one_job_that_differs_leaves_out_the_stage(old, tmp_path):
    folder = version(tmp_path / "new", NEW)
    for place, code, text in ((old, OLD, "a"), (folder, NEW, "b")):
        another_network(place, code, text)
    stages, left_out = compare(*runs(old, folder))
    assert "train" not in {stage.rule for stage in stages}
    assert [(s.rule, s.jobs) for s in left_out] == [("train", 2)]


def test_one_old_digest_for_two_new_ones_is_left_out(old, tmp_path):
    """The bytes are the same, but which of the two a job elsewhere would have is not known."""
    folder = version(tmp_path / "new", NEW)
    for place, code in ((old, OLD), (folder, NEWEST)):
        another_network(place, code, "b")
    stages, left_out = compare(*runs(old, folder))
    assert "train" not in {stage.rule for stage in stages}
    assert {s.why for s in left_out} == {f"one old digest ({OLD}) stands for several new ones"}


def test_what_is_new_and_what_did_not_change(old, tmp_path):
    folder = version(tmp_path / "new", OLD, train={"shell": "train {output.metrics}"})
    with contextlib.chdir(folder):
        make("predict", [WEIGHTS], {OTHER: "logits"}, code=NEW)
    stages, left_out = compare(*runs(old, folder))
    assert [stage.rule for stage in stages] == ["train"], "it writes a file less"
    assert [s.why for s in left_out] == [f"the older version does not make {OTHER}"]


def test_entries_of_other_versions_stay(old, tmp_path):
    table = tmp_path / "t.json"
    new = version(tmp_path / "new", NEW)
    newest = version(tmp_path / "newest", NEWEST, measure={"files": {TABLES: "numberz"}})
    list(carry_over(*runs(old, new), table))
    assert len(read_table(table)) == 3
    list(carry_over(*runs(new, newest), table))
    assert len(read_table(table)) == 5
    list(carry_over(*runs(old, newest), table))
    assert {(s.rule, s.old.code, s.new.code) for s in read_table(table).values()} == {
        ("prepare", OLD, NEWEST),
        ("train", OLD, NEWEST),
        ("prepare", NEW, NEWEST),
        ("train", NEW, NEWEST),
    }


def test_folders_that_show_nothing_are_refused(old, tmp_path):
    with pytest.raises(ResultError, match=r"is at .*, not at"):
        run("git", "-C", str(old), "commit", "--quiet", "--allow-empty", "--message", "x")
        finished(old, "mine", "HEAD~1")
    with pytest.raises(ResultError, match="has no records of yours"):
        finished(old, "yours", "HEAD")
    (old / "src/a.py").write_text("CODE = 0\n")
    with pytest.raises(ResultError, match="not committed"):
        finished(old, "mine", "HEAD")
    with pytest.raises(ResultError, match="failed in"):
        finished(old, "mine", "no-such-version")


def test_the_command(old, tmp_path, monkeypatch, capsys):
    folder = version(tmp_path / "new", NEW)
    words = ["--old", "HEAD", "--old-results", str(old), "--new-results", str(folder)]
    words += ["--config", "workflow/config/mine.yaml", "--table", str(tmp_path / "t.json")]
    monkeypatch.setattr(sys, "argv", ["carry_over", *words])
    assert carrying.main() == 0
    assert "3 stages of" in capsys.readouterr().out
    assert json.loads((tmp_path / "t.json").read_text())["version"] == 1
    assert CONFIG not in (tmp_path / "t.json").read_text()
    monkeypatch.setattr(sys, "argv", ["carry_over", *words, "--new", "nothing"])
    assert carrying.main() == 1
    assert "nothing" in capsys.readouterr().err
