"""Results of an older version: carried over where the table says so, and only what is trusted."""

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sightlines.core.errors import ResultError, ShareError
from sightlines.core.files import sha256
from sightlines.sharing import adopt as adopting
from sightlines.sharing import carried, snakemake_records
from sightlines.sharing.adopt import adopt, carry_over
from sightlines.sharing.carried import TABLE, Command, Stage, read_table, write_table
from sightlines.sharing.provenance import read_provenance, write_provenance
from sightlines.sharing.verify import verify

OLD, NEW, NEWEST = ("a" * 16, "b" * 16, "c" * 16)
DATA = "data/x/images.npy"
WEIGHTS = "results/mine/models/a/weights.bin"
SCORES = "results/mine/models/a/metrics.json"
TABLES = "results/mine/tables/b.csv"
FILES = (DATA, WEIGHTS, SCORES, TABLES)
CONFIG = repr(json.dumps({"seed": 0}))
OLD_SHELL, NEW_SHELL = "python -m train {output.metrics}", "python -m train"
TRAIN = Stage(
    rule="train",
    old=Command(OLD, OLD_SHELL, ("'sightlines.old'",)),
    new=Command(NEW, NEW_SHELL, ("'new'",)),
    commits=("1111111", "2222222"),
    jobs=2,
    no_longer_written=("metrics.json",),
    images=("x",),
)


def make(rule, reads, files, params=(), code=OLD, shell="python -m x"):
    """As Snakemake and a job leave them: files, Snakemake's record of each, the job's own."""
    log = f"results/mine/logs/{rule}.log"
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    inputs = {p: sha256(Path(p)) for p in reads}
    for path in files:
        metadata = {
            "rule": rule,
            "input": sorted(reads),
            "log": [log],
            "params": sorted([repr(code), CONFIG, *params]),
            "code": shell,
            "starttime": 1.0,
            "endtime": 2.0,
            "input_checksums": {p: f"sha256:{digest}" for p, digest in inputs.items()},
        }
        snakemake_records.install(path, metadata)
    record = {"job": rule, "code": code, "config": {"seed": 0}, "inputs": inputs}
    record["outputs"] = {path: sha256(Path(path)) for path in files}
    at = Path(f"results/mine/records/{rule}.json")
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(json.dumps(record))


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The table, in a place of the test's."""
    path = tmp_path / "carried.json"
    monkeypatch.setattr(adopting, "read_table", lambda: read_table(path))

    def write(*stages):
        write_table(stages, path)

    write(TRAIN)
    return write


@pytest.fixture
def project(tmp_path, monkeypatch, table):
    """Made here by the older version."""
    monkeypatch.chdir(tmp_path)
    make("prepare", [], {DATA: "images"})
    old = {"params": TRAIN.old.params, "shell": OLD_SHELL}
    make("train", [DATA], {WEIGHTS: "weights", SCORES: "scores"}, **old)
    make("measure", [WEIGHTS], {TABLES: "numbers"})
    return tmp_path


@pytest.fixture
def pulled(project):
    """Made by the older version elsewhere, and pulled by a clone with the newer one."""
    write_provenance("mine")
    for name in (".snakemake", "results/mine/records"):
        shutil.rmtree(project / name)
    return project


@dataclass
class Started:
    """What a start of Snakemake finds: adopted and invalidated results, and those carried over."""

    adopted: list
    invalidated: dict
    summary: str
    carried: list


def started(asked=(NEW, NEW_SHELL)):
    """As when Snakemake starts with the newer version, which asks for training by `asked`."""
    found = adopt("mine")
    carried = carry_over("mine", found.accounts, lambda *_: asked)
    return Started(found.adopted, found.invalidated, found.summary(), carried)


def record(name="train"):
    return json.loads(Path(f"results/mine/records/{name}.json").read_text())


def is_carried(path=WEIGHTS):
    """Whether Snakemake gets what the newer version's job would have left."""
    found = snakemake_records.read_one(path)
    return (found.get("code"), found.get("params")) == (
        NEW_SHELL,
        sorted([repr(NEW), CONFIG, "'new'"]),
    )


@pytest.mark.parametrize("where", ["project", "pulled"])
def test_what_fits_is_carried_over_once_and_its_record_says_so(request, where):
    request.getfixturevalue(where)
    found = started()
    assert found.invalidated == {} and found.carried == [WEIGHTS] and is_carried()
    assert set(found.adopted) == (set() if where == "project" else {*FILES})
    left = record()
    assert (left["code"], left["carried_from"]) == (NEW, [OLD])
    assert left["outputs"].keys() == {WEIGHTS} and left["no_longer_written"].keys() == {SCORES}
    assert snakemake_records.read_one(TABLES)["params"] == sorted([repr(OLD), CONFIG])
    again = started()
    assert (again.adopted, again.carried, again.summary) == ([], [], "")
    assert is_carried() and again.invalidated.keys() <= {SCORES}, "nobody's output any more"


def test_verify_knows_what_is_no_longer_written(project):
    started()
    found = verify("mine")
    assert found.unknown == found.differing == [] and found.checked == len(FILES)
    (project / SCORES).write_text("scorez")
    assert verify("mine").differing == [f"{SCORES} is not what train wrote"]


def test_the_shared_record_keeps_where_it_comes_from(pulled):
    started()
    write_provenance("mine")
    log = "results/mine/logs/train.log"
    shared = read_provenance("mine")[log]
    assert shared.record["carried_from"] == [OLD] and shared.outputs.keys() == {WEIGHTS}
    for name in (".snakemake", "results/mine/records"):
        shutil.rmtree(pulled / name)
    found = started()
    assert WEIGHTS in found.adopted and found.carried == [] and is_carried()
    assert verify("mine").unknown == []


def test_an_older_account_that_git_puts_back_is_carried_over_again(project):
    write_provenance("mine")
    before = Path("results/mine/provenance.json").read_bytes()
    started()
    Path("results/mine/provenance.json").write_bytes(before)
    assert started().invalidated == {} and is_carried()


def test_what_was_not_pulled_is_carried_over_too(pulled):
    (pulled / WEIGHTS).unlink()
    (pulled / SCORES).unlink()
    assert started().carried == [] and is_carried()


@pytest.mark.parametrize("where", ["project", "pulled"])
@pytest.mark.parametrize("altered", [WEIGHTS, SCORES, DATA])
def test_what_is_not_as_recorded_is_not_carried_over(request, where, altered):
    """Nor where only a file that is no longer written differs: then nobody knows the job."""
    request.getfixturevalue(where)
    Path(altered).write_text("alterez")
    found = started()
    assert WEIGHTS in found.invalidated and found.carried == []
    assert snakemake_records.why_invalidated(snakemake_records.read_one(WEIGHTS))


@pytest.mark.parametrize(
    "other",
    [
        {"old": replace(TRAIN.old, code=NEWEST)},
        {"old": replace(TRAIN.old, shell="python -m other")},
        {"old": replace(TRAIN.old, params=("'another'",))},
        {"rule": "train_again"},
        {"no_longer_written": ("metrics.json", "weights.bin")},
    ],
)
def test_an_entry_of_anything_else_is_not_used(pulled, table, other):
    table(replace(TRAIN, **other))
    found = started()
    assert found.carried == [] and WEIGHTS in found.adopted
    assert snakemake_records.read_one(WEIGHTS)["code"] == OLD_SHELL
    assert "carried_from" not in record()


def test_a_digest_that_only_the_record_claims_is_not_carried_over(pulled):
    """Snakemake's parameters and the job's record must tell the same."""
    path = Path("results/mine/provenance.json")
    found = json.loads(path.read_text())
    made = found["jobs"]["results/mine/logs/train.log"]
    made["snakemake"]["params"] = [p.replace(OLD, NEWEST) for p in made["snakemake"]["params"]]
    path.write_text(json.dumps(found))
    assert started().carried == []


def test_a_file_that_is_no_longer_read_is_no_longer_held_against_it(pulled, table):
    table(replace(TRAIN, no_longer_read=("images.npy",)))
    started()
    found = snakemake_records.read_one(WEIGHTS)
    assert found["input"] == [] and found["input_checksums"] == {} and record()["inputs"] == {}


def test_networks_of_images_that_were_not_compared_are_not_carried_over(pulled, table):
    table(replace(TRAIN, images=("photographs",)))
    assert started().carried == []


def test_the_config_stays_as_it_was_recorded(pulled):
    """So that Snakemake compares it as ever."""
    started()
    assert CONFIG in snakemake_records.read_one(WEIGHTS)["params"]


def test_versions_in_a_row(pulled, table):
    later = replace(TRAIN, old=TRAIN.new, new=Command(NEWEST, "python -m z"), no_longer_written=())
    table(TRAIN, later)
    assert started(asked=(NEWEST, "python -m z")).carried == [WEIGHTS]
    assert (record()["code"], record()["carried_from"]) == (NEWEST, [OLD, NEW])
    assert snakemake_records.read_one(WEIGHTS)["code"] == "python -m z"
    assert record()["no_longer_written"].keys() == {SCORES}


def test_a_table_that_leads_in_a_circle_ends(pulled, table):
    table(TRAIN, replace(TRAIN, old=TRAIN.new, new=TRAIN.old, no_longer_written=()))
    assert started(asked=(NEWEST, "python -m z")).carried == []
    assert "carried_from" not in record()


@pytest.mark.parametrize("asked", [(OLD, OLD_SHELL), (NEWEST, NEW_SHELL), (NEW, OLD_SHELL), None])
def test_only_what_is_asked_for_today_is_carried_to(pulled, asked):
    """Not to another version, and not where today's is the older one again."""
    assert started(asked).carried == []
    assert snakemake_records.read_one(WEIGHTS)["code"] == OLD_SHELL


def test_what_a_living_snakemake_makes_is_let_be(pulled):
    found = adopt("mine")
    snakemake_records.LOCKS.mkdir(parents=True)
    (snakemake_records.LOCKS / "0.output.lock").write_text(f"{WEIGHTS}\n")
    assert carry_over("mine", found.accounts, lambda *_: (NEW, NEW_SHELL)) == []


def test_what_another_snakemake_made_meanwhile_is_let_be(pulled):
    found = adopt("mine")
    snakemake_records.install(WEIGHTS, {"rule": "train", "code": "fresh"})
    assert carry_over("mine", found.accounts, lambda *_: (NEW, NEW_SHELL)) == []
    assert snakemake_records.read_one(WEIGHTS)["code"] == "fresh"


# -- the table ----------------------------------------------------------------------------------


def test_the_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "t.json"
    other = replace(TRAIN, rule="dump", no_longer_written=(), no_longer_read=("metrics.json",))
    write_table([TRAIN, other], path)
    assert set(read_table(path).values()) == {TRAIN, other}
    assert sum(line.startswith('{"rule"') for line in path.read_text().splitlines()) == 2
    assert read_table(tmp_path / "none.json") == {}


def test_the_committed_table_is_whole():
    table = read_table()
    assert TABLE.is_file() and all(stage.key == key for key, stage in table.items())
    assert not any("results/" in text for s in table.values() for text in (*s.new.params,))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "",
        lambda t: "[]",
        lambda t: "[" * 100_000,
        lambda t: t.replace('"version": 1', '"version": 2'),
        lambda t: t.replace(f'"code": "{OLD}"', '"code": 3'),
        lambda t: t.replace(f'"code": "{OLD}"', '"code": ""'),
        lambda t: t.replace('"shell": "0"', '"shell": "7"'),
        lambda t: t.replace('["metrics.json"]', '"metrics.json"'),
        lambda t: t.replace('"rule": "train", ', ""),
        lambda t: t.replace('["1111111", "2222222"]', '["1111111"]'),
        lambda t: t.replace('"stages": [', '"stages": [' + t.split("[\n")[1].split("\n]")[0] + ","),
    ],
)
def test_a_damaged_table_is_an_error_that_names_it(tmp_path, change):
    path = tmp_path / "t.json"
    write_table([TRAIN], path)
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    with pytest.raises(ResultError, match=r"t\.json"):
        read_table(path)


def test_a_table_with_merge_conflicts_is_told(tmp_path):
    path = tmp_path / "t.json"
    write_table([TRAIN], path)
    path.write_text(f"<<<<<<< HEAD\n{path.read_text()}=======\n>>>>>>> theirs\n")
    with pytest.raises(ShareError, match="merge conflicts"):
        read_table(path)


def test_a_changed_table_is_read_anew(tmp_path):
    path = tmp_path / "t.json"
    write_table([TRAIN], path)
    read_table(path)
    write_table([], path)
    assert read_table(path) == {}


# -- hostile ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/etc/passwd", "results/../../x", "src/a.py", "data/a\0b"])
def test_files_elsewhere_are_refused(pulled, name):
    started()
    write_provenance("mine")
    path = Path("results/mine/provenance.json")
    found = json.loads(path.read_text())
    found["jobs"]["results/mine/logs/train.log"]["record"]["no_longer_written"] = {name: "0" * 64}
    path.write_text(json.dumps(found))
    with pytest.raises(ResultError, match="outside results/ and data/"):
        started()


@pytest.mark.parametrize("claim", [3, "x", [3], {"a": 1}, [[OLD]]])
def test_a_strange_claim_of_origin_is_no_danger(pulled, claim):
    path = Path("results/mine/provenance.json")
    found = json.loads(path.read_text())
    found["jobs"]["results/mine/logs/train.log"]["record"]["carried_from"] = claim
    path.write_text(json.dumps(found))
    started()
    assert record()["carried_from"] == [OLD]


@pytest.mark.parametrize("left", [3, [SCORES], "x"])
def test_a_strange_list_of_files_is_an_error(pulled, left):
    path = Path("results/mine/provenance.json")
    found = json.loads(path.read_text())
    found["jobs"]["results/mine/logs/train.log"]["record"]["no_longer_written"] = left
    path.write_text(json.dumps(found))
    with pytest.raises(ResultError, match=r"provenance\.json"):
        started()


def test_a_result_cannot_claim_the_newer_digest_and_the_older_bytes(pulled):
    """Whoever alters record and parameters says only what Snakemake compares: bytes stay bytes."""
    Path(WEIGHTS).write_text("weightz")
    os.utime(WEIGHTS, (1, 1))
    assert started().carried == []


def test_the_module_tells_of_all_digests(pulled):
    started()
    assert carried.carried_from(record()) == [OLD]
    assert carried.carried_from({}) == []
