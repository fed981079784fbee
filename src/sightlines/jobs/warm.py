"""The warm process behind `start.py`: imports libraries once, and forks for every job.

It lives as long as the Snakemake that its jobs belong to. What only some kinds of job use is
imported when the first of them comes: a run that draws a figure again does not wait for torch.
It imports no module of ours that it keeps, starts no thread and opens no GPU: a forked job is as
fresh as a new process.
"""

import atexit
import contextlib
import ctypes
import gc
import json
import logging
import os
import selectors
import shutil
import signal
import socket
import sys
import threading
import traceback
import weakref
from pathlib import Path
from typing import Any, NoReturn

from sightlines.jobs import liveness
from sightlines.jobs.start import LENGTH, STARTED, STATUS, run_module

TABLES = (
    "getpass",
    "jaxtyping",
    "jsonschema",
    "numpy",
    "pandas",
    "pandas.core.arrays.arrow.extension_types",
    "pandas.io.formats.csvs",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "threadpoolctl",
    "yaml",
)
"""What every kind of job uses."""
IMAGES = ("PIL.ImageEnhance", "PIL.ImageOps", "PIL.JpegImagePlugin", "PIL.PngImagePlugin")
NETWORKS = ("torch", "timm", *IMAGES)
"""With timm come torchvision and torch's compiler; `models/lean.py` finds it imported."""
DRAWING = (
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "matplotlib.patheffects",
    "matplotlib.style",
    *IMAGES,
)
JUDGING = ("scipy.special", "scipy.stats")
CHANGING = ("PIL.Image", "scipy.fft", "scipy.ndimage", "scipy.special")
"""What changes images: corruptions, waves."""
PAGE = ("PIL.PngImagePlugin", "PIL.WebPImagePlugin", "jinja2", "matplotlib", "scipy.special")
LIBRARIES = {
    "sightlines.datasets": IMAGES,
    "sightlines.training": NETWORKS,
    "sightlines.run.dump": (*NETWORKS, *CHANGING),
    "sightlines.run.figure": (*DRAWING, *JUDGING),
    "sightlines.run.claims": (*JUDGING, *CHANGING),
    "sightlines.run.report": PAGE,
}
"""Beginning of a job's module -> what such jobs use besides; none of it starts a thread."""
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def main(listener: socket.socket, folder: Path, parent: str) -> list[str] | None:
    """Serve until the Snakemake with this process number is gone.

    Returns:
        In a forked job what it is to run, else None.
    """
    started = liveness.start_time(parent)
    load(TABLES)
    for name in [n for n in sys.modules if n.split(".")[0] == "sightlines"]:
        del sys.modules[name]  # a job reads our code as it is then
    jobs: dict[int, tuple[int, socket.socket]] = {}  # handle of the process -> its number, caller
    with selectors.DefaultSelector() as ready:
        ready.register(listener, selectors.EVENT_READ)
        while liveness.start_time(parent) == started is not None:
            for key, _ in ready.select(timeout=1):
                if key.fileobj is listener:
                    caller, _ = listener.accept()
                    work = _fork(caller, ready, listener, jobs)
                    if work is not None:
                        return work
                elif key.data is None:
                    _end(key.fd, ready, jobs)
                else:
                    _signal(key.data, key.fileobj, ready, jobs)
        for number, _ in jobs.values():
            os.kill(number, signal.SIGTERM)
        for number, _ in jobs.values():
            os.waitpid(number, 0)
    shutil.rmtree(folder, ignore_errors=True)
    return None


def libraries(module: str) -> tuple[str, ...]:
    """What a job that runs this module uses, besides TABLES."""
    return next((own for kind, own in LIBRARIES.items() if module.startswith(kind)), ())


def load(names: tuple[str, ...]) -> None:
    """Import what is not there yet, and keep it out of the collector's sight: pages stay shared."""
    if all(name in sys.modules for name in names):
        return
    os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # pyarrow would start one
    for name in names:
        with contextlib.suppress(ImportError):  # the job itself says what is missing
            __import__(name)
    with contextlib.suppress(ImportError):
        import threadpoolctl

        threadpoolctl.threadpool_info()  # finds the libraries' files, and keeps what it found
    gc.collect()
    gc.freeze()


def _fork(
    caller: socket.socket,
    ready: selectors.BaseSelector,
    listener: socket.socket,
    jobs: dict[int, tuple[int, socket.socket]],
) -> list[str] | None:
    """Begin a caller's job; in the job itself, what it is to run."""
    caller.settimeout(10)
    try:
        head, handles, _, _ = socket.recv_fds(caller, LENGTH.size, 3)
        left = LENGTH.unpack(head)[0]
        text = b""
        while left > len(text):
            text += caller.recv(left - len(text)) or _refuse()
        job = json.loads(text)
        load(libraries(job["arguments"][0]))
    except (OSError, ValueError):
        caller.close()
        return None
    caller.settimeout(None)
    server = os.getpid()
    number = os.fork()
    if number:
        for handle in handles:
            os.close(handle)
        handle = os.pidfd_open(number)
        jobs[handle] = number, caller
        ready.register(handle, selectors.EVENT_READ)
        ready.register(caller, selectors.EVENT_READ, handle)
        with contextlib.suppress(OSError):
            caller.send(STARTED)
        return None
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
    if os.getppid() != server:
        os._exit(143)
    for other, (_, theirs) in jobs.items():
        os.close(other)
        theirs.close()
    ready.close()
    listener.close()
    caller.close()
    _forget_exit_functions()
    return _become(job, handles)


def _forget_exit_functions() -> None:
    """Drop what libraries asked the warm process to do at its end.

    What a job itself registers is done at its end. What it would inherit is the warm process's own
    (caches, statistics of torch's compiler, torch's libraries of operators), and to walk through it
    takes 0.05 CPU seconds a job. What concerns a job's own log and worker processes stays.
    """
    atexit._clear()
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    atexit.register(logging.shutdown)
    if util := sys.modules.get("multiprocessing.util"):
        util._finalizer_registry.clear()  # as `multiprocessing` does in its own forked processes
        atexit.register(util._exit_function)
    if workers := sys.modules.get("torch.utils.data._utils"):
        atexit.register(workers._set_python_exit_flag)


def _become(job: dict[str, Any], handles: list[int]) -> list[str]:
    """Take the caller's terminal, environment and folder."""
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
        os.close(handle)
    os.environ.clear()
    os.environ.update(job["env"])
    os.umask(job["mask"])
    os.chdir(job["folder"])
    arguments: list[str] = job["arguments"]
    return arguments


def _end(
    handle: int, ready: selectors.BaseSelector, jobs: dict[int, tuple[int, socket.socket]]
) -> None:
    """Tell the caller how its job ended."""
    number, caller = jobs.pop(handle)
    ready.unregister(handle)
    os.close(handle)
    with contextlib.suppress(KeyError, ValueError):
        ready.unregister(caller)
    status = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    with contextlib.suppress(OSError):
        caller.send(STATUS.pack(status))
    caller.close()


def _signal(
    handle: int,
    caller: Any,
    ready: selectors.BaseSelector,
    jobs: dict[int, tuple[int, socket.socket]],
) -> None:
    """Pass on the caller's signals; end the job of a caller that is gone."""
    if handle not in jobs:
        return
    try:
        numbers = caller.recv(16)
    except OSError:
        numbers = b""
    if not numbers:
        ready.unregister(caller)
    for number in numbers or [signal.SIGTERM]:
        os.kill(jobs[handle][0], number)


def _refuse() -> bytes:
    raise ValueError("the caller is gone")


def run_and_leave(arguments: list[str]) -> NoReturn:
    """Run a module and end as a process does, but for taking apart all that was imported.

    That would copy every page which the warm process shares: 0.05 to 0.4 CPU seconds a job.
    """
    status = 0
    try:
        run_module(arguments)
    except SystemExit as error:
        status = _status(error.code)
    except BaseException as error:
        traceback.print_exc()
        status = 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    # As `multiprocessing` ends a forked process: threads, what was to run at the end, streams.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _status(code: Any) -> int:
    """What Python makes of the argument of `sys.exit`."""
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    found = main(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]), sys.argv[3])
    if found is not None:
        run_and_leave(found)
