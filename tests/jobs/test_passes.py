"""Jobs that share a pass: who computes for whom, and what is taken from the stage."""

import errno
import json
import logging
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from sightlines.core.files import sha256, write_json
from sightlines.jobs import passes
from sightlines.jobs.command import Job
from sightlines.jobs.passes import Part


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with what jobs read; no pass is planned."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(passes.PASSES, raising=False)
    for name in ("dataset", "splits", "weights", "card"):
        (tmp_path / name).write_text(name)
    return tmp_path


def part(kind, **config):
    inputs = {name: [name] for name in ("dataset", "splits", "weights", "card")}
    return Part(kind, json.dumps({"network": ["a", "f100", "s0"], **config}), "0" * 16, inputs)


def job_of(here, own):
    inputs = {name: [here.__class__(path) for path in paths] for name, paths in own.inputs.items()}
    output = here / "out" / f"{own.kind}.safetensors"
    log = logging.getLogger("sightlines")
    found = Job("dump", json.loads(own.config), inputs, {"dump": [output]}, here, log)
    return replace(found, member=own.kind, asked=own.config, code=own.code)


def planned(monkeypatch, *parts, experiment="here"):
    monkeypatch.setenv(passes.PASSES, str(passes.plan(experiment, [list(parts)])))


def compute(here, own, content=b"bytes"):
    """What a job does that finds nothing staged; the kinds that it computed for others."""
    job = job_of(here, own)
    with passes.turn(job) as turn:
        if turn.take():
            return None
        others = turn.others()
        for each in (own, *others):
            turn.place(each).parent.mkdir(parents=True, exist_ok=True)
            turn.place(each).write_bytes(content + each.kind.encode())
        turn.stage(others, [own.kind, *(p.kind for p in others)], cpu_s=6.0)
    return [p.kind for p in others], job


def taken(here, own):
    """The job that took a staged file; None where there was nothing to take."""
    job = job_of(here, own)
    with passes.turn(job) as turn:
        return job if turn.take() else None


def staged(here):
    return sorted((here / ".cache/sightlines/passes/here").glob("*.safetensors"))


A, B, C = part("a"), part("b"), part("c")


def test_the_first_computes_for_all_and_the_others_take(here, monkeypatch):
    planned(monkeypatch, A, B, C)
    others, first = compute(here, B)
    assert others == ["a", "c"] and len(staged(here)) == 2
    assert not (here / "out" / "a.safetensors").exists()
    jobs = [taken(here, A), taken(here, C)]
    assert [(here / "out" / f"{k}.safetensors").read_bytes() for k in "abc"] == [
        *(b"bytesa", b"bytesb", b"bytesc")
    ]
    assert not staged(here) and not list((here / ".cache").rglob(f"{'[0-9a-f]' * 32}.json"))
    assert sum(job.moved_cpu_s for job in (first, *jobs)) == 0 and jobs[0].moved_cpu_s == 2
    assert all(job.shared_pass == ["a", "b", "c"] for job in (first, *jobs))
    assert all(job.peak_memory_bytes > 0 for job in jobs)


def test_without_a_plan_a_job_computes_alone(here, monkeypatch):
    assert compute(here, A)[0] == []
    planned(monkeypatch, B, C)
    others, job = compute(here, A)
    assert others == [] and job.shared_pass == [] and job.moved_cpu_s == 0
    monkeypatch.setenv(passes.PASSES, str(here / "nowhere"))
    assert compute(here, B)[0] == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"passes": 3, "run": "x"}', '{"passes": [[{}]]}'])
def test_a_damaged_plan_is_none(here, monkeypatch, text):
    planned(monkeypatch, A, B)
    (here / ".cache/sightlines/passes/here/plan.json").write_text(text)
    assert compute(here, A)[0] == []


@pytest.mark.parametrize("other", [part("a", depth=3), replace(A, code="1" * 16), C])
def test_what_is_not_planned_is_not_computed(here, monkeypatch, other):
    planned(monkeypatch, A, B)
    assert compute(here, other)[0] == [] and not staged(here)


def test_what_cannot_be_read_yet_is_left_to_its_own_job(here, monkeypatch):
    late = replace(B, inputs=B.inputs | {"splits": ["not made yet"]})
    planned(monkeypatch, A, late, C)
    assert compute(here, A)[0] == ["c"]


def spoil_bytes(path):
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def spoil_length(path):
    path.write_bytes(path.read_bytes()[:-1])


def spoil_file(path):
    path.unlink()


def spoil_note(path):
    path.with_suffix(".json").write_text("{")


def without_cost(path):
    note = json.loads(path.with_suffix(".json").read_text())
    del note["cpu_s"]
    write_json(path.with_suffix(".json"), note)


def costly(path, key="cpu_s"):
    note = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(note | {key: float("inf")}))


def large(path):
    costly(path, "peak_memory_bytes")


SPOILS = [spoil_bytes, spoil_length, spoil_file, spoil_note, without_cost, costly, large]


@pytest.mark.parametrize("spoil", SPOILS)
def test_what_is_damaged_is_computed_alone(here, monkeypatch, spoil):
    planned(monkeypatch, A, B)
    compute(here, A)
    spoil(*staged(here))
    others, job = compute(here, B, b"again")
    assert others == [] and not staged(here) and job.moved_cpu_s == 0 and not job.shared_pass
    assert (here / "out" / "b.safetensors").read_bytes() == b"againb"


@pytest.mark.parametrize("name", ["dataset", "splits", "weights", "card"])
def test_what_was_made_of_other_files_is_not_taken(here, monkeypatch, name):
    planned(monkeypatch, A, B)
    compute(here, A)
    (here / name).write_text("other")
    assert taken(here, B) is None


def test_what_another_machine_or_version_made_is_not_taken(here, monkeypatch):
    planned(monkeypatch, A, B)
    compute(here, A)
    made = passes.versions
    monkeypatch.setattr(passes, "versions", lambda: made() | {"torch": "0.1"})
    assert taken(here, B) is None
    monkeypatch.setattr(passes, "versions", made)
    monkeypatch.setattr(passes, "describe_hardware", lambda: {"processor": "another"})
    assert taken(here, B) is None
    monkeypatch.undo()


def test_each_part_is_computed_once_a_run(here, monkeypatch):
    """As after a kill: what is staged is taken, and only what is missing is made again."""
    planned(monkeypatch, A, B, C)
    compute(here, A)
    [path] = [p for p in staged(here) if p.read_bytes() == b"bytesc"]
    planned(monkeypatch, B, C)
    assert path in staged(here) and taken(here, B)
    path.unlink()
    assert compute(here, C)[0] == [], "b has been taken"
    planned(monkeypatch, A, B, C)
    assert compute(here, A)[0] == ["b", "c"], "another run that wants all of them"
    assert taken(here, B) and taken(here, C)
    assert compute(here, A)[0] == [], "as --retries does"


def test_a_plan_removes_what_nothing_of_it_takes(here, monkeypatch):
    planned(monkeypatch, A, B, C)
    compute(here, A)
    folder = here / ".cache/sightlines/passes/here"
    (folder / ".x.safetensors.7.part").write_bytes(b"half")
    (folder / "stray.safetensors").write_bytes(b"no note")
    planned(monkeypatch, B, replace(C, code="2" * 16))
    [path] = staged(here)
    assert path.read_bytes() == b"bytesb"
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        ["plan.json", path.name, path.with_suffix(".json").name]
    )
    planned(monkeypatch, A, B, experiment="other")
    assert staged(here), "another experiment's are not touched"
    passes.clear("here")
    assert not folder.exists() and (folder.parent / "other").exists()


def test_jobs_of_a_pass_take_turns(here, monkeypatch):
    planned(monkeypatch, A, B)
    began, order = threading.Event(), []

    def second():
        began.wait(10)
        order.append(taken(here, B) is not None)

    waiting = threading.Thread(target=second)
    waiting.start()
    job = job_of(here, A)
    with passes.turn(job) as turn:
        began.set()
        waiting.join(0.3)
        assert waiting.is_alive() and not order
        for each in (A, B):
            turn.place(each).parent.mkdir(parents=True, exist_ok=True)
            turn.place(each).write_bytes(b"x")
        turn.stage([B], ["a", "b"], 1.0)
    waiting.join(10)
    assert order == [True]


def test_the_lock_of_a_job_that_was_killed_is_free(here, monkeypatch):
    planned(monkeypatch, A, B)
    child = os.fork()
    if child == 0:
        with passes.turn(job_of(here, A)):
            os._exit(9)
    os.waitpid(child, 0)
    assert compute(here, B)[0] == ["a"]


def test_where_a_file_system_has_no_locks_each_computes_its_own(here, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")  # Lustre mounted without `flock`

    planned(monkeypatch, A, B)
    before = len([*Path("/proc/self/fd").iterdir()])
    monkeypatch.setattr(passes.fcntl, "flock", refuse)
    assert [compute(here, each)[0] for each in (A, B)] == [[], []] and not staged(here)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_file_moves_to_another_disk_by_a_copy(here, monkeypatch):
    planned(monkeypatch, A, B)
    compute(here, A)
    [path] = staged(here)
    digest = sha256(path)

    def refuse(source, target):
        if source == path:
            raise OSError(18, "Invalid cross-device link")
        return rename(source, target)

    rename = os.replace
    monkeypatch.setattr(os, "replace", refuse)
    assert taken(here, B) and not staged(here)
    assert sha256(here / "out" / "b.safetensors") == digest
