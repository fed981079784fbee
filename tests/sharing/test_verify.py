"""Results against their records: what differs is named, and nothing hostile is followed."""

import json
import os

import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import sha256
from sightlines.sharing import records, verify

MODEL, TABLE, DATA = "results/mine/models/a.bin", "results/mine/tables/b.csv", "data/x/c.npy"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two jobs: a model from data, and a table from the model."""
    monkeypatch.chdir(tmp_path)
    for path, text in ((DATA, "images"), (MODEL, "weights"), (TABLE, "numbers")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    write_record(tmp_path, "train", [DATA], [MODEL])
    write_record(tmp_path, "measure/b", [MODEL], [TABLE])
    (tmp_path / "results/mine/logs").mkdir()
    (tmp_path / "results/mine/logs/train.log").touch()
    return tmp_path


def write_record(folder, job, read, written, **other):
    path = folder / f"results/mine/records/{job}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    hashes = {k: {p: sha256(folder / p) for p in v} for k, v in (("i", read), ("o", written))}
    record = {"job": job, "inputs": hashes["i"], "outputs": hashes["o"]} | other
    path.write_text(json.dumps(record))
    return path


def test_whole_results_are_as_recorded(project, capsys):
    found = verify.verify("mine")
    assert (found.checked, found.jobs) == (3, 2)
    assert found.differing == found.unknown == found.missing == []
    assert verify.main(["mine"]) == 0
    assert capsys.readouterr().out == "mine: 3 files of 2 jobs compared, 0 differ\n"


def test_an_altered_result_is_named_with_its_job_and_what_was_made_of_it(project, capsys):
    (project / MODEL).write_text("weightz")
    assert verify.verify("mine").differing == [
        f"measure/b was made from another version of {MODEL}",
        f"{MODEL} is not what train wrote",
    ]
    assert verify.main(["mine"]) == 1
    assert "2 differ" in capsys.readouterr().out


def test_the_same_length_and_an_old_time_hide_nothing(project):
    before = (project / MODEL).stat()
    verify.verify("mine")
    (project / MODEL).write_text("wEights")
    os.utime(project / MODEL, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert f"{MODEL} is not what train wrote" in verify.verify("mine").differing


def test_changed_data_are_told_by_the_job_that_read_them(project):
    (project / DATA).write_text("other images")
    assert verify.verify("mine").differing == [f"train was made from another version of {DATA}"]


def test_what_was_not_pulled_is_counted_and_no_fault(project, capsys):
    (project / MODEL).unlink()
    assert verify.verify("mine").missing == [MODEL]
    assert verify.main(["mine"]) == 0
    assert "; 1 recorded files are not here" in capsys.readouterr().out


def test_a_file_without_a_record_is_told(project):
    (project / "results/mine/tables/extra.csv").touch()
    assert verify.verify("mine").unknown == ["results/mine/tables/extra.csv"]
    assert verify.main(["mine"]) == 1


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "results/../../secret", "../x", "src/a.py", "results/a\0b", ""]
)
@pytest.mark.parametrize("group", ["inputs", "outputs"])
def test_a_record_that_names_files_elsewhere_is_refused(project, name, group, capsys):
    write_record(project, "evil", [], [], **{group: {name: "0" * 64}})
    with pytest.raises(ResultError, match="outside results/ and data/"):
        verify.verify("mine")
    assert verify.main(["mine"]) == 1 and "evil.json" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"inputs": [], "outputs": {}}', "[" * 100_000])
def test_a_damaged_record_is_named(project, text):
    (project / "results/mine/records/measure/b.json").write_text(text)
    with pytest.raises(ResultError, match=r"b\.json"):
        verify.verify("mine")


def test_a_huge_record_is_not_read(project, monkeypatch):
    monkeypatch.setattr(records, "LARGEST_BYTES", 10)
    with pytest.raises(ResultError, match="too large"):
        verify.verify("mine")


def test_an_experiment_without_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResultError, match="has no records: run the experiment"):
        verify.verify("mine")
