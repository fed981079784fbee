"""Jobs in the warm process are what they would be in a process of their own."""

import os
import signal
import subprocess
import sys
import time

import pytest

from sightlines.jobs import liveness
from sightlines.jobs.start import FOLDER

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no warm process")

JOB = """
import json, os, pathlib, signal, sys, time
what = sys.argv[1]
facts = {"arguments": sys.argv, "name": __name__, "folder": os.getcwd(), "own": os.environ["OWN"]}
facts |= {"torch": "torch" in sys.modules, "ours": "sightlines.models" in sys.modules}
facts |= {"words": sys.orig_argv[1:], "parent": os.getppid(), "path": sys.path}
print(json.dumps(facts))
if what == "fail":
    raise ValueError("no such thing")
if what == "status":
    sys.exit(7)
if what == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if what == "wait":
    def leave(*_):
        pathlib.Path("cleaned").touch()
        sys.exit(3)
    signal.signal(signal.SIGTERM, leave)
    pathlib.Path("began").write_text(str(os.getpid()))
    time.sleep(60)
"""


@pytest.fixture
def run_of(tmp_path):
    """A folder with a job's module, and the environment of a Snakemake that is alive."""
    (tmp_path / "job.py").write_text(JOB)
    main = subprocess.Popen(["sleep", "600"])
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "OWN": "mine", "SIGHTLINES_WARM": "1"}
    env[liveness.PARENT] = f"{liveness.me().rpartition(':')[0]}:{main.pid}"

    def start(*arguments, wait=True, **more):
        command = [sys.executable, "-m", "sightlines.jobs.start", "job", *arguments]
        pipe = subprocess.PIPE if wait else subprocess.DEVNULL
        job = subprocess.Popen(
            command, cwd=tmp_path, env=env | more, stdout=pipe, stderr=pipe, text=True
        )
        if not wait:
            return job
        said, errors = job.communicate(timeout=120)
        return job.returncode, said, errors

    yield start, main, tmp_path
    main.kill()
    main.wait()


def facts(said):
    import json

    return json.loads(said)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_warm_job_is_the_plain_job_with_the_libraries_loaded(run_of):
    start, _, folder = run_of
    status, said, errors = start("do", "--config", '{"a": "b c"}')
    assert (status, errors) == (0, "")
    warm = facts(said)
    plain = facts(start("do", "--config", '{"a": "b c"}', SIGHTLINES_WARM="0")[1])
    assert warm["torch"] and not plain["torch"] and not warm["ours"]
    for same in ("arguments", "name", "folder", "own", "words", "path"):
        assert warm[same] == plain[same], same
    assert warm["words"] == ["-m", "job", "do", "--config", '{"a": "b c"}']
    assert facts(start("do")[1])["parent"] == warm["parent"], "one process serves all jobs"
    assert len(list((folder / FOLDER).glob("warm-*"))) == 1


def test_another_environment_has_another_process(run_of):
    start, _, _ = run_of
    one, two = facts(start("do")[1]), facts(start("do", OWN="yours")[1])
    assert two["own"] == "yours" and one["parent"] != two["parent"]


@pytest.mark.parametrize(
    ("what", "status", "error"),
    [("status", 7, ""), ("fail", 1, "ValueError: no such thing"), ("kill", 137, "")],
)
def test_the_end_of_a_job_is_told(run_of, what, status, error):
    got, _, errors = run_of[0](what)
    assert got == status and error in errors


def test_a_signal_reaches_the_job_and_its_clean_up_is_waited_for(run_of):
    start, _, folder = run_of
    job = start("wait", wait=False)
    wait_for((folder / "began").exists)
    job.send_signal(signal.SIGTERM)
    assert job.wait(30) == 3 and (folder / "cleaned").exists()


def test_the_job_of_a_killed_caller_ends(run_of):
    start, _, folder = run_of
    job = start("wait", wait=False)
    wait_for(lambda: (folder / "began").exists() and (folder / "began").read_text())
    job.kill()
    job.wait()
    wait_for((folder / "cleaned").exists)


def test_all_ends_with_the_snakemake_and_nothing_is_left(run_of):
    start, main, folder = run_of
    job = start("wait", wait=False)
    wait_for((folder / "began").exists)
    main.kill()
    main.wait()
    job.wait(30)
    wait_for((folder / "cleaned").exists)
    wait_for(lambda: not list((folder / FOLDER).glob("warm-*")))


def test_where_no_socket_can_be_made_the_job_runs_the_plain_way(run_of):
    start, _, folder = run_of
    (folder / ".cache").touch()  # no folder can be made below it
    status, said, _ = start("status")
    assert status == 7 and not facts(said)["torch"]
