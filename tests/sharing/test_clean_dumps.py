"""Which dumps are no longer needed, told from records; removing them is written down."""

import fcntl
import json
import shutil
from pathlib import Path

import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import sha256
from sightlines.jobs import liveness
from sightlines.plan.experiment import Experiment
from sightlines.sharing import clean_dumps, snakemake_records
from sightlines.sharing.clean_dumps import clean, remove, sort_out
from sightlines.sharing.provenance import (
    read_provenance,
    read_removed,
    removed_before_sharing,
    write_provenance,
)
from sightlines.sharing.tracked import recorded_outputs
from sightlines.sharing.verify import verify

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path("workflow/config/smoke.yaml")


def make(rule, reads, writes):
    """As Snakemake and a job leave it: files, Snakemake's records, the job's own."""
    log = f"results/smoke/logs/{rule}.log"
    for path in writes:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(f"{rule} {path}")
        metadata = {"rule": rule, "input": sorted(reads), "log": [log], "params": [], "code": "x"}
        snakemake_records.install(path, metadata | {"starttime": 1.0, "endtime": 2.0})
    record = {
        "job": rule,
        "inputs": {p: sha256(Path(p)) for p in reads},
        "outputs": {p: sha256(Path(p)) for p in writes},
    }
    at = Path(f"results/smoke/records/{rule}.json")
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(json.dumps(record))


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """The smoke experiment, as far as its skips are: dumps and the tables of them."""
    monkeypatch.chdir(tmp_path)
    CONFIG.parent.mkdir(parents=True)
    shutil.copy(ROOT / CONFIG, CONFIG)
    experiment = Experiment.open(CONFIG)
    for index, dump in enumerate(dumps(experiment)):
        make(f"dump_skips_{index}", [], [dump])
    make("measure_skip_ratios", dumps(experiment), [*experiment.outputs("skip_ratios").values()])
    return experiment


def dumps(experiment):
    return experiment.inputs("measures", "skip_ratios")["skips"]


def test_dumps_go_whose_tables_were_made_from_them(experiment):
    found = sort_out(experiment)
    assert found.needless.keys() == set(dumps(experiment)) and not found.needed
    assert all(found.needless[p] == Path(p).stat().st_size for p in dumps(experiment))


def test_a_table_that_was_not_made_needs_all_that_it_reads(experiment):
    table = next(iter(experiment.outputs("skip_ratios").values()))
    Path(table).unlink()
    found = sort_out(experiment)
    assert not found.needless and found.needed.keys() == set(dumps(experiment))
    assert f"{Path(table).name} is not made from it yet" in found.needed.values()


def test_a_table_that_somebody_edited_proves_nothing(experiment):
    Path(next(iter(experiment.outputs("skip_ratios").values()))).write_text("mine")
    assert not sort_out(experiment).needless


def test_a_dump_that_was_made_again_is_needed(experiment):
    first, *others = dumps(experiment)
    make("dump_skips_0", [], [first])
    Path(first).write_text("other bytes")
    assert sort_out(experiment).needed == {first: "it is not what its record says"}
    path = Path("results/smoke/records/dump_skips_0.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"outputs": {first: sha256(Path(first))}}))
    found = sort_out(experiment)
    assert "is not made from it yet" in found.needed[first]
    assert found.needless.keys() == set(others)


def test_nothing_but_dumps_goes(experiment, capsys):
    tables = {p: Path(p).read_bytes() for p in experiment.outputs("skip_ratios").values()}
    make("train_network", [], ["results/smoke/models/a/f100/s0/weights.safetensors"])
    clean(CONFIG, is_dry=True)
    said = capsys.readouterr().out
    assert "dumps/skips" in said and "would be removed" in said
    assert all(Path(p).is_file() for p in dumps(experiment)) and not read_removed("smoke")
    clean(CONFIG, is_dry=False)
    assert f"{len(dumps(experiment))} dumps and 0 caches removed" in capsys.readouterr().out
    assert not Path("results/smoke/dumps").exists()
    assert {p: Path(p).read_bytes() for p in tables} == tables
    assert Path("results/smoke/models/a/f100/s0/weights.safetensors").is_file()
    clean(CONFIG, is_dry=False)
    assert "there is nothing to remove" in capsys.readouterr().out


def test_what_was_removed_is_known_and_not_missed(experiment):
    write_provenance("smoke")
    before = read_provenance("smoke").keys()
    remove("smoke", dumps(experiment), [])
    assert read_removed("smoke") == set(dumps(experiment))
    assert read_provenance("smoke").keys() == before
    found = verify("smoke")
    assert sorted(found.removed) == sorted(dumps(experiment))
    assert not found.missing and not found.differing and not found.unknown
    text = Path("results/smoke/provenance.json").read_text()
    assert not set(dumps(experiment)) & recorded_outputs(text).keys()
    assert removed_before_sharing("smoke") == set(dumps(experiment))
    make("dump_skips_0", [], dumps(experiment)[:1])  # a changed measure needed it
    write_provenance("smoke")
    assert read_removed("smoke") == set(dumps(experiment)[1:])


def test_other_files_that_are_gone_are_still_missed(experiment):
    write_provenance("smoke")
    table = next(iter(experiment.outputs("skip_ratios").values()))
    Path(table).unlink()
    remove("smoke", dumps(experiment), [])
    assert verify("smoke").missing == [table]


def test_what_killed_commands_left_goes(experiment, capsys):
    left, state = Path(".cache/sightlines/warm-7/lock"), Path(".cache/sightlines/training/f/state")
    for path in (left, state):
        path.parent.mkdir(parents=True)
        path.write_text("x" * 3_000_000)
    clean(CONFIG, is_dry=False)
    said = capsys.readouterr().out
    assert not left.parent.exists() and "warm-7: left by a command" in said
    assert state.is_file() and f"kept: {clean_dumps.TRAINING}" in said and "3.0 MB" in said


def test_it_waits_for_no_running_snakemake(experiment):
    liveness.ALIVE.parent.mkdir(parents=True)
    with liveness.ALIVE.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)  # as each Snakemake of this folder holds it
        with pytest.raises(ResultError, match="at work in this folder"):
            clean(CONFIG, is_dry=False)
    assert all(Path(p).is_file() for p in dumps(experiment))
    with liveness.alone("why"), liveness.ALIVE.open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_an_experiment_without_records_is_named(experiment):
    shutil.rmtree(".snakemake")
    with pytest.raises(ResultError, match="has no records"):
        sort_out(experiment)
