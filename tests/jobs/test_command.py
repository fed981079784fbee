import json
import subprocess
import sys

import pytest

from sightlines.plan import code_digest

PROGRAM = """
from sightlines.core.errors import DataError
from sightlines.core.files import write_json
from sightlines.jobs.command import run

def main(job):
    if job.config["fail"] == "user":
        raise DataError("photo.jpg is truncated: replace it")
    if job.config["fail"] == "bug":
        raise KeyError("oops")
    job.log.info("halfway")
    write_json(job.output("out"), [p.name for p in job.inputs["in"]])

run(main)
"""


def command(tmp_path, fail, *more):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    (tmp_path / "a").write_text("a")
    arguments = ["--config", json.dumps({"fail": fail}), "--input", "in", "a", "a"]
    arguments += ["--output", "out", "out.json", "--log", "results/x/logs/measure/cka.log"]
    return subprocess.run(
        [sys.executable, program, *arguments, *more], cwd=tmp_path, capture_output=True, text=True
    )


def test_a_job_leaves_its_output_a_log_and_a_record(tmp_path):
    done = command(tmp_path, "")
    assert done.returncode == 0, done.stderr
    assert "[measure/cka] halfway" in done.stderr
    assert json.loads((tmp_path / "out.json").read_text()) == ["a", "a"]
    assert "halfway" in (tmp_path / "results/x/logs/measure/cka.log").read_text()
    record = json.loads((tmp_path / "results/x/records/measure/cka.json").read_text())
    assert record["job"] == "measure/cka"
    assert record["inputs"]["a"].startswith("ca978112ca1bbdcafac231b39a23dc4d")
    assert set(record["outputs"]) == {"out.json"}
    assert record["packages"]["torch"] and record["peak_memory_bytes"] > 1e6


def test_a_user_s_error_is_one_line_that_names_the_log(tmp_path):
    done = command(tmp_path, "user")
    log = tmp_path / "results/x/logs/measure/cka.log"
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "[measure/cka] DataError: photo.jpg is truncated: replace it "
        "(log: results/x/logs/measure/cka.log)"
    ]
    assert "Traceback" not in log.read_text()
    assert not (tmp_path / "results/x/records").exists()
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("edited", [False, True])
def test_code_that_changed_since_the_plan_is_not_run(tmp_path, monkeypatch, edited):
    """Its result would be recorded as the planned code's."""
    monkeypatch.chdir(tmp_path)
    digest = code_digest.code_digest("sightlines.stats.hsic:row_groups")
    code_digest.keep_parts()
    path = tmp_path / code_digest.CACHE / f"{digest}.json"
    known = json.loads(path.read_text())
    if edited:
        known["parts"] |= {"sightlines.stats.hsic:row_groups": "0" * 8}
        digest = "0123456789abcdef"
        path.with_stem(digest).write_text(json.dumps(known))
    done = command(tmp_path, "", "--code", digest)
    assert done.returncode == int(edited), done.stderr
    assert (tmp_path / "out.json").exists() == (not edited)
    assert ("sightlines.stats.hsic:row_groups changed while Snakemake" in done.stderr) == edited
    assert done.stderr.count("\n") <= 3


def test_a_bug_leaves_its_traceback_in_the_log(tmp_path):
    done = command(tmp_path, "bug")
    assert done.returncode == 1
    assert "KeyError" in done.stderr and "Traceback" not in done.stderr
    assert "Traceback" in (tmp_path / "results/x/logs/measure/cka.log").read_text()
