"""Snakemake from one warm process: it is imported once, and each call is a fork of its own.

A dry run of the smoke experiment takes 3 s of a processor, of which the imports are more than one.
What is forked has none of sightlines: each checkout's own code is imported in its fork. Where jobs
run, their libraries are lent as well (`lender.py`).

    python -m tests.workflow.warm_runs    one request a line, as JSON, and one answer each
"""

import atexit
import contextlib
import gc
import importlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

LIBRARIES = ("snakemake.cli", "pandas", "jsonschema", "jaxtyping", "jinja2", "requests")
"""What Snakemake imports beside sightlines before it runs a job."""
LENDING = Path(__file__).with_name("lending")
PLANNING = {"-n", "--dry-run"}
"""Without these, jobs may run."""


class WarmRuns:
    """A warm process, started when the first call is asked for, and one of libraries for jobs."""

    def __init__(self):
        self._process = self._lender = None
        self._folder = tempfile.TemporaryDirectory(prefix="lender")

    def __call__(self, folder, *arguments, **environment):
        """What `snakemake` says in `folder`, on the code of its `src`, as of a program."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        arguments = [*map(str, arguments)]
        lender = str(Path(self._folder.name, "socket"))
        if self._lender is None and not PLANNING.intersection(arguments):
            self._lender = subprocess.Popen(
                [sys.executable, "-m", "tests.workflow.lender", lender],
                cwd=Path(__file__).parents[2],
                stdout=subprocess.PIPE,
            )
            assert self._lender.stdout.readline() == b"ready\n"
        request = {
            "folder": str(folder),
            "arguments": arguments,
            "environment": os.environ | environment | {"TESTS_LENDER": lender},
        }
        with tempfile.TemporaryDirectory() as said:
            self._process.stdin.write(json.dumps(request | {"said": said}) + "\n")
            self._process.stdin.flush()
            code = json.loads(self._process.stdout.readline())
            texts = [Path(said, name).read_text() for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(["snakemake", *arguments], code, *texts)

    def close(self):
        """End the warm processes."""
        if self._process is not None:
            self._process.communicate()
        if self._lender is not None:
            self._lender.terminate()
            self._lender.communicate()
        self._folder.cleanup()


def serve():
    """Answer each line of standard input with the exit status of the run that it asks for."""
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # so that no fork looks through all that, and has it copied by that
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(run(json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def run(request):
    """One call in this process: its exit status."""
    assert not any(name.split(".")[0] == "sightlines" for name in sys.modules)
    source = str(Path(request["folder"]) / "src")
    os.environ.clear()
    os.environ.update(request["environment"], PYTHONPATH=f"{source}{os.pathsep}{LENDING}")
    os.chdir(request["folder"])
    # As of `bin/snakemake`: the folder of the program, and then what PYTHONPATH says.
    sys.path[:] = [str(Path(sys.executable).parent), source, *sys.path[1:]]
    sys.argv = [str(Path(sys.executable).with_name("snakemake")), *request["arguments"]]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(request["said"], name), os.O_WRONLY | os.O_CREAT), descriptor)
    code = 1
    try:
        sys.modules["snakemake.cli"].main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    if not isinstance(code, int | None):  # a message, as Python itself prints it
        print(code, file=sys.stderr)
        code = 1
    with contextlib.suppress(OSError):
        atexit._run_exitfuncs()  # os._exit, which keeps the server's own from running, skips them
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    return code or 0


if __name__ == "__main__":
    serve()
