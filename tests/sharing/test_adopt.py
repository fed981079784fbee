"""What is here against what is recorded; shared records come from somebody else."""

import json
import os
import shutil
from pathlib import Path

import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import sha256
from sightlines.sharing import adopt as adopting
from sightlines.sharing import provenance, snakemake_records
from sightlines.sharing.adopt import ADOPTED_S, adopt
from sightlines.sharing.provenance import read_provenance, write_provenance

DATA, MODEL, TABLE = "data/x/images.npy", "results/mine/models/a.bin", "results/mine/tables/b.csv"
LOGS = {
    DATA: "results/mine/logs/data/prepare.log",
    MODEL: "results/mine/logs/train/a.log",
    TABLE: "results/mine/logs/measure/b.log",
}


def make(path, reads, text, code="python -m x"):
    """As Snakemake and a job leave it: the file, Snakemake's record, the job's own."""

    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    metadata = {
        "rule": f"make_{file.stem}",
        "input": sorted(reads),
        "log": [LOGS[path]],
        "params": ["'0123456789abcdef'", repr(json.dumps({"seed": 0}))],
        "code": code,
        "starttime": 1.0,
        "endtime": 2.0,
        "input_checksums": {p: f"sha256:{sha256(Path(p))}" for p in reads},
    }
    snakemake_records.install(path, metadata)
    record = {
        "job": LOGS[path].split("/logs/")[1].removesuffix(".log"),
        "code": "0123456789abcdef",
        "config": {"seed": 0},
        "inputs": {p: sha256(Path(p)) for p in reads},
        "outputs": {path: sha256(file)},
        "packages": {"torch": "2"},
    }
    at = Path(LOGS[path].replace("/logs/", "/records/")).with_suffix(".json")
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(json.dumps(record))


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(DATA, [], "images")
    make(MODEL, [DATA], "weights")
    make(TABLE, [MODEL], "numbers")
    write_provenance("mine")
    return tmp_path


@pytest.fixture
def pulled(project):
    """Another clone: results and provenance, and nothing of what this folder's Snakemake knew."""
    for name in (".snakemake", "results/mine/records"):
        shutil.rmtree(project / name)
    return project


def is_invalidated(path):
    record = snakemake_records.read_one(path)
    return bool(record and snakemake_records.why_invalidated(record))


def test_what_was_made_here_is_left_alone(project):
    before = {p: Path(p).stat().st_mtime_ns for p in LOGS}
    found = adopt("mine")
    assert (found.adopted, found.invalidated, found.summary()) == ([], {}, "")
    assert {p: Path(p).stat().st_mtime_ns for p in LOGS} == before


def test_pulled_results_are_adopted_once(pulled):
    for second, path in enumerate((TABLE, MODEL, DATA)):  # the wrong way round
        os.utime(path, (2e9 + second, 2e9 + second))
    found = adopt("mine")
    assert sorted(found.adopted) == sorted(LOGS) and found.invalidated == {}
    assert {Path(p).stat().st_mtime for p in LOGS} == {ADOPTED_S}
    record = snakemake_records.read_one(TABLE)
    assert record["params"] and record["record_format_version"] == snakemake_records.FORMAT
    assert json.loads((pulled / "results/mine/records/train/a.json").read_text())["config"]
    assert adopt("mine").adopted == []


def test_an_altered_result_is_invalidated_and_so_is_what_was_made_of_it(pulled):
    (pulled / MODEL).write_text("weightz")
    found = adopt("mine")
    assert found.invalidated == {
        MODEL: "its content is not what its record says",
        TABLE: f"made from another version of {MODEL}",
    }
    assert is_invalidated(MODEL) and is_invalidated(TABLE) and not is_invalidated(DATA)
    assert "2 results are not trusted" in found.summary()
    (pulled / MODEL).write_text("weights")
    assert adopt("mine").invalidated == {} and not is_invalidated(TABLE)


def test_the_same_after_adoption_and_with_an_old_time(pulled):
    adopt("mine")
    (pulled / TABLE).write_text("numberz")
    os.utime(pulled / TABLE, (1, 1))
    assert list(adopt("mine").invalidated) == [TABLE]


def test_a_result_that_nobody_knows_is_made_again_without_a_word(pulled):
    stray = "results/mine/tables/c.csv"
    (pulled / stray).write_text("?")
    found = adopt("mine")
    assert is_invalidated(stray) and stray not in found.summary()


def test_a_record_that_cannot_be_read_is_no_missing_record(project):
    (project / "results/mine/provenance.json").unlink()
    record = "results/mine/records/measure/b.json"
    (project / record).write_text("{")
    found = adopt("mine")
    assert found.invalidated == {TABLE: f"its record {record} cannot be read"}
    assert record in found.summary()


def test_records_of_what_was_not_pulled_are_known(pulled):
    (pulled / MODEL).unlink()
    found = adopt("mine")
    assert found.absent == {MODEL: 7} and not is_invalidated(TABLE)
    assert snakemake_records.read_one(MODEL)["rule"] == "make_a"


def test_two_versions_that_do_not_belong_together(pulled):
    """The table of one commit beside the record of another commit's model, which is not here."""
    (pulled / MODEL).unlink()
    path = pulled / "results/mine/provenance.json"
    found = json.loads(path.read_text())
    found["jobs"][LOGS[MODEL]]["outputs"][MODEL][0] = "1" * 64
    path.write_text(json.dumps(found))
    assert adopt("mine").invalidated == {TABLE: f"made from another version of {MODEL}"}


def test_a_version_made_here_stands_beside_the_shared_one(project):
    make(TABLE, [MODEL], "other numbers")
    assert adopt("mine").invalidated == {}
    (project / TABLE).write_text("numbers")  # as `dvc checkout` would
    found = adopt("mine")
    assert (found.adopted, found.invalidated) == ([TABLE], {})


def test_of_two_accounts_of_the_same_bytes_the_later_counts(project):
    """Other code made the same table; then git put the earlier account back; then it ran again."""
    provenance_file = project / "results/mine/provenance.json"
    shared = provenance_file.read_bytes()

    def code():
        return snakemake_records.read_one(TABLE)["code"]

    make(TABLE, [MODEL], "numbers", code="python -m y")
    adopt("mine")
    assert code() == "python -m y"
    provenance_file.write_bytes(shared)
    adopt("mine")
    assert code() == "python -m x"
    make(TABLE, [MODEL], "numbers", code="python -m y")
    adopt("mine")
    assert code() == "python -m y"


def test_what_a_living_snakemake_makes_is_let_be(pulled):
    locks = pulled / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text(f"{TABLE}\n")
    (pulled / TABLE).write_text("half")
    assert adopt("mine").invalidated == {} and not is_invalidated(TABLE)


def test_without_a_record_of_its_own_a_result_is_known_by_what_was_made_of_it(project):
    """Records were deleted: what readers confirm is believed, what nobody confirms is not."""
    shutil.rmtree(project / "results/mine/records")
    (project / "results/mine/provenance.json").unlink()
    found = adopt("mine")
    assert list(found.invalidated) == [TABLE] and not is_invalidated(MODEL)
    (project / MODEL).write_text("weightz")
    assert {MODEL, TABLE} <= set(adopt("mine").invalidated)


def test_deleted_records_come_back_from_the_shared_ones(project):
    shutil.rmtree(project / "results/mine/records")
    assert adopt("mine").invalidated == {}
    assert (project / "results/mine/records/train/a.json").is_file()
    (project / TABLE).write_text("numberz")
    assert list(adopt("mine").invalidated) == [TABLE]
    write_provenance("mine")
    assert len(read_provenance("mine")) == 3


def test_two_variants_of_a_dataset_do_not_hide_each_other(project):
    """The same log, other settings: as after one edit of `dataset` and back."""
    other = "data/y/images.npy"
    LOGS[other] = LOGS[DATA]
    try:
        make(other, [], "other images")
        adopt("mine")
        (project / DATA).write_text("imagez")
        assert DATA in adopt("mine").invalidated
    finally:
        del LOGS[other]


def test_the_mark_counts_with_any_trigger(pulled):
    (pulled / TABLE).write_text("numberz")
    adopt("mine")
    mark = snakemake_records.record_path(snakemake_records.INCOMPLETE, TABLE)
    assert mark.exists()
    written = snakemake_records.written_ns(TABLE)
    adopt("mine")
    assert snakemake_records.written_ns(TABLE) == written, "it is written once"
    (pulled / TABLE).write_text("numbers")
    adopt("mine")
    assert not mark.exists()


def test_a_job_that_ends_while_we_look_is_let_be(pulled, monkeypatch):
    real = adopting.hash_files

    def hash_slowly(root, paths):
        found = real(root, paths)
        make(TABLE, [MODEL], "fresh numbers")
        return found

    (pulled / TABLE).write_text("old numbers")
    monkeypatch.setattr(adopting, "hash_files", hash_slowly)
    adopt("mine")
    assert not is_invalidated(TABLE)


def test_records_of_another_snakefile_are_none_of_ours(project):
    foreign = {"rule": "x", "input": [], "log": ["log/a.log"], "params": [], "code": "cp"}
    snakemake_records.install("data/theirs.txt", foreign)
    (project / "data/theirs.txt").write_text("x")
    assert adopt("mine").invalidated == {}
    assert snakemake_records.read_one("data/theirs.txt")["code"] == "cp"


def test_strange_files_neither_stop_nor_hang(pulled):
    os.mkfifo(pulled / "results/mine/tables/pipe")
    (pulled / "results/mine/tables/zero").symlink_to("/dev/zero")
    (Path(os.fsencode(pulled / "results/mine/tables").decode()) / "caf\udce9.csv").touch()
    assert adopt("mine").invalidated == {}


def test_a_renamed_experiment_is_told(pulled):
    (pulled / "results/mine").rename(pulled / "results/yours")
    with pytest.raises(ResultError, match="is of the experiment 'mine'"):
        adopt("yours")


def test_stopped_half_way_it_begins_again(pulled, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(adopting, "_set_time", killed)
    os.utime(DATA, (2e9, 2e9))
    with pytest.raises(KeyboardInterrupt):
        adopt("mine")
    monkeypatch.undo()
    monkeypatch.chdir(pulled)
    assert adopt("mine").invalidated == {}
    assert {Path(p).stat().st_mtime for p in LOGS} == {ADOPTED_S}


def test_writing_again_keeps_what_is_not_here(pulled):
    adopt("mine")
    (pulled / MODEL).unlink()
    before = read_provenance("mine")
    write_provenance("mine")
    assert read_provenance("mine").keys() == before.keys()
    assert read_provenance("mine")[LOGS[MODEL]].outputs == before[LOGS[MODEL]].outputs
    assert read_provenance("mine")[LOGS[MODEL]].sizes == {MODEL: 7}


# -- hostile ------------------------------------------------------------------------------------


def rewrite(project, change):
    path = project / "results/mine/provenance.json"
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "results/../../x",
        "../x",
        "src/sightlines/stage.py",
        "results",
        "data/a\0b",
    ],
)
@pytest.mark.parametrize("where", ["inputs", "outputs", "log", "input"])
def test_files_elsewhere_are_refused(pulled, name, where):
    def change(found):
        entry = found["jobs"][LOGS[TABLE]]
        if where == "log":
            found["jobs"][name] = found["jobs"].pop(LOGS[TABLE])
        elif where == "input":
            entry["snakemake"]["input"] = [name]
        else:
            entry[where][name] = ["0" * 64, 1] if where == "outputs" else "0" * 64

    rewrite(pulled, change)
    with pytest.raises(ResultError, match="outside results/ and data/"):
        adopt("mine")
    assert not (pulled / ".snakemake").exists()


def test_outputs_of_another_experiment_are_refused(pulled):
    name = "results/yours/models/a.bin"
    rewrite(pulled, lambda f: f["jobs"][LOGS[TABLE]]["outputs"].update({name: ["0" * 64, 1]}))
    with pytest.raises(ResultError, match="do not use these results"):
        adopt("mine")


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f["jobs"].update({LOGS[TABLE]: []}),
        lambda f: f["jobs"][LOGS[TABLE]].pop("shell"),
        lambda f: f["jobs"][LOGS[TABLE]].update(shell="nowhere"),
        lambda f: f["jobs"][LOGS[TABLE]]["outputs"].update({TABLE: "text"}),
        lambda f: f["jobs"][LOGS[TABLE]]["snakemake"].update(params=[1]),
        lambda f: f["jobs"][LOGS[TABLE]]["snakemake"].update(input={"a": 1}),
        lambda f: f["jobs"][LOGS[TABLE]]["snakemake"].update(rule=[]),
        lambda f: f["jobs"][LOGS[TABLE]]["snakemake"].update(starttime="now"),
        lambda f: f["jobs"][LOGS[TABLE]].update(record=3),
        lambda f: f["jobs"][LOGS[TABLE]]["outputs"].update({TABLE: ["0" * 64, float("inf")]}),
        lambda f: f["jobs"][LOGS[TABLE]]["snakemake"].update(log=["x"]),
        lambda f: f.update(jobs=[]),
        lambda f: f.pop("shells"),
        lambda f: f.update(version=99),
        lambda f: f.update(snakemake_records=5),
    ],
)
def test_a_damaged_provenance_is_an_error_that_names_it(pulled, change):
    rewrite(pulled, change)
    with pytest.raises(ResultError, match=r"provenance\.json"):
        adopt("mine")


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, '{"jobs": NaN}'])
def test_no_provenance_at_all(pulled, text):
    (pulled / "results/mine/provenance.json").write_text(text)
    with pytest.raises(ResultError, match=r"provenance\.json"):
        adopt("mine")


def test_a_huge_provenance_is_not_read(pulled, monkeypatch):
    monkeypatch.setattr(provenance, "LARGEST_BYTES", 10)
    with pytest.raises(ResultError, match="too large"):
        adopt("mine")


def test_folders_that_lead_out_of_the_project_are_refused(pulled, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (pulled / "results/mine/records").symlink_to(outside)
    with pytest.raises(ResultError, match="must not write there"):
        adopt("mine")
    assert list(outside.iterdir()) == []


def test_a_link_to_a_file_elsewhere_is_neither_trusted_nor_written_through(pulled):
    secret = pulled.parent / f"secret-{pulled.name}"
    secret.write_text("secret")
    before = secret.stat().st_mtime_ns
    (pulled / TABLE).unlink()
    (pulled / TABLE).symlink_to(secret)
    assert TABLE in adopt("mine").invalidated
    assert secret.read_text() == "secret" and secret.stat().st_mtime_ns == before


def test_pickles_among_results_are_never_read(pulled):
    (pulled / "results/mine/models/evil.pkl").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    adopt("mine")
    assert not (pulled / "owned").exists()


def test_links_into_a_cache_elsewhere_are_settled_once(pulled, tmp_path_factory):
    """As DVC's `cache.type symlink` with a cache that clones share: its files keep their times."""
    cache = tmp_path_factory.mktemp("cache")
    for number, path in enumerate((TABLE, MODEL, DATA)):
        kept = cache / str(number)
        shutil.move(pulled / path, kept)
        os.utime(kept, (1.5e9 + number, 1.5e9 + number))
        (pulled / path).symlink_to(kept)
    assert sorted(adopt("mine").adopted) == sorted(LOGS)
    times = {path: (pulled / path).lstat().st_mtime for path in LOGS}
    assert {p.stat().st_mtime for p in cache.iterdir()} == {1.5e9, 1.5e9 + 1, 1.5e9 + 2}
    # Snakemake takes an input's own time and an output's link's: nothing is newer.
    assert min(times.values()) >= 1.5e9 + 2
    adopt("mine")
    assert {path: (pulled / path).lstat().st_mtime for path in LOGS} == times
