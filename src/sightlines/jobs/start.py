"""Run a stage's command in a process that is warm already, where there is one.

    python -m sightlines.jobs.start sightlines.run.measure cka --config '{…}' …

does what ``python -m sightlines.run.measure cka --config '{…}' …`` does, without paying again for
import of torch, timm, pandas or matplotlib: up to 4 CPU seconds, more than most jobs compute.
One Snakemake has one warm process for each environment that its jobs run in (`warm.py`); it has
imported those libraries, none of our own code, and forks for every job. The job has this call's
arguments, environment, folder and terminal, and ends with its Snakemake. Whatever stands in the way
of that (another system than Linux, a file system without sockets, SIGHTLINES_WARM unset) makes the
job start the plain way: slower, the same otherwise.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import sys
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

# No other module of ours, and of Python's those that start fast: each job starts a Python for this
# file, which hands over to the warm one.
# ruff: noqa: PTH102, PTH103, PTH108, PTH109

PARENT = "SIGHTLINES_PARENT"
"""Names the Snakemake that a job belongs to: its machine and its process."""
WARM = "SIGHTLINES_WARM"
"""Set to 1 by a Snakemake whose jobs run on its own machine."""

FOLDER = ".cache/sightlines"
LENGTH = struct.Struct("!I")
STATUS = struct.Struct("!i")
STARTED = b"+"
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_VOLATILE = ("_", "SHLVL", "PWD", "OLDPWD")


def main(arguments: list[str]) -> int:
    """Run one module with its arguments; the exit status."""
    server = _connect() if os.environ.get(WARM) == "1" and sys.platform == "linux" else None
    status = None if server is None else _ask(server, arguments)
    if status is None:
        run_module(arguments)
        return 0
    return status if status >= 0 else 128 - status


def run_module(arguments: list[str]) -> None:
    """Run a module as ``python -m`` does; it ends by itself or by an exception."""
    import runpy

    sys.argv = list(arguments)
    sys.orig_argv = [sys.executable, "-m", *arguments]
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def _connect() -> socket.socket | None:
    """The warm process of this environment, started if need be; None where that is impossible."""
    parent = os.environ.get(PARENT, "").rpartition(":")[2]
    same = {k: v for k, v in os.environ.items() if k not in _VOLATILE}
    key = zlib.crc32(json.dumps([sys.executable, sorted(same.items())]).encode())
    folder = f"{FOLDER}/warm-{parent}"
    path = f"{folder}/{key:08x}"  # relative, since the kernel allows some hundred characters
    try:
        os.makedirs(FOLDER, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, mode=0o700)
        with open(f"{folder}/lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return _dial(path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen(128)
                _start(listener, folder, parent)
            return _dial(path)
    except OSError:
        return None


def _dial(path: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(path)
    except OSError:
        server.close()
        raise
    return server


def _start(listener: socket.socket, folder: str, parent: str) -> None:
    import subprocess  # by the first job alone

    command = [
        sys.executable,
        "-m",
        "sightlines.jobs.warm",
        str(listener.fileno()),
        folder,
        parent,
    ]
    nothing = subprocess.DEVNULL
    subprocess.Popen(
        command,
        pass_fds=[listener.fileno()],
        start_new_session=True,
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
    )


def _ask(server: socket.socket, arguments: list[str]) -> int | None:
    """Have the job run; its exit status, negative for a signal, or None where it never began."""

    def pass_on(number: int, _: "FrameType | None") -> None:
        with contextlib.suppress(OSError):
            server.send(bytes([number]))

    before = {n: signal.signal(n, pass_on) for n in PASSED_ON}
    mask = os.umask(0o077)
    os.umask(mask)
    job = {"arguments": arguments, "folder": os.getcwd(), "mask": mask, "env": dict(os.environ)}
    text = json.dumps(job).encode()
    try:
        socket.send_fds(server, [LENGTH.pack(len(text))], [0, 1, 2])
        server.sendall(text)
        began = server.recv(1) == STARTED
    except OSError:
        began = False
    if not began:
        for number, handler in before.items():
            signal.signal(number, handler)
        return None
    try:
        said = server.recv(STATUS.size)
    except OSError:
        said = b""
    if len(said) < STATUS.size:
        sys.exit("the warm process that ran this job was killed; run the same command again")
    status: int = STATUS.unpack(said)[0]
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
