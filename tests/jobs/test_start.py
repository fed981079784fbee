"""Jobs in the warm process are what they would be in a process of their own."""

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from sightlines.jobs import liveness
from sightlines.jobs.start import FOLDER
from sightlines.jobs.warm import LIBRARIES
from sightlines.plan import registry
from sightlines.plan.code_roots import RUNNERS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no warm process")

JOB = """
import json, os, pathlib, signal, sys, time
what = sys.argv[1]
facts = {"arguments": sys.argv, "name": __name__, "folder": os.getcwd(), "own": os.environ["OWN"]}
facts |= {"pandas": "pandas" in sys.modules, "ours": "sightlines.models" in sys.modules}
facts |= {"threads": len(os.listdir(f"/proc/{os.getppid()}/task"))}
facts |= {"words": sys.orig_argv[1:], "parent": os.getppid(), "path": sys.path}
print(json.dumps(facts))
if what == "fail":
    raise ValueError("no such thing")
if what == "status":
    sys.exit(7)
if what == "words":
    sys.exit("said at the end")
if what == "late":
    import atexit, threading, weakref
    atexit.register(lambda: pathlib.Path(sys.argv[2], "at-exit").touch())
    kept = threading.Event()
    weakref.finalize(kept, pathlib.Path(sys.argv[2], "finalized").touch)
    def last():
        time.sleep(0.3)
        pathlib.Path(sys.argv[2], "thread").touch()
    threading.Thread(target=last).start()
    sys.stdout.write("not flushed")
if what == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if what == "wait":
    def leave(*_):
        pathlib.Path(sys.argv[2], "cleaned").touch()
        sys.exit(3)
    signal.signal(signal.SIGTERM, leave)
    pathlib.Path(sys.argv[2], "began").write_text(str(os.getpid()))
    time.sleep(60)
"""

LIBRARY = """
import atexit, os, pathlib, sys
if "sightlines.jobs.warm" in sys.orig_argv:
    atexit.register(lambda: pathlib.Path({folder!r}, f"ended-{{os.getpid()}}").touch())
"""
"""What the warm process loads first: it wants to do something at the end."""


@contextlib.contextmanager
def snakemake_in(folder):
    """A folder with a job's module, and the environment of a Snakemake that is alive."""
    (folder / "job.py").write_text(JOB)
    (folder / "sitecustomize.py").write_text(LIBRARY.format(folder=str(folder)))
    main = subprocess.Popen(["sleep", "600"])
    env = {**os.environ, "PYTHONPATH": str(folder), "OWN": "mine", "SIGHTLINES_WARM": "1"}
    env[liveness.PARENT] = f"{liveness.me().rpartition(':')[0]}:{main.pid}"

    def start(*arguments, wait=True, **more):
        command = [sys.executable, "-m", "sightlines.jobs.start", "job", *map(str, arguments)]
        pipe = subprocess.PIPE if wait else subprocess.DEVNULL
        job = subprocess.Popen(
            command, cwd=folder, env=env | more, stdout=pipe, stderr=pipe, text=True
        )
        if not wait:
            return job
        said, errors = job.communicate(timeout=120)
        return job.returncode, said, errors

    yield start, main, folder
    main.kill()
    main.wait()


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """One Snakemake for all tests that leave it alive and start jobs in its environment alone."""
    with snakemake_in(tmp_path_factory.mktemp("run")) as run:
        yield run


@pytest.fixture
def own_run(tmp_path):
    """A Snakemake of the test's own."""
    with snakemake_in(tmp_path) as run:
        yield run


def facts(said):
    return json.loads(said)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.whole
def test_a_warm_job_is_the_plain_job_with_the_libraries_loaded(run_of):
    start, _, folder = run_of
    status, said, errors = start("do", "--config", '{"a": "b c"}')
    assert (status, errors) == (0, "")
    warm = facts(said)
    plain = facts(start("do", "--config", '{"a": "b c"}', SIGHTLINES_WARM="0")[1])
    assert warm["threads"] == 1
    assert warm["pandas"] and not plain["pandas"] and not warm["ours"]
    for same in ("arguments", "name", "folder", "own", "words", "path"):
        assert warm[same] == plain[same], same
    assert warm["words"] == ["-m", "job", "do", "--config", '{"a": "b c"}']
    assert facts(start("do")[1])["parent"] == warm["parent"], "one process serves all jobs"
    assert len(list((folder / FOLDER).glob("warm-*"))) == 1


LOADED = """
import json, os, sys
from sightlines.jobs import warm
warm.load(warm.TABLES)
for libraries in {*warm.LIBRARIES.values()}:
    if os.fork() == 0:
        warm.load(libraries)
        threads, loaded = len(os.listdir("/proc/self/task")), sorted(sys.modules)
        has_gpu = "torch" in loaded and sys.modules["torch"].cuda.is_initialized()
        kinds = [kind for kind, own in warm.LIBRARIES.items() if own == libraries]
        print(json.dumps([kinds, threads, has_gpu, loaded]), flush=True)
        os._exit(0)
    os.wait()
"""
LOADED_LATER = {  # and torch, by which networks are shown a dataset that a job before prepared
    "huggingface_hub": "a download of weights",
    "lmdb": "one kind of dataset, if it is installed",
    "sightlines": "our own code is read anew",
    "torchvision": "timm brings it",
}


CODE = {f"sightlines.run.{runner}": f"sightlines.{folder}" for folder, runner in RUNNERS.items()}
CODE["sightlines.run.dump"] = CODE["sightlines.run.recording"]  # which it imports if it must
"""Runner -> the folder whose code it runs."""


def imported_from_outside(kind):
    """Every library that the code of a kind of job imports, inside of functions too."""
    found, waiting = set(), [kind]
    seen = set()
    while waiting:
        name = waiting.pop()
        place = registry.PACKAGE.parent / name.replace(".", "/")
        paths = sorted(place.glob("*.py")) or [place.with_suffix(".py")]
        for path in paths:
            if path in seen or not path.is_file() or path.parent.name in ("jobs", "plan", "run"):
                continue
            seen.add(path)
            for node in ast.walk(ast.parse(path.read_text())):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module]
                    if node.module.startswith("sightlines"):
                        waiting += [f"{node.module}.{alias.name}" for alias in node.names]
                waiting += [n for n in names if n.count(".") > 1]
                found |= {n for n in names if n.split(".")[0] not in sys.stdlib_module_names}
    return found


@pytest.fixture(scope="module")
def loaded_for():
    """Runner -> threads, whether a GPU is open, and modules, when its libraries are loaded.

    Each list of libraries is loaded in a fork that has had only what every kind of job uses.
    """
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {kind: found for kinds, *found in lines for kind in kinds}


@pytest.mark.whole  # all libraries, in a process of their own
@pytest.mark.parametrize("runner", LIBRARIES)
def test_what_jobs_import_is_loaded_before_without_a_thread_or_a_gpu(runner, loaded_for):
    kind = CODE.get(runner, runner)
    threads, has_gpu, loaded = loaded_for[runner]
    assert (threads, has_gpu) == (1, False)
    later = {*LOADED_LATER, "torch"} if kind == "sightlines.datasets" else {*LOADED_LATER}
    asked = {n for n in imported_from_outside(kind) if n.split(".")[0] not in later}
    assert "numpy" in asked and asked <= {*loaded}


@pytest.mark.whole
def test_another_environment_has_another_process(own_run):
    start, _, _ = own_run
    one, two = facts(start("do")[1]), facts(start("do", OWN="yours")[1])
    assert two["own"] == "yours" and one["parent"] != two["parent"]


@pytest.mark.parametrize(
    ("what", "status", "error"),
    [
        ("status", 7, ""),
        ("words", 1, "said at the end\n"),
        ("fail", 1, "ValueError: no such thing"),
        ("kill", 137, ""),
    ],
)
def test_the_end_of_a_job_is_told(run_of, what, status, error):
    got, _, errors = run_of[0](what)
    assert got == status and error in errors


def test_a_job_ends_as_a_process_does(run_of, tmp_path):
    status, said, errors = run_of[0]("late", tmp_path)
    assert (status, errors) == (0, "") and said.endswith("not flushed")
    assert {path.name for path in tmp_path.iterdir()} == {"at-exit", "finalized", "thread"}


def test_what_libraries_left_for_the_warm_processs_end_is_not_done_by_a_job(own_run):
    start, main, folder = own_run
    status, said, errors = start("do")
    assert (status, errors) == (0, "") and not [*folder.glob("ended-*")]
    main.kill()
    main.wait()
    wait_for(lambda: [*folder.glob("ended-*")])
    assert [path.name for path in folder.glob("ended-*")] == [f"ended-{facts(said)['parent']}"]


def test_what_every_job_starts_with_imports_nothing_but_the_standard_library():
    program = "import sys, sightlines.jobs.start; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    tops = {name.partition(".")[0] for name in done.stdout.split()} - {"_distutils_hack"}
    assert tops <= sys.stdlib_module_names | {"sightlines", "__main__"}
    assert [n for n in done.stdout.split() if n.startswith("sightlines.")] == [
        "sightlines.jobs",
        "sightlines.jobs.start",
    ]


def test_a_signal_reaches_the_job_and_its_clean_up_is_waited_for(run_of, tmp_path):
    job = run_of[0]("wait", tmp_path, wait=False)
    wait_for((tmp_path / "began").exists)
    job.send_signal(signal.SIGTERM)
    assert job.wait(30) == 3 and (tmp_path / "cleaned").exists()


def test_the_job_of_a_killed_caller_ends(run_of, tmp_path):
    job = run_of[0]("wait", tmp_path, wait=False)
    wait_for(lambda: (tmp_path / "began").exists() and (tmp_path / "began").read_text())
    job.kill()
    job.wait()
    wait_for((tmp_path / "cleaned").exists)


@pytest.mark.whole
def test_all_ends_with_the_snakemake_and_nothing_is_left(own_run):
    start, main, folder = own_run
    job = start("wait", folder, wait=False)
    wait_for((folder / "began").exists)
    main.kill()
    main.wait()
    job.wait(30)
    wait_for((folder / "cleaned").exists)
    wait_for(lambda: not list((folder / FOLDER).glob("warm-*")))


def test_where_no_socket_can_be_made_the_job_runs_the_plain_way(own_run):
    start, _, folder = own_run
    (folder / ".cache").touch()  # no folder can be made below it
    status, said, _ = start("status")
    assert status == 7 and not facts(said)["pandas"]
