import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from sightlines.core import files
from sightlines.core.errors import DiskError, ResultError, WeightsError
from sightlines.jobs import passes
from sightlines.jobs.command import Job
from sightlines.plan import registry
from sightlines.run import dump, recording
from tests.dumps import making_experiments as making

SECTIONS = {
    "receptive_field": {"images": 3, "channels": 2, "depths": 2},
    "probes": {"token_depths": 2, "token_train": 9, "token_held_out": 4, "token_test": 3},
    "attention_maps": {"images": 12, "pictures": 2},
    "seed": 7,
}
KINDS = registry.members("dumps")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    dataset = making.make_dataset(folder / "data")
    making.make_reference(dataset, folder / "reference.safetensors", [13, 9])
    making.make_probes(dataset, folder / "probes.safetensors", (11, 5, 3))
    making.make_splits(dataset, folder / "splits.safetensors")
    making.make_conflicts(dataset, folder / "conflicts.safetensors")
    making.make_network(folder, making.VIT, dataset)
    return folder


@pytest.fixture
def here(made, tmp_path):
    """A folder with images, chosen ones, and an untrained ViT, free to change."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def job_of(here, kind):
    splits = here / f"{registry.declarations('dumps', kind)['SPLITS']}.safetensors"
    dataset, output = here / "data" / "dataset.json", here / "out" / f"{kind}.safetensors"
    uses = SECTIONS | making.settings_of(kind, SECTIONS)
    return making.make_job(kind, here, dataset, splits, output, **uses)


def pixels_job(here):
    inputs = {
        "dataset": [here / "data" / "dataset.json"],
        "splits": [here / "reference.safetensors"],
    }
    outputs = {"dump": [here / "out" / "pixels.safetensors"]}
    log = logging.getLogger("sightlines")
    return Job("dump", {"compute": making.COMPUTE}, inputs, outputs, here, log, member="pixels")


def left(here):
    """Files, also hidden ones, where the dump should appear."""
    return sorted(p.name for p in (here / "out").glob("*")) if (here / "out").exists() else []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.whole
def test_it_writes_what_the_recorder_records(here, kind, caplog):
    job = job_of(here, kind)
    with caplog.at_level("INFO"):
        dump.main(job)
    written = job.output("dump").read_bytes()
    assert job.notes == {"device": "cpu", "precision": "float32"}
    assert f"{len(written) / 1e6:.1f} MB" in caplog.text
    assert "(100%)" in caplog.text or kind == "weights", "it says how far it is"
    declared = registry.declarations("dumps", kind)
    uses = making.settings_of(kind, SECTIONS)
    splits = here / f"{declared['SPLITS']}.safetensors"
    making.record(kind, here, here / "data" / "dataset.json", splits, here / "again", **uses)
    assert written == (here / "again").read_bytes()


def test_without_weights_it_shows_images_alone(here):
    dump.main(pixels_job(here))
    assert files.TensorReader(here / "out" / "pixels.safetensors").names() == [
        "gram.000",
        "gram.001",
    ]


@pytest.mark.parametrize("kind", [*KINDS, "pixels"])
def test_too_little_disk_is_said_before_the_first_image(here, kind, monkeypatch):
    (here / "data" / "test_images.npy").unlink()
    (here / "data" / "train_images.npy").unlink()
    usage = files.shutil.disk_usage(here)._replace(free=100)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskError, match=rf"the {kind.replace('_', ' ')} dump .* needs .* MB"):
        dump.main(pixels_job(here) if kind == "pixels" else job_of(here, kind))
    assert left(here) == []


def damaged(here, edit):
    path = here / "weights.safetensors"
    reader = files.TensorReader(path)
    state = {name: np.array(reader[name]) for name in reader.names()}
    edit(state)
    files.write_tensors(path, state, {})


def test_weights_that_are_not_finite_are_named(here):
    def edit(state):
        state["blocks.1.mlp.fc1.bias"][2] = np.nan

    damaged(here, edit)
    with pytest.raises(WeightsError, match=r"blocks\.1\.mlp\.fc1\.bias: 1 not finite"):
        dump.main(job_of(here, "gram"))
    assert left(here) == []


def test_truncated_weights_are_refused(here):
    path = here / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match=r"cannot read .*weights\.safetensors"):
        dump.main(job_of(here, "gram"))
    assert left(here) == []


def test_the_weights_of_another_network_are_refused(here):
    other = making.make_dataset(here / "other", classes=7)
    making.make_network(here / "second", making.VIT | {"depth": 1}, other)
    (here / "second" / "weights.safetensors").replace(here / "weights.safetensors")
    with pytest.raises(WeightsError) as caught:
        dump.main(job_of(here, "features"))
    assert "blocks.1.norm1.weight: missing" in str(caught.value)
    assert "head.weight: shape (7, 12) instead of (3, 12)" in str(caught.value)
    assert left(here) == []


def test_the_images_of_another_dataset_are_refused(here):
    making.make_dataset(here / "data", seed=5)
    with pytest.raises(ResultError, match=r"reference\.safetensors divides another dataset"):
        dump.main(job_of(here, "gram"))
    with pytest.raises(ResultError, match=r"reference\.safetensors divides another dataset"):
        dump.main(pixels_job(here))


@pytest.mark.parametrize("kind", ["gram", "features"])
def test_interrupted_half_way_it_leaves_nothing(here, kind, monkeypatch):
    job, write, sizes = job_of(here, kind), files.TensorWriter.write, []

    def interrupted(writer, name, array):
        """As Ctrl-C arrives in the middle of a write."""
        write(writer, name, array)
        sizes.extend(path.stat().st_size for path in (here / "out").glob(".*.part"))
        if len(sizes) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(files.TensorWriter, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dump.main(job)
    assert len(sizes) == 2, "it had begun to write"
    assert left(here) == []


def test_a_recorder_that_is_not_there_is_named(here):
    job = job_of(here, "gram")
    job.member = "nothing"
    with pytest.raises((KeyError, FileNotFoundError), match="nothing"):
        dump.main(job)


REFERENCE = ("gram", "class_token", "attention", "heads", "skips", "localisation")
LABELLED = ("features", "token_features", "predictions")


def planned_job(here, kind):
    job = job_of(here, kind)
    uses = registry.declarations("dumps", kind).get("USES", ())
    config = {key: job.config[key] for key in ("network", "compute", *uses)}
    job.config, job.asked = json.loads(json.dumps(config)), json.dumps(config)
    return job


@pytest.fixture
def plan(here, monkeypatch):
    """Plans one pass of some kinds; `alone` has their bytes without a plan."""
    monkeypatch.chdir(here)

    def plan(kinds):
        parts = [passes.Part.of(planned_job(here, kind)) for kind in kinds]
        monkeypatch.setenv(passes.PASSES, str(passes.plan("here", [parts])))
        return {kind: planned_job(here, kind) for kind in kinds}

    return plan


def alone(here, kinds):
    found = {}
    for kind in kinds:
        job = job_of(here, kind)
        dump.main(job)
        found[kind] = job.output("dump").read_bytes()
        job.output("dump").unlink()
    return found


def staged(here):
    return sorted((here / ".cache/sightlines/passes/here").glob("*.safetensors"))


@pytest.mark.parametrize("kinds", [REFERENCE, LABELLED], ids=["reference", "labelled"])
def test_the_first_job_records_for_all_and_the_others_run_no_network(
    here, plan, kinds, monkeypatch
):
    expected = alone(here, kinds)
    jobs = plan(kinds)
    first, *others = kinds
    dump.main(jobs[first])
    assert left(here) == [f"{first}.safetensors"] and len(staged(here)) == len(others)
    monkeypatch.setattr(recording, "record", None)  # nothing is left for it to do
    for kind in others:
        dump.main(jobs[kind])
        assert jobs[kind].notes == jobs[first].notes == {"device": "cpu", "precision": "float32"}
        assert jobs[kind].shared_pass == sorted(kinds) and jobs[kind].moved_cpu_s > 0
    assert {k: jobs[k].output("dump").read_bytes() for k in kinds} == expected
    assert sum(job.moved_cpu_s for job in jobs.values()) == pytest.approx(0, abs=1e-9)
    assert not staged(here)


def overflowing(here):
    def overflow(state):
        state["blocks.1.mlp.fc1.weight"] *= 1e20
        state["blocks.1.mlp.fc2.weight"] *= 1e30

    making.make_network(here, making.VIT, here / "data" / "dataset.json", change=overflow)


def test_a_kind_that_fails_leaves_the_others_their_files(here, plan):
    overflowing(here)
    expected = alone(here, ("attention", "heads"))
    jobs = plan(REFERENCE)
    with pytest.raises(ResultError, match=r"layer block01\.\w+ of vit/f000/s0"):
        dump.main(jobs["gram"])
    assert left(here) == [] and len(staged(here)) == 2
    for kind in ("attention", "heads"):
        dump.main(jobs[kind])
        assert jobs[kind].output("dump").read_bytes() == expected[kind]
        assert jobs[kind].shared_pass == ["attention", "heads"]
    with pytest.raises(ResultError, match=r"layer block01\.\w+ of vit/f000/s0"):
        dump.main(jobs["localisation"])


def test_what_is_recorded_for_another_job_is_taken_though_the_own_kind_fails(
    here, plan, monkeypatch
):
    overflowing(here)
    expected = alone(here, ("heads",))
    jobs = plan(("gram", "heads"))
    with pytest.raises(ResultError, match="not finite"):
        dump.main(jobs["gram"])
    monkeypatch.setattr(recording, "record", None)
    dump.main(jobs["heads"])
    assert jobs["heads"].output("dump").read_bytes() == expected["heads"]
    assert jobs["gram"].moved_cpu_s + jobs["heads"].moved_cpu_s == 0


def test_another_kinds_failure_is_told_by_its_own_job(here, plan, caplog):
    overflowing(here)
    jobs = plan(("heads", "gram"))
    with caplog.at_level("DEBUG"):
        dump.main(jobs["heads"])
    assert "the gram dump is left to its own job" in caplog.text
    assert left(here) == ["heads.safetensors"] and not staged(here)
    assert jobs["heads"].shared_pass == [] and jobs["heads"].moved_cpu_s == 0
    with pytest.raises(ResultError, match="not finite"):
        dump.main(jobs["gram"])


def test_a_kind_whose_code_was_edited_since_is_left_to_its_own_job(here, plan, monkeypatch):
    jobs = plan(("gram", "heads"))
    monkeypatch.setattr(recording, "changed_since", lambda digest: ["sightlines.dumps.heads"])
    dump.main(jobs["gram"])
    assert left(here) == ["gram.safetensors"] and not staged(here)


def test_a_job_that_is_stopped_stages_nothing_half(here, plan, monkeypatch):
    jobs, write = plan(REFERENCE), files.TensorWriter.write

    def interrupted(writer, name, array):
        write(writer, name, array)
        if name == "gram.001":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files.TensorWriter, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            dump.main(jobs["attention"])
    folder = here / ".cache/sightlines/passes/here"
    assert left(here) == [] and {p.suffix for p in folder.iterdir()} == {".json", ".lock"}
    assert [p.name for p in folder.glob("*.json")] == ["plan.json"]
    dump.main(jobs["heads"])
    assert left(here) == ["heads.safetensors"] and len(staged(here)) == len(REFERENCE) - 1


def test_a_full_disk_stops_the_kind_that_it_stops(here, plan, monkeypatch):
    jobs, write = plan(("heads", "gram")), files.TensorWriter.write

    def full(writer, name, array):
        if "median" in name:
            raise OSError(28, "No space left on device")
        write(writer, name, array)

    monkeypatch.setattr(files.TensorWriter, "write", full)
    dump.main(jobs["heads"])
    assert left(here) == ["heads.safetensors"] and not staged(here)
    with pytest.raises(DiskError, match="No space left on device"):
        dump.main(jobs["gram"])


def test_over_the_limit_a_pass_is_several_and_the_bytes_are_the_same(here, plan, monkeypatch):
    expected = alone(here, REFERENCE)
    whole = recording.passes_of
    monkeypatch.setattr(recording, "passes_of", lambda kinds: whole(kinds, most_bytes=1))
    jobs = plan(REFERENCE)
    first, *others = REFERENCE
    dump.main(jobs[first])
    monkeypatch.setattr(recording, "record", None)  # each is recorded once, for its own job
    for kind in others:
        dump.main(jobs[kind])
    assert {k: jobs[k].output("dump").read_bytes() for k in REFERENCE} == expected
    assert sum(job.moved_cpu_s for job in jobs.values()) == pytest.approx(0, abs=1e-9)


def no_room(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("fails", ["fsync", "pwrite"])
def test_without_room_for_a_note_each_job_records_its_own(here, plan, monkeypatch, fails):
    expected = alone(here, ("heads", "gram"))
    jobs, fsync, noted = plan(("heads", "gram")), os.fsync, []

    def no_room_for_notes(handle):
        path = str(Path(f"/proc/self/fd/{handle}").readlink())
        if ".json." not in path or "passes" not in path:
            return fsync(handle)
        noted.append(path)
        return no_room()

    monkeypatch.setattr(os, fails, no_room_for_notes if fails == "fsync" else no_room)
    for kind, job in jobs.items():
        dump.main(job)
        assert job.output("dump").read_bytes() == expected[kind]
    assert not staged(here) and (noted or fails == "pwrite")


def test_a_stage_that_is_cleared_meanwhile_stops_no_job(here, plan, monkeypatch):
    """As a Snakemake does beside this one that has nothing to do."""
    expected = alone(here, ("heads", "gram"))
    jobs, write = plan(("heads", "gram")), recording._write_together

    def write_and_clear(*arguments):
        failed = write(*arguments)
        passes.clear("here")
        return failed

    monkeypatch.setattr(recording, "_write_together", write_and_clear)
    for kind, job in jobs.items():
        dump.main(job)
        assert job.output("dump").read_bytes() == expected[kind] and job.moved_cpu_s == 0
